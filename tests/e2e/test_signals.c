/* test_signals.c - stopping a run: in order on the first signal, at once on the second, and never
 * leaving a process behind. */
#include "folder.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOW                                                                                      \
    "run --model p/steady.so --enable_progress_bar false --max_epochs 100 --log_every_n_steps 1 " \
    "--model.pause_us 5000"

TestSuite(signals, .init = enter_folder, .fini = leave_folder, .timeout = 60);

/* Waits until the first steps are on record. */
static void wait_for_steps(void) {
    for (int i = 0; i < 2000; i++) {
        char *text = read_text("lightning_logs/version_0/log.txt", NULL);
        int is_there = text && strstr(text, "batch_start reached");

        free(text);
        if (is_there)
            return;
        usleep(10000);
    }
    cr_assert_fail("no step was made: %s", said());
}

static void expect_orderly_stop(int number, int to_group) {
    pid_t pid = start(SLOW " --callback p/breaks.so:how=say,step=3");
    json_t *result;
    char *log, *metrics;

    wait_for_steps();
    kill(to_group ? -pid : pid, number);
    cr_assert_eq(ends(pid), 128 + number, "%s", said());
    result = result_of(".", 0);
    cr_assert_str_eq(text_in(result, "status"), "interrupted");
    cr_assert(number_in(result, "global_step") >= 3);
    log = read_text("lightning_logs/version_0/log.txt", NULL);
    cr_assert(strstr(log, "steady: torn down"), "%s", log);
    metrics = read_text("lightning_logs/version_0/metrics.csv", NULL);
    cr_assert(metrics && strstr(metrics, "train_loss_step"), "%s", metrics);
    json_decref(result);
    free(log);
    free(metrics);
}

Test(signals, interrupt_ends_in_order) {
    expect_orderly_stop(SIGINT, 0);
}

Test(signals, termination_ends_in_order) {
    expect_orderly_stop(SIGTERM, 0);
}

/* What a terminal does with Ctrl-C: it counts once. */
Test(signals, interrupt_of_the_group_ends_in_order) {
    expect_orderly_stop(SIGINT, 1);
}

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A hook that does not come back cannot be stopped in order. */
Test(signals, second_interrupt_ends_at_once) {
    pid_t pid = start(SLOW " --callback p/breaks.so:how=hang,step=3,in=on_train_batch_start");
    json_t *result;
    double then;

    wait_for_steps();
    kill(pid, SIGINT);
    usleep(300000);
    cr_assert_eq(kill(pid, 0), 0, "the first one already ended it: %s", said());
    then = now();
    kill(pid, SIGINT);
    cr_assert_eq(ends(pid), 128 + SIGINT, "%s", said());
    cr_assert_lt(now() - then, 2);
    result = result_of(".", 0);
    cr_assert_str_eq(text_in(result, "status"), "interrupted");
    json_decref(result);
}

/* Killed, the program takes the process that trains with it. */
Test(signals, no_process_is_left_behind) {
    pid_t pid = start(SLOW " --callback p/breaks.so:how=say,step=3");
    double then;

    wait_for_steps();
    then = now();
    kill(pid, SIGKILL);
    cr_assert_eq(ends(pid), -SIGKILL);
    cr_assert_lt(now() - then, 2, "it went on training");
    cr_assert_eq(kill(-pid, 0), -1);
    cr_assert_eq(errno, ESRCH);
}
