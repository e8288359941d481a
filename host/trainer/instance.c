/* instance.c - making instances and calling their hooks; see instance.h. */
#include "trainer/instance.h"

#include "trainer/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Fills `numbers` from the resolved object, row by row, so that reading one in a step is a look-up
 * by address. Texts stay in the object. */
static lh_status read_hparams(lh__instance *i, const lh_hparam_spec *specs, int32_t n) {
    i->numbers = calloc((size_t)n + 1, sizeof *i->numbers);
    if (!i->numbers)
        return LH_ENOMEM;
    for (int32_t k = 0; k < n; k++) {
        const json_t *value = json_object_get(i->hparams, specs[k].name);

        i->numbers[k] = json_is_true(value)   ? 1
                        : json_is_null(value) ? NAN
                                              : json_number_value(value);
    }
    return LH_OK;
}

/* The head that all tables share: specs and their number. */
static void table_specs(const lh__plugin *p, lh__table table, const lh_hparam_spec **specs,
                        int32_t *n, uint32_t *state_size) {
    switch (table) {
    case LH__TABLE_MODULE:
        *specs = p->module.hparams, *n = p->module.n_hparams, *state_size = p->module.state_size;
        break;
    case LH__TABLE_DATAMODULE:
        *specs = p->datamodule.hparams, *n = p->datamodule.n_hparams;
        *state_size = p->datamodule.state_size;
        break;
    case LH__TABLE_CALLBACK:
        *specs = p->callback.hparams, *n = p->callback.n_hparams;
        *state_size = p->callback.state_size;
        break;
    default:
        *specs = p->logger.hparams, *n = p->logger.n_hparams, *state_size = p->logger.state_size;
    }
}

/* "early-stop{monitor=val_loss,mode=min}": the hyper-parameters that the callback says tell its
 * instances apart. "module.mnist": no callback's name holds a dot. */
static char *state_key(const lh__instance *i) {
    const char *rest = i->table == LH__TABLE_CALLBACK ? i->plugin->callback.state_key : NULL;
    char key[512];
    const char *open = "{";
    size_t n;

    if (i->table == LH__TABLE_CALLBACK)
        n = (size_t)snprintf(key, sizeof key, "%s", i->plugin->name);
    else
        n = (size_t)snprintf(key, sizeof key, "%s.%s", lh__tables[i->table].name, i->plugin->name);

    while (rest && *rest && n < sizeof key) {
        size_t length = strcspn(rest, ",");
        char name[64], *text = NULL;
        const json_t *value;

        snprintf(name, sizeof name, "%.*s", (int)length, rest);
        value = json_object_get(i->hparams, name);
        if (value)
            text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        n += (size_t)snprintf(key + n, sizeof key - n, "%s%s=%s", open, name, text ? text : "null");
        free(text);
        open = ",";
        rest += length + (rest[length] == ',');
    }
    if (*open == ',' && n < sizeof key)
        snprintf(key + n, sizeof key - n, "}");
    return strdup(key);
}

lh__instance *lh__instance_new(lh__trainer *t, const lh__plugin *p, lh__table table,
                               const lh__choice *choice) {
    lh__instance *i = calloc(1, sizeof *i);
    const lh_hparam_spec *specs;
    uint32_t state_size;
    int32_t n;

    if (!i) {
        lh__run_fail(t, LH_ENOMEM, "out of memory");
        return NULL;
    }
    i->ctx.host = &t->host;
    i->trainer = t;
    i->plugin = p;
    i->table = table;
    i->hooks = lh__plugin_table(p, table);
    table_specs(p, table, &specs, &n, &state_size);
    i->order = table == LH__TABLE_CALLBACK ? p->callback.order : 0;
    i->hparams = lh__hparams_resolve(specs, n, choice, p->name, t->config, &t->failure);
    i->self = aligned_alloc(64, (state_size + 127u) / 64 * 64);
    if (!i->hparams || !i->self || read_hparams(i, specs, n) != LH_OK || !(i->key = state_key(i))) {
        lh__run_fail(t, LH_ENOMEM, "out of memory");
        lh__instance_free(i);
        return NULL;
    }
    memset(i->self, 0, (state_size + 127u) / 64 * 64);
    return i;
}

void lh__instance_free(lh__instance *i) {
    if (!i)
        return;
    json_decref(i->hparams);
    free(i->numbers);
    free(i->self);
    free(i->key);
    lh__plugin_free(i->owned);
    free(i);
}

lh__frame lh__call_begin(lh__trainer *t, lh__instance *who, lh__hook hook) {
    lh__frame frame = {who, t->cast.running, t->cast.running ? t->cast.running->hook : 0,
                       lh__span_begin(t->lane)};

    who->hook = hook;
    t->cast.running = who;
    lh__engine_set_error(t->engine, &who->error);
    t->crumb->plugin = who->index;
    t->crumb->hook = hook;
    return frame;
}

/* Says in t->failure which plugin failed, where and why. */
static lh_status call_failed(lh__trainer *t, lh__instance *who, lh_status status) {
    if (who->error.code == LH_OK)
        lh__fail(&who->error, status, "returned \"%s\" without a message (lh_fail gives one)",
                 lh__status_name(status));
    if (t->failure.code == LH_OK)
        lh__run_fail(t, who->error.code, "%s: %s (epoch %lld, step %lld): %s", who->plugin->name,
                     lh__hooks[who->hook].name, (long long)lh__current_epoch(t),
                     (long long)lh__global_step(t), who->error.text);
    return t->failure.code;
}

/* Hooks after which the step that they belong to goes on: what they logged can wait. */
static int is_within_step(lh__hook hook) {
    return hook >= LH__HOOK_on_before_batch_transfer && hook <= LH__HOOK_lr_scheduler_step;
}

lh_status lh__call_end(lh__trainer *t, lh__frame frame, lh_status status) {
    lh__instance *who = frame.who, *before = frame.before;

    if (frame.began >= 0)
        lh__span_end(t->lane, LH__SPAN_HOOK, who->plugin->name, lh__hooks[who->hook].name,
                     frame.began);
    if (status < 0 || who->error.code != LH_OK)
        status = call_failed(t, who, status);
    t->cast.running = before;
    if (before)
        before->hook = frame.hook;
    lh__engine_set_error(t->engine, before ? &before->error : &t->failure);
    t->crumb->plugin = before ? before->index : -1;
    t->crumb->hook = frame.hook;
    if (t->looks.n > 0 && !before && status >= 0 && !is_within_step(who->hook))
        return lh__look_all(t) == LH_OK ? status : lh__failed(t);
    return status;
}

/* Defines lh__call_X: calls hook `h` on each who has it. */
#define DEFINE_CALL(name, shape, parameters, ...)                                      \
    lh_status lh__call_##name parameters {                                             \
        const lh__call_list *list = &t->cast.hooks[hook];                              \
        lh_status result = LH_OK;                                                      \
                                                                                       \
        for (int32_t k = 0; k < list->n; k++) {                                        \
            lh__instance *who = list->slots[k].who;                                    \
            lh__frame frame = lh__call_begin(t, who, hook);                            \
            lh_status status = ((lh__##shape##_hook *)list->slots[k].fn)(__VA_ARGS__); \
                                                                                       \
            status = lh__call_end(t, frame, status);                                   \
            if (status < 0)                                                            \
                return status;                                                         \
            if (status == LH_SKIP)                                                     \
                result = LH_SKIP;                                                      \
        }                                                                              \
        return result;                                                                 \
    }

DEFINE_CALL(plain, PLAIN, (lh__trainer * t, lh__hook hook), &who->ctx, who->self)
DEFINE_CALL(batch, BATCH, (lh__trainer * t, lh__hook hook, lh_batch *b, int64_t idx), &who->ctx,
            who->self, b, idx)
DEFINE_CALL(batch_end, BATCH_END,
            (lh__trainer * t, lh__hook hook, const lh_outputs *o, lh_batch *b, int64_t idx),
            &who->ctx, who->self, o, b, idx)
DEFINE_CALL(tensor, TENSOR, (lh__trainer * t, lh__hook hook, lh_tensor *x), &who->ctx, who->self, x)
DEFINE_CALL(optimizer, OPTIMIZER, (lh__trainer * t, lh__hook hook, lh_optimizer *o), &who->ctx,
            who->self, o)

/* Defines lh__call_one_X: calls hook `h` of `who` if it has it. */
#define DEFINE_CALL_ONE(name, shape, parameters, ...)                                       \
    lh_status lh__call_one##name parameters {                                               \
        lh__hook_fn fn = who ? lh__hook_of(who->hooks, who->table, hook) : NULL;            \
        lh__frame frame;                                                                    \
                                                                                            \
        if (!fn)                                                                            \
            return LH_OK;                                                                   \
        frame = lh__call_begin(t, who, hook);                                               \
        return lh__call_end(t, frame,                                                       \
                            ((lh__##shape##_hook *)fn)(&who->ctx, who->self, __VA_ARGS__)); \
    }

DEFINE_CALL_ONE(_stage, STAGE, (lh__trainer * t, lh__instance *who, lh__hook hook, int32_t stage),
                stage)
DEFINE_CALL_ONE(_batch, BATCH,
                (lh__trainer * t, lh__instance *who, lh__hook hook, lh_batch *b, int64_t idx), b,
                idx)
DEFINE_CALL_ONE(_outputs, OUTPUTS,
                (lh__trainer * t, lh__instance *who, lh__hook hook, const lh_outputs *o), o)
DEFINE_CALL_ONE(_tensor, TENSOR, (lh__trainer * t, lh__instance *who, lh__hook hook, lh_tensor *x),
                x)
DEFINE_CALL_ONE(_optimizer, OPTIMIZER,
                (lh__trainer * t, lh__instance *who, lh__hook hook, lh_optimizer *o), o)
DEFINE_CALL_ONE(_scheduler, SCHEDULER,
                (lh__trainer * t, lh__instance *who, lh__hook hook, int32_t i, double metric), i,
                metric)

lh_status lh__call_one(lh__trainer *t, lh__instance *who, lh__hook hook) {
    lh__hook_fn fn = who ? lh__hook_of(who->hooks, who->table, hook) : NULL;
    lh__frame frame;

    if (!fn)
        return LH_OK;
    frame = lh__call_begin(t, who, hook);
    return lh__call_end(t, frame, ((lh__PLAIN_hook *)fn)(&who->ctx, who->self));
}

int lh__module_has(const lh__trainer *t, lh__hook hook) {
    return hook != LH__N_HOOKS &&
           lh__hook_of(t->cast.module->hooks, LH__TABLE_MODULE, hook) != NULL;
}
