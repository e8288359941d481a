/* test_precision.c - loss scaling with precision 16-mixed: what is scaled and when, which updates
 * are skipped, how the scale moves, and that a resumed run goes on with it.
 *
 * The gradient of `scaled` is `factor` times (1, 2, 3, 4), whatever the weights; scales are powers
 * of two, so that scaled runs have the bits of unscaled ones. No product of matrices is in it.
 * Scales, trackers and weights are also those of torch.amp.GradScaler in the same loop.
 */
#include "lhost.h"

static void enter(void) {
    enter_folder();
    setenv("G", PLUGINS "/trainer_scaled.so", 1);
    setenv("H", PLUGINS "/trainer_scaled_by_hand.so", 1);
    setenv("U", PLUGINS "/trainer_scaled_unseen.so", 1);
}

TestSuite(precision, .init = enter, .fini = leave_folder, .timeout = 60);

#define MIXED "fit --model $G --precision 16-mixed "
#define LOGGED QUIET "--enable_checkpointing false --logger $R:file=log --log_every_n_steps 1 "
#define KEPT(dir) SAVING "--callback $S:dir=$D/" dir ",hooks='on_train_batch_end on_train_end' "

static const lh__state_tensor *weights(const char *path) {
    const lh__state_tensor *w = lh__state_find(checkpoint(path), "w");

    cr_assert_not_null(w, "no w in %s", path);
    return w;
}

/* The scale and the tracker in a checkpoint. */
static void assert_scale(const char *path, double scale, int64_t tracker) {
    const json_t *s = json_object_get(checkpoint(path)->meta, "MixedPrecision");

    cr_assert_not_null(s, "no MixedPrecision in %s", path);
    cr_assert_eq(json_number_value(json_object_get(s, "scale")), scale, "%g",
                 json_number_value(json_object_get(s, "scale")));
    cr_assert_eq(json_integer_value(json_object_get(s, "_growth_tracker")), tracker);
    cr_assert_eq(json_number_value(json_object_get(s, "growth_factor")), 2);
    cr_assert_eq(json_number_value(json_object_get(s, "backoff_factor")), 0.5);
    cr_assert_eq(json_integer_value(json_object_get(s, "growth_interval")), 2000);
}

static void assert_same_weights(const char *a, const char *b) {
    const lh__state_tensor *x = weights(a), *y = weights(b);

    cr_assert_eq(x->size, y->size);
    cr_assert_eq(memcmp(x->data, y->data, x->size), 0, "%s and %s differ", a, b);
}

/* The loss that is logged is the author's; hooks before the update see gradients unscaled. */
Test(precision, what_is_scaled) {
    lhost_works(MIXED LOGGED "--max_steps 2 --model.factor 0.5 --model.lr 0");
    assert_logged("log", "loss", "0:5 1:5 ");
    assert_logged("log", "scaled_loss", "0:327680 1:327680 ");
    assert_logged("log", "after_backward", "0:32768 1:32768 ");
    assert_logged("log", "before_step", "0:0.5 1:0.5 ");
}

/* Nothing of the kind in other precisions. */
Test(precision, only_16_scales) {
    lhost_works("fit --model $G --precision bf16-mixed " LOGGED "--max_steps 1 --model.lr 0");
    assert_logged("log", "scaled_loss", "0:10 ");
    lhost_works("fit --model $G --precision bf16 " KEPT("bf16") "--max_steps 1");
    cr_assert_null(
        json_object_get(checkpoint("bf16/on_train_end-0.safetensors")->meta, "MixedPrecision"));
}

/* 4e35 times 2^16 is beyond float32, times 2^9 no more: 7 updates are skipped. The steps count. */
Test(precision, gradients_that_overflow_at_first) {
    static const char run[] = "%s --model.factor 1e35 --model.lr 1e-36 --max_steps %d " SAVING
                              "--callback $S:dir=$D/%s,hooks='on_train_batch_end "
                              "on_train_end'";
    const float *w;

    lhost_works(run, MIXED, 8, "mixed");
    cr_assert_eq(result_int(0, "global_step"), 8);
    assert_scale("mixed/on_train_batch_end-0.safetensors", 32768, 0);
    assert_scale("mixed/on_train_batch_end-6.safetensors", 512, 0);
    assert_scale("mixed/on_train_batch_end-7.safetensors", 512, 1);
    w = weights("mixed/on_train_batch_end-6.safetensors")->data;
    cr_assert(w[0] == 1 && w[3] == 1);
    w = weights("mixed/on_train_end-0.safetensors")->data;
    for (int i = 0; i < 4; i++)
        cr_assert_float_eq((double)w[i], 0.9 - 0.1 * i, 1e-7);
    lhost_works(run, "fit --model $G", 1, "full");
    assert_same_weights("mixed/on_train_end-0.safetensors", "full/on_train_end-0.safetensors");
}

/* The hook runs, and schedules go on, when the update is skipped. */
Test(precision, skipped_updates_count_as_steps) {
    const json_t *groups;

    lhost_works(MIXED QUIET "--logger $R:file=log --log_every_n_steps 1 --max_epochs 2 "
                            "--model.infinite_at 1 --model.batches 3 "
                            "--callback $S:dir=$D,hooks=on_train_end");
    assert_logged("log", "before_step", "0:inf 1:inf 2:inf 3:inf 4:inf 5:inf ");
    cr_assert_eq(result_int(0, "global_step"), 6);
    groups = json_object_get(
        json_array_get(
            json_object_get(checkpoint("on_train_end-0.safetensors")->meta, "optimizer_states"), 0),
        "groups");
    cr_assert_eq(json_number_value(json_object_get(json_array_get(groups, 0), "lr")), 0.125 / 4);
    assert_scale("on_train_end-0.safetensors", 65536.0 / 64, 0);
}

/* Doubled after 2000 updates in a row; a skipped one begins the row anew. */
Test(precision, the_scale_grows) {
    lhost_works(MIXED SAVING "--model.batches 2001 --max_epochs 1 --model.lr 0 --model.watch false "
                             "--callback $S:dir=$D/even,hooks=on_train_end");
    assert_scale("even/on_train_end-0.safetensors", 131072, 1);
    lhost_works(MIXED SAVING
                "--model.batches 2001 --max_epochs 1 --model.lr 0 --model.watch false "
                "--model.infinite_at 1500 --callback $S:dir=$D/odd,hooks=on_train_end");
    assert_scale("odd/on_train_end-0.safetensors", 32768, 501);
}

/* Clipping and accumulation work on what the gradients are without a scale. */
Test(precision, clipping_and_accumulation) {
    static const char *const options[] = {
        "--gradient_clip_val 1.5", "--gradient_clip_val 1.5 --gradient_clip_algorithm value",
        "--accumulate_grad_batches 3", "--accumulate_grad_batches 3 --gradient_clip_val 0.5"};
    char a[64], b[64];

    for (int i = 0; i < 4; i++) {
        lhost_works(MIXED SAVING
                    "--max_epochs 2 --callback $S:dir=$D/mixed%d,hooks=on_train_end %s",
                    i, options[i]);
        lhost_works("fit --model $G " SAVING
                    "--max_epochs 2 --callback $S:dir=$D/full%d,hooks=on_train_end %s",
                    i, options[i]);
        snprintf(a, sizeof a, "mixed%d/on_train_end-0.safetensors", i);
        snprintf(b, sizeof b, "full%d/on_train_end-0.safetensors", i);
        assert_same_weights(a, b);
    }
}

/* Whether somebody looks at the gradients before the update changes no bit: not of the weights, and
 * not of when updates are skipped. */
Test(precision, looking_changes_nothing) {
    static const char run[] = "fit --model $%s --precision 16-mixed " SAVING
                              "--max_epochs 2 --callback $S:dir=$D/%s%d,hooks=on_train_end %s";
    static const char *const keys[] = {"loops", "optimizer_states", "MixedPrecision", NULL};
    static const char *const options[] = {
        "",
        "--model.infinite_at 3",
        "--model.factor 1e35 --model.lr 1e-36",
        "--gradient_clip_val 1.5",
        "--gradient_clip_val 1.5 --gradient_clip_algorithm value",
        "--accumulate_grad_batches 3 --gradient_clip_val 0.5 --model.infinite_at 5"};
    char a[64], b[64], why[400];

    for (int i = 0; i < 6; i++) {
        lhost_works(run, "G", "seen", i, options[i]);
        lhost_works(run, "U", "unseen", i, options[i]);
        snprintf(a, sizeof a, "seen%d/on_train_end-0.safetensors", i);
        snprintf(b, sizeof b, "unseen%d/on_train_end-0.safetensors", i);
        assert_same_weights(a, b);
        cr_assert(same_state(a, b, keys, why), "%s: %s", options[i], why);
    }
}

/* Without a loss there is nothing to divide: no update, and the scale does not know of it. */
Test(precision, a_step_without_a_loss) {
    lhost_works(MIXED KEPT("kept") "--max_epochs 1 --model.none_at 3 --accumulate_grad_batches 2");
    assert_same_weights("kept/on_train_batch_end-1.safetensors",
                        "kept/on_train_batch_end-3.safetensors");
    assert_scale("kept/on_train_end-0.safetensors", 65536, 3);
}

/* By hand: lh_backward scales, the step divides, checks and skips. */
Test(precision, by_hand) {
    static const char run[] = "fit --model $%s %s --max_epochs 1 --model.infinite_at 3 " SAVING
                              "--callback $S:dir=$D/%s,hooks=on_train_end";
    const float *w;

    lhost_works("fit --model $H --precision 16 " LOGGED "--max_steps 1 --model.lr 0");
    assert_logged("log", "after_backward", "0:65536 ");
    assert_logged("log", "before_step", "0:1 ");
    lhost_works(run, "H", "--precision 16", "hand");
    assert_scale("hand/on_train_end-0.safetensors", 65536.0 / 4, 2);
    lhost_works(run, "G", "--precision 16", "auto");
    assert_scale("auto/on_train_end-0.safetensors", 65536.0 / 4, 2);
    assert_same_weights("hand/on_train_end-0.safetensors", "auto/on_train_end-0.safetensors");
    w = weights("hand/on_train_end-0.safetensors")->data;
    cr_assert(w[0] == 0.25f && w[1] == -0.5f && w[2] == -1.25f && w[3] == -2);
}

/* By hand clipping divides first, and the step does not divide again. */
Test(precision, clipping_by_hand) {
    static const char run[] = "fit --model $H %s --max_epochs 1 --model.clip 1.5 " SAVING
                              "--callback $S:dir=$D/%s,hooks=on_train_end";

    lhost_works(run, "--precision 16", "mixed");
    lhost_works(run, "", "full");
    assert_same_weights("mixed/on_train_end-0.safetensors", "full/on_train_end-0.safetensors");
}

/* From every batch of a run whose scale moves, with gradients under way, to the same end. */
Test(precision, resumes) {
    static const char *const keys[] = {"loops", "optimizer_states", "MixedPrecision", NULL};
    static const char *const options[] = {"--model.infinite_at 3",
                                          "--model.infinite_at 3 --accumulate_grad_batches 2"};
    char from[96], why[400];

    for (int o = 0; o < 2; o++) {
        lhost_works(MIXED KEPT("whole") "--max_epochs 2 --model.batches 4 %s", options[o]);
        for (int i = 0; i < 8; i++) {
            snprintf(from, sizeof from, "whole/on_train_batch_end-%d.safetensors", i);
            lhost_works(MIXED SAVING "--callback $S:dir=$D/part,hooks=on_train_end --max_epochs 2 "
                                     "--model.batches 4 --ckpt_path %s %s",
                        from, options[o]);
            cr_assert(same_state("whole/on_train_end-0.safetensors",
                                 "part/on_train_end-0.safetensors", keys, why),
                      "from %s: %s", from, why);
        }
    }
}

Test(precision, resuming_in_another_precision) {
    lhost_works("fit --model $G " KEPT("kept") "--max_steps 1");
    lhost_works(MIXED SAVING "--max_steps 2 --ckpt_path kept/on_train_end-0.safetensors");
    assert_says("made with precision 32-true, this run has 16-mixed");
}

/* What no scale can help ends the run. */
Test(precision, nothing_is_ever_finite) {
    cr_assert_eq(lhost(MIXED BARE "--max_steps 1000 --model.batches 300 --model.infinite_at 1"), 1);
    assert_says("however small the loss is scaled");
    cr_assert_eq(lhost("fit --model $G " BARE "--max_steps 9 --model.infinite_at 1"), 1);
    assert_says("the loss is inf");
}
