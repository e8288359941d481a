/* column.c - datasets in memory: the common floor of IDX files and arrays. */
#include "data/column.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct columns {
    lh_dataset head;
    const uint8_t *data[LH__MAX_FIELDS];
    size_t size[LH__MAX_FIELDS]; /* of an item */
    void *owned;
} columns;

static const void *columns_at(const lh_dataset *d, int32_t field, int64_t index) {
    const columns *c = (const columns *)d;

    return c->data[field] + (size_t)index * c->size[field];
}

static lh_status columns_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                                void *const *fields, lh__error *e) {
    const columns *c = (const columns *)d;

    for (int32_t f = 0; f < d->n_fields; f++) {
        size_t size = c->size[f];
        uint8_t *dst = fields[f];

        for (int64_t i = 0; dst && i < n; i++, dst += size) {
            if (i + LH__ITEMS_AHEAD < n)
                lh__prefetch(columns_at(d, f, indices[i + LH__ITEMS_AHEAD]), size);
            memcpy(dst, columns_at(d, f, indices[i]), size);
        }
    }
    return LH_OK;
}

static void columns_destroy(lh_dataset *d) {
    free(((columns *)d)->owned);
    free(d);
}

static const lh__dataset_kind kind = {columns_gather, columns_at, columns_destroy};

lh_dataset *lh__dataset_columns(lh__datasets *all, const lh__column *cols, int32_t n,
                                int64_t length, void *owned, const char *what, lh__error *e) {
    columns *c = calloc(1, sizeof *c);
    lh_field fields[LH__MAX_FIELDS] = {0};

    if (!c) {
        lh__fail(e, LH_ENOMEM, "%s: out of memory", what);
        return NULL;
    }
    for (int32_t i = 0; i < n && i < LH__MAX_FIELDS; i++)
        fields[i] = cols[i].field;
    c->head.kind = &kind;
    c->head.length = length;
    c->head.in_memory = 1;
    if (lh__dataset_set_fields(&c->head, fields, n, what, e) != LH_OK) {
        free(c);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        c->data[i] = cols[i].data;
        c->size[i] = lh__field_size(&fields[i]);
    }
    c->owned = owned;
    return lh__datasets_add(all, &c->head);
}

/* The field and length of an array; the sizes of all arrays' copies add up in *total. */
static lh_status measure(const lh__array *a, int32_t i, int64_t length, lh_field *field,
                         size_t *total, lh__error *e) {
    lh_dataset probe;
    lh_status status;
    size_t size;

    if (a->ndim < 1 || a->ndim > LH_MAX_DIMS)
        return lh__fail(e, LH_ESHAPE,
                        "array %d has %d dimensions; it needs 1 to %d, the first counts the items",
                        i, a->ndim, LH_MAX_DIMS);
    if (a->shape[0] != length || length < 0)
        return lh__fail(e, LH_ESHAPE,
                        "array %d holds %" PRId64 " items, array 0 holds %" PRId64
                        "; the first dimensions must agree",
                        i, a->shape[0], length);
    *field = (lh_field){.struct_size = sizeof *field, .dtype = a->dtype, .ndim = a->ndim - 1};
    memcpy(field->shape, a->shape + 1, (size_t)(a->ndim - 1) * sizeof *field->shape);
    status = lh__dataset_set_fields(&probe, field, 1, "a dataset of arrays", e);
    if (status != LH_OK)
        return status;
    if (__builtin_mul_overflow(lh__field_size(field), (size_t)length, &size) ||
        __builtin_add_overflow(size, *total + 64, total))
        return lh__fail(e, LH_ENOMEM, "array %d is too large for this machine", i);
    return LH_OK;
}

lh_dataset *lh__dataset_arrays(lh__datasets *all, const lh__array *arrays, int32_t n,
                               lh__error *e) {
    lh__column cols[LH__MAX_FIELDS];
    lh_dataset *d;
    size_t total = 64;
    uint8_t *copy, *at;

    if (n < 1 || n > LH__MAX_FIELDS) {
        lh__fail(e, LH_EINVAL, "a dataset of %d arrays; there must be 1 to %d", n, LH__MAX_FIELDS);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++)
        if (measure(&arrays[i], i, arrays[0].shape[0], &cols[i].field, &total, e) != LH_OK)
            return NULL;
    at = copy = malloc(total);
    if (!copy) {
        lh__fail(e, LH_ENOMEM, "a dataset of arrays: no memory for %zu bytes", total);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        size_t size = lh__field_size(&cols[i].field) * (size_t)arrays[i].shape[0];

        if (size)
            memcpy(at, arrays[i].data, size);
        cols[i].data = at;
        at += (size + 63) / 64 * 64;
    }
    d = lh__dataset_columns(all, cols, n, arrays[0].shape[0], copy, "a dataset of arrays", e);
    if (!d)
        free(copy);
    return d;
}
