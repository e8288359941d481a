/* checkpoint-name.h - names of checkpoints, made from a template and the metrics. */
#ifndef LHOST_PLUGINS_CHECKPOINT_NAME_H
#define LHOST_PLUGINS_CHECKPOINT_NAME_H

#include <lhost/lhost.h>

/* How the pieces of a name are put together. */
struct name_style {
    const char *prefix; /* before everything, joined with `join`; "": none */
    const char *join, *equals;
    int auto_insert; /* {x} becomes "x=1", not "1" */
};

/* Writes the name without extension. In the template {x} stands for metric x ("epoch" and "step"
 * always exist, a missing metric is 0), {x:FORMAT} for it in Python's format:
 * [0][width][.precision] and d, f, e, g or nothing; a slash in a name makes a folder. Errors:
 * LH_EINVAL for a template or format that cannot be read, for d and a value that is no integer, for
 * a name that is too long. */
lh_status checkpoint_name(lh_ctx *c, const struct name_style *style, const char *template,
                          char *out, size_t size);

#endif
