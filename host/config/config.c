/* config.c - the sources of the configuration, in their order, and the views of the result. */
#include "config/config.h"

#include "config/nearest.h"
#include "config/settings.h"
#include "config/yaml.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ---- */

static lh_status load_file(lh__settings *s, const char *path) {
    json_t *origins = json_object(), *tree = lh__settings_read(path, origins, s->e), *value;
    const lh__source from = {path, origins};
    lh_status status = LH_OK;
    const char *key;

    if (!tree)
        status = s->e && s->e->code ? s->e->code : LH_EINVAL;
    else if (!json_is_object(tree) && !json_is_null(tree))
        status = lh__fail(s->e, LH_EINVAL, "%s: expected a mapping of settings", path);
    json_object_foreach(tree, key, value) {
        status = strchr(key, '.') ? lh__fail(s->e, LH_EINVAL,
                                             "%s: '%.80s': nest the settings instead of "
                                             "writing a point",
                                             path, key)
                                  : lh__settings_put(s, key, value, &from);
        if (status != LH_OK)
            break;
    }
    s->chose_models = s->chose_loggers = 0;
    json_decref(tree);
    json_decref(origins);
    return status;
}

/* ---- environment ---- */

/* LHOST_TRAINER__MAX_EPOCHS -> trainer.max_epochs. 0: too long to be one of ours. */
static int variable_path(const char *name, size_t n, char *path, size_t size) {
    size_t length = 0;

    if (n >= size)
        return 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '_' && i + 1 < n && name[i + 1] == '_') {
            path[length++] = '.';
            i++;
        } else {
            path[length++] = (char)tolower((unsigned char)name[i]);
        }
    }
    path[length] = '\0';
    return 1;
}

/* Variables without "__" are shared with other parts of the host (LHOST_DATA_DIR): one that is no
 * setting is refused only if it looks like a misspelt one. */
static lh_status check_variable(lh__settings *s, const char *path, const char *origin, int *ours) {
    static const char *const plain[] = {"model", "data", "callbacks", "loggers"};
    lh__nearest n = lh__nearest_start(path);
    char hint[128];

    *ours = strchr(path, '.') != NULL || lh__setting_find(path) != NULL;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        *ours = *ours || strcmp(path, plain[i]) == 0;
    if (*ours)
        return LH_OK;
    for (int32_t i = 0; i < lh__n_setting_rows; i++)
        lh__nearest_try(&n, lh__setting_rows[i].name);
    if (n.best && n.distance <= 2 && strlen(path) > 5)
        return lh__fail(s->e, LH_EINVAL, "%s sets nothing%s", origin,
                        lh__nearest_text(&n, hint, sizeof hint));
    return LH_OK;
}

static lh_status load_variable(lh__settings *s, const char *variable) {
    const char *equals = strchr(variable, '=');
    char path[256], origin[300];
    int ours = 0;
    lh_status status;

    if (strncmp(variable, "LHOST_", 6) != 0 || !equals)
        return LH_OK;
    if (strncmp(variable, "LHOST_CONFIG=", 13) == 0)
        return load_file(s, equals + 1);
    if (!variable_path(variable + 6, (size_t)(equals - variable) - 6, path, sizeof path))
        return LH_OK;
    snprintf(origin, sizeof origin, "environment variable %.*s", (int)(equals - variable),
             variable);
    status = check_variable(s, path, origin, &ours);
    if (status != LH_OK || !ours)
        return status;
    return lh__settings_put_text(s, path, equals + 1, origin);
}

/* ---- command line ---- */

typedef struct arguments {
    int argc, next;
    char *const *argv;
} arguments;

/* Options of one call that are no settings. */
static int32_t *switch_of(lh__config *c, const char *name) {
    if (strcmp(name, "json") == 0)
        return &c->json;
    if (strcmp(name, "print_config") == 0)
        return &c->print_config;
    if (strcmp(name, "help") == 0)
        return &c->help;
    return NULL;
}

/* The value of an option: behind '=', or the next argument, or "true" for a bare flag. NULL: it is
 * missing. */
static const char *value_of(arguments *a, const char *equals, const lh__option_row *row) {
    int flag = row && (row->type == LH__OPTION_FLAG || row->type == LH__OPTION_COUNT);
    const char *next = a->next < a->argc ? a->argv[a->next] : NULL;

    if (equals)
        return equals + 1;
    if (!next || strncmp(next, "--", 2) == 0)
        return flag ? "true" : NULL;
    a->next++;
    return next;
}

/* The name between "--" and '=' with '-' turned to '_'. 0: too long. */
static int option_name(const char *argument, const char *equals, char *name, size_t size) {
    size_t n = equals ? (size_t)(equals - argument) : strlen(argument);

    if (n >= size)
        return 0;
    for (size_t i = 0; i < n; i++)
        name[i] = argument[i] == '-' ? '_' : argument[i];
    name[n] = '\0';
    return 1;
}

static const lh__option_row *row_of(const char *path) {
    return strncmp(path, "trainer.", 8) == 0 ? lh__option_find(path + 8) : lh__setting_find(path);
}

static lh_status load_option(lh__settings *s, arguments *a) {
    static const struct {
        const char *option, *list;
    } adders[] = {{"model", "model"}, {"callback", "callbacks"}, {"logger", "loggers"}};
    const char *argument = a->argv[a->next++] + 2, *equals = strchr(argument, '=');
    const char *path, *value;
    char name[256], buf[300];
    int32_t *flag;

    if (!option_name(argument, equals, name, sizeof name))
        return lh__fail(s->e, LH_EINVAL, "'--%.40s...' is too long for an option", argument);
    flag = switch_of(s->c, name);
    if (flag && equals)
        return lh__fail(s->e, LH_EINVAL, "--%s takes no value", name);
    if (flag) {
        *flag = 1;
        return LH_OK;
    }
    if (strcmp(name, "config") == 0) {
        value = value_of(a, equals, NULL);
        return value ? load_file(s, value)
                     : lh__fail(s->e, LH_EINVAL, "--config needs a file behind it");
    }
    for (size_t i = 0; i < sizeof adders / sizeof *adders; i++) {
        if (strcmp(name, adders[i].option) != 0)
            continue;
        value = value_of(a, equals, NULL);
        return value ? lh__settings_add(s, adders[i].list, value)
                     : lh__fail(s->e, LH_EINVAL, "--%s needs a plugin behind it", name);
    }
    path = strcmp(name, "data") == 0 ? "data.plugin"
                                     : lh__settings_full_name(s, name, buf, sizeof buf);
    if (!path)
        return LH_EINVAL;
    value = value_of(a, equals, row_of(path));
    if (!value)
        return lh__fail(s->e, LH_EINVAL, "--%s needs a value behind it", name);
    return lh__settings_put_text(s, path, value, "command line");
}

static lh_status load_arguments(lh__settings *s, int argc, char *const *argv) {
    arguments a = {argc, 0, argv};
    lh_status status = LH_OK;

    while (status == LH_OK && a.next < argc) {
        const char *word = argv[a.next];
        if (strcmp(word, "-c") == 0 && a.next + 1 < argc) {
            status = load_file(s, argv[a.next + 1]);
            a.next += 2;
        } else if (strncmp(word, "--", 2) == 0 && word[2] != '\0') {
            status = load_option(s, &a);
        } else {
            status = lh__fail(s->e, LH_EINVAL,
                              "'%.80s' stands alone: options begin with '--', a model is given "
                              "by --model",
                              word);
        }
    }
    return status;
}

/* ---- views ---- */

/* A choice whose hyper-parameters are those of `map` without the keys of the host. */
static lh_status view(lh__config *c, lh__choice *choice, const char *plugin, const json_t *map,
                      const char *where, lh__error *e) {
    json_t *hparams = json_object(), *text = json_string(where), *value;
    char path[128];
    const char *key;
    int ok = hparams && text;

    json_object_foreach((json_t *)map, key, value) {
        snprintf(path, sizeof path, "%s.%s", where, key);
        if (strcmp(key, "plugin") != 0 && !lh__setting_find(path))
            ok = ok && json_object_set(hparams, key, value) == 0;
    }
    *choice = (lh__choice){plugin, hparams, json_string_value(text)};
    if (json_array_append_new(c->views, hparams) != 0 || json_array_append_new(c->views, text) != 0)
        ok = 0;
    return ok ? LH_OK : lh__fail(e, LH_ENOMEM, "out of memory reading the configuration");
}

static lh_status view_models(lh__config *c, lh__error *e) {
    const json_t *model = json_object_get(c->tree, "model");
    const json_t *plugin = json_object_get(model, "plugin");
    size_t n = json_is_array(plugin) ? json_array_size(plugin) : (size_t)json_is_string(plugin);
    lh_status status = LH_OK;

    c->models = calloc(n + 1, sizeof *c->models);
    if (!c->models)
        return lh__fail(e, LH_ENOMEM, "out of memory reading the configuration");
    for (size_t i = 0; i < n && status == LH_OK; i++) {
        const json_t *one = json_is_array(plugin) ? json_array_get(plugin, i) : plugin;
        status = view(c, &c->models[i], json_string_value(one), model, "model", e);
        c->n_models++;
    }
    return status;
}

static lh_status view_list(lh__config *c, const char *list, const json_t *entries,
                           lh__choice **choices, int32_t *n, lh__error *e) {
    lh_status status = LH_OK;
    char where[64];
    json_t *entry;
    size_t i;

    *n = 0;
    *choices = calloc(json_array_size(entries) + 1, sizeof **choices);
    if (!*choices)
        return lh__fail(e, LH_ENOMEM, "out of memory reading the configuration");
    json_array_foreach(entries, i, entry) {
        snprintf(where, sizeof where, "%s.%zu", list, i);
        status = view(c, &(*choices)[i], json_string_value(json_object_get(entry, "plugin")), entry,
                      where, e);
        ++*n;
        if (status != LH_OK)
            break;
    }
    return status;
}

static lh_status view_loggers(lh__config *c, lh__error *e) {
    json_t *entries = json_object_get(c->tree, "loggers"), *defaults = NULL;
    lh_status status;

    if (!c->trainer.logger) {
        entries = NULL;
    } else if (!json_is_array(entries)) {
        entries = defaults = json_pack("[{s:s},{s:s}]", "plugin", "csv", "plugin", "tensorboard");
        if (!defaults || json_array_append(c->views, defaults) != 0)
            return lh__fail(e, LH_ENOMEM, "out of memory reading the configuration");
    }
    status = view_list(c, "loggers", entries, &c->loggers, &c->n_loggers, e);
    json_decref(defaults);
    return status;
}

lh_status lh__config_no_data_module(const lh__config *c, lh__error *e) {
    const char *key;
    json_t *value;

    json_object_foreach(c->data.hparams, key, value) {
        lh__nearest n = lh__nearest_start(key);
        char hint[128], path[128];
        snprintf(path, sizeof path, "data.%.100s", key);
        for (int32_t i = 0; i < lh__n_setting_rows; i++)
            if (strncmp(lh__setting_rows[i].name, "data.", 5) == 0)
                lh__nearest_try(&n, lh__setting_rows[i].name + 5);
        return lh__fail(e, LH_EINVAL, "%s: no data module was given that has this (%s)%s", path,
                        lh__config_origin(c, path), lh__nearest_text(&n, hint, sizeof hint));
    }
    return LH_OK;
}

static lh_status check_together(const lh__config *c, lh__error *e) {
    if (c->trainer.fast_dev_run && c->ckpt_path && strcmp(c->ckpt_path, "best") == 0)
        return lh__fail(e, LH_EINVAL,
                        "ckpt_path best: fast_dev_run saves no checkpoint that could be the best; "
                        "name a file");
    if (c->weights && c->ckpt_path)
        return lh__fail(e, LH_EINVAL,
                        "weights and ckpt_path are both where to start from: give one of them");
    for (int32_t i = 0; i < c->n_callbacks && !c->trainer.enable_checkpointing; i++)
        if (strcmp(c->callbacks[i].plugin, "model-checkpoint") == 0)
            return lh__fail(e, LH_EINVAL,
                            "callback model-checkpoint contradicts trainer.enable_checkpointing: "
                            "false; remove one of the two");
    return LH_OK;
}

static lh_status build_views(lh__config *c, lh__error *e) {
    const json_t *data = json_object_get(c->tree, "data");
    lh_status status =
        view(c, &c->data, json_string_value(json_object_get(data, "plugin")), data, "data", e);

    if (status == LH_OK)
        status = view_models(c, e);
    if (status == LH_OK)
        status = view_list(c, "callbacks", json_object_get(c->tree, "callbacks"), &c->callbacks,
                           &c->n_callbacks, e);
    if (status == LH_OK)
        status = view_loggers(c, e);
    return status;
}

/* ---- all of it ---- */

lh_status lh__config_load(lh__config *c, int argc, char *const *argv, char *const *env,
                          const lh__observer *obs, lh__error *e) {
    lh__settings s = {.c = c, .obs = obs, .e = e};
    lh_status status;

    memset(c, 0, sizeof *c);
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            c->help = 1;
            return LH_OK;
        }
    status = lh__settings_init(&s);
    for (; env && *env && status == LH_OK; env++)
        status = load_variable(&s, *env);
    if (status == LH_OK)
        status = load_arguments(&s, argc, argv);
    if (status == LH_OK)
        status = lh__options_finish(&c->trainer, obs, e);
    if (status == LH_OK)
        status = build_views(c, e);
    if (status == LH_OK)
        status = check_together(c, e);
    if (status != LH_OK)
        lh__config_free(c);
    return status;
}

void lh__config_free(lh__config *c) {
    lh__options_free(&c->trainer);
    free(c->ckpt_path);
    free(c->weights);
    free(c->data_root);
    free(c->models);
    free(c->callbacks);
    free(c->loggers);
    json_decref(c->views);
    json_decref(c->origins);
    json_decref(c->tree);
    memset(c, 0, sizeof *c);
}

const char *lh__config_origin(const lh__config *c, const char *path) {
    const char *where = json_string_value(json_object_get(c->origins, path));
    char parent[128];
    char *dot;

    if (where)
        return where;
    snprintf(parent, sizeof parent, "%s", path); /* "callbacks.0.monitor": noted as a whole */
    while ((dot = strrchr(parent, '.'))) {
        *dot = '\0';
        where = json_string_value(json_object_get(c->origins, parent));
        if (where)
            return where;
    }
    return "default";
}

char *lh__config_dump(const lh__config *c) {
    return lh__yaml_dump(c->tree);
}
