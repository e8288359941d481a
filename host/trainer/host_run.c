/* host_run.c - errors, hyper-parameters, metrics and the run itself, as plugins call them. */
#include "data/root.h"
#include "trainer/host_table.h"
#include "trainer/logwriter.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static lh_status fail(lh_ctx *c, lh_status code, const char *file, int32_t line, const char *fmt,
                      ...) {
    lh__instance *i = lh__of(c);
    const char *name = strrchr(file, '/');
    char text[900];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    code = code < 0 ? code : LH_EINVAL;
    return lh__fail(&i->error, code, "%s:%d: %s", name ? name + 1 : file, (int)line, text);
}

static lh_status status(lh_ctx *c) {
    return lh__of(c)->error.code;
}

static void print(lh_ctx *c, int32_t level, const char *fmt, ...) {
    char text[1000];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    lh__say(lh__of(c)->trainer, level, "%s: %s", lh__of(c)->plugin->name, text);
}

/* Each block is led by the address of the one before, in 64 bytes to keep what follows aligned. */
static void *alloc(lh_ctx *c, uint64_t size) {
    lh__trainer *t = lh__of(c)->trainer;
    void *before;
    char *block = size < SIZE_MAX - 128 ? aligned_alloc(64, 64 + (size + 63) / 64 * 64) : NULL;

    if (!block) {
        lh__fail(&lh__of(c)->error, LH_ENOMEM, "lh_alloc: no memory for %llu bytes",
                 (unsigned long long)size);
        return NULL;
    }
    memset(block, 0, 64 + (size + 63) / 64 * 64);
    before = atomic_load(&t->allocations);
    do
        memcpy(block, &before, sizeof before);
    while (!atomic_compare_exchange_weak(&t->allocations, &before, (void *)block));
    return block + 64;
}

void lh__allocations_free(void *list) {
    while (list) {
        void *next;

        memcpy(&next, list, sizeof next);
        free(list);
        list = next;
    }
}

/* Row of a declared hyper-parameter; -1 and an error when there is none of that name and type. */
static int32_t row_of(lh_ctx *c, const char *name, int is_text) {
    lh__instance *i = lh__of(c);
    const lh__plugin *p = i->plugin;
    const lh_hparam_spec *specs = p->hparams[i->table];
    int32_t n = (int32_t)json_object_size(i->hparams);

    for (int32_t k = 0; k < n; k++)
        if (specs[k].name == name || strcmp(specs[k].name, name) == 0) {
            if ((specs[k].type == LH_TEXT) == is_text)
                return k;
            lh__fail(&i->error, LH_EDTYPE, "hyper-parameter \"%s\" is %s: ask with %s", name,
                     is_text ? "a number" : "a text", is_text ? "lh_hparam" : "lh_hparam_text");
            return -1;
        }
    lh__fail(&i->error, LH_ENOTFOUND,
             "hyper-parameter \"%s\" is not declared: add it to the table given to LH_HPARAMS",
             name);
    return -1;
}

static double hparam(lh_ctx *c, const char *name) {
    int32_t row = row_of(c, name, 0);

    return row < 0 ? NAN : lh__of(c)->numbers[row];
}

static int64_t hparam_int(lh_ctx *c, const char *name) {
    int32_t row = row_of(c, name, 0);

    return row < 0 ? 0 : (int64_t)lh__of(c)->numbers[row];
}

static const char *hparam_text(lh_ctx *c, const char *name) {
    int32_t row = row_of(c, name, 1);
    const char *text =
        row < 0 ? NULL : json_string_value(json_object_get(lh__of(c)->hparams, name));

    return text ? text : "";
}

static lh_status set_hparam(lh_ctx *c, const char *name, double value) {
    int32_t row = row_of(c, name, 0);

    if (row < 0)
        return lh__of(c)->error.code;
    lh__of(c)->numbers[row] = value;
    json_object_set_new(lh__of(c)->hparams, name, json_real(value));
    return LH_OK;
}

/* Suffix of evaluation metrics when there are several loaders. */
static int32_t loader_suffix(const lh__trainer *t) {
    int32_t which = t->phase == LH__TESTING      ? LH_TEST_LOADERS
                    : t->phase == LH__PREDICTING ? LH_PREDICT_LOADERS
                                                 : LH_VAL_LOADERS;

    return t->sources[which].n > 1 ? t->dataloader_idx : -1;
}

lh_status lh__log(lh__instance *i, lh__logged l, lh_tensor *value) {
    lh__trainer *t = i->trainer;
    int is_batch_hook = t->batch != NULL;

    l.weight = 1;
    l.hook = i->hook;
    l.loader = -1;
    l.is_training = t->phase == LH__TRAINING;
    if (t->options->barebones) {
        if (!t->has_said_barebones)
            lh__say(t, LH_WARNING, "barebones: lh_log does nothing");
        t->has_said_barebones = 1;
        return LH_OK;
    }
    if (!l.is_training && is_batch_hook)
        l.loader = loader_suffix(t);
    if (l.options->batch_size > 0)
        l.weight = (double)l.options->batch_size;
    else if (is_batch_hook)
        l.weight = (double)t->batch->size;
    return lh__look_log(t, i, &l, value);
}

static lh_status log_value(lh_ctx *c, const char *name, double value,
                           const lh_log_options *options) {
    lh_log_options o;

    lh__known(&o, sizeof o, options);
    return lh__log(lh__of(c), (lh__logged){.name = name, .value = value, .options = &o}, NULL);
}

static lh_status log_tensor(lh_ctx *c, const char *name, lh_tensor *x,
                            const lh_log_options *options) {
    lh__instance *i = lh__of(c);
    lh_log_options o;

    if (!x)
        return i->error.code;
    if (lh__view_numel(&x->view) != 1)
        return lh__fail(&i->error, LH_ESHAPE,
                        "lh_log \"%s\": a metric is one number, this tensor has %lld: reduce it",
                        name, (long long)lh__view_numel(&x->view));
    lh__known(&o, sizeof o, options);
    return lh__log(i, (lh__logged){.name = name, .options = &o}, x);
}

static double metric(lh_ctx *c, const char *name) {
    int32_t found;

    lh__look_all(lh__of(c)->trainer);
    return lh__metrics_callback(lh__of(c)->trainer->metrics, name, &found);
}

static lh_status has_metric(lh_ctx *c, const char *name) {
    int32_t found;

    lh__look_all(lh__of(c)->trainer);
    lh__metrics_callback(lh__of(c)->trainer->metrics, name, &found);
    return found ? LH_OK : LH_ENOTFOUND;
}

static const char *metric_name(lh_ctx *c, int32_t i) {
    lh__look_all(lh__of(c)->trainer);
    return lh__metrics_callback_name(lh__of(c)->trainer->metrics, i);
}

void lh__log_values(lh__trainer *t, const lh_scalar *values, int32_t n, int64_t step) {
    lh_scalar row[256];

    if (!t->logwriter)
        return;
    n = n < 255 ? n : 255;
    memcpy(row, values, (size_t)n * sizeof *row);
    row[n] = (lh_scalar){"epoch", (double)lh__current_epoch(t)};
    lh__phase_begin(t->lane, "logging");
    lh__logwriter_push(t->logwriter, row, n + 1, step);
    lh__phase_end(t->lane);
}

static lh_status log_to_loggers(lh_ctx *c, const lh_scalar *metrics, int32_t n, int64_t step) {
    lh__trainer *t = lh__of(c)->trainer;
    lh_scalar row[256];

    n = n < 255 ? n : 255;
    for (int32_t k = 0; k < n; k++) {
        row[k] = (lh_scalar){lh__metrics_intern(t->metrics, metrics[k].name), metrics[k].value};
        if (!row[k].name)
            return lh__fail(&lh__of(c)->error, LH_ENOMEM, "out of memory");
        lh__metrics_set_callback(t->metrics, metrics[k].name, metrics[k].value);
    }
    lh__log_values(t, row, n, step < 0 ? t->progress.batches_that_stepped : step);
    return LH_OK;
}

static lh_status bar(lh_ctx *c, const char *name, double value, int32_t show) {
    lh__metrics_set_bar(lh__of(c)->trainer->metrics, name, value, show);
    return LH_OK;
}

static lh_status output(lh_ctx *c, const char *name, lh_tensor *x) {
    lh__instance *i = lh__of(c);

    if (!x)
        return i->error.code;
    if (strlen(name) >= LH__OUTPUT_NAME_SIZE)
        return lh__fail(&i->error, LH_EINVAL,
                        "lh_output: the name \"%.60s\" is too long: %d characters are the most",
                        name, LH__OUTPUT_NAME_SIZE - 1);
    lh__hold(i->trainer->engine, x);
    if (lh__outputs_put(i->trainer->outputs, name, x) != LH_OK)
        return lh__fail(&i->error, LH_ENOMEM, "out of memory");
    return LH_OK;
}

static int64_t outputs_count(lh_ctx *c, const lh_outputs *o) {
    return o ? lh__outputs_count(o) : 0;
}

static lh_tensor *outputs_get(lh_ctx *c, const lh_outputs *o, int64_t i, const char *name) {
    return o ? lh__outputs_get(LH__ENGINE(c), o, i, name) : NULL;
}

/* ceil(batches / accumulate) * epochs, bounded by max_steps. -1: no bound. */
static int64_t stepping_batches(const lh__trainer *t) {
    const lh__options *o = t->options;
    int64_t accumulate = o->accumulate_grad_batches;
    int64_t per_epoch = (t->sources[LH_TRAIN_LOADERS].batches + accumulate - 1) / accumulate;
    int64_t all = o->max_epochs < 0 ? -1 : per_epoch * (o->max_epochs > 0 ? o->max_epochs : 1);

    if (o->max_steps >= 0 && (all < 0 || o->max_steps < all))
        all = o->max_steps;
    return all;
}

static int64_t get_int(lh_ctx *c, int32_t what) {
    lh__trainer *t = lh__of(c)->trainer;
    const lh__options *o = t->options;

    switch (what) {
    case LH_CURRENT_EPOCH:
        return lh__current_epoch(t);
    case LH_GLOBAL_STEP:
        return lh__global_step(t);
    case LH_BATCH_IDX:
        return t->batch_idx;
    case LH_DATALOADER_IDX:
        return t->dataloader_idx;
    case LH_STAGE:
        return t->stage;
    case LH_TRAINING:
        return lh__is_training(t->engine);
    case LH_SANITY_CHECKING:
        return t->phase == LH__SANITY;
    case LH_WORLD_SIZE:
        return 1;
    case LH_MAX_EPOCHS:
        return o->max_epochs;
    case LH_MAX_STEPS:
        return o->max_steps;
    case LH_NUM_TRAINING_BATCHES:
    case LH_ESTIMATED_STEPPING_BATCHES:
        if (t->stage == LH_FIT && lh__sources_request(t, LH_TRAIN_LOADERS) != LH_OK)
            return lh__fail(&lh__of(c)->error, t->failure.code, "%s", t->failure.text);
        return what == LH_NUM_TRAINING_BATCHES ? t->sources[LH_TRAIN_LOADERS].batches
                                               : stepping_batches(t);
    case LH_NUM_VAL_BATCHES:
        return t->sources[LH_VAL_LOADERS].batches;
    case LH_ACCUMULATE_GRAD_BATCHES:
        return o->accumulate_grad_batches;
    case LH_SHOULD_STOP:
        return t->should_stop;
    case LH_FAST_DEV_RUN:
        return o->fast_dev_run;
    case LH_SEED:
        return (int64_t)t->config->seed;
    case LH_NUM_THREADS:
        return lh__engine_get_options(t->engine)->threads;
    case LH_LOG_EVERY_N_STEPS:
        return o->log_every_n_steps;
    case LH_VAL_CHECK_INTERVAL_IS_EPOCH:
        return o->val_check_interval.unit == LH__FRACTION && o->val_check_interval.value == 1.0 &&
               o->check_val_every_n_epoch == 1;
    case LH_NUM_OPTIMIZERS:
        return lh__optimizer_count(t->engine);
    case LH_OPTIMIZER_IDX:
        return t->optimizer_idx;
    case LH_NUM_SCHEDULERS:
        return lh__scheduler_count(t->engine);
    case LH_ENABLE_VALIDATION:
        return lh__can_validate(t);
    case LH_LAST_BATCH:
        return t->progress.is_last_batch;
    case LH_SHOULD_LOG:
        return lh__is_stepping_batch(t) && lh__should_log(t);
    case LH_NUM_LOGGERS:
        return t->cast.n_loggers;
    default: /* ranks: 0 */
        return 0;
    }
}

static const char *or_empty(const char *text) {
    return text ? text : "";
}

static const char *get_text(lh_ctx *c, int32_t what) {
    const lh__trainer *t = lh__of(c)->trainer;

    switch (what) {
    case LH_LOG_DIR:
        return or_empty(t->log_dir);
    case LH_DEFAULT_ROOT_DIR:
        return t->options->default_root_dir;
    case LH_DATA_ROOT:
        return lh__data_root(t->config->data_root);
    case LH_CKPT_PATH:
        return or_empty(t->ckpt_path);
    case LH_DEVICE:
        return t->options->accelerator;
    case LH_PRECISION:
        return t->options->precision;
    case LH_STOP_REASON:
        return t->stop_reason;
    case LH_EXCEPTION:
        return t->exception;
    default:
        return "";
    }
}

static lh_status stop(lh_ctx *c, const char *reason) {
    lh__trainer *t = lh__of(c)->trainer;

    if (!t->should_stop) {
        snprintf(t->stop_reason, sizeof t->stop_reason, "%s", reason ? reason : "");
        lh__say(t, LH_INFO, "%s: %s", lh__of(c)->plugin->name, t->stop_reason);
    }
    t->should_stop = 1;
    return LH_OK;
}

static lh_status use_callback(lh_ctx *c, const char *spec) {
    lh__instance *i = lh__of(c);

    if (i->hook != LH__HOOK_configure_callbacks)
        return lh__fail(&i->error, LH_ESTATE, "lh_use_callback: only in configure_callbacks");
    if (lh__cast_add_callback(i->trainer, spec) != LH_OK)
        return lh__fail(&i->error, LH_EINVAL, "%s", i->trainer->failure.text);
    return LH_OK;
}

static const void *get_extension(lh_ctx *c, const char *id) {
    return NULL;
}

void lh__host_run(lh_host *h) {
    h->fail = fail;
    h->status = status;
    h->print = print;
    h->alloc = alloc;
    h->hparam = hparam;
    h->hparam_int = hparam_int;
    h->hparam_text = hparam_text;
    h->set_hparam = set_hparam;
    h->log = log_tensor;
    h->log_value = log_value;
    h->metric = metric;
    h->has_metric = has_metric;
    h->metric_name = metric_name;
    h->log_to_loggers = log_to_loggers;
    h->bar = bar;
    h->output = output;
    h->outputs_count = outputs_count;
    h->outputs_get = outputs_get;
    h->get_int = get_int;
    h->get_text = get_text;
    h->stop = stop;
    h->use_callback = use_callback;
    h->get_extension = get_extension;
}
