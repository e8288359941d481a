/* test_metrics.c - lh_log's rules: defaults per hook, names, reductions, the three dictionaries. */
#include "trainer/metrics.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static lh__metrics *m;
static lh__error e;

static void setup(void) {
    m = lh__metrics_new();
    cr_assert_not_null(m);
}

static void teardown(void) {
    lh__metrics_free(m);
}

TestSuite(metrics, .init = setup, .fini = teardown, .timeout = 20);

/* What most tests log: "x", weight 1, in training, as the hook does by default. */
typedef struct how {
    double value;
    uint32_t flags, reduce;
    double weight;
    int32_t loader, evaluates; /* loader 0: none; i: number i - 1 */
    const char *name;
} how;

static lh_status put(lh__hook hook, how h) {
    const lh_log_options o = {LH_SIZED(lh_log_options), .flags = h.flags, .reduce = h.reduce};
    const lh__logged l = {.name = h.name ? h.name : "x",
                          .value = h.value,
                          .weight = h.weight ? h.weight : 1,
                          .options = &o,
                          .hook = hook,
                          .loader = h.loader - 1,
                          .is_training = !h.evaluates};

    e.code = LH_OK;
    return lh__metrics_log(m, &l, &e);
}

#define LOG(hook, ...) \
    cr_assert_eq(put(LH__HOOK_##hook, (how){.value = __VA_ARGS__}), LH_OK, "%s", e.text)
#define REFUSED(hook, said, ...)                                                    \
    do {                                                                            \
        cr_assert_eq(put(LH__HOOK_##hook, (how){.value = 1, __VA_ARGS__}), e.code); \
        cr_assert_lt(e.code, 0);                                                    \
        cr_assert_not_null(strstr(e.text, said), "%s", e.text);                     \
    } while (0)

static double callback(const char *name) {
    int32_t found;

    return lh__metrics_callback(m, name, &found);
}

/* "name=value name=value " */
static const char *as_text(int32_t n, const lh_scalar *values) {
    static char text[1024];
    size_t used = 0;

    *text = 0;
    for (int32_t i = 0; i < n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s=%g ", values[i].name,
                                 values[i].value);
    return text;
}

#define assert_values(getter, expected)                                               \
    do {                                                                              \
        const lh_scalar *values_;                                                     \
        int32_t n_ = getter(m, &values_);                                             \
        cr_assert_str_eq(as_text(n_, values_), expected, "%s", as_text(n_, values_)); \
    } while (0)

static void end_epoch(int32_t is_training) {
    lh__metrics_begin_epoch_values(m);
    cr_assert_eq(lh__metrics_reduce(m, is_training, &e), LH_OK, "%s", e.text);
}

/* ---- defaults ---- */

Test(metrics, training_hooks_log_per_step) {
    LOG(training_step, 1);
    LOG(on_train_batch_end, 2, .name = "y");
    assert_values(lh__metrics_step_values, "x=1 y=2 ");
    end_epoch(1);
    assert_values(lh__metrics_epoch_values, "");
}

Test(metrics, evaluation_hooks_log_per_epoch) {
    LOG(validation_step, 1, .evaluates = 1);
    LOG(on_test_batch_end, 2, .evaluates = 1, .name = "y");
    assert_values(lh__metrics_step_values, "");
    end_epoch(0);
    assert_values(lh__metrics_epoch_values, "x=1 y=2 ");
}

/* What is asked for comes to the default, as Lightning's on_epoch=True alone leaves on_step. */
Test(metrics, both_fork_the_name) {
    LOG(training_step, 1, .flags = LH_LOG_EPOCH);
    LOG(training_step, 3, .flags = LH_LOG_EPOCH);
    assert_values(lh__metrics_step_values, "x_step=3 ");
    end_epoch(1);
    assert_values(lh__metrics_epoch_values, "x_epoch=2 ");
    cr_assert_eq(callback("x"), 2); /* the epoch's value in place of the step's */
    cr_assert_eq(callback("x_step"), 3);
    cr_assert_eq(callback("x_epoch"), 2);
}

Test(metrics, a_default_can_be_switched_off) {
    LOG(training_step, 1, .flags = LH_LOG_EPOCH | LH_LOG_STEP_OFF);
    LOG(validation_step, 5, .flags = LH_LOG_STEP | LH_LOG_EPOCH_OFF, .evaluates = 1, .name = "y");
    assert_values(lh__metrics_step_values, "y=5 ");
    end_epoch(1);
    assert_values(lh__metrics_epoch_values, "x=1 ");
}

/* ---- reductions ---- */

Test(metrics, mean_is_weighted_by_the_batch_size) {
    LOG(validation_step, 1, .weight = 4, .evaluates = 1);
    LOG(validation_step, 4, .weight = 2, .evaluates = 1);
    end_epoch(0);
    cr_assert_eq(callback("x"), 2); /* (4 + 8) / 6 */
}

Test(metrics, sum_min_max) {
    const double values[] = {3, -1, 2};

    for (int i = 0; i < 3; i++) {
        LOG(validation_step, values[i], .reduce = LH_SUM, .weight = 9, .evaluates = 1, .name = "s");
        LOG(validation_step, values[i], .reduce = LH_MIN, .evaluates = 1, .name = "a");
        LOG(validation_step, values[i], .reduce = LH_MAX, .evaluates = 1, .name = "b");
    }
    end_epoch(0);
    assert_values(lh__metrics_epoch_values, "s=4 a=-1 b=3 ");
}

Test(metrics, nan_stays) {
    LOG(validation_step, NAN, .reduce = LH_MAX, .evaluates = 1);
    LOG(validation_step, 1, .reduce = LH_MAX, .evaluates = 1);
    end_epoch(0);
    cr_assert(isnan(callback("x")));
}

Test(metrics, epochs_begin_anew) {
    LOG(validation_step, 1, .evaluates = 1);
    end_epoch(0);
    LOG(validation_step, 5, .evaluates = 1);
    end_epoch(0);
    cr_assert_eq(callback("x"), 5);
    end_epoch(0);
    assert_values(lh__metrics_epoch_values, "");
    cr_assert_eq(callback("x"), 5); /* callback metrics stay */
}

/* Evaluation in the middle of a training epoch does not touch what is under way there. */
Test(metrics, training_and_evaluation_apart) {
    LOG(training_step, 1, .flags = LH_LOG_EPOCH);
    LOG(validation_step, 7, .evaluates = 1, .name = "y");
    end_epoch(0);
    LOG(training_step, 3, .flags = LH_LOG_EPOCH);
    end_epoch(1);
    cr_assert_eq(callback("x_epoch"), 2);
}

Test(metrics, hooks_of_training_and_evaluation_epochs) {
    LOG(on_epoch_end, 1, .evaluates = 1);
    end_epoch(0);
    LOG(on_epoch_end, 2);
    end_epoch(1);
    assert_values(lh__metrics_epoch_values, "x=2 ");
}

/* ---- the dictionaries ---- */

Test(metrics, callback_metrics_of_evaluation_are_the_epochs) {
    LOG(validation_step, 1, .flags = LH_LOG_STEP, .evaluates = 1);
    cr_assert(isnan(callback("x_step")));
    cr_assert(isnan(callback("x")));
    end_epoch(0);
    cr_assert_eq(callback("x_epoch"), 1);
}

/* What module hooks log at the end of an epoch is there for the callbacks behind them. */
Test(metrics, epoch_end_hooks_are_seen_at_once) {
    LOG(on_train_epoch_end, 4);
    cr_assert_eq(callback("x"), 4);
}

Test(metrics, kept_from_the_loggers) {
    LOG(training_step, 1, .flags = LH_LOG_NO_LOGGER | LH_LOG_EPOCH);
    LOG(validation_step, 2, .flags = LH_LOG_NO_LOGGER, .evaluates = 1, .name = "y");
    assert_values(lh__metrics_step_values, "");
    end_epoch(1);
    assert_values(lh__metrics_epoch_values, "");
    end_epoch(0);
    assert_values(lh__metrics_epoch_values, "");
    cr_assert_eq(callback("y"), 2);
    cr_assert_eq(callback("x_epoch"), 1);
}

Test(metrics, on_the_bar) {
    LOG(training_step, 1, .flags = LH_LOG_BAR);
    LOG(training_step, 2, .name = "y");
    LOG(training_step, 3, .flags = LH_LOG_BAR | LH_LOG_EPOCH, .name = "z");
    assert_values(lh__metrics_bar, "x=1 z_step=3 ");
    lh__metrics_set_bar(m, "x", 0, 0);
    lh__metrics_set_bar(m, "mine", 9, 1);
    assert_values(lh__metrics_bar, "z_step=3 mine=9 ");
}

Test(metrics, loaders_have_a_suffix_behind_the_fork) {
    const lh_scalar *values;
    int32_t n;

    LOG(validation_step, 1, .flags = LH_LOG_STEP, .evaluates = 1, .loader = 1);
    LOG(validation_step, 2, .flags = LH_LOG_STEP, .evaluates = 1, .loader = 2);
    LOG(on_validation_epoch_end, 3, .evaluates = 1, .name = "y");
    end_epoch(0);
    cr_assert_eq(callback("x_epoch/dataloader_idx_1"), 2);
    n = lh__metrics_results(m, 1, &values);
    cr_assert_str_eq(as_text(n, values), "x_epoch/dataloader_idx_1=2 y=3 ");
}

Test(metrics, loaders_without_a_suffix_are_one_metric) {
    LOG(validation_step, 1, .flags = LH_LOG_NO_DATALOADER, .evaluates = 1, .loader = 1);
    LOG(validation_step, 3, .flags = LH_LOG_NO_DATALOADER, .evaluates = 1, .loader = 2);
    end_epoch(0);
    cr_assert_eq(callback("x"), 2);
}

/* Two hooks are two metrics: the later value has the name. */
Test(metrics, one_name_in_two_hooks) {
    LOG(training_step, 1);
    LOG(on_train_batch_end, 2);
    assert_values(lh__metrics_step_values, "x=2 ");
    cr_assert_eq(callback("x"), 2);
}

Test(metrics, many_names_in_many_hooks) {
    static const lh__hook hooks[] = {LH__HOOK_training_step, LH__HOOK_on_train_batch_start,
                                     LH__HOOK_on_train_batch_end, LH__HOOK_on_after_backward};
    const lh_scalar *values;

    for (int i = 0; i < 40; i++)
        for (int k = 0; k < 4; k++) {
            char name[16];

            snprintf(name, sizeof name, "x%d", i);
            cr_assert_eq(put(hooks[k], (how){.value = k, .name = name, .flags = LH_LOG_EPOCH}),
                         LH_OK);
        }
    cr_assert_eq(lh__metrics_step_values(m, &values), 40);
    end_epoch(1);
    cr_assert_eq(lh__metrics_epoch_values(m, &values), 40);
}

Test(metrics, steps_are_told_apart) {
    LOG(training_step, 1);
    lh__metrics_begin_step(m);
    LOG(training_step, 2, .name = "y");
    assert_values(lh__metrics_step_values, "y=2 ");
}

/* ---- errors ---- */

Test(metrics, hooks_that_may_not_log) {
    static const lh__hook hooks[] = {LH__HOOK_on_fit_start,
                                     LH__HOOK_on_fit_end,
                                     LH__HOOK_on_sanity_check_start,
                                     LH__HOOK_on_train_end,
                                     LH__HOOK_on_test_end,
                                     LH__HOOK_on_validation_end,
                                     LH__HOOK_predict_step,
                                     LH__HOOK_forward,
                                     LH__HOOK_setup,
                                     LH__HOOK_teardown,
                                     LH__HOOK_state_dict,
                                     LH__HOOK_on_save_checkpoint,
                                     LH__HOOK_train_dataloader,
                                     LH__HOOK_prepare_data,
                                     LH__HOOK_configure_optimizers,
                                     LH__HOOK_on_exception,
                                     LH__HOOK_lr_scheduler_step,
                                     LH__HOOK_on_validation_model_eval,
                                     LH__HOOK_on_before_batch_transfer,
                                     LH__HOOK_on_predict_batch_end};

    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++) {
        cr_assert_eq(put(hooks[i], (how){.value = 1}), LH_ESTATE, "%s", lh__hooks[hooks[i]].name);
        cr_assert_not_null(strstr(e.text, lh__hooks[hooks[i]].name), "%s", e.text);
    }
}

Test(metrics, options_that_cannot_be_meant) {
    REFUSED(on_train_epoch_end, "cannot log per step", .flags = LH_LOG_STEP);
    REFUSED(training_step, "neither per step nor per epoch", .flags = LH_LOG_STEP_OFF);
    REFUSED(validation_step, "neither per step nor per epoch", .flags = LH_LOG_EPOCH_OFF);
    REFUSED(training_step, "unknown reduction 7", .reduce = 7);
    REFUSED(validation_step, "/dataloader_idx_ is added", .name = "a/dataloader_idx_0");
    REFUSED(training_step, "1 to 200 characters", .name = "");
}

Test(metrics, one_name_with_other_options) {
    LOG(training_step, 1);
    REFUSED(training_step, "logged before in training_step", .flags = LH_LOG_EPOCH);
    REFUSED(training_step, "logged before in training_step", .reduce = LH_SUM);
    LOG(training_step, 2);
}

/* ---- saving ---- */

/* Everything under way goes through JSON text and back: sums, steps, epochs, infinities. */
Test(metrics, saved_and_loaded) {
    lh__metrics *other = lh__metrics_new(), *mine = m;
    json_t *saved, *read;
    char *text;

    LOG(training_step, 0.1, .flags = LH_LOG_EPOCH, .weight = 3);
    LOG(validation_step, -INFINITY, .evaluates = 1, .name = "y");
    end_epoch(0);
    LOG(validation_step, 2, .reduce = LH_MAX, .evaluates = 1, .name = "z");
    saved = lh__metrics_save(m);
    text = json_dumps(saved, 0);
    read = json_loads(text, 0, NULL);
    cr_assert_eq(lh__metrics_load(other, read, &(lh__meters){0}, &e), LH_OK, "%s", e.text);
    json_decref(saved);
    json_decref(read);
    free(text);
    for (int i = 0; i < 2; i++) {
        m = i ? other : mine;
        assert_values(lh__metrics_step_values, "x_step=0.1 ");
        assert_values(lh__metrics_epoch_values, "y=-inf ");
        LOG(training_step, 0.7, .flags = LH_LOG_EPOCH);
        LOG(validation_step, 1, .reduce = LH_MAX, .evaluates = 1, .name = "z");
        end_epoch(1);
        cr_assert_eq(callback("x_epoch"), (0.1 * 3 + 0.7) / 4);
        end_epoch(0);
        cr_assert_eq(callback("z"), 2);
    }
    m = mine;
    lh__metrics_free(other);
}

Test(metrics, cleared) {
    LOG(training_step, 1);
    lh__metrics_clear(m);
    cr_assert(isnan(callback("x")));
    assert_values(lh__metrics_step_values, "");
    LOG(training_step, 1, .flags = LH_LOG_EPOCH); /* other options are fine now */
}
