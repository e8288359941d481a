/* test_loops.c - how long training goes on, how much of the data it takes, when it validates. */
#include "lhost.h"

#include <time.h>

TestSuite(loops, .init = enter_folder, .fini = leave_folder, .timeout = 20);

#define RECORDED " --model $N --model.file rec "
#define BENCH " --model $W "
#define LOGGED QUIET " --enable_checkpointing false --logger $R:file=log --log_every_n_steps 1 "

static int64_t steps(void) {
    return result_int(0, "global_step");
}

static int64_t epochs(void) {
    return result_int(0, "epoch");
}

/* ---- how long ---- */

Test(loops, max_epochs) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 3 --max_epochs 2");
    cr_assert_eq(epochs(), 2);
    cr_assert_eq(steps(), 6);
}

Test(loops, no_epochs) {
    lhost_works("fit" RECORDED BARE "--max_epochs 0");
    cr_assert_eq(entries("rec", "M.on_train_start"), 0);
    cr_assert_eq(entries("rec", "M.on_fit_end"), 1);
}

/* In the middle of an epoch: it ends, with its hooks. */
Test(loops, max_steps) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 4 --limit_val_batches 1 --max_steps 6");
    cr_assert_eq(steps(), 6);
    cr_assert_eq(entries("rec", "M.on_train_epoch_end"), 2);
    cr_assert_eq(entries("rec", "M.on_validation_start"), 2); /* sanity check, first epoch */
}

Test(loops, no_steps) {
    lhost_works("fit" RECORDED BARE "--max_steps 0");
    cr_assert_eq(entries("rec", "M.on_train_start"), 0);
}

/* Accumulation: max_steps counts updates, not batches. */
Test(loops, max_steps_counts_updates) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 5 --max_steps 3 "
                "--accumulate_grad_batches 2");
    cr_assert_eq(entries("rec", "M.training_step"), 5); /* 2 + 2 + 1 */
    cr_assert_eq(steps(), 3);
}

/* Asked to stop in the first batch of six. */
#define STOPPED BENCH BARE "--model.stop_at 0 --max_epochs 5 "

Test(loops, stop_request_ends_the_epoch) {
    lhost_works("fit" STOPPED);
    cr_assert_eq(steps(), 1);
    cr_assert_eq(epochs(), 1);
}

Test(loops, stop_request_validates_first) {
    lhost_works("fit" RECORDED BARE "--max_epochs 5 --limit_val_batches 1 "
                "--model.stop_in on_train_batch_start");
    cr_assert_eq(entries("rec", "M.training_step"), 1);
    cr_assert_eq(entries("rec", "M.on_validation_start"), 2); /* sanity check, and before leaving */
    cr_assert_eq(entries("rec", "M.on_train_end"), 1);
}

Test(loops, stop_request_waits_for_min_epochs) {
    lhost_works("fit" STOPPED "--min_epochs 2");
    cr_assert_eq(steps(), 12);
    assert_says("min_epochs=2");
}

Test(loops, stop_request_waits_for_min_steps) {
    lhost_works("fit" STOPPED "--min_steps 8");
    cr_assert_eq(steps(), 8);
}

/* ---- how much ---- */

Test(loops, limits_are_batches_or_fractions) {
    static const struct {
        const char *limit;
        int expected;
    } cases[] = {{"1", 1}, {"1.0", 6}, {"0.5", 3}, {"0.99", 5}, {"100", 6}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lhost_works("fit" BENCH BARE "--max_epochs 1 --limit_train_batches %s", cases[i].limit);
        cr_assert_eq(result_int((int)i, "global_step"), cases[i].expected, "%s", cases[i].limit);
    }
}

Test(loops, fraction_of_less_than_a_batch) {
    cr_assert_eq(lhost("fit" BENCH BARE "--max_epochs 1 --limit_train_batches 0.1"), 2);
    assert_says("limit_train_batches 0.1 of 6 batches is less than one");
}

Test(loops, limits_of_evaluation) {
    lhost_works("validate" RECORDED BARE "--limit_val_batches 5");
    cr_assert_eq(entries("rec", "M.validation_step"), 5);
    lhost_works("test" RECORDED BARE "--limit_test_batches 0.25");
    cr_assert_eq(entries("rec", "M.test_step"), 16); /* of 64 */
    lhost_works("predict" RECORDED BARE "--limit_predict_batches 3");
    cr_assert_eq(entries("rec", "M.predict_step"), 3);
}

Test(loops, fast_dev_run) {
    lhost_works("fit --model $N --model.file rec --fast_dev_run 2");
    cr_assert_eq(entries("rec", "M.training_step"), 2);
    cr_assert_eq(entries("rec", "M.validation_step"), 2);
    cr_assert_eq(entries("rec", "M.on_sanity_check_start"), 0);
    cr_assert_eq(access("lightning_logs", F_OK), -1);
}

/* The same batches every epoch, unshuffled, in training and validation. */
Test(loops, overfit_batches) {
    lhost_works("fit" BENCH LOGGED "--model.shuffle true --max_epochs 2 --overfit_batches 2 "
                "--model.val_items 24");
    assert_logged("log", "item", "0:0 1:4 2:0 3:4 ");
    assert_logged("log", "val_item", "1:4 3:4 ");
}

Test(loops, shuffling_differs_between_epochs) {
    char *first, *second;

    lhost_works("fit" BENCH LOGGED "--model.shuffle true --max_epochs 1");
    first = (char *)logged("log", "item");
    remove("log");
    lhost_works("fit" BENCH LOGGED "--model.shuffle true --max_epochs 2");
    second = (char *)logged("log", "item");
    cr_assert_eq(strncmp(first, second, strlen(first)), 0);
    cr_assert_str_neq(strchr(second + strlen(first), ':'), strchr(first, ':'));
}

/* ---- several loaders ---- */

/* 24 and 12 items in batches of 4: six batches; the shorter loader begins again after three. */
Test(loops, shorter_training_loader_begins_again) {
    lhost_works("fit" BENCH LOGGED "--model.train_loaders 2 --max_epochs 1");
    assert_logged("log", "item", "0:0 1:4 2:8 3:12 4:16 5:20 ");
    assert_logged("log", "item_1", "0:0 1:4 2:8 3:0 4:4 5:8 ");
}

Test(loops, validation_loaders_one_after_the_other) {
    lhost_works("fit" BENCH LOGGED "--model.val_loaders 2 --model.val_items 16 --max_epochs 1");
    assert_logged("log", "val_item/dataloader_idx_0", "5:12 ");
    assert_logged("log", "val_item/dataloader_idx_1", "5:4 ");
    cr_assert(isnan(result_metric(0, "val_item")));
}

Test(loops, limits_hold_for_each_loader) {
    lhost_works("validate" RECORDED BARE "--model.val_loaders 3 --limit_val_batches 2");
    cr_assert_eq(entries("rec", "M.validation_step"), 6);
    cr_assert_eq(entries("rec", "M.on_validation_epoch_start"), 1);
}

Test(loops, sanity_check_takes_its_batches_of_each_loader) {
    lhost_works("fit" RECORDED BARE "--model.val_loaders 2 --num_sanity_val_steps 3 --max_steps 1 "
                "--limit_train_batches 2");
    cr_assert_eq(entries("rec", "M.validation_step"), 6);
}

Test(loops, sanity_check_of_everything) {
    lhost_works("fit" RECORDED BARE "--num_sanity_val_steps -1 --limit_val_batches 7 --max_steps 1 "
                "--limit_train_batches 2");
    cr_assert_eq(entries("rec", "M.validation_step"), 7);
}

/* ---- when to validate: the epochs' metrics are logged at the x value of the last step ---- */

static void assert_validates(const char *options, const char *expected) {
    lhost_works("fit" BENCH LOGGED "--model.val_items 1 --num_sanity_val_steps 0 %s", options);
    assert_logged("log", "val_item", expected);
}

Test(loops, val_check_interval_fraction) {
    assert_validates("--max_epochs 2 --val_check_interval 0.5", "2:0 5:0 8:0 11:0 ");
}

Test(loops, val_check_interval_fraction_rounds_down) { /* 0.4 of 6: every 2 */
    assert_validates("--max_epochs 1 --val_check_interval 0.4", "1:0 3:0 5:0 ");
}

Test(loops, val_check_interval_batches) { /* what is left of the epoch is not validated */
    assert_validates("--max_epochs 2 --val_check_interval 4", "3:0 9:0 ");
}

Test(loops, val_check_interval_across_epochs) {
    assert_validates("--max_epochs 3 --val_check_interval 8 --check_val_every_n_epoch null",
                     "7:0 15:0 ");
}

Test(loops, val_check_interval_beyond_the_epoch) {
    cr_assert_eq(lhost("fit" BENCH BARE "--max_epochs 1 --val_check_interval 7"), 2);
    assert_says("val_check_interval 7 is more than the 6 training batches");
}

Test(loops, max_time_and_val_check_interval_time) { /* as good as never, and every second */
    struct timespec begin, end;

    assert_validates("--max_epochs 1 --val_check_interval 01:00:00:00", "");
    clock_gettime(CLOCK_MONOTONIC, &begin);
    lhost_works("fit" BENCH BARE "--max_epochs -1 --max_time 00:00:00:02 --callback $R:file=rec "
                "--num_sanity_val_steps 0 --val_check_interval 00:00:00:01");
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_assert_leq(end.tv_sec - begin.tv_sec, 8);
    cr_assert_geq(entries("rec", "C.on_validation_start"), 1);
    /* One a second at most, and one more when the time is up. */
    cr_assert_leq(entries("rec", "C.on_validation_start"), end.tv_sec - begin.tv_sec + 1);
}

Test(loops, check_val_every_n_epoch) {
    assert_validates("--max_epochs 5 --check_val_every_n_epoch 2", "11:0 23:0 ");
}

/* ---- reloading ---- */

Test(loops, reload_dataloaders) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 1 --limit_val_batches 1 --max_epochs 5 "
                "--reload_dataloaders_every_n_epochs 2");
    cr_assert_eq(entries("rec", "M.train_dataloader"), 3); /* epochs 0, 2, 4 */
    cr_assert_eq(entries("rec", "M.val_dataloader"), 3);
}

Test(loops, loaders_are_asked_for_once) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 1 --limit_val_batches 1 --max_epochs 3");
    cr_assert_eq(entries("rec", "M.train_dataloader"), 1);
    cr_assert_eq(entries("rec", "M.val_dataloader"), 1);
}

/* ---- prediction ---- */

static const lh__state_tensor *prediction(const char *name) {
    lh__state *s = checkpoint("lightning_logs/version_0/predictions.safetensors");
    const lh__state_tensor *p = lh__state_find(s, name);

    cr_assert_not_null(p, "%s", name);
    return p;
}

/* One file, batches (4 + 4 + 2 items) put together; the model's default prediction is forward. */
Test(loops, predictions) {
    const lh__state_tensor *p;

    lhost_works("predict" BENCH BARE "--model.val_items 10");
    p = prediction("prediction");
    cr_assert(p->ndim == 2 && p->shape[0] == 10 && p->shape[1] == 2);
    cr_assert_not_null(strstr(slurp("lightning_logs/version_0/result.json"), "predictions.safe"));
}

/* Items 0 to 5 are the second loader's and the first six of the first loader's. */
Test(loops, predictions_of_several_loaders) {
    const lh__state_tensor *a, *b;

    lhost_works("predict" BENCH BARE "--model.val_items 12 --model.val_loaders 2 "
                "--model.batch_size 3");
    a = prediction("prediction/dataloader_idx_0");
    b = prediction("prediction/dataloader_idx_1");
    cr_assert(a->shape[0] == 12 && b->shape[0] == 6);
    for (int i = 0; i < 12; i++)
        cr_assert_float_eq(((const float *)a->data)[i], ((const float *)b->data)[i], 1e-6);
}

/* ---- the sanity check leaves no trace ---- */

Test(loops, sanity_check_leaves_no_trace) {
    static const char *const keys[] = {"loops", "metrics", "optimizer_states", NULL};
    char why[400];

    for (int n = 0; n < 2; n++)
        lhost_works("fit" BENCH SAVING "--model.dropout 0.5 --model.shuffle true --max_epochs 2 "
                    "--num_sanity_val_steps %d --callback $S:dir=$D/%d,hooks=on_train_end",
                    n * 2, n);
    cr_assert(same_state("0/on_train_end-0.safetensors", "1/on_train_end-0.safetensors", keys, why),
              "%s", why);
}
