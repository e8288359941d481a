/* rundir.c - the run's folder, and how the run ended, in it.
 *
 * Invariant: a version number belongs to one run: mkdir decides, so two runs started at once under
 * one root get folders of their own. result.json is replaced atomically.
 */
#include "checkpoint/file.h"
#include "checkpoint/json.h"
#include "trainer/run.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Makes the folder and those above it. */
static int make_path(const char *path) {
    char part[2048];
    size_t n = strlen(path);

    if (n >= sizeof part)
        return -1;
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

/* One more than the highest version there is. */
static int next_version(const char *root) {
    struct dirent *entry;
    int next = 0;
    DIR *d = opendir(root);

    while (d && (entry = readdir(d))) {
        int version;
        char rest;

        if (sscanf(entry->d_name, "version_%d%c", &version, &rest) == 1 && version >= next)
            next = version + 1;
    }
    if (d)
        closedir(d);
    return next;
}

static lh_status cannot_make(lh__trainer *t, const char *path) {
    return lh__run_fail(t, LH_EIO, "cannot make the folder %s: %s; give another --default_root_dir",
                        path, strerror(errno));
}

/* config.yaml: enough to repeat the run. */
static lh_status write_config(lh__trainer *t) {
    char *text = lh__config_dump(t->config), path[2048];
    lh_status status;

    if (!text)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    snprintf(path, sizeof path, "%s/config.yaml", t->log_dir);
    status = lh__file_put(path, text, strlen(text), &t->failure);
    free(text);
    return status;
}

lh_status lh__rundir_make(lh__trainer *t) {
    char root[960], path[1024], plugins[1040];
    char *absolute;

    int has_results = t->stage == LH_FIT || t->stage == LH_PREDICT;

    if (t->exports || t->options->fast_dev_run || (t->config->n_loggers == 0 && !has_results))
        return LH_OK;
    snprintf(root, sizeof root, "%s/lightning_logs", t->options->default_root_dir);
    if (make_path(root) != 0)
        return cannot_make(t, root);
    absolute = realpath(root, NULL);
    if (!absolute)
        return cannot_make(t, root);
    for (int version = next_version(root);; version++) {
        snprintf(path, sizeof path, "%s/version_%d", absolute, version);
        if (mkdir(path, 0777) == 0)
            break;
        if (errno != EEXIST) {
            free(absolute);
            return cannot_make(t, path);
        }
    }
    free(absolute);
    t->log_dir = strdup(path);
    if (!t->log_dir)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    snprintf(plugins, sizeof plugins, "%s/plugins", path);
    if (make_path(plugins) != 0)
        return cannot_make(t, plugins);
    snprintf(t->crumb->log_dir, sizeof t->crumb->log_dir, "%s", path);
    return write_config(t);
}

static json_t *plugin_json(const lh__instance *i) {
    return json_pack("{s:s, s:s, s:s}", "name", i->plugin->name, "version", i->plugin->version,
                     "sha256", i->plugin->sha256);
}

static json_t *plugins_json(const lh__trainer *t) {
    const lh__cast_list *c = &t->cast;
    json_t *list = json_array();

    if (c->module)
        json_array_append_new(list, plugin_json(c->module));
    if (c->datamodule)
        json_array_append_new(list, plugin_json(c->datamodule));
    for (int32_t k = 0; k < c->n_callbacks; k++)
        json_array_append_new(list, plugin_json(c->callbacks[k]));
    for (int32_t k = 0; k < c->n_loggers; k++)
        json_array_append_new(list, plugin_json(c->loggers[k]));
    return list;
}

static int64_t parameters(const lh__trainer *t) {
    int64_t n = 0;

    for (int64_t i = 0; t->engine && i < lh__param_count(t->engine); i++) {
        const lh__param *p = lh__param_at(t->engine, i);

        n += p->is_buffer ? 0 : lh__view_numel(&p->tensor.view);
    }
    return n;
}

json_t *lh__result_json(const lh__trainer *t, const char *status) {
    static const char *const stages[] = {"fit", "validate", "test", "predict"};
    json_t *seconds = json_object();
    json_t *r = json_pack(
        "{s:s, s:s, s:I, s:I, s:o, s:s?, s:s?, s:s?, s:s?, s:o, s:o, s:s?}", "status", status,
        "stage", stages[t->stage], "epoch", (json_int_t)lh__current_epoch(t), "global_step",
        (json_int_t)lh__global_step(t), "metrics", lh__metrics_json(t->metrics), "best_checkpoint",
        t->best_path, "last_checkpoint", *t->crumb->last ? t->crumb->last : NULL, "log_dir",
        t->log_dir, "predictions", t->predictions, "plugins", plugins_json(t), "seconds", seconds,
        "error", t->failure.code ? t->failure.text : NULL);

    json_object_set_new(r, "parameters", json_integer((json_int_t)parameters(t)));
    if (t->best_path && !isnan(t->best_score))
        lh__json_put_real(r, "best_score", t->best_score);
    lh__json_put_real(seconds, "total", lh__now() - t->start_time);
    if (t->first_step_seconds > 0)
        lh__json_put_real(seconds, "first_step", t->first_step_seconds - t->data_seconds);
    if (t->data_seconds > 0)
        lh__json_put_real(seconds, "data_ready", t->data_seconds);
    return r;
}

/* Keeps the plugin that runs: callbacks and loggers are loaded from copies here already. */
static lh_status keep_plugin(lh__trainer *t, const lh__instance *i) {
    const char *base = i ? strrchr(i->plugin->copy, '/') : NULL;
    char path[2048];

    if (!base)
        return LH_OK;
    snprintf(path, sizeof path, "%s/plugins%s", t->log_dir, base);
    return lh__file_put(path, i->plugin->image, i->plugin->image_size, &t->failure);
}

lh_status lh__rundir_begin(lh__trainer *t) {
    json_t *result;

    if (!t->log_dir)
        return LH_OK;
    if (keep_plugin(t, t->cast.module) != LH_OK || keep_plugin(t, t->cast.datamodule) != LH_OK)
        return lh__failed(t);
    result = lh__result_json(t, "running");
    lh__result_write(t, result);
    json_decref(result);
    return LH_OK;
}

void lh__result_write(const lh__trainer *t, json_t *result) {
    char path[2048], *text;
    lh__error ignored = {0};

    if (!t->log_dir)
        return;
    snprintf(path, sizeof path, "%s/result.json", t->log_dir);
    text = json_dumps(result, JSON_INDENT(2));
    if (text && lh__file_put(path, text, strlen(text), &ignored) != LH_OK)
        lh__say(t, LH_WARNING, "%s", ignored.text);
    free(text);
}
