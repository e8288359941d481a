/* cast.c - who takes part in a run, and in which order they are called.
 *
 * Order of a hook: callbacks as given, the module, callbacks that checkpoint; callbacks that watch
 * metrics count among the first, but come after the module in on_train_epoch_end. So a checkpoint
 * is taken when everybody else is done with the hook, and a resumed run misses nobody's part of it.
 */
#include "trainer/run.h"

#include <stdlib.h>
#include <string.h>

/* The plugin of a choice, opened for this run: copied into the run's folder and bound. */
static lh__plugin *load(lh__trainer *t, const lh__choice *choice) {
    char *path = lh__plugin_find(choice->plugin, &t->failure), dir[1200];
    lh__plugin *p = NULL;

    if (path) {
        snprintf(dir, sizeof dir, "%s/plugins", t->log_dir ? t->log_dir : "");
        p = lh__plugin_load(path, t->log_dir ? dir : NULL, &t->failure);
        for (int k = 0; p && k < p->n_warnings; k++)
            lh__say(t, LH_WARNING, "%s: %s", p->name, p->warnings[k]);
    }
    free(path);
    return p;
}

/* Loads a callback or logger and appends it to *list. */
static lh_status add(lh__trainer *t, const lh__choice *choice, lh__table table,
                     lh__instance ***list, int32_t *n) {
    lh__plugin *p = load(t, choice);
    lh__instance *i, **grown;

    if (!p)
        return t->failure.code;
    if (!(p->kinds & (1u << table))) {
        lh__plugin_free(p);
        return lh__run_fail(t, LH_EINVAL, "%s is no %s: give it as what it is", choice->plugin,
                            lh__tables[table].name);
    }
    i = lh__instance_new(t, p, table, choice);
    grown = i ? realloc(*list, (size_t)(*n + 1) * sizeof *grown) : NULL;
    if (!grown) {
        lh__instance_free(i);
        lh__plugin_free(p);
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    }
    i->owned = p;
    *list = grown;
    grown[(*n)++] = i;
    return LH_OK;
}

static lh_status add_named(lh__trainer *t, const char *name, lh__table table, lh__instance ***list,
                           int32_t *n) {
    json_t *empty = json_object();
    const lh__choice choice = {.plugin = name, .hparams = empty, .where = name};
    lh_status status = add(t, &choice, table, list, n);

    json_decref(empty);
    return status;
}

static int has_callback(const lh__trainer *t, const char *name, int32_t order) {
    for (int32_t k = 0; k < t->cast.n_callbacks; k++)
        if ((name && strcmp(t->cast.callbacks[k]->plugin->name, name) == 0) ||
            (order && t->cast.callbacks[k]->order == order))
            return 1;
    return 0;
}

/* What the trainer's options stand for. */
static lh_status add_defaults(lh__trainer *t) {
    lh__cast_list *c = &t->cast;
    const lh__options *o = t->options;

    if (o->max_time > 0 && !has_callback(t, "timer", 0)) {
        char spec[64];

        snprintf(spec, sizeof spec, "timer:seconds=%.17g", o->max_time);
        if (lh__cast_add_callback(t, spec) != LH_OK)
            return t->failure.code;
    }
    if (has_callback(t, NULL, LH_ORDER_CHECKPOINT)) {
        if (!o->enable_checkpointing && lh__options_given(o, "enable_checkpointing"))
            return lh__run_fail(t, LH_EINVAL,
                                "enable_checkpointing is false, but a checkpoint callback is "
                                "given: leave one of them out");
    } else if (o->enable_checkpointing && t->stage == LH_FIT && !o->fast_dev_run && !t->exports) {
        return add_named(t, "model-checkpoint", LH__TABLE_CALLBACK, &c->callbacks, &c->n_callbacks);
    }
    return LH_OK;
}

lh_status lh__cast_make(lh__trainer *t, const lh__cast *cast) {
    lh__cast_list *c = &t->cast;
    const lh__config *config = t->config;
    lh_status status = LH_OK;

    c->module = lh__instance_new(t, cast->module, LH__TABLE_MODULE, cast->module_choice);
    if (!c->module)
        return t->failure.code;
    if (cast->datamodule) {
        c->datamodule =
            lh__instance_new(t, cast->datamodule, LH__TABLE_DATAMODULE, cast->datamodule_choice);
        if (!c->datamodule)
            return t->failure.code;
    }
    for (int32_t k = 0; k < config->n_callbacks && status == LH_OK; k++)
        status = add(t, &config->callbacks[k], LH__TABLE_CALLBACK, &c->callbacks, &c->n_callbacks);
    for (int32_t k = 0; t->log_dir && k < config->n_loggers && status == LH_OK; k++)
        status = add(t, &config->loggers[k], LH__TABLE_LOGGER, &c->loggers, &c->n_loggers);
    return status == LH_OK ? add_defaults(t) : status;
}

lh_status lh__cast_add_callback(lh__trainer *t, const char *spec) {
    json_t *tree = lh__choice_parse(spec, &t->failure), *name;
    lh__choice choice = {0};
    lh_status status;

    if (!tree)
        return t->failure.code;
    name = json_incref(json_object_get(tree, "plugin"));
    json_object_del(tree, "plugin");
    choice.plugin = json_string_value(name);
    choice.hparams = tree;
    choice.where = spec;
    status = add(t, &choice, LH__TABLE_CALLBACK, &t->cast.callbacks, &t->cast.n_callbacks);
    json_decref(name);
    json_decref(tree);
    return status;
}

/* Where callback `i` comes in hook `h`: 0 before the module, 2 after it, 3 last. */
static int rank_of(const lh__instance *i, lh__hook h) {
    if (i->order == LH_ORDER_CHECKPOINT)
        return 3;
    return i->order == LH_ORDER_MONITOR && h == LH__HOOK_on_train_epoch_end ? 2 : 0;
}

/* Appends the callbacks of rank `rank`, or the module (rank 1), to hook h's list. */
static void append(lh__cast_list *c, lh__hook h, int rank, lh__call_slot **next) {
    int32_t n = rank == 1 ? 1 : c->n_callbacks;

    for (int32_t k = 0; k < n; k++) {
        lh__instance *i = rank == 1 ? c->module : c->callbacks[k];
        lh__hook_fn fn = lh__hook_of(i->hooks, i->table, h);

        if (fn && (rank == 1 || rank_of(i, h) == rank)) {
            **next = (lh__call_slot){i, fn};
            (*next)++;
            c->hooks[h].n++;
        }
    }
}

/* Two callbacks of one state key would load each other's state. */
static lh_status check_keys(lh__trainer *t) {
    const lh__cast_list *c = &t->cast;

    for (int32_t k = 0; k < c->n_callbacks; k++)
        for (int32_t j = 0; j < k; j++)
            if (strcmp(c->callbacks[k]->key, c->callbacks[j]->key) == 0 &&
                lh__hook_of(c->callbacks[k]->hooks, LH__TABLE_CALLBACK, LH__HOOK_state_dict))
                return lh__run_fail(t, LH_EINVAL,
                                    "callback %s is given twice with the same settings: their "
                                    "states could not be told apart in a checkpoint",
                                    c->callbacks[k]->key);
    return LH_OK;
}

lh_status lh__cast_seal(lh__trainer *t) {
    lh__cast_list *c = &t->cast;
    int32_t index = 0, others = 2 + c->n_callbacks + c->n_loggers;
    lh__call_slot *next;

    if (others > LH__MAX_CAST)
        return lh__run_fail(t, LH_EINVAL, "%d plugins in one run: %d is the most", (int)others,
                            (int)LH__MAX_CAST);
    free(c->slots);
    c->slots = next = calloc((size_t)LH__N_HOOKS * (size_t)(c->n_callbacks + 1), sizeof *c->slots);
    if (!c->slots)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    for (int h = 0; h < LH__HOOK_logger_setup; h++) {
        c->hooks[h] = (lh__call_list){next, 0};
        for (int rank = 0; rank < 4; rank++)
            append(c, (lh__hook)h, rank, &next);
    }
    for (int32_t k = 0; k < others; k++) {
        lh__instance *i = k == 0                   ? c->module
                          : k == 1                 ? c->datamodule
                          : k < 2 + c->n_callbacks ? c->callbacks[k - 2]
                                                   : c->loggers[k - 2 - c->n_callbacks];

        if (!i)
            continue;
        i->index = index;
        memcpy(t->crumb->names[index++], i->plugin->name, sizeof i->plugin->name);
    }
    return check_keys(t);
}

void lh__cast_free(lh__cast_list *c) {
    for (int32_t k = 0; k < c->n_callbacks; k++)
        lh__instance_free(c->callbacks[k]);
    for (int32_t k = 0; k < c->n_loggers; k++)
        lh__instance_free(c->loggers[k]);
    lh__instance_free(c->module);
    lh__instance_free(c->datamodule);
    free(c->callbacks);
    free(c->loggers);
    free(c->slots);
    memset(c, 0, sizeof *c);
}
