/* evaluation.c - the loop of validation, test and predict, and of the sanity check.
 *
 * Invariant: it leaves no trace in training: parameters, gradients' tape, the mode and the random
 * numbers of training steps are as before, since evaluation draws from a phase of its own.
 */
#include "trainer/run.h"

#include <stdlib.h>

/* What differs between the kinds of evaluation. */
typedef struct kind {
    int32_t which; /* loaders */
    lh__hook model_eval, model_train, start, end, epoch_start, epoch_end, epoch_end_outputs;
    lh__hook batch_start, batch_end, step, step_end;
} kind;

#define KIND(which, name)                                                                      \
    {                                                                                          \
        which, LH__HOOK_on_##name##_model_eval, LH__HOOK_on_##name##_model_train,              \
            LH__HOOK_on_##name##_start, LH__HOOK_on_##name##_end,                              \
            LH__HOOK_on_##name##_epoch_start, LH__HOOK_on_##name##_epoch_end,                  \
            LH__HOOK_##name##_epoch_end, LH__HOOK_on_##name##_batch_start,                     \
            LH__HOOK_on_##name##_batch_end, LH__HOOK_##name##_step, LH__HOOK_##name##_step_end \
    }

/* Predict has neither a train-mode hook nor hooks over outputs: N_HOOKS stands for none. */
#define LH__HOOK_on_predict_model_train LH__N_HOOKS
#define LH__HOOK_predict_epoch_end LH__N_HOOKS
#define LH__HOOK_predict_step_end LH__N_HOOKS
static const kind kinds[] = {
    [LH__SANITY] = KIND(LH_VAL_LOADERS, validation),
    [LH__VALIDATING] = KIND(LH_VAL_LOADERS, validation),
    [LH__TESTING] = KIND(LH_TEST_LOADERS, test),
    [LH__PREDICTING] = KIND(LH_PREDICT_LOADERS, predict),
};

/* predict_step, or forward of the first field; its result is the output "prediction". */
static lh_status predict(lh__trainer *t, lh_batch *batch, int64_t idx) {
    lh__instance *m = t->cast.module;
    const lh_module *hooks = m->hooks;
    lh__hook hook = hooks->predict_step ? LH__HOOK_predict_step : LH__HOOK_forward;
    lh__frame frame = lh__call_begin(t, m, hook);
    lh_tensor *y = hooks->predict_step ? hooks->predict_step(&m->ctx, m->self, batch, idx)
                                       : hooks->forward(&m->ctx, m->self, batch->fields[0]);

    if (lh__call_end(t, frame, LH_OK) != LH_OK)
        return lh__failed(t);
    lh__hold(t->engine, y);
    if (y && lh__outputs_put(t->outputs, "prediction", y) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    return LH_OK;
}

/* The step, and the hook over its output where the module has one. */
static lh_status step(lh__trainer *t, const kind *k, lh_batch *batch, int64_t idx) {
    lh__instance *m = t->cast.module;

    lh__outputs_clear(t->outputs);
    lh__outputs_begin_step(t->outputs);
    if (k->which == LH_PREDICT_LOADERS)
        return predict(t, batch, idx);
    if (lh__call_one_batch(t, m, k->step, batch, idx) < 0)
        return lh__failed(t);
    return lh__call_one_outputs(t, m, k->step_end, t->outputs);
}

/* The x value of a loader's step metrics: its batches in all validations of the fit, or in this
 * run. */
static int64_t log_step(const lh__trainer *t, const lh__source *s) {
    return t->batch_idx + (t->stage == LH_FIT ? t->progress.val_runs * s->batches : 0);
}

static lh_status run_batch(lh__trainer *t, const kind *k, lh__source *source, lh_batch *batch) {
    lh__counts *counts = &t->progress.val_batch;

    if (lh__transfer(t, batch, t->dataloader_idx) != LH_OK)
        return lh__failed(t);
    counts->current.ready++, counts->total.ready++;
    if (lh__call_batch(t, k->batch_start, batch, t->batch_idx) < 0)
        return lh__failed(t);
    counts->current.started++, counts->total.started++;
    if (step(t, k, batch, t->batch_idx) < 0)
        return lh__failed(t);
    lh__step_named(t, batch, lh__module_has(t, k->step_end) || lh__module_has(t, k->batch_end));
    if (lh__step_computed(t, batch) != LH_OK)
        return lh__failed(t);
    counts->current.processed++, counts->total.processed++;
    if ((lh__module_has(t, k->epoch_end_outputs) || t->phase == LH__PREDICTING) &&
        lh__outputs_keep(t->eval_outputs, t->engine, t->outputs) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory keeping the outputs of the epoch");
    if (lh__call_batch_end(t, k->batch_end, t->outputs, batch, t->batch_idx) < 0)
        return lh__failed(t);
    counts->current.completed++, counts->total.completed++;
    if (t->phase != LH__SANITY) {
        const lh_scalar *values;
        int32_t n = lh__metrics_step_values(t->metrics, &values);

        if (n > 0)
            lh__log_values(t, values, n, log_step(t, source));
    }
    return LH_OK;
}

/* How many batches of the loader this run takes. */
static int64_t limit_of(const lh__trainer *t, const lh__source *s) {
    int64_t sanity = t->options->num_sanity_val_steps;

    return t->phase == LH__SANITY && sanity >= 0 && sanity < s->batches ? sanity : s->batches;
}

static lh_status run_loader(lh__trainer *t, const kind *k, lh__source *s, int64_t before,
                            int64_t all) {
    int64_t limit = limit_of(t, s);
    /* The sanity check shuffles, if at all, as no epoch does. */
    uint64_t epoch = t->phase == LH__SANITY ? UINT64_MAX >> 1 : (uint64_t)t->progress.val_runs;

    if (limit == 0)
        return LH_OK;
    if (lh__eval_begin(t, s, epoch, limit) != LH_OK)
        return lh__failed(t);
    for (t->batch_idx = 0; t->batch_idx < limit; t->batch_idx++) {
        lh_batch batch;
        lh_status status;

        lh__metrics_begin_step(t->metrics);
        lh__step_begin(t->engine, t->phase == LH__SANITY ? LH__PHASE_SANITY : LH__PHASE_EVAL,
                       (uint64_t)t->progress.val_runs << 32 | (uint64_t)(before + t->batch_idx));
        t->has_begun |= t->phase != LH__SANITY;
        status = lh__eval_next(t, s, &batch);
        t->batch = &batch;
        if (status == LH_OK)
            status = run_batch(t, k, s, &batch);
        lh__settle(t->engine); /* what reads the batch */
        t->batch = NULL;
        lh__batch_done(&batch);
        if (status < 0)
            return status;
        if (before + t->batch_idx + 1 == all)
            break;
        lh__show_progress(t, before + t->batch_idx + 1, all);
        if (lh__interrupted(t) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

static void show_results(lh__trainer *t) {
    const lh__sources *s = &t->sources[kinds[t->phase].which];
    lh__result results[LH__MAX_LOADERS];
    lh_scalar *copies[LH__MAX_LOADERS];

    if (!t->obs || !t->obs->results || t->stage == LH_FIT || t->phase == LH__PREDICTING)
        return;
    for (int32_t i = 0; i < s->n; i++) {
        const lh_scalar *values;
        int32_t n = lh__metrics_results(t->metrics, i, &values);

        copies[i] = calloc((size_t)n + 1, sizeof(lh_scalar));
        for (int32_t k = 0; copies[i] && k < n; k++)
            copies[i][k] = values[k];
        results[i] = (lh__result){t->stage == LH_TEST ? "test" : "validate", i, copies[i] ? n : 0,
                                  copies[i]};
    }
    t->obs->results(t->obs->self, results, s->n);
    for (int32_t i = 0; i < s->n; i++)
        free(copies[i]);
}

/* From on_*_epoch_end to the loggers and on_*_end. */
static lh_status end_run(lh__trainer *t, const kind *k, int64_t batches) {
    const lh_scalar *values;
    int32_t n;

    lh__metrics_begin_epoch_values(t->metrics);
    if (lh__metrics_reduce(t->metrics, 0, &t->failure) != LH_OK)
        return lh__failed(t);
    if (lh__module_has(t, k->epoch_end_outputs) &&
        lh__call_one_outputs(t, t->cast.module, k->epoch_end_outputs, t->eval_outputs) < 0)
        return lh__failed(t);
    if (lh__call_plain(t, k->epoch_end) < 0 ||
        (t->phase != LH__PREDICTING && lh__call_plain(t, LH__HOOK_on_epoch_end) < 0))
        return lh__failed(t);
    if (lh__metrics_reduce(t->metrics, 0, &t->failure) != LH_OK)
        return lh__failed(t);
    lh__metrics_reset_meters(t->metrics, 0);
    lh__show_progress(t, batches, batches); /* with the values of the epoch */
    n = lh__metrics_epoch_values(t->metrics, &values);
    if (n > 0 && t->phase != LH__SANITY)
        lh__log_values(t, values, n, t->progress.batches_that_stepped);
    if (t->stage == LH_FIT && t->phase == LH__VALIDATING) {
        t->progress.val_runs++;
        t->progress.val_batch.current = (lh__count){0};
        t->progress.position = LH__AT_VALIDATION_END;
        t->last_val_time = lh__now();
    }
    return lh__call_plain(t, k->end);
}

/* A run that a checkpoint interrupted begins anew: its batches do not count twice. */
static void forget_unfinished(lh__counts *c) {
    c->total.ready -= c->current.ready;
    c->total.started -= c->current.started;
    c->total.processed -= c->current.processed;
    c->total.completed -= c->current.completed;
    c->current = (lh__count){0};
}

/* The run itself, between the changes of mode. */
static lh_status run(lh__trainer *t, const kind *k) {
    lh__sources *s = &t->sources[k->which];
    int64_t all = 0, before = 0;

    for (int32_t i = 0; i < s->n; i++)
        all += limit_of(t, &s->source[i]);
    forget_unfinished(&t->progress.val_batch);
    lh__outputs_clear(t->eval_outputs);
    lh__metrics_reset(t->metrics, 0);
    if (lh__call_plain(t, k->start) < 0 ||
        (t->phase != LH__PREDICTING && lh__call_plain(t, LH__HOOK_on_epoch_start) < 0) ||
        lh__call_plain(t, k->epoch_start) < 0)
        return lh__failed(t);
    lh__show_progress(t, 0, all);
    for (int32_t i = 0; i < s->n; i++) {
        t->dataloader_idx = i;
        if (run_loader(t, k, &s->source[i], before, all) < 0 ||
            lh__metrics_end_loader(t->metrics, i, &t->failure) != LH_OK)
            return lh__failed(t);
        before += limit_of(t, &s->source[i]);
    }
    t->dataloader_idx = 0;
    return end_run(t, k, all);
}

static lh_status loop(lh__trainer *t, int32_t phase) {
    const kind *k = &kinds[phase];
    lh__counts before = t->progress.val_batch;
    int64_t batch_idx = t->batch_idx;
    int32_t training, grad;
    lh_status status;

    t->phase = phase;
    if (lh__sources_request(t, k->which) != LH_OK)
        return lh__failed(t);
    if (t->sources[k->which].batches == 0)
        return LH_OK;
    training = lh__set_training(t->engine, 0);
    grad = lh__set_grad_enabled(t->engine, 0);
    if (lh__call_one(t, t->cast.module, k->model_eval) < 0)
        return lh__failed(t);
    status = run(t, k);
    if (status >= 0 && lh__module_has(t, k->model_train))
        status = lh__call_one(t, t->cast.module, k->model_train);
    lh__set_training(t->engine, training);
    lh__set_grad_enabled(t->engine, grad);
    if (phase == LH__SANITY)
        t->progress.val_batch = before;
    t->batch_idx = batch_idx;
    if (status >= 0)
        show_results(t);
    return status < 0 ? status : LH_OK;
}

lh_status lh__evaluation_loop(lh__trainer *t, int32_t phase) {
    static const char *const names[] = {[LH__SANITY] = "sanity check",
                                        [LH__VALIDATING] = "validation",
                                        [LH__TESTING] = "test",
                                        [LH__PREDICTING] = "predict"};
    lh_status status;

    lh__phase_begin(t->lane, names[phase]);
    status = loop(t, phase);
    lh__phase_end(t->lane);
    return status;
}
