/* yaml_dump.c - writing settings as YAML that this host, and readers of YAML 1.1, read alike. */
#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct text {
    char *bytes;
    size_t n, room;
} text;

static int append(void *user, unsigned char *bytes, size_t n) {
    text *t = user;

    if (t->n + n + 1 > t->room) {
        size_t room = (t->n + n + 1) * 2;
        char *grown = realloc(t->bytes, room);
        if (!grown)
            return 0;
        t->bytes = grown;
        t->room = room;
    }
    memcpy(t->bytes + t->n, bytes, n);
    t->n += n;
    t->bytes[t->n] = '\0';
    return 1;
}

/* The shortest decimal that reads back as the same double. It keeps a point in the mantissa,
 * without which YAML 1.1 takes 1e-05 for a text. */
static void real_text(double value, char *buf, size_t size) {
    char digits[40], *e;

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    e = strchr(digits, 'e');
    if (strchr(digits, '.'))
        snprintf(buf, size, "%s", digits);
    else if (e)
        snprintf(buf, size, "%.*s.0%s", (int)(e - digits), digits, e);
    else
        snprintf(buf, size, "%s.0", digits);
}

/* Texts that some version of YAML reads as something else when they stand bare. */
static int needs_quotes(const char *s) {
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "=", "<<", NULL};
    json_t *value;
    int other;

    for (int i = 0; words[i]; i++)
        if (strcasecmp(s, words[i]) == 0)
            return 1;
    if (*s >= '0' && *s <= '9' && strpbrk(s, ":_"))
        return 1; /* 1.1: base 60, digits with underscores */
    value = lh__yaml_scalar(s);
    other = !json_is_string(value);
    json_decref(value);
    return other;
}

static int emit_scalar(yaml_emitter_t *out, const json_t *value) {
    yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;
    const char *s = json_string_value(value);
    yaml_event_t event;
    char buf[48];
    int bare = 1;

    if (s) {
        bare = !needs_quotes(s);
        if (strchr(s, '\n'))
            style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        else if (!bare)
            style = YAML_SINGLE_QUOTED_SCALAR_STYLE;
    } else if (json_is_integer(value)) {
        snprintf(buf, sizeof buf, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        real_text(json_real_value(value), buf, sizeof buf);
    } else {
        snprintf(buf, sizeof buf, "%s",
                 json_is_null(value)   ? "null"
                 : json_is_true(value) ? "true"
                                       : "false");
    }
    s = s ? s : buf;
    return yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)s, (int)strlen(s),
                                        bare, 1, style) &&
           yaml_emitter_emit(out, &event);
}

static int emit(yaml_emitter_t *out, const json_t *value) {
    yaml_event_t event;
    const char *key;
    json_t *item;
    size_t i;

    if (json_is_object(value)) {
        yaml_mapping_style_t style =
            json_object_size(value) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
        if (!yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style) ||
            !yaml_emitter_emit(out, &event))
            return 0;
        json_object_foreach((json_t *)value, key, item) {
            json_t *name = json_string(key);
            int ok = name && emit_scalar(out, name) && emit(out, item);
            json_decref(name);
            if (!ok)
                return 0;
        }
        return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(out, &event);
    }
    if (json_is_array(value)) {
        yaml_sequence_style_t style =
            json_array_size(value) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
        if (!yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style) ||
            !yaml_emitter_emit(out, &event))
            return 0;
        json_array_foreach(value, i, item) {
            if (!emit(out, item))
                return 0;
        }
        return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(out, &event);
    }
    return emit_scalar(out, value);
}

char *lh__yaml_dump(const json_t *tree) {
    yaml_emitter_t out;
    yaml_event_t event;
    text t = {0};
    int ok;

    if (!yaml_emitter_initialize(&out))
        return NULL;
    yaml_emitter_set_output(&out, append, &t);
    yaml_emitter_set_unicode(&out, 1);
    yaml_emitter_set_width(&out, -1);
    ok = yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) &&
         yaml_emitter_emit(&out, &event) &&
         yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) &&
         yaml_emitter_emit(&out, &event) && emit(&out, tree) &&
         yaml_document_end_event_initialize(&event, 1) && yaml_emitter_emit(&out, &event) &&
         yaml_stream_end_event_initialize(&event) && yaml_emitter_emit(&out, &event);
    yaml_emitter_delete(&out);
    if (!ok) {
        free(t.bytes);
        return NULL;
    }
    return t.bytes;
}

char *lh__yaml_scalar_dump(const json_t *scalar) {
    char *s = lh__yaml_dump(scalar), *end;

    if (!s)
        return NULL;
    end = strstr(s, "\n...");
    if (!end)
        end = s + strlen(s) - (*s != '\0');
    *end = '\0';
    return s;
}
