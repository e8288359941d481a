/* A run in a real child process that ends in every way there is. */
#include "cli/supervisor.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef void ending(lh__breadcrumb *crumb);

static int end_as_told(const lh__call *call, void *user, lh__breadcrumb *crumb) {
    ending *end;

    memcpy(&end, user, sizeof end);
    end(crumb);
    return 7;
}

static void well(lh__breadcrumb *crumb) {
}

static void crash(lh__breadcrumb *crumb) {
    crumb->plugin = 1;
    crumb->hook = LH__HOOK_on_train_start;
    crumb->epoch = 2;
    crumb->step = 40;
    strcpy(crumb->names[1], "early-stop");
    strcpy(crumb->log_dir, "logs/version_3");
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
}

static void leave(lh__breadcrumb *crumb) {
    crumb->plugin = 0;
    crumb->hook = LH__HOOK_prepare_data;
    strcpy(crumb->names[0], "mnist");
    _exit(3);
}

static void be_asked_to_stop(lh__breadcrumb *crumb) {
    signal(SIGTERM, SIG_DFL);
    kill(getppid(), SIGTERM); /* as kill(1) does; it comes back to this process */
    for (;;)
        pause();
}

/* What the program does: exit code and stderr of a process that supervises. */
static int run(ending *end, char *text, size_t size) {
    int fds[2], status;
    size_t n = 0;
    ssize_t got;

    cr_assert_eq(pipe(fds), 0);
    if (fork() == 0) {
        lh__report *report = lh__report_new(fds[1], fds[1]);
        lh__call call = {.report = report, .observer = lh__report_observer(report)};
        _exit(lh__supervise(&call, end_as_told, &end));
    }
    close(fds[1]);
    while ((got = read(fds[0], text + n, size - n - 1)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    wait(&status);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(supervisor, the_exit_code_comes_through) {
    char text[1024];

    cr_expect_eq(run(well, text, sizeof text), 7);
    cr_expect_str_empty(text);
}

Test(supervisor, a_crash_names_plugin_hook_and_place) {
    char text[1024];

    cr_expect_eq(run(crash, text, sizeof text), LH__EXIT_FAILED);
    cr_expect(strstr(text, "plugin 'early-stop' in on_train_start was ended by SIGSEGV"), "%s",
              text);
    cr_expect(strstr(text, "epoch 2, step 40"), "%s", text);
    cr_expect(strstr(text, "logs/version_3"), "%s", text);
}

Test(supervisor, an_exit_is_not_taken_for_success) {
    char text[1024];

    cr_expect_eq(run(leave, text, sizeof text), LH__EXIT_FAILED);
    cr_expect(strstr(text, "plugin 'mnist' in prepare_data called exit(3)"), "%s", text);
}

Test(supervisor, signals_are_passed_on) {
    char text[1024];

    cr_expect_eq(run(be_asked_to_stop, text, sizeof text), 128 + SIGTERM);
}
