/* yaml.c - reading settings: libyaml's events become a Jansson tree. */
#include "config/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- scalars of the core schema ---- */

static const char *digits(const char *p) {
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

static int any_of(const char *text, const char *const *words) {
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return 1;
    return 0;
}

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+. 0: no integer, or one beyond 64 bits. */
static int core_integer(const char *text, json_int_t *out) {
    const char *sign = text + (*text == '-' || *text == '+'), *first = sign;
    int base = 10;
    char *end;

    if (sign == text && sign[0] == '0' && (sign[1] == 'o' || sign[1] == 'x')) {
        base = sign[1] == 'o' ? 8 : 16;
        first += 2;
    }
    if (strspn(first, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") != strlen(first) ||
        *first == '\0')
        return 0;
    errno = 0;
    *out = strtoll(base == 10 ? text : first, &end, base);
    return *end == '\0' && errno == 0;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, infinities and NaN. */
static int core_real(const char *text, double *out) {
    static const char *const infinities[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nans[] = {".nan", ".NaN", ".NAN", NULL};
    const char *p = text + (*text == '-' || *text == '+'), *q;

    if (any_of(p, infinities) || any_of(text, nans)) {
        *out = INFINITY;
        return 1;
    }
    q = digits(p);
    if (q == p && (*p != '.' || digits(p + 1) == p + 1))
        return 0;
    if (*q == '.')
        q = digits(q + 1);
    if (*q == 'e' || *q == 'E') {
        const char *exponent = q + 1 + (q[1] == '-' || q[1] == '+');
        q = digits(exponent);
        if (q == exponent)
            return 0;
    }
    if (*q != '\0')
        return 0;
    *out = strtod(text, NULL);
    return 1;
}

json_t *lh__yaml_scalar(const char *text) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const truths[] = {"true", "True", "TRUE", NULL};
    static const char *const falsehoods[] = {"false", "False", "FALSE", NULL};
    json_int_t integer;
    double real;

    if (any_of(text, nulls))
        return json_null();
    if (any_of(text, truths))
        return json_true();
    if (any_of(text, falsehoods))
        return json_false();
    if (core_integer(text, &integer))
        return json_integer(integer);
    if (core_real(text, &real))
        return json_real(real); /* NULL if it is not finite */
    return json_string(text);
}

/* ---- events ---- */

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    json_t *origins;
    lh__error *e;
    char path[512]; /* dotted, of the value being read */
} reader;

static void fail_at(reader *r, yaml_mark_t at, const char *text) {
    lh__fail(r->e, LH_EINVAL, "%s:%zu:%zu: %s", r->name, at.line + 1, at.column + 1, text);
}

static int next_event(reader *r, yaml_event_t *event) {
    yaml_parser_t *p = &r->parser;

    if (yaml_parser_parse(p, event))
        return 1;
    if (p->error == YAML_MEMORY_ERROR)
        lh__fail(r->e, LH_ENOMEM, "%s: out of memory", r->name);
    else if (p->error == YAML_READER_ERROR)
        lh__fail(r->e, LH_EINVAL, "%s: byte %zu: %s", r->name, p->problem_offset, p->problem);
    else
        lh__fail(r->e, LH_EINVAL, "%s:%zu:%zu: %s%s%s", r->name, p->problem_mark.line + 1,
                 p->problem_mark.column + 1, p->problem ? p->problem : "not YAML",
                 p->context ? " " : "", p->context ? p->context : "");
    return 0;
}

/* "path.name"; returns the length to go back to. A path that is too long is cut: it only serves
 * messages. */
static size_t enter(reader *r, const char *name) {
    size_t n = strlen(r->path);

    snprintf(r->path + n, sizeof r->path - n, "%s%s", n ? "." : "", name);
    return n;
}

static int note_origin(reader *r, yaml_mark_t at) {
    json_t *where;

    if (!r->origins || *r->path == '\0')
        return 1;
    where = json_sprintf("%s:%zu:%zu", r->name, at.line + 1, at.column + 1);
    return json_object_set_new_nocheck(r->origins, r->path, where) == 0;
}

static json_t *scalar_value(reader *r, const yaml_event_t *event) {
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    const char *tag = (const char *)event->data.scalar.tag;
    int plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    json_t *value;

    if (tag && strcmp(tag, YAML_STR_TAG) != 0 && strcmp(tag, "!") != 0) {
        fail_at(r, event->start_mark, "tags are not supported here; remove it");
        return NULL;
    }
    if (strlen(text) != length) {
        fail_at(r, event->start_mark, "a text with a zero byte");
        return NULL;
    }
    value = plain && !tag ? lh__yaml_scalar(text) : json_stringn(text, length);
    if (!value)
        fail_at(r, event->start_mark, "only finite numbers are possible here");
    return value;
}

static json_t *read_value(reader *r, yaml_event_t *event, int depth);

static json_t *read_sequence(reader *r, int depth) {
    json_t *list = json_array();
    yaml_event_t event;

    for (size_t i = 0; list; i++) {
        char index[24];
        size_t back;
        json_t *item;

        if (!next_event(r, &event))
            break;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return list;
        }
        snprintf(index, sizeof index, "%zu", i);
        back = enter(r, index);
        item = read_value(r, &event, depth);
        r->path[back] = '\0';
        yaml_event_delete(&event);
        if (!item || json_array_append_new(list, item) != 0)
            break;
    }
    json_decref(list);
    return NULL;
}

/* One "key: value", the key's event being at hand. */
static int read_pair(reader *r, yaml_event_t *key, json_t *map, int depth) {
    const char *name = (const char *)key->data.scalar.value;
    yaml_event_t event;
    json_t *value;
    size_t back;

    if (key->type != YAML_SCALAR_EVENT || key->data.scalar.anchor) {
        fail_at(r, key->start_mark, "a key must be a plain text");
        return 0;
    }
    if (strlen(name) != key->data.scalar.length) {
        fail_at(r, key->start_mark, "a key with a zero byte");
        return 0;
    }
    if (json_object_get(map, name)) {
        lh__fail(r->e, LH_EINVAL, "%s:%zu:%zu: '%.80s' is given twice; remove one", r->name,
                 key->start_mark.line + 1, key->start_mark.column + 1, name);
        return 0;
    }
    if (!next_event(r, &event))
        return 0;
    back = enter(r, name);
    value = read_value(r, &event, depth);
    r->path[back] = '\0';
    yaml_event_delete(&event);
    return value && json_object_set_new_nocheck(map, name, value) == 0;
}

static json_t *read_mapping(reader *r, int depth) {
    json_t *map = json_object();
    yaml_event_t event;
    int ok = map != NULL;

    while (ok && next_event(r, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return map;
        }
        ok = read_pair(r, &event, map, depth);
        yaml_event_delete(&event);
    }
    json_decref(map);
    return NULL;
}

static json_t *read_value(reader *r, yaml_event_t *event, int depth) {
    const yaml_char_t *anchor = NULL;

    if (!note_origin(r, event->start_mark))
        return NULL;
    if (event->type == YAML_SCALAR_EVENT)
        anchor = event->data.scalar.anchor;
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        anchor = event->data.sequence_start.anchor;
    else if (event->type == YAML_MAPPING_START_EVENT)
        anchor = event->data.mapping_start.anchor;
    if (anchor || event->type == YAML_ALIAS_EVENT) {
        fail_at(r, event->start_mark, "anchors and aliases are not supported; write the value out");
        return NULL;
    }
    if (depth >= LH__YAML_DEPTH) {
        fail_at(r, event->start_mark, "nested too deeply");
        return NULL;
    }
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return scalar_value(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(r, depth + 1);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(r, depth + 1);
    default:
        fail_at(r, event->start_mark, "a value is missing");
        return NULL;
    }
}

/* Expects an event of this type and drops it. */
static int skip_event(reader *r, yaml_event_type_t type, const char *otherwise) {
    yaml_event_t event;
    int ok;

    if (!next_event(r, &event))
        return 0;
    ok = event.type == type;
    if (!ok)
        fail_at(r, event.start_mark, otherwise);
    yaml_event_delete(&event);
    return ok;
}

static json_t *read_stream(reader *r) {
    yaml_event_t event;
    json_t *tree;

    if (!skip_event(r, YAML_STREAM_START_EVENT, "not YAML") || !next_event(r, &event))
        return NULL;
    if (event.type == YAML_STREAM_END_EVENT) {
        yaml_event_delete(&event);
        return json_null();
    }
    yaml_event_delete(&event); /* start of the document */
    if (!next_event(r, &event))
        return NULL;
    tree = read_value(r, &event, 0);
    yaml_event_delete(&event);
    if (tree && (!skip_event(r, YAML_DOCUMENT_END_EVENT, "the document should end here") ||
                 !skip_event(r, YAML_STREAM_END_EVENT, "a second document; only one is read"))) {
        json_decref(tree);
        return NULL;
    }
    return tree;
}

json_t *lh__yaml_parse(const char *text, size_t size, const char *name, json_t *origins,
                       lh__error *e) {
    reader r = {.name = name, .origins = origins, .e = e};
    json_t *tree;

    if (size > LH__YAML_BYTES) {
        lh__fail(e, LH_EINVAL, "%s: %zu bytes are too many for settings", name, size);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        lh__fail(e, LH_ENOMEM, "%s: out of memory", name);
        return NULL;
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
    tree = read_stream(&r);
    yaml_parser_delete(&r.parser);
    if (!tree)
        lh__fail(e, LH_ENOMEM, "%s: out of memory", name);
    return tree;
}

/* ---- JSON and files ---- */

/* Every value below `value` gets the file as its origin. Depth is bounded by Jansson's parser, and
 * checked here against LH__YAML_DEPTH. */
static int note_origins(const json_t *value, const char *path, const char *name, json_t *origins,
                        int depth) {
    char below[512];
    const char *key;
    json_t *item;
    size_t i;

    if (depth > LH__YAML_DEPTH)
        return 0;
    if (origins && *path)
        json_object_set_new_nocheck(origins, path, json_string(name));
    json_object_foreach((json_t *)value, key, item) {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", key);
        if (!note_origins(item, below, name, origins, depth + 1))
            return 0;
    }
    json_array_foreach(value, i, item) {
        snprintf(below, sizeof below, "%s%s%zu", path, *path ? "." : "", i);
        if (!note_origins(item, below, name, origins, depth + 1))
            return 0;
    }
    return 1;
}

json_t *lh__json_parse(const char *text, size_t size, const char *name, json_t *origins,
                       lh__error *e) {
    json_error_t error;
    json_t *tree = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

    if (!tree) {
        lh__fail(e, LH_EINVAL, "%s:%d:%d: %s", name, error.line, error.column, error.text);
    } else if (!note_origins(tree, "", name, origins, 0)) {
        lh__fail(e, LH_EINVAL, "%s: nested too deeply", name);
        json_decref(tree);
        tree = NULL;
    }
    return tree;
}

/* The file's bytes with a zero behind them; release with free. */
static char *read_file(const char *path, size_t *size, lh__error *e) {
    FILE *f = fopen(path, "rb");
    char *text = NULL;

    if (!f) {
        lh__fail(e, LH_EIO, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    text = malloc(LH__YAML_BYTES + 2);
    if (!text) {
        lh__fail(e, LH_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    *size = fread(text, 1, LH__YAML_BYTES + 1, f);
    text[*size] = '\0';
    if (ferror(f))
        lh__fail(e, LH_EIO, "cannot read %s: %s", path, strerror(errno));
    else if (*size > LH__YAML_BYTES)
        lh__fail(e, LH_EINVAL, "%s: too long for settings", path);
    if (ferror(f) || *size > LH__YAML_BYTES) {
        free(text);
        text = NULL;
    }
done:
    fclose(f);
    return text;
}

static int is_json(const char *path, const char *text) {
    const char *dot = strrchr(path, '.');

    if (dot && strcmp(dot, ".json") == 0)
        return 1;
    if (dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0))
        return 0;
    return text[strspn(text, " \t\r\n")] == '{';
}

json_t *lh__settings_read(const char *path, json_t *origins, lh__error *e) {
    size_t size = 0;
    char *text = read_file(path, &size, e);
    json_t *tree;

    if (!text)
        return NULL;
    if (is_json(path, text))
        tree = lh__json_parse(text, size, path, origins, e);
    else
        tree = lh__yaml_parse(text, size, path, origins, e);
    free(text);
    return tree;
}
