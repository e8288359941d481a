/* test_optimization.c - accumulation, clipping, schedules: when they happen, and to what effect.
 *
 * The workbench logs the learning rate that each step finds; weights are compared with closed forms
 * or with runs that have to give the same.
 */
#include "lhost.h"

TestSuite(optimization, .init = enter_folder, .fini = leave_folder, .timeout = 20);

#define BENCH " --model $W "
#define LOGGED QUIET " --enable_checkpointing false --logger $R:file=log --log_every_n_steps 1 "

/* Weights before and after; `dir` is where the saver put them. */
static void train(const char *dir, const char *options) {
    lhost_works("fit" BENCH SAVING "--num_sanity_val_steps 0 --limit_val_batches 0 "
                "--callback $S:dir=$D/%s,hooks='on_train_start on_train_end' %s",
                dir, options);
}

static const lh__state_tensor *weights(const char *dir, const char *hook, const char *name) {
    char path[200];
    const lh__state_tensor *w;

    snprintf(path, sizeof path, "%s/%s-0.safetensors", dir, hook);
    w = lh__state_find(checkpoint(path), name);
    cr_assert_not_null(w, "%s has no %s", path, name);
    return w;
}

static const char *const names[] = {"first.weight", "first.bias", "second.weight", "second.bias"};

/* Largest difference of all weights after two trainings. */
static double distance(const char *a, const char *b) {
    double most = 0;

    for (int n = 0; n < 4; n++) {
        const lh__state_tensor *x = weights(a, "on_train_end", names[n]);
        const lh__state_tensor *y = weights(b, "on_train_end", names[n]);

        for (size_t i = 0; i < x->size / sizeof(double); i++)
            most = fmax(most, fabs(((const double *)x->data)[i] - ((const double *)y->data)[i]));
    }
    return most;
}

/* 2-norm and largest element of what one training changed. */
static void change(const char *dir, double *norm, double *most) {
    double sum = 0;

    *most = 0;
    for (int n = 0; n < 4; n++) {
        const lh__state_tensor *x = weights(dir, "on_train_start", names[n]);
        const lh__state_tensor *y = weights(dir, "on_train_end", names[n]);

        for (size_t i = 0; i < x->size / sizeof(double); i++) {
            double d = ((const double *)y->data)[i] - ((const double *)x->data)[i];

            sum += d * d;
            *most = fmax(*most, fabs(d));
        }
    }
    *norm = sqrt(sum);
}

#define F64 "--precision 64-true "

/* ---- accumulation ---- */

/* Two batches of 4 are one batch of 8: the loss is a mean, and is divided by the window. */
Test(optimization, accumulating_is_a_larger_batch) {
    train("small", F64 "--max_epochs 2 --model.batch_size 4 --accumulate_grad_batches 2");
    train("large", F64 "--max_epochs 2 --model.batch_size 8");
    cr_assert_lt(distance("small", "large"), 1e-14);
}

/* The window of one batch at the end is divided by 2 as well: half the step of SGD. */
Test(optimization, last_window_is_shorter) {
    double norm, half, most;

    train("whole", F64 "--max_epochs 1 --model.items 4");
    train("half", F64 "--max_epochs 1 --model.items 4 --accumulate_grad_batches 2");
    change("whole", &norm, &most);
    change("half", &half, &most);
    cr_assert_float_eq(half, norm / 2, 1e-14);
}

/* outputs["loss"] is the divided one, as Lightning has it. */
Test(optimization, loss_among_the_outputs_is_divided) {
    double mean[2];

    for (int i = 0; i < 2; i++) {
        lhost_works("fit" BENCH BARE F64 "--max_epochs 1 --model.lr 0 --accumulate_grad_batches %d",
                    i + 1);
        mean[i] = result_metric(i, "mean_of_losses");
    }
    cr_assert_gt(mean[0], 0.1);
    cr_assert_float_eq(mean[1], mean[0] / 2, 1e-12);
}

/* ---- clipping: one step of SGD with rate 1 changes the weights by the gradient ---- */

Test(optimization, clipping_by_norm) {
    double norm, most;

    train("free", F64 "--max_steps 1 --model.lr 1");
    train("tight", F64 "--max_steps 1 --model.lr 1 --gradient_clip_val 0.01");
    train("wide", F64 "--max_steps 1 --model.lr 1 --gradient_clip_val 1000");
    change("free", &norm, &most);
    cr_assert_gt(norm, 0.1);
    cr_assert_eq(distance("free", "wide"), 0);
    change("tight", &most, &(double){0});
    cr_assert_float_eq(most, 0.01 * norm / (norm + 1e-6), 1e-12); /* PyTorch's clip_grad_norm_ */
}

Test(optimization, clipping_by_value) {
    double norm, most;

    train("free", F64 "--max_steps 1 --model.lr 1");
    change("free", &norm, &most);
    cr_assert_gt(most, 0.01);
    train("tight", F64 "--max_steps 1 --model.lr 1 --gradient_clip_val 0.01 "
                       "--gradient_clip_algorithm value");
    change("tight", &norm, &most);
    cr_assert_float_eq(most, 0.01, 1e-15);
}

/* It is the gradient of the whole window that is clipped. */
Test(optimization, clipping_the_window) {
    train("small", F64 "--max_epochs 1 --model.batch_size 4 --accumulate_grad_batches 2 "
                       "--gradient_clip_val 0.01");
    train("large", F64 "--max_epochs 1 --model.batch_size 8 --gradient_clip_val 0.01");
    cr_assert_lt(distance("small", "large"), 1e-14);
}

/* ---- schedules: rates begin at 0.1 and are halved; epochs have 3 batches ---- */

static void assert_rates(const char *options, const char *expected) {
    lhost_works("fit" BENCH LOGGED "--model.items 12 --num_sanity_val_steps 0 %s", options);
    assert_logged("log", "lr", expected);
}

Test(optimization, schedule_per_epoch) {
    assert_rates("--max_epochs 3 --model.schedule step",
                 "0:0.1 1:0.1 2:0.1 3:0.05 4:0.05 5:0.05 6:0.025 7:0.025 8:0.025 ");
}

Test(optimization, schedule_every_other_epoch) {
    assert_rates("--max_epochs 4 --model.schedule step --model.frequency 2 --limit_train_batches 1",
                 "0:0.1 1:0.1 2:0.05 3:0.05 ");
}

Test(optimization, schedule_per_step) {
    assert_rates("--max_epochs 1 --model.schedule step --model.per_step true",
                 "0:0.1 1:0.05 2:0.025 ");
}

/* frequency counts optimizer steps, over the borders of epochs. */
Test(optimization, schedule_every_other_step) {
    assert_rates("--max_epochs 2 --model.schedule step --model.per_step true --model.frequency 2",
                 "0:0.1 1:0.1 2:0.05 3:0.05 4:0.025 5:0.025 ");
}

/* Windows of 2 and 1 batches: a step is a window. Rows are those of stepping batches. */
Test(optimization, schedule_while_accumulating) {
    assert_rates("--max_epochs 2 --model.schedule step --model.per_step true "
                 "--accumulate_grad_batches 2",
                 "0:0.1 1:0.05 2:0.025 3:0.0125 ");
}

/* Patience 0 and a threshold that nothing meets: every look halves. */
Test(optimization, plateau_per_epoch) {
    assert_rates("--max_epochs 4 --model.schedule plateau --limit_train_batches 1",
                 "0:0.1 1:0.05 2:0.025 3:0.0125 ");
}

/* Per step: behind the validation of the same batch, whose metric it sees. */
Test(optimization, plateau_per_step) {
    assert_rates("--max_epochs 1 --model.schedule plateau --model.per_step true "
                 "--val_check_interval 1",
                 "0:0.1 1:0.05 2:0.025 ");
}

Test(optimization, plateau_without_its_metric) {
    cr_assert_eq(lhost("fit" BENCH BARE "--max_epochs 2 --model.schedule plateau "
                       "--model.monitor nothing"),
                 1);
    assert_says("\"nothing\", which nobody logged");
}

Test(optimization, plateau_that_may_miss_its_metric) {
    assert_rates("--max_epochs 3 --model.schedule plateau --model.monitor nothing "
                 "--model.strict false --limit_train_batches 1",
                 "0:0.1 1:0.1 2:0.1 ");
    assert_says("nothing was not logged");
}

/* An epoch that max_steps cuts short has no last batch: its schedule is not stepped. */
Test(optimization, epoch_cut_short) {
    json_t *optimizers, *groups;

    train("short", "--model.schedule step --max_steps 2 --model.items 12");
    optimizers =
        json_object_get(checkpoint("short/on_train_end-0.safetensors")->meta, "optimizer_states");
    groups = json_object_get(json_array_get(optimizers, 0), "groups");
    cr_assert_float_eq(json_number_value(json_object_get(json_array_get(groups, 0), "lr")), 0.1,
                       1e-12);
}

/* ---- losses that are none ---- */

/* No loss: the update is skipped, the step counts, and once it is said. */
Test(optimization, no_loss) {
    double norm, most;

    train("none", F64 "--max_epochs 1 --model.loss none --model.momentum 0.9");
    change("none", &norm, &most);
    cr_assert_eq(norm, 0);
    cr_assert_eq(result_int(0, "global_step"), 6);
    assert_says("returned no loss");
}

/* ---- by hand ---- */

Test(optimization, manual) {
    lhost_works("fit --model $M " LOGGED "--max_epochs 2 --callback $R:file=rec");
    cr_assert_eq(result_int(0, "global_step"), 8); /* two optimizers, 2 batches, 2 epochs */
    cr_assert_eq(entries("rec", "C.on_before_optimizer_step"), 8);
    cr_assert_eq(entries("rec", "C.on_before_zero_grad"), 0);
}

Test(optimization, manual_takes_no_accumulation) {
    cr_assert_eq(lhost("fit --model $M " BARE "--max_epochs 1 --accumulate_grad_batches 2"), 2);
    assert_says("accumulate_grad_batches");
    cr_assert_eq(lhost("fit --model $M " BARE "--max_epochs 1 --gradient_clip_val 1"), 2);
    assert_says("gradient_clip_val");
}

/* ---- several optimizers ---- */

/* The x values of the rows that hold `name`. */
static const char *steps_of(const char *name) {
    char *rows = copy(logged("log", name)), *out = room(1000);

    for (char *row = strtok(rows, " "); row; row = strtok(NULL, " "))
        strncat(out, row, strcspn(row, ":") + 1);
    return out;
}

/* Both in every batch; while one steps, the other's parameters require no gradient. */
Test(optimization, both_optimizers_every_batch) {
    lhost_works("fit --model $V " LOGGED "--max_epochs 1");
    cr_assert_str_eq(steps_of("loss_0"), "0:1:2:3:4:5:");
    cr_assert_str_eq(steps_of("loss_1"), "0:1:2:3:4:5:");
    assert_logged("log", "frozen", "0:1 1:1 2:1 3:1 4:1 5:1 ");
    cr_assert_eq(result_int(0, "global_step"), 12);
}

/* One batch, then two, as their frequencies say. */
Test(optimization, optimizers_take_turns) {
    lhost_works("fit --model $V --model.first 1 --model.second 2 " LOGGED "--max_epochs 1");
    cr_assert_str_eq(steps_of("loss_0"), "0:3:");
    cr_assert_str_eq(steps_of("loss_1"), "1:2:4:5:");
    cr_assert_eq(result_int(0, "global_step"), 6);
}
