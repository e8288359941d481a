/* hparams.c - hyper-parameters against what a plugin declares, and the short form of a choice. */
#include "config/config.h"

#include "config/nearest.h"
#include "config/settings.h"
#include "config/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checking ---- */

static const char *const type_names[] = {[0] = "?",
                                         [LH_REAL] = "a number",
                                         [LH_INT] = "an integer",
                                         [LH_FLAG] = "true or false",
                                         [LH_TEXT] = "a text"};

static json_t *default_of(const lh_hparam_spec *spec) {
    switch (spec->type) {
    case LH_REAL:
        return isnan(spec->number_default) ? json_null() : json_real(spec->number_default);
    case LH_INT:
        return json_integer((json_int_t)spec->number_default);
    case LH_FLAG:
        return json_boolean(spec->number_default != 0);
    default:
        return json_string(spec->text_default ? spec->text_default : "");
    }
}

/* A text of the command line where a number belongs ("1e-3") is that number. New reference. */
static json_t *as_number(const json_t *value) {
    return json_is_string(value) ? lh__yaml_scalar(json_string_value(value))
                                 : json_incref((json_t *)value);
}

static json_t *as_text(const json_t *value) {
    if (json_is_integer(value))
        return json_sprintf("%lld", (long long)json_integer_value(value));
    if (json_is_boolean(value))
        return json_string(json_is_true(value) ? "true" : "false");
    return json_is_string(value) ? json_incref((json_t *)value) : NULL;
}

/* The value in the declared type, or NULL if it has another. New reference. */
static json_t *typed(const lh_hparam_spec *spec, const json_t *value) {
    json_t *v, *out = NULL;

    if (spec->type == LH_TEXT)
        return as_text(value);
    v = as_number(value);
    if (spec->type == LH_REAL && json_is_number(v))
        out = json_real(json_number_value(v));
    else if (spec->type == LH_INT && json_is_integer(v))
        out = json_integer(json_integer_value(v));
    else if (spec->type == LH_INT && json_is_real(v) && fabs(json_real_value(v)) < 9e15 &&
             json_real_value(v) == floor(json_real_value(v)))
        out = json_integer((json_int_t)json_real_value(v)); /* 1e3 */
    else if (spec->type == LH_FLAG && json_is_boolean(v))
        out = json_incref(v);
    else if (spec->type == LH_FLAG && json_is_integer(v) && (json_integer_value(v) | 1) == 1)
        out = json_boolean(json_integer_value(v) == 1);
    json_decref(v);
    return out;
}

static int in_range(const lh_hparam_spec *spec, const json_t *value) {
    double v = json_number_value(value);

    return !json_is_number(value) || (spec->min == 0 && spec->max == 0) ||
           (v >= spec->min && v <= spec->max);
}

typedef struct place {
    const char *what, *origin;
    lh__error *e;
} place;

static json_t *resolve_one(const lh_hparam_spec *spec, const json_t *value, const place *at) {
    char *shown;
    json_t *out;

    if (!value || json_is_null(value))
        return default_of(spec);
    out = typed(spec, value);
    if (out && in_range(spec, out))
        return out;
    shown = json_dumps(value, JSON_ENCODE_ANY);
    if (!out)
        lh__fail(at->e, LH_EINVAL, "%s: %s: %.80s is not possible here; expected %s (%s)%s",
                 at->what, spec->name, shown ? shown : "this",
                 type_names[spec->type <= LH_TEXT ? spec->type : 0], at->origin,
                 spec->type == LH_TEXT ? "; write it in quotes" : "");
    else
        lh__fail(at->e, LH_EINVAL, "%s: %s: %.80s is out of range; expected %.17g to %.17g (%s)",
                 at->what, spec->name, shown ? shown : "this", spec->min, spec->max, at->origin);
    free(shown);
    json_decref(out);
    return NULL;
}

static const lh_hparam_spec *find_spec(const lh_hparam_spec *specs, int32_t n, const char *name) {
    for (int32_t i = 0; i < n; i++)
        if (strcmp(specs[i].name, name) == 0)
            return &specs[i];
    return NULL;
}

static void unknown(const lh_hparam_spec *specs, int32_t n, const char *key, const place *at) {
    lh__nearest near = lh__nearest_start(key);
    char hint[512];
    size_t length = 0;

    for (int32_t i = 0; i < n; i++)
        lh__nearest_try(&near, specs[i].name);
    lh__nearest_text(&near, hint, sizeof hint);
    if (!near.best) {
        length = (size_t)snprintf(hint, sizeof hint, "%s", n ? "; it has " : "; it has none");
        for (int32_t i = 0; i < n && length < sizeof hint; i++)
            length += (size_t)snprintf(hint + length, sizeof hint - length, "%s%s", i ? ", " : "",
                                       specs[i].name);
    }
    lh__fail(at->e, LH_EINVAL, "%s has no hyper-parameter '%.80s' (%s)%s", at->what, key,
             at->origin, hint);
}

/* A hyper-parameter that bears the name of one of the host's settings (data.batch_size) is that
 * setting, where it was given. */
static const json_t *given_value(const lh__choice *given, const char *name, const char *path,
                                 const lh__config *c) {
    const json_t *own = json_object_get(given->hparams, name), *shared;

    if (own || !c || !given->where || !lh__setting_find(path))
        return own;
    shared = json_object_get(json_object_get(c->tree, given->where), name);
    return json_is_null(shared) ? NULL : shared;
}

json_t *lh__hparams_resolve(const lh_hparam_spec *specs, int32_t n, const lh__choice *given,
                            const char *what, const lh__config *c, lh__error *e) {
    json_t *out = json_object(), *value;
    place at = {what, "", e};
    char path[160];
    const char *key;

    json_object_foreach(given->hparams, key, value) {
        snprintf(path, sizeof path, "%s.%.120s", given->where ? given->where : "", key);
        at.origin = c ? lh__config_origin(c, path) : "given";
        if (!find_spec(specs, n, key)) {
            unknown(specs, n, key, &at);
            goto fail;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s.%.120s", given->where ? given->where : "", specs[i].name);
        at.origin = c ? lh__config_origin(c, path) : "given";
        value = resolve_one(&specs[i], given_value(given, specs[i].name, path, c), &at);
        if (!value || json_object_set_new(out, specs[i].name, value) != 0)
            goto fail;
    }
    if (out)
        return out;
fail:
    lh__fail(e, LH_ENOMEM, "%s: out of memory reading hyper-parameters", what);
    json_decref(out);
    return NULL;
}

/* ---- NAME:key=value,... ---- */

/* The end of a value: the next comma outside quotes, brackets and braces. */
static const char *value_end(const char *p) {
    char quote = 0;
    int depth = 0;

    for (; *p && (quote || depth || *p != ','); p++) {
        if (quote)
            quote = *p == quote ? 0 : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && depth > 0)
            depth--;
    }
    return p;
}

static json_t *spec_value(const char *text, size_t n) {
    char *copy;
    json_t *value;

    if (n >= 2 && (*text == '"' || *text == '\'') && text[n - 1] == *text)
        return json_stringn(text + 1, n - 2);
    copy = strndup(text, n);
    value = copy ? lh__yaml_scalar(copy) : NULL;
    if (value &&
        json_is_real(value)) { /* 1.10 may be meant as a text: let the declaration decide */
        char *printed = lh__yaml_scalar_dump(value);
        if (printed && strcmp(printed, copy) != 0) {
            json_decref(value);
            value = json_string(copy);
        }
        free(printed);
    }
    free(copy);
    return value;
}

json_t *lh__choice_parse(const char *text, lh__error *e) {
    const char *slash = strrchr(text, '/');
    const char *colon = strchr(slash ? slash : text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    json_t *out = json_object();

    if (slash && (colon = strchr(text, ':')) && strchr(colon, '=')) /* the slash is in a value */
        length = (size_t)(colon - text);
    colon = text[length] ? text + length : NULL;
    if (length == 0) {
        lh__fail(e, LH_EINVAL, "'%.80s' names no plugin; expected NAME:key=value,...", text);
        goto fail;
    }
    if (json_object_set_new(out, "plugin", json_stringn(text, length)) != 0)
        goto invalid;
    for (const char *p = colon ? colon + 1 : ""; *p;) {
        size_t key = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_-");
        const char *end = value_end(p);
        char name[64];
        if (key == 0 || p[key] != '=' || key >= sizeof name)
            goto invalid;
        for (size_t i = 0; i < key; i++)
            name[i] = p[i] == '-' ? '_' : p[i];
        name[key] = '\0';
        if (json_object_get(out, name)) {
            lh__fail(e, LH_EINVAL, "'%.160s' gives %s twice", text, name);
            goto fail;
        }
        if (json_object_set_new(out, name, spec_value(p + key + 1, (size_t)(end - p) - key - 1)))
            goto invalid;
        p = *end ? end + 1 : end;
    }
    return out;
invalid:
    lh__fail(e, LH_EINVAL, "'%.160s' cannot be read; expected NAME:key=value,key=value", text);
fail:
    json_decref(out);
    return NULL;
}
