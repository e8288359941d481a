/* test_mnist.c - the example on the real digits: it learns, and the same seed gives the same
 * weights however the work is spread. Skipped without LHOST_DATA_DIR. */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MNIST "run --model %s --enable_progress_bar false --default_root_dir "

static const char *model;

static void enter(void) {
    const char *data = getenv("LHOST_DATA_DIR");

    if (!data || access(data, R_OK) != 0)
        cr_skip_test("needs the real MNIST in LHOST_DATA_DIR");
    model = getenv("LHOST_TEST_MNIST");
    enter_folder();
}

TestSuite(mnist, .init = enter, .fini = leave_folder, .timeout = 900);

/* Seeds 0 to 11 gave 0.979 to 0.982. */
Test(mnist, three_epochs_reach_97_5_percent) {
    for (int seed = 0; seed < 3; seed++) {
        char root[16];
        json_t *result;

        snprintf(root, sizeof root, "seed_%d", seed);
        cr_assert_eq(run(MNIST "%s --max_epochs 3 --test --seed_everything %d", model, root, seed),
                     0, "%s", said());
        result = result_of(root, 1);
        cr_expect_str_eq(text_in(result, "stage"), "test");
        cr_expect_geq(number_in(result, "metrics.test_acc"), 0.975, "seed %d", seed);
        json_decref(result);
    }
}

/* A run that only its time ends has no number of steps to fit a schedule to. */
Test(mnist, without_a_known_end_the_rate_stays) {
    json_t *result;

    cr_assert_eq(run(MNIST "endless --max_epochs -1 --max_time 00:00:00:01 --callback lr-monitor "
                           "--limit_train_batches 50 --limit_val_batches 1",
                     model),
                 0, "%s", said());
    result = result_of("endless", 0);
    cr_assert_eq(number_in(result, "metrics.lr-Adam"), 1e-3);
    json_decref(result);
}

Test(mnist, weights_do_not_depend_on_how_the_work_is_spread) {
    static const char *const ways[] = {"",
                                       "--num_threads 1",
                                       "--num_threads 2",
                                       "--num_threads 3",
                                       "--data.num_workers 0",
                                       "--data.num_workers 1",
                                       "--data.num_workers 3"};
    char few[128], which[128];

    snprintf(few, sizeof few, "--max_epochs 2 --limit_train_batches %d --limit_val_batches 5",
             count_of("LHOST_TEST_BATCHES", 200));
    cr_assert_eq(run(MNIST "first %s", model, few), 0, "%s", said());
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char root[16];

        snprintf(root, sizeof root, "way_%zu", i);
        cr_assert_eq(run(MNIST "%s %s %s", model, root, few, ways[i]), 0, "%s", said());
        cr_assert(
            !tensors_differ(final_checkpoint("first"), final_checkpoint(root), which, sizeof which),
            "%s differs with '%s'", which, ways[i]);
    }
    cr_assert_eq(run(MNIST "other %s --seed_everything 1", model, few), 0, "%s", said());
    cr_assert(
        tensors_differ(final_checkpoint("first"), final_checkpoint("other"), which, sizeof which),
        "the seed has no effect");
}
