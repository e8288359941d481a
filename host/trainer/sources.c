/* sources.c - the loaders of a stage: requesting them, their limits, and batches from them.
 *
 * Invariant: which samples make up training batch b of epoch e is a function of (seed, e, b): that
 * is all a checkpoint has to know about data. Several training loaders give one batch whose fields
 * stand side by side; a shorter one begins again (Lightning's max_size_cycle). Several evaluation
 * loaders come one after the other.
 */
#include "trainer/run.h"

#include <math.h>

static const struct {
    const char *name;
    lh__hook hook;
} kinds[] = {
    [LH_TRAIN_LOADERS] = {"train", LH__HOOK_train_dataloader},
    [LH_VAL_LOADERS] = {"val", LH__HOOK_val_dataloader},
    [LH_TEST_LOADERS] = {"test", LH__HOOK_test_dataloader},
    [LH_PREDICT_LOADERS] = {"predict", LH__HOOK_predict_dataloader},
};

static lh__amount limit_of(const lh__options *o, int32_t which) {
    if (o->overfit_batches.value > 0 && which <= LH_VAL_LOADERS)
        return o->overfit_batches;
    switch (which) {
    case LH_TRAIN_LOADERS:
        return o->limit_train_batches;
    case LH_VAL_LOADERS:
        return o->limit_val_batches;
    case LH_TEST_LOADERS:
        return o->limit_test_batches;
    default:
        return o->limit_predict_batches;
    }
}

/* Batches per epoch after the limit; -1 and a failure when a fraction leaves none. */
static int64_t limited(lh__trainer *t, int32_t which, int64_t batches) {
    lh__amount limit = limit_of(t->options, which);
    int64_t n;

    if (limit.unit != LH__FRACTION)
        return (int64_t)fmin(limit.value, (double)batches);
    n = (int64_t)((double)batches * limit.value);
    if (n == 0 && batches > 0 && limit.value > 0) {
        lh__run_fail(t, LH_EINVAL,
                     "limit_%s_batches %g of %lld batches is less than one batch: use at least %g, "
                     "or a number of batches",
                     kinds[which].name, limit.value, (long long)batches, 1.0 / (double)batches);
        return -1;
    }
    return n;
}

/* Idle work of the compute threads: a piece for any loader that wants help. */
static int help(void *arg) {
    lh__trainer *t = arg;

    for (int which = 0; which < 4; which++)
        for (int32_t i = 0; i < t->sources[which].n; i++)
            if (lh__loader_help(t->sources[which].source[i].loader))
                return 1;
    return 0;
}

/* While it is off, loaders may come and go. */
static void set_help(lh__trainer *t, int on) {
    int is_wanted = 0;

    for (int which = 0; on && which < 4; which++)
        for (int32_t i = 0; i < t->sources[which].n; i++)
            is_wanted |= lh__loader_is_helped(t->sources[which].source[i].loader);
    if (t->engine)
        lh__engine_idle(t->engine, is_wanted ? help : NULL, t);
}

lh_status lh__add_loader(lh__trainer *t, const lh_loader_options *given, lh__error *err) {
    int32_t which = t->requesting;
    lh_loader_options o = *given;
    lh__sources *s;
    lh__source *source;

    if (which < 0)
        return lh__fail(err, LH_ESTATE, "lh_loader: only in the *_dataloader hooks");
    s = &t->sources[which];
    if (s->n == LH__MAX_LOADERS)
        return lh__fail(err, LH_EINVAL, "lh_loader: more than %d loaders of one stage",
                        (int)LH__MAX_LOADERS);
    if (!o.dataset)
        return lh__fail(err, LH_EINVAL, "lh_loader: no dataset was given");
    if (o.batch_size == 0)
        o.batch_size = t->config->data_batch_size ? t->config->data_batch_size : 1;
    if (o.num_workers < 0)
        o.num_workers = (int32_t)t->config->data_num_workers;
    if (t->options->overfit_batches.value > 0 && which <= LH_VAL_LOADERS)
        o.shuffle = 0;
    set_help(t, 0);
    source = &s->source[s->n];
    source->loader = lh__loader_new(&o, t->config->seed, (uint32_t)(which * LH__MAX_LOADERS + s->n),
                                    lh__engine_get_options(t->engine)->threads, err);
    if (!source->loader)
        return err->code;
    lh__loader_profile(source->loader, t->profile);
    s->n++;
    source->batches = limited(t, which, lh__loader_batches(source->loader));
    return source->batches < 0 ? t->failure.code : LH_OK;
}

lh_status lh__sources_request(lh__trainer *t, int32_t which) {
    lh__sources *s = &t->sources[which];
    lh__instance *dm = t->cast.datamodule;
    lh__instance *who = t->cast.module;

    if (s->is_requested)
        return LH_OK;
    if (dm && lh__hook_of(dm->hooks, dm->table, kinds[which].hook))
        who = dm;
    set_help(t, 0);
    t->requesting = which;
    if (lh__call_one(t, who, kinds[which].hook) < 0)
        return lh__failed(t);
    t->requesting = -1;
    set_help(t, 1);
    s->is_requested = 1;
    s->batches = 0;
    for (int32_t i = 0; i < s->n; i++) {
        if (which != LH_TRAIN_LOADERS)
            s->batches += s->source[i].batches;
        else if (s->source[i].batches > s->batches)
            s->batches = s->source[i].batches;
    }
    return LH_OK;
}

void lh__sources_free(lh__trainer *t, int32_t which) {
    lh__sources *s = &t->sources[which];

    set_help(t, 0);
    for (int32_t i = 0; i < s->n; i++)
        lh__loader_free(s->source[i].loader);
    *s = (lh__sources){0};
    set_help(t, 1);
}

/* A data hook: the data module's if it has one there, else the module's. */
static lh_status transfer_hook(lh__trainer *t, lh__hook hook, lh_batch *batch, int64_t loader_idx) {
    lh__instance *who = t->cast.datamodule;
    lh__hook_fn fn = who ? lh__hook_of(who->hooks, who->table, hook) : NULL;
    lh__frame frame;

    if (!fn) {
        who = t->cast.module;
        fn = lh__hook_of(who->hooks, who->table, hook);
    }
    if (!fn)
        return LH_OK;
    frame = lh__call_begin(t, who, hook);
    return lh__call_end(t, frame,
                        ((lh__TRANSFER_hook *)fn)(&who->ctx, who->self, batch, loader_idx));
}

lh_status lh__transfer(lh__trainer *t, lh_batch *batch, int64_t loader_idx) {
    static const lh__hook hooks[] = {LH__HOOK_on_before_batch_transfer,
                                     LH__HOOK_transfer_batch_to_device,
                                     LH__HOOK_on_after_batch_transfer};

    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        if (transfer_hook(t, hooks[i], batch, loader_idx) < 0)
            return lh__failed(t);
    return LH_OK;
}

/* Adds a loader's batch to `out`, its fields as tensors of this step in the run's precision. */
static lh_status take(lh__trainer *t, lh__loader *loader, lh__batch *raw, lh_batch *out) {
    int32_t dtype = t->options->dtype;

    out->held[out->n_held] = raw;
    out->from[out->n_held++] = loader;
    if (out->n_fields + raw->n_fields > LH__MAX_FIELDS)
        return lh__run_fail(t, LH_EINVAL, "the loaders of this stage have more than %d fields",
                            (int)LH__MAX_FIELDS);
    if (out->n_held == 1)
        out->size = raw->size;
    for (int32_t i = 0; i < raw->n_fields; i++) {
        const lh_field *f = &raw->fields[i];
        lh_tensor *x = lh__tensor_wrap(t->engine, f->dtype, f->ndim, f->shape, raw->data[i]);
        const int64_t to = dtype;
        const lh_op_call cast = {LH_SIZED(lh_op_call), .op = LH_OP_CAST, .n_inputs = 1, .n_ints = 1,
                                 .file = "the loader", .inputs = &x,     .ints = &to};

        if (f->dtype == LH_F32 && dtype != LH_F32)
            x = lh__op(t->engine, &cast);
        if (!x)
            return lh__run_fail(t, LH_ENOMEM, "out of memory");
        out->fields[out->n_fields++] = x;
    }
    return LH_OK;
}

void lh__batch_done(lh_batch *batch) {
    for (int32_t i = 0; i < batch->n_held; i++)
        lh__loader_release(batch->from[i], batch->held[i]);
    batch->n_held = batch->n_fields = 0;
}

static lh_status begin_cycle(lh__trainer *t, lh__source *s, int64_t epoch, int64_t first) {
    return lh__loader_begin(s->loader, (uint64_t)epoch | (uint64_t)s->cycle << 40, first,
                            s->batches, &t->failure);
}

lh_status lh__train_begin(lh__trainer *t, int64_t epoch, int64_t first) {
    lh__sources *sources = &t->sources[LH_TRAIN_LOADERS];

    for (int32_t i = 0; i < sources->n; i++) {
        lh__source *s = &sources->source[i];

        if (s->batches == 0)
            return lh__run_fail(t, LH_EINVAL, "training loader %d has no batches", (int)i);
        s->cycle = first / s->batches;
        if (begin_cycle(t, s, epoch, first % s->batches) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

/* lh__loader_next, as a phase of its own. */
static lh_status next(lh__trainer *t, lh__source *s, const char *phase, lh__batch **raw) {
    lh_status status;

    lh__phase_begin(t->lane, phase);
    status = lh__loader_next(s->loader, raw, &t->failure);
    lh__phase_end(t->lane);
    return status;
}

lh_status lh__train_next(lh__trainer *t, lh_batch *out) {
    lh__sources *sources = &t->sources[LH_TRAIN_LOADERS];

    out->n_held = out->n_fields = 0;
    for (int32_t i = 0; i < sources->n; i++) {
        lh__source *s = &sources->source[i];
        lh__batch *raw = NULL;

        if (next(t, s, LH__PHASE_WAIT, &raw) != LH_OK)
            return lh__failed(t);
        if (!raw) {
            s->cycle++;
            if (begin_cycle(t, s, lh__current_epoch(t), 0) != LH_OK ||
                next(t, s, LH__PHASE_WAIT, &raw) != LH_OK)
                return lh__failed(t);
        }
        if (take(t, s->loader, raw, out) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

lh_status lh__eval_begin(lh__trainer *t, lh__source *s, uint64_t epoch, int64_t limit) {
    return lh__loader_begin(s->loader, epoch, 0, limit, &t->failure);
}

lh_status lh__eval_next(lh__trainer *t, lh__source *s, lh_batch *out) {
    lh__batch *raw = NULL;

    out->n_held = out->n_fields = 0;
    if (next(t, s, "evaluation's data wait", &raw) != LH_OK)
        return lh__failed(t);
    return raw ? take(t, s->loader, raw, out) : LH_SKIP;
}
