/* state.c - the state tree of state.h. */
#include "checkpoint/state.h"

#include <stdlib.h>
#include <string.h>

/* Names: the safetensors format, https://github.com/huggingface/safetensors */
static const lh__stored_dtype dtypes[] = {
    {LH_F32, 4, "F32"},   {LH_F64, 8, "F64"},   {LH_I64, 8, "I64"}, {LH_U8, 1, "U8"},
    {LH_BOOL, 1, "BOOL"}, {LH_BF16, 2, "BF16"}, {LH_F16, 2, "F16"}, {LH_I32, 4, "I32"},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

const lh__stored_dtype *lh__stored_dtype_of(int32_t dtype) {
    for (size_t i = 0; i < N_DTYPES; i++)
        if (dtypes[i].dtype == dtype)
            return &dtypes[i];
    return NULL;
}

const lh__stored_dtype *lh__stored_dtype_named(const char *name) {
    for (size_t i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

lh__state *lh__state_new(void) {
    lh__state *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->meta = json_object();
    s->index = json_object();
    if (!s->meta || !s->index) {
        lh__state_free(s);
        return NULL;
    }
    return s;
}

void lh__state_free(lh__state *s) {
    if (!s)
        return;
    for (size_t i = 0; i < s->n_tensors; i++) {
        free(s->tensors[i].name);
        free(s->tensors[i].copy);
    }
    free(s->tensors);
    json_decref(s->meta);
    json_decref(s->index);
    free(s->storage);
    free(s);
}

static lh_status too_large(const char *name, lh__error *e) {
    return lh__fail(e, LH_EINVAL, "tensor \"%s\" would be larger than memory: check its shape",
                    name);
}

/* Fills in everything of `t` but its name and data. */
static lh_status describe(lh__state_tensor *t, const char *name, int32_t dtype, int32_t ndim,
                          const int64_t *shape, lh__error *e) {
    const lh__stored_dtype *d = lh__stored_dtype_of(dtype);

    if (!d)
        return lh__fail(e, LH_EINVAL, "tensor \"%s\" has the unknown dtype %d", name, dtype);
    if (ndim < 0 || ndim > LH_MAX_DIMS)
        return lh__fail(e, LH_EINVAL, "tensor \"%s\" has %d dimensions; 0 to %d are allowed", name,
                        ndim, LH_MAX_DIMS);
    *t = (lh__state_tensor){.dtype = dtype, .ndim = ndim, .size = 1};
    for (int32_t i = 0; i < ndim; i++) {
        t->shape[i] = shape[i];
        if (shape[i] < 0)
            return lh__fail(e, LH_EINVAL, "tensor \"%s\": dimension %d is negative: %lld", name, i,
                            (long long)shape[i]);
        if (__builtin_mul_overflow(t->size, (size_t)shape[i], &t->size))
            return too_large(name, e);
    }
    return __builtin_mul_overflow(t->size, d->size, &t->size) ? too_large(name, e) : LH_OK;
}

/* Makes room for one more tensor. */
static bool grow(lh__state *s) {
    size_t capacity = s->capacity ? 2 * s->capacity : 16;
    lh__state_tensor *tensors;

    if (s->n_tensors < s->capacity)
        return true;
    tensors = realloc(s->tensors, capacity * sizeof *tensors);
    if (!tensors)
        return false;
    s->tensors = tensors;
    s->capacity = capacity;
    return true;
}

/* Moves `t` into the state under `name`; on failure the state is as before. */
static lh_status add(lh__state *s, const char *name, lh__state_tensor t, lh__error *e) {
    json_t *checked;

    if (lh__state_find(s, name))
        return lh__fail(e, LH_EINVAL, "two tensors are named \"%s\"; give each its own name", name);
    checked = json_string(name);
    if (!checked)
        return lh__fail(e, LH_EINVAL, "a tensor's name is not UTF-8 text");
    json_decref(checked);
    t.name = strdup(name);
    if (!t.name || !grow(s) ||
        json_object_set_new(s->index, name, json_integer((json_int_t)s->n_tensors)) != 0) {
        free(t.name);
        return lh__fail(e, LH_ENOMEM, "out of memory for tensor \"%s\"", name);
    }
    s->tensors[s->n_tensors++] = t;
    return LH_OK;
}

lh_status lh__state_put(lh__state *s, const char *name, int32_t dtype, int32_t ndim,
                        const int64_t *shape, const void *data, lh__error *e) {
    lh__state_tensor t;
    lh_status status = describe(&t, name, dtype, ndim, shape, e);

    if (status != LH_OK)
        return status;
    if (!data && t.size > 0)
        return lh__fail(e, LH_EINVAL, "tensor \"%s\" has no data", name);
    t.data = data;
    return add(s, name, t, e);
}

lh_status lh__state_put_copy(lh__state *s, const char *name, int32_t dtype, int32_t ndim,
                             const int64_t *shape, const void *data, lh__error *e) {
    lh__state_tensor t;
    lh_status status = describe(&t, name, dtype, ndim, shape, e);

    if (status != LH_OK)
        return status;
    if (t.size > 0) {
        if (!data)
            return lh__fail(e, LH_EINVAL, "tensor \"%s\" has no data", name);
        t.copy = malloc(t.size);
        if (!t.copy)
            return lh__fail(e, LH_ENOMEM, "out of memory: %zu bytes for tensor \"%s\"", t.size,
                            name);
        memcpy(t.copy, data, t.size);
        t.data = t.copy;
    }
    status = add(s, name, t, e);
    if (status != LH_OK)
        free(t.copy);
    return status;
}

const lh__state_tensor *lh__state_find(const lh__state *s, const char *name) {
    const json_t *at = json_object_get(s->index, name);

    return at ? &s->tensors[json_integer_value(at)] : NULL;
}
