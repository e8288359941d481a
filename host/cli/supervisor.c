/* supervisor.c - one child, watched; signals are waited for, so no handler and no global. */
#include "cli/supervisor.h"

#include "plugin/hooks.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In memory that both processes see. */
typedef struct shared {
    lh__breadcrumb crumb;
    int32_t exit_code; /* valid once crumb.is_done */
} shared;

/* The signals that the child must hear of, and its own end. */
static void watched_signals(sigset_t *set) {
    static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};

    sigemptyset(set);
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        sigaddset(set, passed_on[i]);
}

/* Waits for the child, passing signals on. What a terminal's key sends reaches the child anyway. */
static int wait_for(pid_t child, const sigset_t *set) {
    siginfo_t info;
    int status;

    for (;;) {
        pid_t ended = waitpid(child, &status, WNOHANG);
        if (ended == child)
            return status;
        if (ended < 0 && errno != EINTR)
            return -1;
        if (sigwaitinfo(set, &info) > 0 && info.si_signo != SIGCHLD && info.si_code <= 0)
            kill(child, info.si_signo);
    }
}

static int report_death(const lh__call *call, const shared *s, int status) {
    const lh__breadcrumb *crumb = &s->crumb;
    const char *hook = crumb->hook >= 0 && crumb->hook < LH__N_HOOKS ? lh__hooks[crumb->hook].name
                                                                     : "an unknown hook";
    int by_plugin = crumb->plugin >= 0 && crumb->plugin < LH__MAX_CAST;
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int asked = signal_number == SIGINT || signal_number == SIGTERM;
    char how[64], who[128], text[1400];
    int exit_code = asked ? 128 + signal_number : LH__EXIT_FAILED;

    if (signal_number)
        snprintf(how, sizeof how, "was ended by SIG%s", sigabbrev_np(signal_number));
    else
        snprintf(how, sizeof how, "called exit(%d)", WEXITSTATUS(status));
    if (by_plugin)
        snprintf(who, sizeof who, "plugin '%.39s' in %s", crumb->names[crumb->plugin], hook);
    else
        snprintf(who, sizeof who, "the run");
    snprintf(text, sizeof text, "%s %s at epoch %lld, step %lld%s%s", who, how,
             (long long)crumb->epoch, (long long)crumb->step,
             *crumb->log_dir ? "; checkpoints up to here are in " : "", crumb->log_dir);
    lh__record_death(crumb, asked ? "interrupted" : "failed", text);
    return lh__cli_fail(call, exit_code, "%s", text);
}

static int run_child(const lh__call *call, lh__supervised *body, void *user, pid_t parent,
                     shared *s) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* gone before the line above */
        return LH__EXIT_FAILED;
    s->exit_code = body(call, user, &s->crumb);
    s->crumb.is_done = 1;
    return s->exit_code;
}

int lh__supervise(const lh__call *call, lh__supervised *body, void *user) {
    shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int exit_code = LH__EXIT_FAILED, status;
    pid_t parent = getpid(), child;
    sigset_t watched, before;

    if (s == MAP_FAILED)
        return lh__cli_fail(call, LH__EXIT_FAILED, "no shared memory: %s", strerror(errno));
    s->crumb.plugin = -1;
    watched_signals(&watched);
    sigprocmask(SIG_BLOCK, &watched, &before);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return run_child(call, body, user, parent, s); /* the page goes with the process */
    }
    if (child < 0) {
        lh__cli_fail(call, LH__EXIT_FAILED, "cannot start a process: %s", strerror(errno));
        goto done;
    }
    status = wait_for(child, &watched);
    exit_code = s->crumb.is_done ? s->exit_code : report_death(call, s, status);
done:
    sigprocmask(SIG_SETMASK, &before, NULL);
    munmap(s, sizeof *s);
    return exit_code;
}
