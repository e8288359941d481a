/* test_meters.c - meters in a run: their values are those of all of the epoch's data, wherever they
 * are logged from, each epoch anew, and a resumed run has them to the bit.
 */
#include "../../plugins/measured.h"
#include "lhost.h"

TestSuite(meters_in_a_run, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define MEASURED " --model " PLUGINS "/trainer_measured.so "
#define LOGGED QUIET "--enable_checkpointing false --logger $R:file=log "

/* Of items [0, n): the pairs of class 1 and class 0 in the order of their scores. */
static double auroc(int64_t n) {
    double right = 0, all = 0;

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            if (measured_class(i) && !measured_class(j)) {
                double a = measured_score(i), b = measured_score(j);

                all++;
                right += a > b ? 1 : a == b ? 0.5 : 0;
            }
    return right / all;
}

static double f1(int64_t n) {
    double tp = 0, wrong = 0;

    for (int64_t i = 0; i < n; i++) {
        int found = measured_score(i) > 0.5, is = measured_class(i) == 1;

        tp += found && is;
        wrong += found != is;
    }
    return 2 * tp / (2 * tp + wrong);
}

static double mean(int64_t n) {
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += measured_score(i);
    return sum / (double)n;
}

static void assert_metric(const char *name, double expected) {
    double got = result_metric(0, name);

    cr_assert_float_eq(got, expected, 1e-12, "%s: %.15g, not %.15g", name, got, expected);
}

/* 23 items are 6 batches, the last one short; what the sanity check saw has left no trace. */
Test(meters_in_a_run, validation) {
    lhost_works("fit" MEASURED BARE "--max_epochs 1 --num_sanity_val_steps 2");
    assert_metric("auroc", auroc(23));
    assert_metric("auroc_read", auroc(23));
    assert_metric("f1", f1(23));
    assert_metric("mean", mean(23));
    assert_metric("elements", 23);
}

/* Not even in a meter that is not logged, and so not reset by the host. */
Test(meters_in_a_run, sanity_check_leaves_no_trace) {
    lhost_works("fit" MEASURED BARE "--max_epochs 1 --num_sanity_val_steps 2 --model.wrong unused");
    assert_metric("auroc_read", auroc(23));
}

/* Every epoch has a value of its own, of its own batches, and so do the loggers. */
Test(meters_in_a_run, every_epoch_begins_anew) {
    int epochs = 0;

    lhost_works("fit" MEASURED LOGGED "--max_epochs 3");
    for (const char *at = logged("log", "auroc"); *at; at = strchr(at, ' ') + 1, epochs++)
        cr_assert_float_eq(strtod(strchr(at, ':') + 1, NULL), auroc(23), 1e-8);
    cr_assert_eq(epochs, 3);
    assert_metric("elements", 23);
}

Test(meters_in_a_run, validate) {
    lhost_works("validate" MEASURED LOGGED);
    cr_assert_float_eq(strtod(strchr(logged("log", "auroc"), ':') + 1, NULL), auroc(23), 1e-8);
}

/* Each loader has its own value; or all have one. */
Test(meters_in_a_run, several_loaders) {
    lhost_works("fit" MEASURED BARE "--max_epochs 1 --model.val_loaders 2");
    assert_metric("auroc/dataloader_idx_0", auroc(23));
    assert_metric("auroc/dataloader_idx_1", auroc(11));
    assert_metric("f1/dataloader_idx_1", f1(11));
    assert_metric("elements", 34);
}

Test(meters_in_a_run, loaders_together) {
    lhost_works("fit" MEASURED BARE "--max_epochs 1 --model.val_loaders 2 --model.together true "
                "--model.val_items 2");
    /* items 0, 1 and 0 again */
    assert_metric("mean", (measured_score(0) + measured_score(1) + measured_score(0)) / 3);
    cr_assert(isnan(result_metric(0, "auroc/dataloader_idx_0")));
    cr_assert_not(isnan(result_metric(0, "auroc")));
}

/* It is there when the checkpoint callback looks. */
Test(meters_in_a_run, model_checkpoint_watches_one) {
    lhost_works("fit" MEASURED SAVING "--max_epochs 1 "
                "--callback model-checkpoint:monitor=auroc,mode=max");
    cr_assert_float_eq(json_number_value(json_object_get(result_of(0), "best_score")), auroc(23),
                       1e-12);
}

/* ---- resuming ---- */

#define RUN                                                                         \
    "fit" MEASURED SAVING "--max_epochs 2 --val_check_interval 3 --model.items 26 " \
    "--callback $S:dir=$D/%s,hooks='%s' "

static const char *const keys[] = {"loops", "metrics", "optimizer_states", NULL};

Test(meters_in_a_run, resumed_from_anywhere) {
    static const char *const hooks[] = {"on_train_batch_end", "on_train_epoch_end",
                                        "on_validation_batch_end", "on_validation_epoch_end",
                                        "on_validation_end"};
    static const int calls[] = {14, 2, 24, 4, 4};

    lhost_works(RUN, "whole",
                "on_train_batch_end on_train_epoch_end on_validation_batch_end "
                "on_validation_epoch_end on_validation_end on_train_end");
    for (int h = 0; h < 5; h++)
        for (int i = 0; i < calls[h]; i += h == 2 ? 5 : 1) {
            char why[400];

            remove("part/on_train_end-0.safetensors");
            lhost_works(RUN "--ckpt_path whole/%s-%d.safetensors", "part", "on_train_end", hooks[h],
                        i);
            cr_assert(same_state("whole/on_train_end-0.safetensors",
                                 "part/on_train_end-0.safetensors", keys, why),
                      "from %s-%d: %s", hooks[h], i, why);
        }
}

/* The rows of a half-done epoch are in the file. */
Test(meters_in_a_run, are_in_checkpoints) {
    const lh__state_tensor *t;

    lhost_works(RUN, "whole", "on_train_batch_end on_train_end");
    t = lh__state_find(checkpoint("whole/on_train_batch_end-1.safetensors"),
                       "state.meter.module.measured.train_auroc.targets");
    cr_assert_not_null(t);
    cr_assert_eq(t->shape[0], 8);
    cr_assert_null(lh__state_find(checkpoint("whole/on_train_end-0.safetensors"),
                                  "state.meter.module.measured.train_auroc.targets"));
}

/* ---- mistakes ---- */

static void refused(const char *wrong, int code, const char *says) {
    cr_assert_eq(lhost("fit" MEASURED BARE "--max_epochs 1 --num_sanity_val_steps 0 "
                       "--model.wrong %s",
                       wrong),
                 code, "%s: %s", wrong, slurp("err"));
    assert_says(says);
}

Test(meters_in_a_run, mistakes) {
    refused("twice", 2, "meter \"train_auroc\": there is one of that name already");
    refused("short", 2, "a meter has a .name of 1 to 200 characters");
    refused("late", 1, "only in setup and configure_model");
    refused("step", 1, "a meter is logged per epoch");
    refused("both", 1, "logged in training and in evaluation");
    refused("matrix", 1, "meter \"matrix\" gives 4 numbers");
    refused("shape", 1, "targets are class numbers, int64, not float32");
}
