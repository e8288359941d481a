/* test_timer.c - training ends when its time is up, counted over resumptions. */
#include "host.h"

#include <criterion/criterion.h>
#include <time.h>

#define OPEN(...) host_open(CALLBACKS "/timer.so", scratch(), __VA_ARGS__, NULL)

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pass(double seconds) {
    nanosleep(&(struct timespec){.tv_nsec = (long)(seconds * 1e9)}, NULL);
}

Test(timer, stops_after_a_step) {
    struct host *h = OPEN("seconds=0.05");
    double start = now();

    cr_assert_eq(SETUP(h), LH_OK);
    cr_assert_eq(CALL(h, callback, on_fit_start), LH_OK);
    pass(0.06); /* what lies before training does not count */
    start = now();
    cr_assert_eq(CALL(h, callback, on_train_start), LH_OK);
    while (!h->ints[LH_SHOULD_STOP] && now() - start < 5) {
        pass(0.001);
        cr_assert_eq(BATCH_END(h), LH_OK);
    }
    cr_expect_geq(now() - start, 0.05);
    cr_expect_not_null(strstr(h->stop, "the time is up"), "%s", h->stop);
    host_close(h);
}

Test(timer, stops_after_an_epoch) {
    struct host *h = OPEN("seconds=0", "interval=epoch");

    cr_assert_eq(SETUP(h), LH_OK);
    cr_assert_eq(CALL(h, callback, on_train_start), LH_OK);
    cr_assert_eq(BATCH_END(h), LH_OK);
    cr_expect_eq(h->ints[LH_SHOULD_STOP], 0);
    cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
    cr_expect_eq(h->ints[LH_SHOULD_STOP], 1);
    host_close(h);
}

/* What a run used up is gone for the one that goes on from it. */
Test(timer, resumes) {
    struct host *h = OPEN("seconds=0.02"), *next;

    cr_assert_eq(SETUP(h), LH_OK);
    cr_assert_eq(CALL(h, callback, on_train_start), LH_OK);
    pass(0.03);
    cr_assert_eq(CALL(h, callback, state_dict), LH_OK);
    next = host_resume(h, scratch());
    cr_assert_eq(SETUP(next), LH_OK);
    cr_assert_eq(CALL(next, callback, load_state_dict), LH_OK);
    cr_assert_eq(CALL(next, callback, on_fit_start), LH_OK);
    cr_expect_eq(next->ints[LH_SHOULD_STOP], 1);
    host_close(h);
    host_close(next);
}

/* 1 day, 2 hours, 3 minutes and 4 seconds; told by resuming just below and just above it. */
Test(timer, reads_durations) {
    const double total = 86400 + 2 * 3600 + 3 * 60 + 4;

    for (int above = 0; above < 2; above++) {
        struct host *h = OPEN("duration=01:02:03:04");

        strcpy(h->state[0].key, "time_elapsed");
        h->state[0].number = total + (above ? 0 : -1);
        h->n_state = 1;
        cr_assert_eq(SETUP(h), LH_OK, "%s", h->error);
        cr_assert_eq(CALL(h, callback, load_state_dict), LH_OK);
        cr_assert_eq(CALL(h, callback, on_fit_start), LH_OK);
        cr_expect_eq(h->ints[LH_SHOULD_STOP], above);
        host_close(h);
    }
}

Test(timer, without_a_limit_runs_on) {
    struct host *h = OPEN("interval=step");

    cr_assert_eq(SETUP(h), LH_OK);
    cr_assert_eq(CALL(h, callback, on_train_start), LH_OK);
    cr_assert_eq(BATCH_END(h), LH_OK);
    cr_expect_eq(h->ints[LH_SHOULD_STOP], 0);
    host_close(h);
}

Test(timer, refuses_bad_options) {
    static const char *const rows[][2] = {
        {"duration=12:00"},
        {"duration=1d"},
        {"duration=00:12:00:0"},
        {"duration=00:12:00:00x"},
        {"duration=-1:12:00:00"},
        {"interval=batch"},
        {"duration=00:00:00:05", "seconds=5"},
        {"seconds=-1"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN(rows[i][0], rows[i][1]);

        cr_expect_eq(SETUP(h), LH_EINVAL, "%s", rows[i][0]);
        host_close(h);
    }
}
