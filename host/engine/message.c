/* message.c - what a rejected call is told: where it was made, its operator and operands, the
 * reason. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/state.h"

static const char *const dtype_names[] = {
    [LH_F32] = "float32", [LH_F64] = "float64",   [LH_I64] = "int64",   [LH_U8] = "uint8",
    [LH_BOOL] = "bool",   [LH_BF16] = "bfloat16", [LH_F16] = "float16", [LH_I32] = "int32",
};

enum { LAST_DTYPE = LH_I32 };

const char *lh__dtype_name(int32_t dtype) {
    return dtype >= LH_F32 && dtype <= LAST_DTYPE ? dtype_names[dtype] : "unknown dtype";
}

char *lh__shape_text(int32_t ndim, const int64_t *shape, char text[LH__SHAPE_TEXT]) {
    size_t n = 1;

    text[0] = '(';
    for (int32_t d = 0; d < ndim; d++)
        n += (size_t)snprintf(text + n, LH__SHAPE_TEXT - n, d ? ", %lld" : "%lld",
                              (long long)shape[d]);
    snprintf(text + n, LH__SHAPE_TEXT - n, ")");
    return text;
}

/* Appends to a text of `room` bytes that has *n of them; cuts what doesn't fit. */
static void append(char *text, size_t room, size_t *n, const char *fmt, ...) LH_PRINTF(4, 5);
static void append(char *text, size_t room, size_t *n, const char *fmt, ...) {
    va_list args;
    int wrote;

    va_start(args, fmt);
    wrote = vsnprintf(text + *n, room - *n, fmt, args);
    va_end(args);
    if (wrote > 0)
        *n += (size_t)wrote < room - *n ? (size_t)wrote : room - *n - 1;
}

/* "name(x float32 (2, 3), weight float32 (4, 3))", with the names that the row gives. */
static void append_operands(char *text, size_t room, size_t *n, const lh__check *c) {
    const char *name = c->row->inputs;
    char shape[LH__SHAPE_TEXT];

    append(text, room, n, "%s(", c->row->name);
    for (int32_t i = 0; i < c->n_in && *n < room - 1; i++) {
        const lh__view *v = &c->call->inputs[i]->view;
        int length = (int)strcspn(name, " ");

        append(text, room, n, "%s%.*s %s %s", i ? ", " : "", length, name, lh__dtype_name(v->dtype),
               lh__shape_text(v->ndim, v->shape, shape));
        if (name[length])
            name += length + 1;
    }
    append(text, room, n, ")");
}

lh_status lh__reject(const lh__check *c, lh_status code, const char *fmt, ...) {
    char text[sizeof c->e->err->text], what[512];
    const lh__node *under = c->e->under;
    const char *file = under ? under->file : c->call->file;
    int32_t line = under ? under->line : c->call->line;
    size_t n = 0;
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    text[0] = 0;
    if (file)
        append(text, sizeof text, &n, "%s:%d: ", file, line);
    if (under)
        append(text, sizeof text, &n, "gradient of %s: ", under->row->name);
    append_operands(text, sizeof text - sizeof what, &n, c);
    append(text, sizeof text, &n, ": %s", what);
    return lh__fail(c->e->err, code, "%s", text);
}
