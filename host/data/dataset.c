/* dataset.c - the owner of datasets and what all kinds share. */
#include "data/dataset.h"

#include "data/dataset_idx.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct lh__datasets {
    lh_dataset *first;
    lh__idx_file *files;
};

lh__datasets *lh__datasets_new(void) {
    return calloc(1, sizeof(lh__datasets));
}

void lh__datasets_free(lh__datasets *all) {
    if (!all)
        return;
    for (lh_dataset *d = all->first, *next; d; d = next) {
        next = d->next;
        d->kind->destroy(d);
    }
    lh__idx_files_free(all->files);
    free(all);
}

lh_dataset *lh__datasets_add(lh__datasets *all, lh_dataset *d) {
    d->next = all->first;
    all->first = d;
    return d;
}

lh__idx_file **lh__datasets_files(lh__datasets *all) {
    return &all->files;
}

static size_t dtype_size(int32_t dtype) {
    static const uint8_t sizes[] = {
        [LH_F32] = 4,  [LH_F64] = 8,  [LH_I64] = 8, [LH_U8] = 1,
        [LH_BOOL] = 1, [LH_BF16] = 2, [LH_F16] = 2, [LH_I32] = 4,
    };

    return dtype > 0 && (size_t)dtype < sizeof sizes ? sizes[dtype] : 0;
}

size_t lh__field_size(const lh_field *f) {
    size_t size = dtype_size(f->dtype);

    for (int32_t i = 0; i < f->ndim; i++)
        size *= (size_t)f->shape[i];
    return size;
}

static lh_status check_field(const lh_field *f, int32_t i, const char *what, lh__error *e) {
    size_t size = dtype_size(f->dtype);

    if (!size)
        return lh__fail(e, LH_EDTYPE, "%s: field %d has dtype %d, which does not exist", what, i,
                        f->dtype);
    if (f->ndim < 0 || f->ndim >= LH_MAX_DIMS)
        return lh__fail(
            e, LH_ESHAPE,
            "%s: field %d has %d dimensions; an item may have 0 to %d, a batch adds one", what, i,
            f->ndim, LH_MAX_DIMS - 1);
    for (int32_t k = 0; k < f->ndim; k++) {
        if (f->shape[k] < 1)
            return lh__fail(e, LH_ESHAPE,
                            "%s: dimension %d of field %d is %" PRId64 ", it must be at least 1",
                            what, k, i, f->shape[k]);
        if (__builtin_mul_overflow(size, (size_t)f->shape[k], &size) || size > INT64_MAX)
            return lh__fail(e, LH_ESHAPE, "%s: field %d is too large for this machine", what, i);
    }
    return LH_OK;
}

lh_status lh__dataset_set_fields(lh_dataset *d, const lh_field *fields, int32_t count,
                                 const char *what, lh__error *e) {
    if (count < 1 || count > LH__MAX_FIELDS)
        return lh__fail(e, LH_EINVAL, "%s: %d fields; there must be 1 to %d", what, count,
                        LH__MAX_FIELDS);
    for (int32_t i = 0; i < count; i++) {
        lh_status status = check_field(&fields[i], i, what, e);

        if (status != LH_OK)
            return status;
        d->fields[i] = fields[i];
        d->fields[i].struct_size = sizeof(lh_field);
    }
    d->n_fields = count;
    return LH_OK;
}

lh_status lh__dataset_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                             void *const *fields, lh__error *e) {
    for (int64_t i = 0; i < n; i++)
        if (indices[i] < 0 || indices[i] >= d->length)
            return lh__fail(e, LH_EINVAL,
                            "item %" PRId64 " was asked for of a dataset of %" PRId64 " items",
                            indices[i], d->length);
    return d->kind->gather(d, indices, n, fields, e);
}
