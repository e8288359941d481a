/* test_early_stop.c - when training is stopped for want of progress. */
#include "host.h"

#include <criterion/criterion.h>

#define OPEN(...) host_open(CALLBACKS "/early-stop.so", scratch(), __VA_ARGS__, NULL)

/* The epoch in which a run whose metric takes these values is stopped, by its end of training; -1.
 */
static int64_t stopped(struct host *h, const double *values, int64_t n) {
    cr_assert_eq(SETUP(h), LH_OK, "%s", h->error);
    for (int64_t e = 0; e < n; e++) {
        h->ints[LH_CURRENT_EPOCH] = e;
        host_metric(h, "m", values[e]);
        cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
        cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
        if (h->ints[LH_SHOULD_STOP])
            return e;
    }
    return -1;
}

/* By Lightning's definition: an improvement is strict and by more than min_delta; patience counts
 * checks; patience 0 stops at the first check without one. */
Test(early_stop, judges_sequences) {
    static const struct {
        const char *options[3];
        double values[8];
        int64_t n, epoch;
        const char *why;
    } rows[] = {
        {{"patience=3"}, {6, 5, 5, 5, 5, 5}, 6, 4, "did not improve"},
        {{"patience=1"}, {6, 5, 4, 4, 3, 3}, 6, 3, "did not improve"},
        {{"patience=0"}, {6, 5, 6}, 3, 2, "did not improve"},
        {{"patience=2"}, {6, 7, 5, 7, 4, 7}, 6, -1, ""},
        {{"patience=1", "min_delta=0.5"}, {6, 5.4, 5, 5}, 4, 2, "did not improve"},
        {{"patience=1", "min_delta=0.5", "mode=max"}, {1, 1.6, 2, 9}, 4, 2, "did not improve"},
        {{"patience=1", "mode=max"}, {1, 2, 3, 3}, 4, 3, "did not improve"},
        {{"patience=9"}, {1, NAN, 0}, 3, 1, "not finite"},
        {{"patience=9"}, {1, INFINITY, 0}, 3, 1, "not finite"},
        {{"patience=1", "check_finite=0"}, {1, 0.5, NAN}, 3, 2, "did not improve"},
        {{"stopping_threshold=0.3"}, {1, 0.3, 0.2}, 3, 2, "stopping_threshold"},
        {{"stopping_threshold=0.9", "mode=max"}, {0.5, 0.9, 0.95}, 3, 2, "stopping_threshold"},
        {{"divergence_threshold=10"}, {1, 10, 11}, 3, 2, "divergence_threshold"},
        {{"divergence_threshold=0.5", "mode=max"}, {1, 0.5, 0.4}, 3, 2, "divergence_threshold"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h =
            OPEN("monitor=m", rows[i].options[0], rows[i].options[1], rows[i].options[2]);

        cr_expect_eq(stopped(h, rows[i].values, rows[i].n), rows[i].epoch, "row %zu", i);
        cr_expect_not_null(strstr(h->stop, rows[i].why), "row %zu: %s", i, h->stop);
        host_close(h);
    }
}

/* A run that is interrupted after any epoch stops where the whole one does. */
Test(early_stop, resumes) {
    static const double values[] = {6, 5, 5.5, 5.2, 4, 4.5, 4.5, 4.5};

    for (int64_t cut = 1; cut < 7; cut++) {
        struct host *h = OPEN("monitor=m", "patience=3"), *next;

        cr_assert_eq(stopped(h, values, cut), -1);
        cr_assert_eq(CALL(h, callback, state_dict), LH_OK);
        next = host_resume(h, scratch());
        cr_assert_eq(SETUP(next), LH_OK);
        cr_assert_eq(CALL(next, callback, load_state_dict), LH_OK);
        for (int64_t e = cut; e < 8; e++) {
            cr_expect_eq(next->ints[LH_SHOULD_STOP], 0, "cut %d, epoch %d", (int)cut, (int)e);
            host_metric(next, "m", values[e]);
            cr_assert_eq(CALL(next, callback, on_train_epoch_end), LH_OK);
        }
        cr_expect_eq(next->ints[LH_SHOULD_STOP], 1, "cut %d", (int)cut);
        host_close(h);
        host_close(next);
    }
}

/* Where it looks: as told, else as validation runs. */
Test(early_stop, looks_where_it_should) {
    static const struct {
        const char *option;
        int64_t per_epoch;
        int at_train_end;
    } rows[] = {
        {"check_on_train_epoch_end=", 1, 1},
        {"check_on_train_epoch_end=", 0, 0},
        {"check_on_train_epoch_end=true", 0, 1},
        {"check_on_train_epoch_end=false", 1, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN("monitor=m", rows[i].option);

        h->ints[LH_VAL_CHECK_INTERVAL_IS_EPOCH] = rows[i].per_epoch;
        cr_assert_eq(SETUP(h), LH_OK);
        host_metric(h, "m", NAN);
        cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
        cr_expect_eq(h->ints[LH_SHOULD_STOP], !rows[i].at_train_end, "row %zu", i);
        cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
        cr_expect_eq(h->ints[LH_SHOULD_STOP], 1, "row %zu", i);
        host_close(h);
    }
}

Test(early_stop, does_not_look_outside_training) {
    static const int32_t flags[] = {LH_FAST_DEV_RUN, LH_SANITY_CHECKING, LH_STAGE};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct host *h = OPEN("monitor=m");

        h->ints[flags[i]] = 1;
        cr_expect_eq(stopped(h, (const double[]){NAN}, 1), -1);
        host_close(h);
    }
}

Test(early_stop, a_missing_metric_is_an_error_if_strict) {
    struct host *strict = OPEN("monitor=m"), *lax = OPEN("monitor=m", "strict=0", "verbose=1");

    cr_assert_eq(SETUP(strict), LH_OK);
    cr_assert_eq(SETUP(lax), LH_OK);
    host_metric(strict, "loss", 1);
    cr_expect_eq(CALL(strict, callback, on_train_epoch_end), LH_ENOTFOUND);
    cr_expect_not_null(strstr(strict->error, "there are: loss"), "%s", strict->error);
    cr_expect_eq(CALL(lax, callback, on_train_epoch_end), LH_OK);
    cr_expect_not_null(strstr(lax->said, "no metric \"m\""), "%s", lax->said);
    host_close(strict);
    host_close(lax);
}

Test(early_stop, refuses_bad_options) {
    static const char *const rows[] = {"mode=least", "check_on_train_epoch_end=2", "monitor="};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN(rows[i], "monitor=m");

        cr_expect_eq(SETUP(h), LH_EINVAL, "%s", rows[i]);
        host_close(h);
    }
}
