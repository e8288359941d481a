/* test_failures.c - whatever fails, wherever: who, where, when and why is said, everybody who was
 * set up is torn down, and the exit code tells a wrong start (2) from a failed run (1).
 */
#include "lhost.h"
#include "plugin/hooks.h"

TestSuite(failures, .init = enter_folder, .fini = leave_folder, .timeout = 180);

#define TWO                                                                 \
    " --limit_train_batches 2 --limit_val_batches 2 --limit_test_batches 2" \
    " --limit_predict_batches 2 --max_epochs 2 "

/* ---- every hook, made to fail once ---- */

/* Hooks that no run here calls: only asked for, called by the module itself, or by a failure. */
static int is_called(const char *hook) {
    static const char *const others[] = {"tbptt_split_batch", "configure_ddp", "forward",
                                         "on_exception", "configure_sharded_model"};

    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(hook, others[i]) == 0)
            return 0;
    return 1;
}

static const char *stage_of(const char *hook) {
    return strstr(hook, "test_") ? "test" : strstr(hook, "predict") ? "predict" : "fit";
}

/* Runs the stage that calls the hook. The kinds of plugin all record into one file. */
static int run_failing(char kind, const char *hook) {
    const char *stage = stage_of(hook), *resume = strstr(hook, "load_") ? "--ckpt_path whole" : "";
    char fails[100], saving[100] = "--enable_checkpointing false";

    snprintf(fails, sizeof fails, "fail_in=%s", hook);
    if (strcmp(stage, "fit") == 0)
        snprintf(saving, sizeof saving, "--callback $S:dir=$D");
    remove("rec");
    return lhost("%s --model $N --model.file rec %s%s %s%s --callback $R:file=rec%s%s " QUIET
                 "--logger false " TWO "%s %s",
                 stage, kind == 'M' ? "--model.fail_in " : "", kind == 'M' ? hook : "",
                 kind == 'D' ? "--data $R --data.file rec --data.fail_in " : "",
                 kind == 'D' ? hook : "", kind == 'C' ? "," : "", kind == 'C' ? fails : "", saving,
                 resume);
}

static int has_event(const char *event) {
    return strstr(slurp("rec"), event) != NULL;
}

/* A batch was to be taken, the sanity check's apart. */
static int has_begun(const char *hook) {
    char event[64];

    snprintf(event, sizeof event, "< M.on_%s_epoch_start",
             strcmp(stage_of(hook), "fit") == 0 ? "train" : stage_of(hook));
    return has_event(event);
}

static void assert_fails(char kind, const char *hook) {
    int code = run_failing(kind, hook);
    char said[100], entered[100];

    snprintf(said, sizeof said, "recorder: %s (epoch ", hook);
    snprintf(entered, sizeof entered, "> %c.%s", kind, hook);
    cr_assert(has_event(entered), "%s was not called", entered);
    cr_assert_not_null(strstr(slurp("err"), said), "%s: %s", hook, slurp("err"));
    assert_says("told to fail");
    cr_assert_eq(code, has_begun(hook) ? 1 : 2, "%c.%s: exit code %d", kind, hook, code);
    for (const char *k = "MCD"; *k; k++) {
        char setup[20], teardown[20];

        snprintf(setup, sizeof setup, "%c.setup", *k);
        snprintf(teardown, sizeof teardown, "%c.teardown", *k);
        cr_assert_eq(entries("rec", setup), entries("rec", teardown), "%c.%s: %c", kind, hook, *k);
    }
    if (strcmp(hook, "teardown") != 0)
        cr_assert_eq(entries("rec", "C.on_exception"), entries("rec", "C.setup"), "%c.%s", kind,
                     hook);
}

/* A checkpoint for the hooks that load. */
static void make_whole(const char *data) {
    lhost_works("fit --model $N %s --callback $S:dir=$D --callback $R:file=rec " SAVING TWO
                "--max_epochs 1",
                data);
    cr_assert_eq(rename("on_train_epoch_end-0.safetensors", "whole"), 0);
}

#define IF_1(...) __VA_ARGS__
#define IF_0(...)
#define FAILS(kind, hook) \
    if (is_called(#hook)) \
        assert_fails(kind, #hook);

Test(failures, of_each_hook_of_the_module) {
    make_whole("");
#define X(hook, shape, m, d, c) IF_##m(FAILS('M', hook))
    LH__HOOKS(X)
#undef X
}

Test(failures, of_each_hook_of_a_callback) {
    make_whole("");
#define X(hook, shape, m, d, c) IF_##c(FAILS('C', hook))
    LH__HOOKS(X)
#undef X
}

Test(failures, of_each_hook_of_the_data_module) {
    make_whole("--data $R");
#define X(hook, shape, m, d, c) IF_##d(FAILS('D', hook))
    LH__HOOKS(X)
#undef X
}

/* ---- what comes with a failure ---- */

#define FAILING "fit --model $N --model.file rec --data $R --data.file rec --callback $R:file=rec "

Test(failures, epoch_and_step) {
    cr_assert_eq(lhost(FAILING BARE TWO "--model.fail_in on_train_end"), 1);
    assert_says("recorder: on_train_end (epoch 2, step 4): recorder.c:");
}

/* A hook that returns a failure without lh_fail. */
Test(failures, without_a_message) {
    cr_assert_eq(lhost(FAILING BARE TWO "--model.fail_in on_train_start --model.silent true"), 2);
    assert_says("recorder: on_train_start (epoch 0, step 0): returned");
}

Test(failures, teardown_in_reverse_order_of_setup) {
    char *rec, *m, *c, *d;

    cr_assert_eq(lhost(FAILING BARE TWO "--model.fail_in training_step"), 1);
    rec = slurp("rec");
    m = strstr(rec, "> M.teardown");
    c = strstr(rec, "> C.teardown");
    d = strstr(rec, "> D.teardown");
    cr_assert(m && c && d && m < c && c < d);
    cr_assert(strstr(rec, "> C.on_exception") < strstr(rec, "> D.on_exception"));
    cr_assert(strstr(rec, "> D.on_exception") < m);
    cr_assert_eq(entries("rec", "M.on_fit_end"), 0);
}

/* Only those whose setup was called. */
Test(failures, in_setup) {
    cr_assert_eq(lhost("fit --model $N --model.file rec --data $R --data.file rec "
                       "--callback $R:file=rec,fail_in=setup " BARE TWO),
                 2);
    cr_assert_eq(entries("rec", "D.teardown"), 1);
    cr_assert_eq(entries("rec", "C.teardown"), 1);
    cr_assert_eq(entries("rec", "M.teardown"), 0);
}

/* A second failure hides neither the first nor the other teardowns. */
Test(failures, in_teardown_as_well) {
    cr_assert_eq(lhost("fit --model $N --model.file rec --model.fail_in training_step --data $R "
                       "--data.file rec --callback $R:file=rec,fail_in=teardown " BARE TWO),
                 1);
    assert_says("recorder: training_step (epoch 0, step 0)");
    assert_says("teardown: ");
    cr_assert_eq(entries("rec", "D.teardown"), 1);
    cr_assert_not_null(
        strstr(json_string_value(json_object_get(result_of(0), "error")), "training_step"));
    cr_assert_str_eq(json_string_value(json_object_get(result_of(0), "status")), "failed");
}

Test(failures, loggers_are_told) {
    cr_assert_eq(lhost("fit --model $N --model.fail_in on_train_batch_end " QUIET TWO
                       "--enable_checkpointing false --logger $R:file=log"),
                 1);
    cr_assert_not_null(strstr(slurp("log"), "finalize failed\n"));
    remove("log");
    lhost_works("fit --model $N " QUIET TWO "--enable_checkpointing false --logger $R:file=log");
    cr_assert_not_null(strstr(slurp("log"), "finalize success\n"));
}

Test(failures, checkpoint_of_a_failed_run) {
    cr_assert_eq(lhost("fit --model $W --model.loss fails --model.loss_at 3 " SAVING
                       "--max_epochs 1 --callback $S:dir=$D,hooks=on_exception"),
                 1);
    cr_assert_eq(json_integer_value(json_object_get(checkpoint("on_exception-0.safetensors")->meta,
                                                    "global_step")),
                 3);
}

/* ---- losses ---- */

#define LOSS "fit --model $W " BARE "--max_epochs 1 --model.loss_at 2 --model.loss "

Test(failures, loss_is_nan) {
    cr_assert_eq(lhost(LOSS "nan"), 1);
    assert_says("workbench: the loss is nan in epoch 0, batch 2");
    assert_says("detect_anomaly");
}

/* The operator, and the line of the author who called it. */
Test(failures, anomaly_names_the_operator) {
    char *source = slurp(PLUGIN_SOURCES "/workbench.c"), *line, expected[64];
    int number = 1;

    while ((line = next_line(&source)) && !strstr(line, "the line that anomaly names"))
        number++;
    cr_assert_eq(lhost(LOSS "nan --detect_anomaly true"), 1);
    snprintf(expected, sizeof expected, "workbench.c:%d", number);
    assert_says(expected);
    assert_says("log");
    assert_says("workbench: training_step (epoch 0, step 2)");
}

Test(failures, loss_is_no_scalar) {
    cr_assert_eq(lhost(LOSS "vector"), 1);
    assert_says("a tensor of 8 elements");
}

Test(failures, loss_has_no_gradient) {
    cr_assert_eq(lhost(LOSS "detached"), 1);
    assert_says("depends on no parameter");
}

/* ---- what cannot begin ---- */

Test(failures, no_optimizer) {
    cr_assert_eq(lhost("fit --model $W " BARE "--max_epochs 1 --model.optimizer none"), 2);
    assert_says("made no optimizer");
}

Test(failures, no_data) {
    cr_assert_eq(lhost("fit --model $W " BARE "--max_epochs 1 --model.train_loaders 0"), 2);
    assert_says("train_dataloader");
    cr_assert_eq(lhost("test --model $W " BARE "--model.val_loaders 0"), 2);
    assert_says("test_dataloader");
}

Test(failures, empty_dataset) {
    cr_assert_eq(lhost("fit --model $W " BARE "--max_epochs 1 --model.items 0"), 2);
    assert_says("empty");
}

Test(failures, stage_that_the_module_has_not) {
    cr_assert_eq(lhost("test --model $M " BARE), 2);
    assert_says("manual does not define test_step");
}

/* ---- signals ---- */

/* An orderly stop between two batches: hooks, teardown, a checkpoint, and the code of the signal.
 */
static void assert_stops(const char *name, int number) {
    int status;

    setenv("SIGNAL", name, 1);
    status = system("timeout --preserve-status -s $SIGNAL 1.5 " LHOST " fit --model $W " SAVING
                    "--max_epochs -1 --callback $R:file=rec --limit_val_batches 0 "
                    "--callback $S:dir=$D,hooks=on_exception >out 2>err");
    cr_assert_eq(WEXITSTATUS(status), 128 + number, "%s: %d %s", name, status, slurp("err"));
    assert_says(name);
    cr_assert_eq(entries("rec", "C.on_exception"), 1);
    cr_assert_eq(entries("rec", "C.teardown"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(result_of(0), "status")), "interrupted");
    lhost_works("validate --model $W " BARE "--ckpt_path on_exception-0.safetensors");
}

Test(failures, sigterm) {
    assert_stops("TERM", 15);
}

Test(failures, sigint) {
    assert_stops("INT", 2);
}
