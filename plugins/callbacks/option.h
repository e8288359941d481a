/* option.h - hyper-parameters of callbacks that may be left open: empty text or "null" says so. */
#ifndef LHOST_PLUGINS_OPTION_H
#define LHOST_PLUGINS_OPTION_H

#include <lhost/lhost.h>
#include <stdlib.h>
#include <string.h>

static inline int is_null(const char *text) {
    return *text == 0 || strcmp(text, "null") == 0;
}

/* The text, or NULL when it is left open. */
static inline const char *option_text(lh_ctx *c, const char *name) {
    const char *text = lh_hparam_text(c, name);

    return is_null(text) ? NULL : text;
}

/* 1, 0, or `open` when it is left open. Anything else is recorded as an error. */
static inline int option_flag(lh_ctx *c, const char *name, int open) {
    const char *text = lh_hparam_text(c, name);

    if (is_null(text))
        return open;
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        lh_fail(c, LH_EINVAL, "%s is \"%s\": give true, false or nothing", name, text);
    return *text == 't';
}

/* LH_MODE_MIN or LH_MODE_MAX, of hyper-parameter "mode". */
static inline int option_mode(lh_ctx *c) {
    const char *text = lh_hparam_text(c, "mode");

    if (strcmp(text, "min") != 0 && strcmp(text, "max") != 0)
        lh_fail(c, LH_EINVAL, "mode is \"%s\": give min or max", text);
    return strcmp(text, "max") == 0 ? LH_MODE_MAX : LH_MODE_MIN;
}

/* 1 if `a` is better than `b`, and not equal to it. */
static inline int is_better(int mode, double a, double b) {
    return mode == LH_MODE_MAX ? a > b : a < b;
}

/* What everything is better than. */
static inline double worst_score(int mode) {
    return mode == LH_MODE_MAX ? -INFINITY : INFINITY;
}

/* The names of all metrics, for messages about one that is missing. */
static inline const char *metric_names(lh_ctx *c, char *out, size_t size) {
    size_t used = 0;
    const char *name;

    snprintf(out, size, "none");
    for (int32_t i = 0; (name = c->host->metric_name(c, i)) && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", name);
    return out;
}

#endif
