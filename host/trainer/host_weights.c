/* host_weights.c - weights of a file by name, as plugins call for them and --weights does; the
 * matching (weights.h) also checks what a run is resumed from. */
#include "checkpoint/safetensors.h"
#include "trainer/host_table.h"
#include "trainer/weights.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 4, MOST_NAME = 1024 }; /* misfits of a kind by name; bytes of a name */

/* What follows `beginning` in `name`; NULL: it begins otherwise. */
static const char *after(const char *name, const char *beginning) {
    size_t n = strlen(beginning);

    return strncmp(name, beginning, n) == 0 ? name + n : NULL;
}

/* A checkpoint of ours also holds the state of training. */
static int is_weight(const lh__state *s, const char *name) {
    return s->foreign || (!after(name, "optimizer.") && !after(name, "gradient.") &&
                          !after(name, "state.") && strcmp(name, "outputs") != 0);
}

/* The file's tensor for a parameter or buffer; *is_asked_for: its name begins with `to`. */
static const lh__state_tensor *saved_of(const lh__weights *w, const char *name, int *is_asked_for) {
    const char *rest = after(name, w->to);
    char key[MOST_NAME];

    *is_asked_for = rest != NULL;
    if (!rest || snprintf(key, sizeof key, "%s%s", w->from, rest) >= (int)sizeof key ||
        !is_weight(w->state, key))
        return NULL;
    return lh__state_find(w->state, key);
}

/* Everything becomes real numbers; integers, integers as wide. */
static int converts(int32_t from, int32_t to) {
    int real = to == LH_F32 || to == LH_F64 || to == LH_F16 || to == LH_BF16;
    int from_real = from == LH_F32 || from == LH_F64 || from == LH_F16 || from == LH_BF16;

    return from == to || real ||
           (!from_real && to != LH_BOOL &&
            lh__stored_dtype_of(from)->size <= lh__stored_dtype_of(to)->size);
}

static int fits(const lh__weights *w, const lh__state_tensor *saved, const lh__view *v) {
    if (w->same_dtypes ? saved->dtype != v->dtype : !converts(saved->dtype, v->dtype))
        return 0;
    if (saved->ndim != v->ndim)
        return 0;
    for (int32_t i = 0; i < v->ndim; i++)
        if (saved->shape[i] != v->shape[i])
            return 0;
    return 1;
}

/* "F32 128x784" */
static char *describe(int32_t dtype, int32_t ndim, const int64_t *shape, char *out, size_t size) {
    const lh__stored_dtype *stored = lh__stored_dtype_of(dtype);
    size_t n = (size_t)snprintf(out, size, "%s%s", stored ? stored->name : "?", ndim ? " " : "");

    for (int32_t i = 0; i < ndim && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? "x" : "", (long long)shape[i]);
    return out;
}

/* The list of misfits under way. */
typedef struct report {
    char *text;
    size_t size;
    int64_t n;
} report;

/* Adds one, the `of_its_kind`-th. */
LH_PRINTF(3, 4) static void note(report *r, int64_t of_its_kind, const char *fmt, ...) {
    size_t used = strlen(r->text);
    va_list args;

    r->n++;
    if (of_its_kind > SHOWN || used + 3 >= r->size)
        return;
    if (used)
        used += (size_t)snprintf(r->text + used, r->size - used, ", ");
    va_start(args, fmt);
    vsnprintf(r->text + used, r->size - used, of_its_kind < SHOWN ? fmt : "...", args);
    va_end(args);
}

int64_t lh__weights_misfits(const lh__engine *e, const lh__weights *w, char *text, size_t size) {
    report r = {text, size, 0};
    int64_t missing = 0, other = 0, unexpected = 0;

    *text = 0;
    for (int64_t i = 0; i < lh__param_count(e); i++) {
        const lh__param *p = lh__param_at(e, i);
        const lh__view *v = &p->tensor.view;
        char there[100], here[100];
        int is_asked_for;
        const lh__state_tensor *saved = saved_of(w, p->name, &is_asked_for);

        if (saved && !fits(w, saved, v))
            note(&r, other++, "%s instead of %s: %.80s",
                 describe(saved->dtype, saved->ndim, saved->shape, there, sizeof there),
                 describe(v->dtype, v->ndim, v->shape, here, sizeof here), p->name);
        else if (!saved && is_asked_for && w->strict)
            note(&r, missing++, "missing %.80s", p->name);
    }
    for (size_t i = 0; w->strict && i < w->state->n_tensors; i++) {
        const char *name = w->state->tensors[i].name, *rest = after(name, w->from);
        char key[MOST_NAME];

        if (rest && is_weight(w->state, name) &&
            (snprintf(key, sizeof key, "%s%s", w->to, rest) >= (int)sizeof key ||
             !lh__param_find(e, key)))
            note(&r, unexpected++, "unexpected %.80s", name);
    }
    return r.n;
}

int64_t lh__weights_write(lh__engine *e, const lh__weights *w) {
    int64_t n = 0;

    for (int64_t i = 0; i < lh__param_count(e); i++) {
        lh__param *p = lh__param_at(e, i);
        int is_asked_for;
        const lh__state_tensor *saved = saved_of(w, p->name, &is_asked_for);
        lh_tensor *from;
        lh_status status;

        if (!saved)
            continue;
        from = lh__tensor_wrap(e, saved->dtype, saved->ndim, saved->shape, saved->data);
        status = from ? lh__tensor_assign(e, &p->tensor, from) : LH_ENOMEM;
        if (status != LH_OK)
            return status;
        n++;
    }
    return lh__settle(e) == LH_OK ? n : LH_ENOMEM; /* the file's memory goes */
}

int64_t lh__weights_load(lh__trainer *t, const char *path, const char *from, const char *to,
                         int32_t strict, lh__error *err) {
    lh__weights w = {.from = from ? from : "", .to = to ? to : "", .strict = strict};
    lh__state *state = NULL;
    char text[700];
    int64_t n;

    if (!path || !*path)
        return lh__fail(err, LH_EINVAL, "load_weights: no file was given");
    if (lh__safetensors_read(path, &state, err) != LH_OK)
        return err->code;
    w.state = state;
    n = lh__weights_misfits(t->engine, &w, text, sizeof text);
    if (n > 0)
        n = lh__fail(err, LH_EINVAL,
                     "the weights of %s do not fit the model %s: %s (%lld in all); nothing was "
                     "loaded",
                     path, t->cast.module->plugin->name, text, (long long)n);
    else
        n = lh__weights_write(t->engine, &w);
    lh__state_free(state);
    if (n == 0)
        lh__say(t, LH_WARNING, "%s: no name is that of a weight of the model: nothing was loaded",
                path);
    return n;
}

static int64_t load_weights(lh_ctx *c, const char *path, const char *from, const char *to,
                            int32_t strict) {
    return lh__weights_load(lh__of(c)->trainer, path, from, to, strict, &lh__of(c)->error);
}

void lh__host_weights(lh_host *h) {
    h->load_weights = load_weights;
}
