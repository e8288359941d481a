/* test_logging.c - what is logged, as the loggers of a real run get it, and when. */
#include "lhost.h"

TestSuite(logging, .init = enter_folder, .fini = leave_folder, .timeout = 120);

#define LOGGED QUIET " --enable_checkpointing false --logger $R:file=log "
#define BENCH " --model $W " LOGGED "--num_sanity_val_steps 0 "

/* Rows at every third step; x is the number of steps before. */
Test(logging, every_third_step) {
    lhost_works("fit" BENCH "--max_epochs 2 --log_every_n_steps 3");
    assert_logged("log", "item", "2:8 5:20 8:8 11:20 ");
    assert_logged("log", "steps_of_epoch", "5:6 11:6 ");
}

/* While accumulating only batches that step have rows. */
Test(logging, accumulating) {
    lhost_works("fit" BENCH "--max_epochs 1 --log_every_n_steps 1 --accumulate_grad_batches 4");
    assert_logged("log", "item", "0:12 1:20 ");
}

Test(logging, never_per_step) {
    lhost_works("fit" BENCH "--max_epochs 1 --log_every_n_steps 0");
    assert_logged("log", "item", "");
    assert_logged("log", "steps_of_epoch", "5:6 ");
}

Test(logging, epoch_is_a_column) {
    lhost_works("fit" BENCH "--max_epochs 2 --log_every_n_steps 6");
    assert_logged("log", "epoch", "5:0 5:0 5:0 11:1 11:1 11:1 ");
}

/* Step values of evaluation: every batch; x counts the loader's batches over all validations. */
Test(logging, steps_of_validation) {
    lhost_works("fit --model $N --model.log_in validation_step --model.log_flags 1 " LOGGED
                "--limit_train_batches 1 --limit_val_batches 2 --max_epochs 2");
    assert_logged("log", "x_step", "0:1.5 1:1.5 2:1.5 3:1.5 ");
    assert_logged("log", "x_epoch", "0:1.5 1:1.5 ");
}

/* The sanity check's values go nowhere. */
Test(logging, nothing_of_the_sanity_check) {
    lhost_works("fit --model $N " LOGGED "--limit_train_batches 1 --limit_val_batches 2 "
                "--max_epochs 1 --num_sanity_val_steps 2");
    cr_assert_str_eq(strchr(logged("log", "val_loss"), ' '), " "); /* one row */
}

/* Means are weighted: 6 items in batches of 4 and 2 have the mean of batches of 3. */
Test(logging, mean_over_unequal_batches) {
    double mean[2];

    for (int i = 0; i < 2; i++) {
        lhost_works("validate --json --model $W " BARE "--precision 64-true --model.batch_size %d",
                    4 - i);
        mean[i] = json_number_value(json_object_get(
            json_object_get(
                keep(json_loads(slurp("out"), JSON_DISABLE_EOF_CHECK, NULL), release_json),
                "metrics"),
            "val_loss"));
    }
    cr_assert_float_eq(mean[0], mean[1], 1e-12);
}

/* ---- a hook that logs: allowed, refused, and by which name ---- */

static void assert_logs(const char *hook, int flags, const char *metric) {
    char more[100];

    remove("log");
    snprintf(more, sizeof more, "--model.log_in %s --model.log_flags %d", hook, flags);
    lhost_works("fit --model $N %s " LOGGED "--limit_train_batches 1 --limit_val_batches 1 "
                "--max_epochs 1 --log_every_n_steps 1",
                more);
    cr_assert_str_not_empty(logged("log", metric), "%s: no %s", hook, metric);
}

Test(logging, from_many_hooks) {
    static const char *const hooks[] = {"training_step",
                                        "on_train_batch_start",
                                        "on_train_batch_end",
                                        "on_after_backward",
                                        "on_before_optimizer_step",
                                        "on_before_zero_grad",
                                        "optimizer_step",
                                        "backward",
                                        "configure_gradient_clipping",
                                        "validation_step",
                                        "on_validation_batch_end",
                                        "on_validation_epoch_end",
                                        "on_train_start",
                                        "on_train_epoch_start",
                                        "on_train_epoch_end",
                                        "training_epoch_end",
                                        "validation_epoch_end",
                                        "on_epoch_end"};

    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        assert_logs(hooks[i], 0, "x");
}

Test(logging, forked) {
    assert_logs("training_step", LH_LOG_STEP | LH_LOG_EPOCH, "x_step");
    assert_logs("training_step", LH_LOG_STEP | LH_LOG_EPOCH, "x_epoch");
}

Test(logging, refused) {
    cr_assert_eq(lhost("fit --model $N --model.log_in on_fit_start " BARE "--max_epochs 1"), 2);
    assert_says("on_fit_start may not log");
    cr_assert_eq(lhost("predict --model $N --model.log_in predict_step " BARE), 1);
    assert_says("predict_step may not log");
    cr_assert_eq(lhost("fit --model $N --model.log_in on_train_epoch_end --model.log_flags 1 " BARE
                       "--limit_train_batches 1 --max_epochs 1"),
                 1);
    assert_says("cannot log per step");
}

Test(logging, barebones) {
    lhost_works("fit --model $N --model.file rec --barebones true --limit_train_batches 3 "
                "--max_epochs 2");
    assert_says("barebones: lh_log does nothing");
    cr_assert_eq(entries("rec", "M.training_step"), 6);
    cr_assert_eq(entries("rec", "C.on_sanity_check_start"), 0);
}
