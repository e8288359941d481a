/* resume.c - finding a checkpoint, and putting its state back.
 *
 * Order, as users of Lightning know it: module.on_load_checkpoint, weights, the data module's
 * state, callbacks' on_load_checkpoint, callbacks' state; after on_fit_start the loops, optimizers
 * and schedules. Invariant: a checkpoint that does not fit the model changes nothing; the message
 * names every tensor that is missing, unexpected or of another shape.
 */
#include "checkpoint/json.h"
#include "checkpoint/safetensors.h"
#include "trainer/progress.h"
#include "trainer/run.h"
#include "trainer/weights.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The best of the files looked at so far. */
typedef struct found {
    char path[2048];
    struct timespec when;
} found;

/* Takes `path` if it was written later. */
static void consider(found *f, const char *path) {
    struct stat st;
    int later;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    later = st.st_mtim.tv_sec != f->when.tv_sec ? st.st_mtim.tv_sec > f->when.tv_sec
                                                : st.st_mtim.tv_nsec > f->when.tv_nsec;
    if (!*f->path || later) {
        snprintf(f->path, sizeof f->path, "%s", path);
        f->when = st.st_mtim;
    }
}

/* Looks through one run's checkpoints, sub-folders included (metric names may hold '/'). */
static void look_in(found *f, const char *dir, int depth) {
    DIR *d = depth < 4 ? opendir(dir) : NULL;
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        char path[2048];
        size_t n = strlen(entry->d_name);

        if (*entry->d_name == '.' ||
            snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
            continue;
        if (n > 12 && strcmp(entry->d_name + n - 12, ".safetensors") == 0)
            consider(f, path);
        else
            look_in(f, path, depth + 1);
    }
    if (d)
        closedir(d);
}

/* "last": the newest checkpoint of all runs below default_root_dir. */
static char *find_last(const lh__trainer *t) {
    char root[1024];
    found f = {0};
    struct dirent *entry;
    DIR *d;

    snprintf(root, sizeof root, "%s/lightning_logs", t->options->default_root_dir);
    d = opendir(root);
    while (d && (entry = readdir(d))) {
        char dir[2048];

        if (*entry->d_name == '.')
            continue;
        snprintf(dir, sizeof dir, "%s/%s/checkpoints", root, entry->d_name);
        look_in(&f, dir, 0);
    }
    if (d)
        closedir(d);
    return *f.path ? strdup(f.path) : NULL;
}

/* "best": what the newest run with a result.json calls its best. */
static char *find_best(const lh__trainer *t) {
    char root[1024], *best = NULL;
    long newest = -1;
    struct dirent *entry;
    DIR *d;

    if (t->previous && t->previous->best)
        return strdup(t->previous->best);
    snprintf(root, sizeof root, "%s/lightning_logs", t->options->default_root_dir);
    d = opendir(root);
    while (d && (entry = readdir(d))) {
        char path[2048], *end;
        long version =
            strncmp(entry->d_name, "version_", 8) == 0 ? strtol(entry->d_name + 8, &end, 10) : -1;
        json_t *result;
        const char *text;

        if (version <= newest)
            continue;
        snprintf(path, sizeof path, "%s/%s/result.json", root, entry->d_name);
        result = json_load_file(path, 0, NULL);
        text = json_string_value(json_object_get(result, "best_checkpoint"));
        if (text && access(text, R_OK) == 0) {
            free(best);
            best = strdup(text);
            newest = version;
        }
        json_decref(result);
    }
    if (d)
        closedir(d);
    return best;
}

lh_status lh__checkpoint_open(lh__trainer *t, const char *ckpt_path) {
    if (!ckpt_path || !*ckpt_path)
        return LH_OK;
    if (strcmp(ckpt_path, "best") == 0) {
        if (t->options->fast_dev_run)
            return lh__run_fail(t, LH_EINVAL, "ckpt_path best: fast_dev_run keeps no checkpoints");
        t->ckpt_path = find_best(t);
        if (!t->ckpt_path)
            return lh__run_fail(t, LH_ENOTFOUND,
                                "ckpt_path best: no run below %s/lightning_logs has a best "
                                "checkpoint: give a file",
                                t->options->default_root_dir);
    } else if (strcmp(ckpt_path, "last") == 0) {
        t->ckpt_path = find_last(t);
        if (!t->ckpt_path) {
            lh__say(t, LH_WARNING,
                    "ckpt_path last: no checkpoint below %s/lightning_logs; starting "
                    "from the beginning",
                    t->options->default_root_dir);
            return LH_OK;
        }
    } else {
        t->ckpt_path = strdup(ckpt_path);
    }
    if (lh__safetensors_read(t->ckpt_path, &t->loaded, &t->failure) != LH_OK)
        return lh__failed(t);
    lh__say(t, LH_INFO, "restoring %s", t->ckpt_path);
    return LH_OK;
}

static int same_shape(const lh__state_tensor *saved, const lh__view *v) {
    if (saved->dtype != v->dtype || saved->ndim != v->ndim)
        return 0;
    for (int32_t i = 0; i < v->ndim; i++)
        if (saved->shape[i] != v->shape[i])
            return 0;
    return 1;
}

/* Says everything that does not fit, before anything is written. */
static lh_status check_weights(lh__trainer *t, const lh__weights *w) {
    char text[700];
    int64_t n = lh__weights_misfits(t->engine, w, text, sizeof text);

    if (n == 0)
        return LH_OK;
    return lh__run_fail(t, LH_EINVAL,
                        "%s is a checkpoint of another model than %s with these hyper-parameters: "
                        "%s (%lld in all)",
                        t->ckpt_path, t->cast.module->plugin->name, text, (long long)n);
}

/* Gives one plugin its part of the metadata. */
static lh_status give(lh__trainer *t, lh__instance *who, lh__hook hook, const char *section) {
    json_t *mine =
        who ? json_object_get(json_object_get(t->loaded->meta, section), who->key) : NULL;
    lh_status status;

    if (!who || !lh__hook_of(who->hooks, who->table, hook) ||
        (!mine && hook == LH__HOOK_load_state_dict))
        return LH_OK;
    who->state = mine ? json_deep_copy(mine) : json_object();
    who->tensors = t->loaded;
    status = lh__call_one(t, who, hook);
    json_decref(who->state);
    who->state = NULL;
    who->tensors = NULL;
    return status < 0 ? status : LH_OK;
}

static void warn_of_lost_callbacks(lh__trainer *t) {
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(t->loaded->meta, "callbacks"), key, value) {
        int known = 0;

        for (int32_t k = 0; k < t->cast.n_callbacks; k++)
            known |= strcmp(t->cast.callbacks[k]->key, key) == 0;
        if (!known)
            lh__say(t, LH_WARNING,
                    "the checkpoint holds state of callback %s, which this run does "
                    "not have",
                    key);
    }
}

lh_status lh__restore_model(lh__trainer *t) {
    const lh__weights w = {t->loaded, "", "", .strict = 1, .same_dtypes = 1};
    lh__cast_list *c = &t->cast;
    lh_status status;

    if (!t->loaded)
        return LH_OK;
    if (check_weights(t, &w) != LH_OK)
        return lh__failed(t);
    status = give(t, c->module, LH__HOOK_on_load_checkpoint, "extra");
    if (status == LH_OK && lh__weights_write(t->engine, &w) < 0)
        status = lh__failed(t);
    if (status == LH_OK)
        status = give(t, c->datamodule, LH__HOOK_load_state_dict, "datamodule");
    for (int32_t k = 0; k < c->n_callbacks && status == LH_OK; k++)
        status = give(t, c->callbacks[k], LH__HOOK_on_load_checkpoint, "extra");
    for (int32_t k = 0; k < c->n_callbacks && status == LH_OK; k++)
        status = give(t, c->callbacks[k], LH__HOOK_load_state_dict, "callbacks");
    if (status == LH_OK && t->stage == LH_FIT)
        warn_of_lost_callbacks(t);
    return status;
}

struct visit {
    lh__trainer *t;
    int32_t optimizer;
};

/* A state that the file does not have was not made yet when it was written: it stays zero. */
static lh_status get_state(void *arg, const lh__param *p, const char *name, const lh__view *v) {
    struct visit *visit = arg;
    const lh__state_tensor *saved;
    char key[400];

    snprintf(key, sizeof key, "optimizer.%d.%s.%s", (int)visit->optimizer, p->name, name);
    saved = lh__state_find(visit->t->loaded, key);
    if (!saved)
        return LH_OK;
    if (!same_shape(saved, v))
        return lh__run_fail(visit->t, LH_EINVAL, "%s: %s has another shape or dtype than %s",
                            visit->t->ckpt_path, key, p->name);
    memcpy(v->data, saved->data, saved->size);
    return LH_OK;
}

static lh_status restore_optimizers(lh__trainer *t) {
    json_t *list = json_object_get(t->loaded->meta, "optimizer_states");
    int32_t n = lh__optimizer_count(t->engine);

    if ((int32_t)json_array_size(list) != n)
        return lh__run_fail(t, LH_EINVAL, "%s holds the state of %d optimizers, the module has %d",
                            t->ckpt_path, (int)json_array_size(list), (int)n);
    for (int32_t i = 0; i < n; i++) {
        lh_optimizer *opt = lh__optimizer_at(t->engine, i);
        json_t *saved = json_array_get(list, (size_t)i), *groups = json_object_get(saved, "groups");
        const char *name = json_string_value(json_object_get(saved, "name"));
        struct visit visit = {t, i};

        if (!name || strcmp(name, lh__optimizer_name(opt)) != 0 ||
            (int32_t)json_array_size(groups) != lh__group_count(opt))
            return lh__run_fail(
                t, LH_EINVAL, "%s: optimizer %d was %s with %d groups, now it is %s with %d",
                t->ckpt_path, (int)i, name ? name : "?", (int)json_array_size(groups),
                lh__optimizer_name(opt), (int)lh__group_count(opt));
        for (int32_t g = 0; g < lh__group_count(opt); g++)
            for (const char *const *key = lh__group_keys; *key; key++) {
                double value;

                if (lh__json_get_real(json_array_get(groups, (size_t)g), *key, &value,
                                      &t->failure) != LH_OK)
                    return lh__failed(t);
                if (value == value && lh__group_set(opt, g, *key, value) != LH_OK)
                    return lh__failed(t);
            }
        if (lh__optimizer_visit(opt, 1, get_state, &visit) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

static lh_status restore_schedulers(lh__trainer *t) {
    json_t *list = json_object_get(t->loaded->meta, "lr_schedulers");
    int32_t n = lh__scheduler_count(t->engine);

    if ((int32_t)json_array_size(list) != n)
        return lh__run_fail(t, LH_EINVAL, "%s holds %d learning-rate schedules, the module has %d",
                            t->ckpt_path, (int)json_array_size(list), (int)n);
    for (int32_t i = 0; i < n; i++) {
        const json_t *saved = json_array_get(list, (size_t)i);
        lh__number numbers[8];
        int32_t count = lh__scheduler_state(lh__scheduler_at(t->engine, i), numbers);

        for (int32_t k = 0; k < count; k++) {
            lh_status status =
                numbers[k].real
                    ? lh__json_get_real(saved, numbers[k].name, numbers[k].real, &t->failure)
                    : lh__json_get_int(saved, numbers[k].name, numbers[k].integer, &t->failure);

            if (status != LH_OK)
                return lh__failed(t);
        }
    }
    return LH_OK;
}

static void restore_gradients(lh__trainer *t) {
    for (int64_t i = 0; i < lh__param_count(t->engine); i++) {
        lh__param *p = lh__param_at(t->engine, i);
        const lh__state_tensor *saved;
        char name[300];

        snprintf(name, sizeof name, "gradient.%s", p->name);
        saved = lh__state_find(t->loaded, name);
        if (p->is_buffer || !saved || !same_shape(saved, &p->grad))
            continue;
        memcpy(p->grad.data, saved->data, saved->size);
        p->has_grad = 1;
    }
}

/* Resuming with other options would be another run; the ones that change the numbers are checked.
 */
static lh_status check_options(lh__trainer *t) {
    const json_t *meta = t->loaded->meta;
    int64_t seed = 0, accumulate = 1;

    if (t->loaded->foreign || json_is_true(json_object_get(meta, "weights_only")))
        return lh__run_fail(t, LH_EINVAL,
                            "%s holds weights only: training cannot be resumed from it; it can be "
                            "used with validate, test and predict",
                            t->ckpt_path);
    if (lh__json_get_int(meta, "seed", &seed, &t->failure) != LH_OK ||
        lh__json_get_int(meta, "accumulate_grad_batches", &accumulate, &t->failure) != LH_OK)
        return lh__failed(t);
    if (seed != (int64_t)t->config->seed)
        lh__say(t, LH_WARNING,
                "the checkpoint was made with seed %llu, this run has %llu: it will "
                "not be the same run",
                (unsigned long long)seed, (unsigned long long)t->config->seed);
    if (accumulate != t->options->accumulate_grad_batches)
        lh__say(t, LH_WARNING, "the checkpoint was made with accumulate_grad_batches %lld",
                (long long)accumulate);
    return LH_OK;
}

lh_status lh__restore_training(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    if (!t->loaded)
        return LH_OK;
    if (check_options(t) != LH_OK ||
        lh__progress_load(p, json_object_get(t->loaded->meta, "loops"), &t->failure) != LH_OK ||
        lh__meters_load(&t->meters, t->loaded, &t->failure) != LH_OK ||
        lh__metrics_load(t->metrics, json_object_get(t->loaded->meta, "metrics"), &t->meters,
                         &t->failure) != LH_OK ||
        lh__outputs_load(t->epoch_outputs, t->loaded, &t->failure) != LH_OK ||
        restore_optimizers(t) != LH_OK || restore_schedulers(t) != LH_OK ||
        lh__scaler_load(t, t->loaded->meta) != LH_OK) {
        lh__error_prefix(&t->failure, "%s", t->ckpt_path);
        return lh__failed(t);
    }
    restore_gradients(t);
    if (t->options->max_epochs >= 0 && p->epoch.current.completed > t->options->max_epochs)
        return lh__run_fail(
            t, LH_EINVAL, "%s is from epoch %lld, beyond max_epochs %lld: raise it to go on",
            t->ckpt_path, (long long)p->epoch.current.completed, (long long)t->options->max_epochs);
    t->is_resumed = 1;
    lh__state_free(t->loaded);
    t->loaded = NULL;
    return LH_OK;
}

lh_status lh__restore_counters(lh__trainer *t) {
    json_t *loops = t->loaded ? json_object_get(t->loaded->meta, "loops") : NULL;

    if (!loops)
        return LH_OK;
    return lh__progress_load(&t->progress, loops, &t->failure);
}
