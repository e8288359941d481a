/* test_resume.c - training that was interrupted anywhere ends with the bits of training that was
 * not.
 *
 * A run with everything that carries state saves a checkpoint at every call of many hooks; from
 * each of them training is resumed, and its end compared with the end of the whole run: every
 * tensor, counter, metric, optimizer, schedule and callback.
 */
#include "lhost.h"

TestSuite(resume, .init = enter_folder, .fini = leave_folder, .timeout = 60);

/* 2 epochs of 7 batches (the last one short) in windows of 3; validation after batches 3 and 6. */
#define RUN                                                                               \
    "fit --model $W " SAVING "--model.items 26 --model.dropout 0.3 --model.shuffle true " \
    "--model.optimizer adam --model.lr 0.01 --max_epochs 2 --accumulate_grad_batches 3 "  \
    "--val_check_interval 3 --gradient_clip_val 0.5 --callback $R:file=rec "

static const char *const keys[] = {"loops", "metrics",     "optimizer_states", "lr_schedulers",
                                   "epoch", "global_step", "callbacks",        NULL};

/* Resumes from each file of HOOK-N that the whole run left, and compares. Returns how many. */
static int resume_from_all(const char *hook, const char *options) {
    int n = 0;

    for (;; n++) {
        char from[128], why[400];

        snprintf(from, sizeof from, "whole/%s-%d.safetensors", hook, n);
        if (access(from, R_OK) != 0)
            return n;
        remove("part/on_train_end-0.safetensors");
        lhost_works(RUN "%s --callback $S:dir=$D/part,hooks=on_train_end --ckpt_path %s", options,
                    from);
        cr_assert(same_state("whole/on_train_end-0.safetensors", "part/on_train_end-0.safetensors",
                             keys, why),
                  "from %s: %s", from, why);
    }
}

static void whole(const char *hook, const char *options) {
    lhost_works(RUN "%s --callback $S:dir=$D/whole,hooks='%s on_train_end'", options, hook);
}

#define SCHEDULES "--model.schedule 'step plateau' "
#define STEP_SCHEDULES SCHEDULES "--model.per_step true --model.frequency 2 "

Test(resume, every_batch) {
    whole("on_train_batch_end", SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_batch_end", SCHEDULES), 14);
}

Test(resume, before_every_batch) {
    whole("on_train_batch_start", SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_batch_start", SCHEDULES), 14);
}

Test(resume, schedules_per_step) {
    whole("on_train_batch_end", STEP_SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_batch_end", STEP_SCHEDULES), 14);
}

/* With fetch threads the data is the same, from any batch on. */
Test(resume, with_fetch_threads) {
    whole("on_train_batch_end", "--model.workers 0");
    cr_assert_eq(resume_from_all("on_train_batch_end", "--model.workers 3"), 14);
}

Test(resume, several_training_loaders) {
    whole("on_train_batch_end", "--model.train_loaders 2");
    cr_assert_eq(resume_from_all("on_train_batch_end", "--model.train_loaders 2"), 14);
}

Test(resume, ends_of_epochs) {
    whole("on_train_epoch_end", SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_epoch_end", SCHEDULES), 2);
}

Test(resume, starts_of_epochs) {
    whole("on_train_epoch_start", SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_epoch_start", SCHEDULES), 2);
}

Test(resume, before_training) {
    whole("on_train_start", SCHEDULES);
    cr_assert_eq(resume_from_all("on_train_start", SCHEDULES), 1);
}

Test(resume, around_validation) {
    static const char *const hooks[] = {"on_validation_start", "on_validation_epoch_end",
                                        "on_validation_end"};

    for (size_t i = 0; i < 3; i++) {
        whole(hooks[i], STEP_SCHEDULES);
        cr_assert_eq(resume_from_all(hooks[i], STEP_SCHEDULES), 4);
    }
}

Test(resume, in_the_middle_of_validation) {
    whole("on_validation_batch_end", SCHEDULES);
    cr_assert_eq(resume_from_all("on_validation_batch_end", SCHEDULES), 8);
}

/* An epoch that a hook ended early does not shift what comes after. */
Test(resume, around_a_skipped_rest_of_an_epoch) {
    static const char run[] =
        "fit --model $N " SAVING "--model.skip_at 2 --limit_train_batches 4 --limit_val_batches 0 "
        "--max_epochs 3 --callback $S:dir=$D/%s,hooks='%s on_train_end' %s";
    static const char *const hooks[] = {"on_train_batch_start", "on_train_batch_end"};
    static const int calls[] = {9, 6};
    char from[128], why[400];

    for (int h = 0; h < 2; h++) {
        lhost_works(run, "whole", hooks[h], "");
        for (int i = 0; i < calls[h]; i++) {
            snprintf(from, sizeof from, "--ckpt_path whole/%s-%d.safetensors", hooks[h], i);
            lhost_works(run, "part", "none", from);
            cr_assert(same_state("whole/on_train_end-0.safetensors",
                                 "part/on_train_end-0.safetensors", keys, why),
                      "%s: %s", from, why);
        }
    }
}

Test(resume, manual_optimization) {
    static const char run[] = "fit --model $M " SAVING "--max_epochs 2 --callback $S:dir=$D/%s,"
                              "hooks='on_train_batch_end on_train_end' %s";
    char why[400];

    lhost_works(run, "whole", "");
    lhost_works(run, "part", "--ckpt_path whole/on_train_batch_end-1.safetensors");
    cr_assert(same_state("whole/on_train_end-0.safetensors", "part/on_train_end-0.safetensors",
                         keys, why),
              "%s", why);
}

/* What was still to be logged when the checkpoint was taken is logged by the resumed run. */
Test(resume, rows_of_the_batch_under_way) {
    static const char run[] =
        "fit --model $W " QUIET "--max_epochs 1 --num_sanity_val_steps 0 --log_every_n_steps 1 "
        "--logger $R:file=%s --callback $S:dir=$D,hooks='%s' %s";
    char *all, *rest;

    lhost_works(run, "log1", "on_train_batch_end on_train_epoch_end", "");
    lhost_works(run, "log2", "none", "--ckpt_path on_train_batch_end-4.safetensors");
    all = slurp("log1");
    rest = slurp("log2");
    cr_assert_str_eq(strstr(all, "\n4 item") + 1, rest);
    lhost_works(run, "log3", "none", "--ckpt_path on_train_epoch_end-0.safetensors");
    assert_logged("log3", "mean_of_losses", logged("log1", "mean_of_losses"));
    assert_logged("log3", "train_loss_epoch", logged("log1", "train_loss_epoch"));
    assert_logged("log3", "item", "");
}

/* The same seed, whatever the number of compute threads and fetch threads. */
Test(resume, runs_repeat) {
    static const char *const options[] = {"", "--num_threads 2", "--model.workers 2"};
    char path[64], why[400];

    for (int i = 0; i < 3; i++)
        lhost_works(RUN "%s --callback $S:dir=$D/%d,hooks=on_train_end", options[i], i);
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%d/on_train_end-0.safetensors", i);
        cr_assert(same_state("0/on_train_end-0.safetensors", path, keys, why), "%s: %s", options[i],
                  why);
    }
}

/* Training goes on where a shorter run ended, and the optimizer with it. */
Test(resume, more_epochs) {
    char why[400];

    whole("on_train_epoch_end", "");
    lhost_works(RUN "--callback $S:dir=$D/part,hooks='on_train_epoch_end on_train_end' "
                    "--ckpt_path whole/on_train_epoch_end-1.safetensors --max_epochs 4");
    lhost_works(RUN "--callback $S:dir=$D/four,hooks=on_train_end --max_epochs 4");
    cr_assert(
        same_state("four/on_train_end-0.safetensors", "part/on_train_end-0.safetensors", keys, why),
        "%s", why);
}

Test(resume, no_sanity_check) {
    whole("on_train_batch_end", "");
    remove("rec");
    lhost_works(RUN "--ckpt_path whole/on_train_batch_end-3.safetensors "
                    "--enable_checkpointing true");
    cr_assert_eq(entries("rec", "C.on_sanity_check_start"), 0);
    cr_assert_eq(entries("rec", "C.on_train_epoch_start"), 1); /* of epoch 1 */
    cr_assert_eq(entries("rec", "C.on_train_batch_start"), 10);
}

/* ---- checkpoints that do not fit ---- */

#define REFUSED(options, text)                                   \
    do {                                                         \
        cr_assert_eq(lhost(RUN options), 2, "%s", slurp("err")); \
        assert_says(text);                                       \
    } while (0)

Test(resume, another_model) {
    whole("on_train_batch_end", "");
    REFUSED("--model.width 9 --ckpt_path whole/on_train_batch_end-3.safetensors", "first.weight");
    assert_says("F32 8x32 instead of F32 9x32: first.weight");
    cr_assert_eq(
        lhost("validate --model $N " BARE "--ckpt_path whole/on_train_batch_end-3.safetensors"), 2);
    assert_says("missing layer.weight, missing layer.bias");
    assert_says("unexpected first.weight");
    assert_says("(6 in all)");
}

Test(resume, another_optimizer) {
    whole("on_train_batch_end", "");
    REFUSED("--model.optimizer sgd --ckpt_path whole/on_train_batch_end-3.safetensors",
            "optimizer 0 was Adam");
}

Test(resume, other_schedules) {
    whole("on_train_batch_end", "");
    REFUSED(SCHEDULES "--ckpt_path whole/on_train_batch_end-3.safetensors",
            "0 learning-rate schedules, the module has 2");
}

Test(resume, weights_only) {
    lhost_works(RUN "--callback $S:dir=$D,hooks=on_train_end,weights_only=true");
    REFUSED("--ckpt_path on_train_end-0.safetensors", "holds weights only");
    lhost_works("validate --model $W " BARE "--ckpt_path on_train_end-0.safetensors");
}

Test(resume, beyond_max_epochs) {
    whole("on_train_end", "");
    REFUSED("--max_epochs 1 --ckpt_path whole/on_train_end-0.safetensors", "beyond max_epochs 1");
}

Test(resume, no_such_file) {
    REFUSED("--ckpt_path nowhere.safetensors", "nowhere.safetensors");
}

Test(resume, a_file_of_something_else) {
    REFUSED("--ckpt_path $R", "trainer_recorder.so");
}

/* ---- where nothing can be saved ---- */

Test(resume, not_in_the_middle_of_a_step) {
    cr_assert_eq(lhost(RUN "--callback $S:dir=$D,hooks=on_after_backward"), 1);
    assert_says("middle of a step");
}
