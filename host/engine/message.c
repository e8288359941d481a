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
static void append_call(char *text, size_t room, size_t *n, const lh__row *row,
                        const lh_op_call *call) {
    const char *name = row->inputs;
    char shape[LH__SHAPE_TEXT];

    append(text, room, n, "%s(", row->name);
    for (int32_t i = 0; i < call->n_inputs && *n < room - 1; i++) {
        const lh__view *v = &call->inputs[i]->view;
        int length = (int)strcspn(name, " ");

        append(text, room, n, "%s%.*s %s %s", i ? ", " : "", length, name, lh__dtype_name(v->dtype),
               lh__shape_text(v->ndim, v->shape, shape));
        if (name[length])
            name += length + 1;
    }
    append(text, room, n, ")");
}

/* Place, operator and operands of the call under way; then of `call`, which it is made of, if that
 * is another; then what is wrong. */
static lh_status refuse(lh__engine *e, const lh_op_call *call, lh_status code, const char *what) {
    char text[sizeof e->err->text];
    const lh__node *under = e->under;
    const lh_op_call *outer = e->outer ? e->outer : call;
    const size_t room = sizeof text - 512;
    size_t n = 0;

    text[0] = 0;
    if (under ? under->file != NULL : outer->file != NULL)
        append(text, room, &n, "%s:%d: ", under ? under->file : outer->file,
               under ? under->line : outer->line);
    if (under)
        append(text, room, &n, "gradient of %s: ", under->row->name);
    append_call(text, room, &n, e->rows[outer->op], outer);
    if (call && call != outer) {
        append(text, room, &n, ": in its ");
        append_call(text, room, &n, e->rows[call->op], call);
    }
    append(text, sizeof text, &n, ": %s", what);
    return lh__fail(e->err, code, "%s", text);
}

lh_status lh__reject(const lh__check *c, lh_status code, const char *fmt, ...) {
    char what[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return refuse(c->e, c->call, code, what);
}

lh_status lh__fail_here(lh__engine *e, lh_status code, const char *fmt, ...) {
    char what[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return e->outer ? refuse(e, NULL, code, what) : lh__fail(e->err, code, "%s", what);
}
