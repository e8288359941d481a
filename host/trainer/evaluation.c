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

#define KIND(which, name)                                                                          \
    {which,                                                                                        \
     LH__HOOK_on_##name##_model_eval,                                                              \
     LH__HOOK_on_##name##_model_train,                                                             \
     LH__HOOK_on_##name##_start,                                                                   \
     LH__HOOK_on_##name##_end,                                                                     \
     LH__HOOK_on_##name##_epoch_start,                                                             \
     LH__HOOK_on_##name##_epoch_end,                                                               \
     LH__HOOK_##name##_epoch_end,                                                                  \
     LH__HOOK_on_##name##_batch_start,                                                             \
     LH__HOOK_on_##name##_batch_end,                                                               \
     LH__HOOK_##name##_step,                                                                       \
     LH__HOOK_##name##_step_end}

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

static int module_has(const lh__trainer *t, lh__hook hook) {
    return hook != LH__N_HOOKS && lh__module_has(t, hook);
}

/* predict_step, or forward of the first field; its result is the output "prediction". */
static lh_status predict(lh__trainer *t, lh_batch *batch, int64_t idx) {
    lh__instance *m = t->cast.module;
    const lh_module *hooks = m->hooks;
    lh__hook hook = hooks->predict_step ? LH__HOOK_predict_step : LH__HOOK_forward;
    lh__frame frame = lh__call_begin(t, m, hook);
    lh_tensor *y = hooks->predict_step
                       ? hooks->predict_step(&m->ctx, m->self, batch, idx)
                       : hooks->forward(&m->ctx, m->self, batch->fields[0]);

    if (lh__call_end(t, frame, LH_OK) != LH_OK)
        return lh__failed(t);
    if (y && lh__outputs_add(t->outputs, "prediction", y) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    return LH_OK;
}

/* The step, and the hook over its output where the module has one. */
static lh_status step(lh__trainer *t, const kind *k, lh_batch *batch, int64_t idx) {
    lh__instance *m = t->cast.module;
    lh__frame frame;
    lh__hook_fn fn;

    lh__outputs_clear(t->outputs);
    lh__outputs_begin_step(t->outputs);
    if (k->which == LH_PREDICT_LOADERS)
        return predict(t, batch, idx);
    fn = lh__hook_of(m->hooks, m->table, k->step);
    frame = lh__call_begin(t, m, k->step);
    if (lh__call_end(t, frame, ((lh__BATCH_hook *)fn)(&m->ctx, m->self, batch, idx)) < 0)
        return lh__failed(t);
    if (!module_has(t, k->step_end))
        return LH_OK;
    fn = lh__hook_of(m->hooks, m->table, k->step_end);
    frame = lh__call_begin(t, m, k->step_end);
    return lh__call_end(t, frame, ((lh__OUTPUTS_hook *)fn)(&m->ctx, m->self, t->outputs));
}

static lh_status run_batch(lh__trainer *t, const kind *k, lh__source *source, lh_batch *batch) {
    lh__count *total = &t->progress.val_batch.total;

    if (lh__transfer(t, batch, t->dataloader_idx) != LH_OK)
        return lh__failed(t);
    total->ready++;
    if (lh__call_batch(t, k->batch_start, batch, t->batch_idx) < 0)
        return lh__failed(t);
    total->started++;
    if (step(t, k, batch, t->batch_idx) < 0)
        return lh__failed(t);
    total->processed++;
    if (((k->epoch_end_outputs != LH__N_HOOKS && module_has(t, k->epoch_end_outputs)) ||
         t->phase == LH__PREDICTING) &&
        lh__outputs_keep(t->epoch_outputs, t->engine, t->outputs) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory keeping the outputs of the epoch");
    if (lh__call_batch_end(t, k->batch_end, t->outputs, batch, t->batch_idx) < 0)
        return lh__failed(t);
    total->completed++;
    if (t->phase != LH__SANITY) {
        const lh_scalar *values;
        int32_t n = lh__metrics_step_values(t->metrics, &values);

        if (n > 0)
            lh__log_values(t, values, n, source->log_step);
        source->log_step++;
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
        status = lh__eval_next(t, s, &batch);
        t->batch = &batch;
        if (status == LH_OK)
            status = run_batch(t, k, s, &batch);
        t->batch = NULL;
        lh__batch_done(&batch);
        if (status < 0)
            return status;
        lh__show_progress(t, before + t->batch_idx + 1, all);
        if (before + t->batch_idx + 1 < all && lh__interrupted(t) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

/* The module's hook for a mode change; on_*_model_eval also stands for eval() itself. */
static lh_status change_mode(lh__trainer *t, lh__hook hook) {
    return hook == LH__N_HOOKS ? LH_OK : lh__call_one(t, t->cast.module, hook);
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
        results[i] = (lh__result){t->stage == LH_TEST ? "test" : "validate", i,
                                  copies[i] ? n : 0, copies[i]};
    }
    t->obs->results(t->obs->self, results, s->n);
    for (int32_t i = 0; i < s->n; i++)
        free(copies[i]);
}

/* From on_*_epoch_end to the loggers and on_*_end. */
static lh_status end_run(lh__trainer *t, const kind *k) {
    lh__instance *m = t->cast.module;
    const lh_scalar *values;
    int32_t n;

    lh__metrics_begin_epoch_values(t->metrics);
    lh__metrics_reduce(t->metrics, 0);
    if (module_has(t, k->epoch_end_outputs)) {
        lh__hook_fn fn = lh__hook_of(m->hooks, m->table, k->epoch_end_outputs);
        lh__frame frame = lh__call_begin(t, m, k->epoch_end_outputs);

        if (lh__call_end(t, frame,
                         ((lh__OUTPUTS_hook *)fn)(&m->ctx, m->self, t->epoch_outputs)) < 0)
            return lh__failed(t);
    }
    if (lh__call_plain(t, k->epoch_end) < 0 ||
        (t->phase != LH__PREDICTING && lh__call_plain(t, LH__HOOK_on_epoch_end) < 0))
        return lh__failed(t);
    lh__metrics_reduce(t->metrics, 0);
    n = lh__metrics_epoch_values(t->metrics, &values);
    if (n > 0 && t->phase != LH__SANITY)
        lh__log_values(t, values, n, t->progress.batches_that_stepped);
    if (t->stage == LH_FIT && t->phase == LH__VALIDATING) {
        t->progress.val_runs++;
        t->progress.position = LH__AT_VALIDATION_END;
        t->last_val_time = lh__now();
    }
    return lh__call_plain(t, k->end);
}

/* The run itself, between the changes of mode. */
static lh_status run(lh__trainer *t, const kind *k) {
    lh__sources *s = &t->sources[k->which];
    int64_t all = 0, before = 0;

    for (int32_t i = 0; i < s->n; i++)
        all += limit_of(t, &s->source[i]);
    lh__outputs_clear(t->epoch_outputs);
    lh__metrics_reset(t->metrics, 0);
    if (lh__call_plain(t, k->start) < 0 ||
        (t->phase != LH__PREDICTING && lh__call_plain(t, LH__HOOK_on_epoch_start) < 0) ||
        lh__call_plain(t, k->epoch_start) < 0)
        return lh__failed(t);
    lh__show_progress(t, 0, all);
    for (int32_t i = 0; i < s->n; i++) {
        t->dataloader_idx = i;
        if (run_loader(t, k, &s->source[i], before, all) < 0)
            return lh__failed(t);
        before += limit_of(t, &s->source[i]);
    }
    t->dataloader_idx = 0;
    return end_run(t, k);
}

lh_status lh__evaluation_loop(lh__trainer *t, int32_t phase) {
    const kind *k = &kinds[phase];
    lh__count before = t->progress.val_batch.total;
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
    if (change_mode(t, k->model_eval) < 0)
        return lh__failed(t);
    status = run(t, k);
    if (status >= 0 && module_has(t, k->model_train))
        status = change_mode(t, k->model_train);
    lh__set_training(t->engine, training);
    lh__set_grad_enabled(t->engine, grad);
    if (phase == LH__SANITY)
        t->progress.val_batch.total = before;
    t->batch_idx = batch_idx;
    if (status >= 0)
        show_results(t);
    return status < 0 ? status : LH_OK;
}
