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

static double accuracy_after_three_epochs(const char *options) {
    json_t *result;
    double accuracy;

    cr_assert_eq(run(MNIST "a --max_epochs 3 --test %s", model, options), 0, "%s", said());
    result = result_of("a", 1);
    cr_assert_str_eq(text_in(result, "stage"), "test");
    accuracy = number_in(result, "metrics.test_acc");
    json_decref(result);
    return accuracy;
}

/* With 512 units and the best of many validations, seeds 0 to 7 gave 0.974 to 0.980. */
Test(mnist, three_epochs_reach_97_5_percent) {
    cr_assert_geq(accuracy_after_three_epochs("--model.layer_1_dim 512 --val_check_interval 0.1 "
                                              "--callback "
                                              "model-checkpoint:monitor=val_acc,mode=max"),
                  0.975);
}

/* As the example comes, seeds 0 to 9 gave 0.965 to 0.976, and PyTorch 0.963 to 0.974. */
Test(mnist, three_epochs_of_the_example_as_it_comes) {
    cr_assert_geq(accuracy_after_three_epochs(""), 0.96);
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
