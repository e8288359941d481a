/* checkpoint-name.c - names of checkpoints; the rules are those of Lightning's ModelCheckpoint. */
#include "checkpoint-name.h"

#include <ctype.h>

/* A name being written; `used` goes on counting when it no longer fits. */
struct name {
    char *out;
    size_t size, used;
};

static void append(struct name *n, const char *text, size_t length) {
    if (n->used + length < n->size) {
        memcpy(n->out + n->used, text, length);
        n->out[n->used + length] = 0;
    }
    n->used += length;
}

static void append_text(struct name *n, const char *text) {
    append(n, text, strlen(text));
}

/* A metric's value, and whether it is an integer by nature. */
struct value {
    double number;
    int is_integer;
};

static struct value value_of(lh_ctx *c, const char *metric) {
    int is_epoch = strcmp(metric, "epoch") == 0, is_step = strcmp(metric, "step") == 0;

    if (lh_has_metric(c, metric))
        return (struct value){lh_metric(c, metric), is_epoch || is_step};
    if (is_epoch)
        return (struct value){(double)lh_current_epoch(c), 1};
    return (struct value){is_step ? (double)lh_global_step(c) : 0, 1};
}

/* The digits of a value without a type: an integer as such, another number with a fraction. */
static void print_plain(char *out, struct value v) {
    lh_real_text(out, v.number);
    if (!v.is_integer && isfinite(v.number) && !strpbrk(out, ".e"))
        strcat(out, ".0");
}

/* Writes `digits` in `width` columns, filled with spaces, or with zeros after the sign. */
static void append_padded(struct name *n, const char *digits, int zeros, size_t width) {
    size_t length = strlen(digits), missing = width > length ? width - length : 0;
    size_t sign = zeros && *digits == '-';

    append(n, digits, sign);
    for (size_t i = 0; i < missing; i++)
        append(n, zeros ? "0" : " ", 1);
    append_text(n, digits + sign);
}

/* `format` is what stands between colon and brace. */
static lh_status append_value(lh_ctx *c, struct name *n, const char *metric, const char *format) {
    const char *p = format;
    struct value v = value_of(c, metric);
    int zeros = *p == '0', precision = -1;
    size_t width = 0;
    char digits[400]; /* the largest double has 309 digits before the point */

    for (; isdigit((unsigned char)*p) && width < 100; p++)
        width = 10 * width + (size_t)(*p - '0');
    if (*p == '.' && isdigit((unsigned char)p[1]))
        for (p++, precision = 0; isdigit((unsigned char)*p) && precision < 10; p++)
            precision = 10 * precision + *p - '0';
    if (width > 99 || precision > 50 || (*p && (!strchr("dfFeEgG", *p) || p[1])) ||
        (precision >= 0 && (!*p || *p == 'd')))
        return lh_fail(c, LH_EINVAL,
                       "filename: {%s:%s}: the format cannot be read; give [0][width]d or "
                       "[0][width][.precision] and one of f, e, g",
                       metric, format);
    if (!*p) {
        print_plain(digits, v);
    } else if (*p == 'd') {
        snprintf(digits, sizeof digits, "%.0f", v.number);
        if (strtod(digits, NULL) != v.number)
            return lh_fail(c, LH_EINVAL,
                           "filename: {%s:%s} asks for an integer, but %s is %g; use f, e or g",
                           metric, format, metric, v.number);
    } else {
        const char printf_format[] = {'%', '.', '*', *p, 0};

        snprintf(digits, sizeof digits, printf_format, precision < 0 ? 6 : precision, v.number);
    }
    append_padded(n, digits, zeros, width);
    return LH_OK;
}

/* One {metric} or {metric:format}; *p is after the brace that opens it, and goes behind the other.
 */
static lh_status append_field(lh_ctx *c, struct name *n, const struct name_style *style,
                              const char **p) {
    const char *end = strchr(*p, '}');
    char field[256], *format;

    if (!end || end == *p || **p == ':' || (size_t)(end - *p) >= sizeof field)
        return lh_fail(c, LH_EINVAL, "filename: no metric and closing brace after \"{%s\"", *p);
    snprintf(field, sizeof field, "%.*s", (int)(end - *p), *p);
    *p = end + 1;
    format = strchr(field, ':');
    if (format)
        *format++ = 0;
    if (style->auto_insert) {
        append_text(n, field);
        append_text(n, style->equals);
    }
    return append_value(c, n, field, format ? format : "");
}

lh_status checkpoint_name(lh_ctx *c, const struct name_style *style, const char *template,
                          char *out, size_t size) {
    struct name n = {out, size, 0};

    *out = 0;
    if (*style->prefix) {
        append_text(&n, style->prefix);
        append_text(&n, style->join);
    }
    for (const char *p = template; *p;) {
        if (*p++ != '{')
            append(&n, p - 1, 1);
        else if (append_field(c, &n, style, &p) != LH_OK)
            return lh_status_of(c);
    }
    if (n.used >= size)
        return lh_fail(c, LH_EINVAL, "filename: a name of %zu characters is too long", n.used);
    return LH_OK;
}
