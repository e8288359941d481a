/* child.c - fork, watch, reap: see child.h.
 *
 * Protocol: the child writes its output, then one byte, 0 for done or 1 for failed. Without that
 * byte the job did not return.
 */
#include "plugin/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OUTPUT = 4 << 20 };
enum { DONE = 0, FAILED = 1 };

static _Noreturn void be_child(int (*job)(void *, int), void *arg, int fd, pid_t parent) {
    const struct rlimit no_core = {0, 0};
    int nowhere = open("/dev/null", O_RDWR);
    char end;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (int i = 0; i < 3; i++)
        dup2(nowhere, i);
    setrlimit(RLIMIT_CORE, &no_core);
    for (int s = 1; s < NSIG; s++)
        signal(s, SIG_DFL);
    end = job(arg, fd) == 0 ? DONE : FAILED;
    _exit(write(fd, &end, 1) == 1 ? 0 : 1);
}

static int64_t now_ms(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads until the child closes its end: 1; 0 when the time is up or the output too long. */
static int collect(int fd, int timeout_ms, char *buffer, size_t *size) {
    int64_t deadline = now_ms() + timeout_ms;

    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - now_ms();
        ssize_t n;

        if (left <= 0 || *size == MAX_OUTPUT)
            return 0;
        if (poll(&p, 1, (int)left) <= 0)
            continue;
        n = read(fd, buffer + *size, MAX_OUTPUT - *size);
        if (n == 0)
            return 1;
        if (n > 0)
            *size += (size_t)n;
        else if (errno != EINTR)
            return 1;
    }
}

/* How the child ended, as an error. `returned`: the job itself did. */
static lh_status judge(int wait_status, int in_time, int returned, const char *output,
                       int timeout_ms, lh__error *err) {
    if (returned)
        return output ? lh__fail(err, LH_EPLUGIN, "%s", output) : LH_OK;
    if (!in_time)
        return lh__fail(err, LH_EPLUGIN, "did not return within %g s", timeout_ms / 1000.0);
    if (WIFSIGNALED(wait_status))
        return lh__fail(err, LH_EPLUGIN, "crashed with SIG%s", sigabbrev_np(WTERMSIG(wait_status)));
    return lh__fail(err, LH_EPLUGIN, "called exit(%d)", WEXITSTATUS(wait_status));
}

lh_status lh__in_child(int (*job)(void *arg, int fd), void *arg, int timeout_ms, char **output,
                       lh__error *err) {
    char *buffer = malloc(MAX_OUTPUT + 1);
    int fds[2], wait_status = 0, in_time, returned, end = DONE;
    pid_t parent = getpid(), child = -1;
    size_t size = 0;

    *output = NULL;
    if (!buffer)
        return lh__fail(err, LH_ENOMEM, "out of memory");
    if (pipe2(fds, O_CLOEXEC) != 0) {
        free(buffer);
        return lh__fail(err, LH_EIO, "cannot make a pipe: %s", strerror(errno));
    }
    fflush(NULL); /* or the child's exit() would write our buffers again */
    child = fork();
    if (child == 0) {
        close(fds[0]);
        be_child(job, arg, fds[1], parent);
    }
    close(fds[1]);
    if (child < 0) {
        close(fds[0]);
        free(buffer);
        return lh__fail(err, LH_EIO, "cannot start a process: %s", strerror(errno));
    }

    in_time = collect(fds[0], timeout_ms, buffer, &size);
    if (!in_time)
        kill(child, SIGKILL);
    close(fds[0]);
    while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
        continue;
    returned = in_time && WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0 && size > 0;
    if (returned)
        end = buffer[--size];
    buffer[size] = 0;
    *output = buffer;
    return judge(wait_status, in_time, returned, end == DONE ? NULL : buffer, timeout_ms, err);
}
