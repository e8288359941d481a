/* checkpoint.c - taking a checkpoint: everything that decides what the next step computes.
 *
 * Tensors: parameters and buffers under their names; "optimizer.I.NAME.STATE"; inside a window of
 * accumulation "gradient.NAME"; what *_epoch_end is to get, "outputs"; meters under
 * "state.meter.KEY.PART"; what plugins put, under "state.KEY.NAME". All else is in the
 * metadata, with Lightning's names where it has them. The state is taken on the training thread and
 * written behind it.
 */
#include "checkpoint/json.h"
#include "trainer/progress.h"
#include "trainer/run.h"

#include <stdlib.h>
#include <string.h>

static lh_status put_view(lh__trainer *t, lh__state *s, const char *name, const lh__view *v) {
    return lh__state_put(s, name, v->dtype, v->ndim, v->shape, v->data, &t->failure);
}

static lh_status put_weights(lh__trainer *t, lh__state *s) {
    lh_status status = LH_OK;

    for (int64_t i = 0; i < lh__param_count(t->engine) && status == LH_OK; i++) {
        const lh__param *p = lh__param_at(t->engine, i);

        status = put_view(t, s, p->name, &p->tensor.view);
    }
    return status;
}

/* Gradients matter between the batches of one window, and to a module that optimizes by itself. */
static int needs_gradients(const lh__trainer *t) {
    int64_t done = t->progress.batch.current.processed;

    return ((const lh_module *)t->cast.module->hooks)->manual_optimization ||
           (done % t->options->accumulate_grad_batches != 0 &&
            done < t->sources[LH_TRAIN_LOADERS].batches);
}

static lh_status put_gradients(lh__trainer *t, lh__state *s) {
    lh_status status = LH_OK;

    if (!needs_gradients(t))
        return LH_OK;
    for (int64_t i = 0; i < lh__param_count(t->engine) && status == LH_OK; i++) {
        const lh__param *p = lh__param_at(t->engine, i);
        char name[300];

        if (p->is_buffer || !p->has_grad)
            continue;
        snprintf(name, sizeof name, "gradient.%s", p->name);
        status = put_view(t, s, name, &p->grad);
    }
    return status;
}

struct visit {
    lh__trainer *t;
    lh__state *state;
    int32_t optimizer;
};

static lh_status put_state(void *arg, const lh__param *p, const char *name, const lh__view *v) {
    struct visit *visit = arg;
    char key[400];

    snprintf(key, sizeof key, "optimizer.%d.%s.%s", (int)visit->optimizer, p->name, name);
    return put_view(visit->t, visit->state, key, v);
}

/* [{"name": "Adam", "groups": [{"lr": ..., ...}]}] */
static lh_status put_optimizers(lh__trainer *t, lh__state *s) {
    json_t *list = json_array();

    for (int32_t i = 0; i < lh__optimizer_count(t->engine); i++) {
        lh_optimizer *opt = lh__optimizer_at(t->engine, i);
        struct visit visit = {t, s, i};
        json_t *groups = json_array();

        for (int32_t g = 0; g < lh__group_count(opt); g++) {
            json_t *group = json_object();

            for (const char *const *key = lh__group_keys; *key; key++)
                lh__json_put_real(group, *key, lh__group_get(opt, g, *key));
            json_array_append_new(groups, group);
        }
        json_array_append_new(
            list, json_pack("{s:s, s:o}", "name", lh__optimizer_name(opt), "groups", groups));
        if (lh__optimizer_visit(opt, 0, put_state, &visit) != LH_OK) {
            json_decref(list);
            return lh__failed(t);
        }
    }
    json_object_set_new(s->meta, "optimizer_states", list);
    return LH_OK;
}

static void put_schedulers(lh__trainer *t, lh__state *s) {
    json_t *list = json_array();

    for (int32_t i = 0; i < lh__scheduler_count(t->engine); i++) {
        lh__number numbers[8];
        int32_t n = lh__scheduler_state(lh__scheduler_at(t->engine, i), numbers);
        json_t *one = json_object();

        for (int32_t k = 0; k < n; k++) {
            if (numbers[k].real)
                lh__json_put_real(one, numbers[k].name, *numbers[k].real);
            else
                lh__json_put_int(one, numbers[k].name, *numbers[k].integer);
        }
        json_array_append_new(list, one);
    }
    json_object_set_new(s->meta, "lr_schedulers", list);
}

/* Lets one plugin put its state; keeps it under `section` if there is any. */
static lh_status ask(lh__trainer *t, lh__state *s, lh__instance *who, lh__hook hook,
                     const char *section) {
    json_t *all = json_object_get(s->meta, section), *mine;
    lh_status status;

    if (!who || !lh__hook_of(who->hooks, who->table, hook))
        return LH_OK;
    mine = json_object_get(all, who->key);
    who->state = mine ? json_incref(mine) : json_object();
    who->tensors = s;
    status = lh__call_one(t, who, hook);
    if (status >= 0 && !mine && json_object_size(who->state) > 0)
        json_object_set(all, who->key, who->state);
    json_decref(who->state);
    who->state = NULL;
    who->tensors = NULL;
    return status < 0 ? status : LH_OK;
}

/* What plugins have to say, in Lightning's order. */
static lh_status put_plugins(lh__trainer *t, lh__state *s, int32_t weights_only) {
    lh__cast_list *c = &t->cast;
    lh_status status = LH_OK;

    json_object_set_new(s->meta, "callbacks", json_object());
    json_object_set_new(s->meta, "datamodule", json_object());
    json_object_set_new(s->meta, "extra", json_object());
    for (int32_t k = 0; k < c->n_callbacks && !weights_only && status == LH_OK; k++)
        status = ask(t, s, c->callbacks[k], LH__HOOK_state_dict, "callbacks");
    if (status == LH_OK)
        status = ask(t, s, c->datamodule, LH__HOOK_state_dict, "datamodule");
    for (int32_t k = 0; k < c->n_callbacks && !weights_only && status == LH_OK; k++)
        status = ask(t, s, c->callbacks[k], LH__HOOK_on_save_checkpoint, "extra");
    return status == LH_OK ? ask(t, s, c->module, LH__HOOK_on_save_checkpoint, "extra") : status;
}

static json_t *plugin_json(const lh__instance *i) {
    return json_pack("{s:s, s:s, s:s, s:O}", "name", i->plugin->name, "version", i->plugin->version,
                     "sha256", i->plugin->sha256, "hyper_parameters", i->hparams);
}

static lh_status put_meta(lh__trainer *t, lh__state *s, int32_t weights_only) {
    json_t *meta = s->meta;

    json_object_set_new(meta, "lhost_version", json_string(LH__VERSION));
    lh__json_put_int(meta, "epoch", lh__current_epoch(t));
    lh__json_put_int(meta, "global_step", lh__global_step(t));
    lh__json_put_int(meta, "seed", (int64_t)t->config->seed);
    json_object_set_new(meta, "precision", json_string(t->options->precision));
    json_object_set_new(meta, "module", plugin_json(t->cast.module));
    if (t->cast.datamodule)
        json_object_set_new(meta, "data", plugin_json(t->cast.datamodule));
    json_object_set_new(meta, "loops", lh__progress_save(&t->progress));
    json_object_set_new(meta, "weights_only", json_boolean(weights_only));
    if (weights_only)
        return LH_OK;
    lh__json_put_int(meta, "accumulate_grad_batches", t->options->accumulate_grad_batches);
    lh__scaler_save(&t->scaler, meta);
    json_object_set_new(meta, "metrics", lh__metrics_save(t->metrics));
    put_schedulers(t, s);
    return LH_OK;
}

char *lh__checkpoint_path(const lh__trainer *t, const char *path) {
    char full[2048];

    if (*path == '/' || !t->log_dir)
        return strdup(path);
    snprintf(full, sizeof full, "%s/checkpoints/%s", t->log_dir, path);
    return strdup(full);
}

static lh_status save(lh__trainer *t, const char *path, int32_t weights_only) {
    lh__state *s = lh__state_new();
    char *full = lh__checkpoint_path(t, path);
    lh_status status = LH_ENOMEM;

    if (!s || !full) {
        lh__run_fail(t, LH_ENOMEM, "out of memory for a checkpoint");
        goto done;
    }
    status = lh__settle(t->engine);
    if (status == LH_OK)
        status = lh__writer_error(t->writer, &t->failure);
    if (status == LH_OK)
        status = put_weights(t, s);
    if (status == LH_OK && !weights_only)
        status = put_gradients(t, s);
    if (status == LH_OK && !weights_only)
        status = put_optimizers(t, s);
    if (status == LH_OK && !weights_only)
        status = lh__outputs_save(t->epoch_outputs, s, &t->failure);
    if (status == LH_OK && !weights_only) /* a validation under way will begin anew */
        status =
            lh__meters_save(&t->meters, s, t->progress.val_batch.current.ready > 0, &t->failure);
    if (status == LH_OK)
        status = put_meta(t, s, weights_only);
    if (status == LH_OK)
        status = put_plugins(t, s, weights_only);
    if (status == LH_OK)
        status = lh__writer_save(t->writer, s, full, &t->failure);
done:
    free(full);
    lh__state_free(s);
    return status;
}

lh_status lh__checkpoint_save(lh__trainer *t, const char *path, int32_t weights_only) {
    lh_status status;

    lh__phase_begin(t->lane, "checkpoint snapshot");
    status = save(t, path, weights_only);
    lh__phase_end(t->lane);
    return status;
}
