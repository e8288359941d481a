/* settings.c - the places of the tree and what may be put there (contract: settings.h). */
#include "config/settings.h"

#include "config/nearest.h"
#include "config/yaml.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MAX_PATH = 256 };
#define AT(field) (uint32_t) offsetof(lh__config, field)
#define MANY 9007199254740992.0 /* 2^53 */

/* clang-format off */
const lh__option_row lh__setting_rows[] = {
    {"seed_everything", LH__OPTION_INT, AT(seed), "0", "0", 0, MANY, NULL, NULL,
     "seed of every random number; false: a new one each time"},
    {"num_threads", LH__OPTION_INT, AT(num_threads), "null", "0", 1, 4096, NULL, NULL,
     "threads that compute; null: one per core"},
    {"ckpt_path", LH__OPTION_TEXT, AT(ckpt_path), "null", "null", 0, 0, NULL, NULL,
     "checkpoint to start from: best, last or a file"},
    {"weights", LH__OPTION_TEXT, AT(weights), "null", "null", 0, 0, NULL, NULL,
     "weights to start from, by name: a safetensors file, of PyTorch too"},
    {"test", LH__OPTION_FLAG, AT(test), "false", "false", 0, 0, NULL, NULL,
     "run: test the best checkpoint after training"},
    {"data.root", LH__OPTION_TEXT, AT(data_root), "null", "null", 0, 0, NULL, NULL,
     "folder of the data sets; null: $LHOST_DATA_DIR"},
    {"data.batch_size", LH__OPTION_INT, AT(data_batch_size), "null", "0", 1, MANY, NULL, NULL,
     "items per batch where a loader leaves it open"},
    {"data.num_workers", LH__OPTION_INT, AT(data_num_workers), "null", "-1", 0, 1024, NULL, NULL,
     "fetch threads per loader where a loader leaves it open"},
};
/* clang-format on */
const int32_t lh__n_setting_rows = sizeof lh__setting_rows / sizeof *lh__setting_rows;

const lh__option_row *lh__setting_find(const char *name) {
    for (int32_t i = 0; i < lh__n_setting_rows; i++)
        if (strcmp(lh__setting_rows[i].name, name) == 0)
            return &lh__setting_rows[i];
    return NULL;
}

static const char *const sections[] = {"trainer", "model", "data", "callbacks", "loggers"};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static lh_status no_memory(lh__settings *s) {
    return lh__fail(s->e, LH_ENOMEM, "out of memory reading the configuration");
}

static const char *origin_of(const lh__source *from, const char *path) {
    const char *noted = json_string_value(json_object_get(from->origins, path));

    return noted ? noted : from->fixed;
}

/* The part behind "head.", or NULL if path is not below head. */
static const char *below(const char *path, const char *head) {
    size_t n = strlen(head);

    return strncmp(path, head, n) == 0 && path[n] == '.' ? path + n + 1 : NULL;
}

/* Writes a copy of value into the tree; path has one or two parts. */
static lh_status plant(lh__settings *s, const char *path, const json_t *value, const char *origin) {
    const char *dot = strchr(path, '.');
    json_t *map = s->c->tree, *copy = json_deep_copy(value);
    char head[MAX_PATH];

    if (dot) {
        snprintf(head, sizeof head, "%.*s", (int)(dot - path), path);
        map = json_object_get(map, head);
    }
    if (!copy || json_object_set_new(map, dot ? dot + 1 : path, copy) != 0 ||
        json_object_set_new(s->c->origins, path, json_string(origin)) != 0)
        return no_memory(s);
    return LH_OK;
}

lh_status lh__settings_init(lh__settings *s) {
    lh__config *c = s->c;
    lh_status status = lh__options_init(&c->trainer, s->e);
    json_t *trainer;

    if (status != LH_OK)
        return status;
    c->origins = json_object();
    c->views = json_array();
    trainer = json_object();
    c->tree = json_pack("{s:i,s:n,s:n,s:n,s:b,s:o,s:{s:n},s:{s:n},s:[],s:n}", "seed_everything", 0,
                        "num_threads", "ckpt_path", "weights", "test", 0, "trainer", trainer,
                        "model", "plugin", "data", "plugin", "callbacks", "loggers");
    if (!c->tree || !c->origins || !c->views)
        return no_memory(s);
    for (int32_t i = 0; i < lh__n_option_rows; i++)
        if (json_object_set_new(trainer, lh__option_rows[i].name,
                                json_loads(lh__option_rows[i].json, JSON_DECODE_ANY, NULL)) != 0)
            return no_memory(s);
    for (int32_t i = 0; i < lh__n_setting_rows && status == LH_OK; i++) {
        const lh__option_row *row = &lh__setting_rows[i];
        json_t *value = json_loads(row->json, JSON_DECODE_ANY, NULL);
        status = lh__option_store(c, row, value, "", "default", s->e);
        if (status == LH_OK)
            status = plant(s, row->name, value, "default");
        json_decref(value);
    }
    return status;
}

/* ---- names ---- */

static void try_settings(lh__nearest *n, const char *section) {
    for (int32_t i = 0; i < lh__n_setting_rows; i++) {
        const char *name = lh__setting_rows[i].name, *rest = below(name, section);
        if (rest || (*section == '\0' && !strchr(name, '.')))
            lh__nearest_try(n, rest ? rest : name);
    }
}

static void try_trainer(lh__nearest *n) {
    for (int32_t i = 0; i < lh__n_option_rows; i++)
        lh__nearest_try(n, lh__option_rows[i].name);
    for (int32_t i = 0; i < lh__n_option_aliases; i++)
        lh__nearest_try(n, lh__option_aliases[i].name);
}

static lh_status unknown_trainer(lh__settings *s, const char *key, const char *origin) {
    lh__nearest n = lh__nearest_start(key);
    char hint[128];

    try_trainer(&n);
    return lh__fail(s->e, LH_EINVAL, "the trainer has no option '%.80s' (%s)%s", key, origin,
                    lh__nearest_text(&n, hint, sizeof hint));
}

static lh_status unknown_top(lh__settings *s, const char *key, const char *origin) {
    lh__nearest n = lh__nearest_start(key);
    char hint[128];

    try_settings(&n, "");
    for (int i = 0; i < N_SECTIONS; i++)
        lh__nearest_try(&n, sections[i]);
    return lh__fail(s->e, LH_EINVAL, "there is no setting '%.80s' (%s)%s%s", key, origin,
                    lh__nearest_text(&n, hint, sizeof hint),
                    lh__option_find(key) ? "; it belongs under trainer:" : "");
}

const char *lh__settings_full_name(lh__settings *s, const char *name, char *buf, size_t size) {
    static const char *const others[] = {"config", "callback", "logger",
                                         "json",   "help",     "print_config"};
    lh__nearest n = lh__nearest_start(name);
    char hint[128];

    if (strchr(name, '.') || lh__setting_find(name)) {
        snprintf(buf, size, "%s", name);
        return buf;
    }
    if (lh__option_find(name) || lh__option_alias_find(name)) {
        snprintf(buf, size, "trainer.%s", name);
        return buf;
    }
    try_settings(&n, "");
    try_trainer(&n);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        lh__nearest_try(&n, others[i]);
    for (int i = 0; i < N_SECTIONS; i++)
        lh__nearest_try(&n, sections[i]);
    lh__nearest_text(&n, hint, sizeof hint);
    if (!*hint)
        snprintf(hint, sizeof hint, "; a hyper-parameter of the model is --model.%.60s", name);
    lh__fail(s->e, LH_EINVAL, "unknown option --%.80s%s", name, hint);
    return NULL;
}

/* ---- values of each section ---- */

static int is_scalar(const json_t *v) {
    return !json_is_object(v) && !json_is_array(v);
}

static void notice(lh__settings *s, const lh__option_alias *alias, const char *now,
                   const char *origin) {
    char text[384];

    if (!s->obs || !s->obs->message)
        return;
    if (alias->rule == LH__ALIAS_CALLBACK)
        snprintf(text, sizeof text, "%s is an older option (%s); today it is --callback %s",
                 alias->name, origin, alias->notice);
    else if (now)
        snprintf(text, sizeof text, "%s is the older name of %s (%s)%s%s", alias->name, now, origin,
                 alias->notice ? "; " : "", alias->notice ? alias->notice : "");
    else
        snprintf(text, sizeof text, "%s has no effect (%s): %s", alias->name, origin,
                 alias->notice);
    s->obs->message(s->obs->self, LH_INFO, text);
}

/* The choice that an entry of a list stands for: a text is parsed, an object checked. New
 * reference. */
static json_t *entry_of(lh__settings *s, const json_t *item, const char *path, const char *origin) {
    const char *text = json_string_value(item), *key;
    json_t *entry, *value;

    if (text) {
        entry = lh__choice_parse(text, s->e);
        if (!entry)
            lh__error_prefix(s->e, "%s (%s)", path, origin);
        return entry;
    }
    if (!json_is_string(json_object_get(item, "plugin"))) {
        lh__fail(s->e, LH_EINVAL,
                 "%s: expected NAME, NAME:key=value,... or a mapping with 'plugin: NAME' (%s)",
                 path, origin);
        return NULL;
    }
    json_object_foreach((json_t *)item, key, value) {
        if (!is_scalar(value)) {
            lh__fail(s->e, LH_EINVAL, "%s.%.80s: expected a single value (%s)", path, key, origin);
            return NULL;
        }
    }
    return json_deep_copy(item);
}

static lh_status append_entry(lh__settings *s, const char *list, const json_t *item,
                              const lh__source *from) {
    json_t *entries = json_object_get(s->c->tree, list), *entry;
    char path[MAX_PATH];
    const char *origin;

    if (!json_is_array(entries)) {
        entries = json_array();
        if (json_object_set_new(s->c->tree, list, entries) != 0)
            return no_memory(s);
    }
    snprintf(path, sizeof path, "%s.%zu", list, json_array_size(entries));
    origin = origin_of(from, path);
    entry = entry_of(s, item, path, origin);
    if (!entry)
        return s->e && s->e->code ? s->e->code : LH_EINVAL;
    if (json_array_append_new(entries, entry) != 0 ||
        json_object_set_new(s->c->origins, path, json_string(origin)) != 0)
        return no_memory(s);
    return LH_OK;
}

/* Callbacks and loggers: a list replaces the one there was. */
static lh_status put_list(lh__settings *s, const char *list, const json_t *value,
                          const lh__source *from) {
    const char *origin = origin_of(from, list);
    json_t *item;
    size_t i;
    lh_status status;

    if (json_is_null(value)) {
        status = plant(s, list, value, origin);
        return status;
    }
    if (json_is_boolean(value) && strcmp(list, "loggers") == 0)
        return lh__settings_put(s, "trainer.logger", value, &(lh__source){origin, NULL});
    if (json_object_set_new(s->c->tree, list, json_array()) != 0)
        return no_memory(s);
    if (!json_is_array(value))
        return append_entry(s, list, value, from);
    json_array_foreach(value, i, item) {
        status = append_entry(s, list, item, from);
        if (status != LH_OK)
            return status;
    }
    return LH_OK;
}

static lh_status put_trainer(lh__settings *s, const char *path, const char *key,
                             const json_t *value, const lh__source *from) {
    const char *origin = origin_of(from, path), *now;
    const lh__option_row *row = lh__option_find(key);
    const lh__option_alias *alias = row ? NULL : lh__option_alias_find(key);
    const lh__source here = {origin, NULL};
    char now_path[MAX_PATH];
    json_t *translated = NULL;
    lh_status status;

    if (strcmp(key, "callbacks") == 0)
        return put_list(s, "callbacks", value, &here);
    if (strcmp(key, "logger") == 0 && !json_is_boolean(value) && !json_is_null(value) &&
        !json_is_integer(value))
        return put_list(s, "loggers", value, &here);
    if (row) {
        status = lh__options_set(&s->c->trainer, row, value, origin, s->e);
        return status == LH_OK ? plant(s, path, value, origin) : status;
    }
    if (!alias)
        return unknown_trainer(s, key, origin);
    status = lh__option_translate(alias, value, origin, &now, &translated, s->e);
    if (status != LH_OK)
        return status;
    notice(s, alias, now, origin);
    if (now && strcmp(now, "callbacks") == 0) {
        status = append_entry(s, now, translated, &here);
    } else if (now) {
        snprintf(now_path, sizeof now_path, "%s%s", lh__option_find(now) ? "trainer." : "", now);
        status = lh__settings_put(s, now_path, translated, &here);
    }
    json_decref(translated);
    return status;
}

/* model.plugin: a text or a list of texts; data.plugin: a text. */
static lh_status put_plugin(lh__settings *s, const char *path, const json_t *value,
                            const char *origin) {
    int several = json_is_array(value) && strcmp(path, "model.plugin") == 0;
    json_t *item;
    size_t i;

    if (!several && !json_is_string(value) && !json_is_null(value))
        return lh__fail(s->e, LH_EINVAL, "%s: expected the path of a plugin (%s)", path, origin);
    if (several) {
        json_array_foreach(value, i, item) {
            if (!json_is_string(item))
                return lh__fail(s->e, LH_EINVAL, "%s: expected paths of plugins (%s)", path,
                                origin);
        }
    }
    return plant(s, path, value, origin);
}

/* A model's or data module's own setting; what it may be is known when its plugin is loaded. */
static lh_status put_hparam(lh__settings *s, const char *path, const char *key, const json_t *value,
                            const char *origin) {
    if (*key == '\0' || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key))
        return lh__fail(s->e, LH_EINVAL,
                        "'%.120s' cannot be a hyper-parameter: names are of a-z, 0-9, _ (%s)", path,
                        origin);
    if (!is_scalar(value))
        return lh__fail(s->e, LH_EINVAL, "%s: expected a single value (%s)", path, origin);
    return plant(s, path, value, origin);
}

/* false asks for a new seed, which is written down so that the run can be repeated. */
static lh_status put_seed(lh__settings *s, const json_t *value, const char *origin) {
    const lh__option_row *row = lh__setting_find("seed_everything");
    uint32_t drawn = 0;
    json_t *seed;
    lh_status status;

    if (json_is_false(value) && getrandom(&drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn)
        return lh__fail(s->e, LH_EIO, "no random seed to be had: %s", strerror(errno));
    seed =
        json_is_boolean(value) || json_is_null(value) ? json_integer(drawn) : json_deep_copy(value);
    status = seed ? lh__option_store(s->c, row, seed, "", origin, s->e) : no_memory(s);
    if (status == LH_OK)
        status = plant(s, row->name, seed, origin);
    json_decref(seed);
    return status;
}

static lh_status put_one(lh__settings *s, const char *path, const json_t *value,
                         const lh__source *from) {
    const lh__option_row *row = lh__setting_find(path);
    const char *origin = origin_of(from, path), *key = below(path, "trainer");
    lh_status status;

    if (key)
        return put_trainer(s, path, key, value, from);
    if (strcmp(path, "seed_everything") == 0)
        return put_seed(s, value, origin);
    if (row) {
        status = lh__option_store(s->c, row, value, "", origin, s->e);
        return status == LH_OK ? plant(s, path, value, origin) : status;
    }
    if (strcmp(path, "model.plugin") == 0 || strcmp(path, "data.plugin") == 0)
        return put_plugin(s, path, value, origin);
    if ((key = below(path, "model")) || (key = below(path, "data")))
        return put_hparam(s, path, key, value, origin);
    return unknown_top(s, path, origin);
}

lh_status lh__settings_put(lh__settings *s, const char *path, const json_t *value,
                           const lh__source *from) {
    char inner[MAX_PATH];
    const char *key;
    json_t *item;
    lh_status status;

    if (strlen(path) >= MAX_PATH)
        return lh__fail(s->e, LH_EINVAL, "'%.40s...' is too long for a name", path);
    if (strcmp(path, "callbacks") == 0 || strcmp(path, "loggers") == 0)
        return put_list(s, path, value, from);
    if (strcmp(path, "trainer") != 0 && strcmp(path, "model") != 0 && strcmp(path, "data") != 0)
        return put_one(s, path, value, from);
    if (json_is_null(value))
        return LH_OK;
    if (!json_is_object(value) && strcmp(path, "trainer") != 0) {
        snprintf(inner, sizeof inner, "%.8s.plugin", path);
        return put_plugin(s, inner, value, origin_of(from, path));
    }
    if (!json_is_object(value))
        return lh__fail(s->e, LH_EINVAL, "%s: expected a mapping of options (%s)", path,
                        origin_of(from, path));
    json_object_foreach((json_t *)value, key, item) {
        if ((size_t)snprintf(inner, sizeof inner, "%s.%s", path, key) >= sizeof inner)
            return lh__fail(s->e, LH_EINVAL, "'%.40s...' is too long for a name", inner);
        status = put_one(s, inner, item, from);
        if (status != LH_OK)
            return status;
    }
    return LH_OK;
}

/* ---- texts ---- */

/* A scalar that prints as it was written, else the text itself: 007 may be meant as a text. */
static json_t *exact_scalar(const char *text) {
    json_t *value = lh__yaml_scalar(text);
    char *printed = value ? lh__yaml_scalar_dump(value) : NULL;

    if (value && !json_is_string(value) && printed && strcmp(printed, text) != 0) {
        json_decref(value);
        value = json_string(text);
    }
    free(printed);
    return value;
}

lh_status lh__settings_put_text(lh__settings *s, const char *path, const char *text,
                                const char *origin) {
    const char *key = below(path, "trainer");
    const lh__option_row *row = key ? lh__option_find(key) : lh__setting_find(path);
    const lh__source from = {origin, NULL};
    json_t *value;
    lh_status status;

    if (row && row->type == LH__OPTION_TEXT)
        value = row->unset && strcmp(text, "null") == 0 ? json_null() : json_string(text);
    else if (row || key)
        value = lh__yaml_scalar(text);
    else if (below(path, "model") || below(path, "data"))
        value = exact_scalar(text);
    else
        value = lh__yaml_scalar(text);
    if (!value)
        return lh__fail(s->e, LH_EINVAL, "%s: '%.80s' is not possible here (%s)", path, text,
                        origin);
    status = lh__settings_put(s, path, value, &from);
    json_decref(value);
    return status;
}

lh_status lh__settings_add(lh__settings *s, const char *list, const char *text) {
    const lh__source from = {"command line", NULL};
    json_t *item = json_string(text), *models;
    lh_status status = LH_OK;

    if (!item)
        return lh__fail(s->e, LH_EINVAL, "%s: not UTF-8 (command line)", list);
    if (strcmp(list, "model") == 0) {
        models = json_object_get(json_object_get(s->c->tree, "model"), "plugin");
        if (s->chose_models && json_is_array(models)) {
            if (json_array_append(models, item) != 0)
                status = no_memory(s);
        } else {
            models = json_pack("[O]", item);
            status = models ? plant(s, "model.plugin", models, from.fixed) : no_memory(s);
            json_decref(models);
        }
        s->chose_models = 1;
    } else if (strcmp(list, "callbacks") == 0) {
        status = append_entry(s, list, item, &from);
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        status = lh__settings_put_text(s, "trainer.logger", text, from.fixed);
    } else {
        if (!s->chose_loggers && json_object_set_new(s->c->tree, list, json_array()) != 0)
            status = no_memory(s);
        if (status == LH_OK)
            status = append_entry(s, list, item, &from);
        s->chose_loggers = 1;
    }
    json_decref(item);
    return status;
}
