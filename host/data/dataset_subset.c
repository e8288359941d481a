/* dataset_subset.c - some items of another dataset, chosen or drawn. */
#include "data/dataset.h"
#include "data/permutation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct subset {
    lh_dataset head;
    const lh_dataset *base;
    size_t size[LH__MAX_FIELDS];
    int64_t indices[];
} subset;

static const void *subset_at(const lh_dataset *d, int32_t field, int64_t index) {
    const subset *s = (const subset *)d;

    return s->base->kind->at ? s->base->kind->at(s->base, field, s->indices[index]) : NULL;
}

static lh_status subset_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                               void *const *fields, lh__error *e) {
    const subset *s = (const subset *)d;
    void *part[LH__MAX_FIELDS];
    int64_t mapped[256]; /* a chunk on the stack: nothing is allocated */

    for (int64_t done = 0, count; done < n; done += count) {
        lh_status status;

        count = n - done < 256 ? n - done : 256;
        for (int64_t i = 0; i < count; i++)
            mapped[i] = s->indices[indices[done + i]];
        for (int32_t f = 0; f < d->n_fields; f++)
            part[f] = fields[f] ? (char *)fields[f] + (size_t)done * s->size[f] : NULL;
        status = s->base->kind->gather(s->base, mapped, count, part, e);
        if (status != LH_OK)
            return status;
    }
    return LH_OK;
}

static void subset_destroy(lh_dataset *d) {
    free(d);
}

static const lh__dataset_kind kind = {subset_gather, subset_at, subset_destroy};

/* A subset whose n indices are not filled in yet. */
static subset *subset_new(const lh_dataset *base, int64_t n, lh__error *e) {
    subset *s = n <= INT64_MAX / 16 ? malloc(sizeof *s + (size_t)n * sizeof *s->indices) : NULL;

    if (!s) {
        lh__fail(e, LH_ENOMEM, "a subset: no memory for %" PRId64 " indices", n);
        return NULL;
    }
    s->head = *base;
    s->head.kind = &kind;
    s->head.length = n;
    s->base = base;
    for (int32_t i = 0; i < base->n_fields; i++)
        s->size[i] = lh__field_size(&base->fields[i]);
    return s;
}

lh_dataset *lh__dataset_subset(lh__datasets *all, const lh_dataset *d, const int64_t *indices,
                               int64_t n, lh__error *e) {
    subset *s;

    if (n < 0) {
        lh__fail(e, LH_EINVAL, "a subset of %" PRId64 " items", n);
        return NULL;
    }
    for (int64_t i = 0; i < n; i++)
        if (indices[i] < 0 || indices[i] >= d->length) {
            lh__fail(e, LH_EINVAL,
                     "a subset: indices[%" PRId64 "] is %" PRId64
                     ", the dataset's items are numbered 0 to %" PRId64,
                     i, indices[i], d->length - 1);
            return NULL;
        }
    s = subset_new(d, n, e);
    if (!s)
        return NULL;
    if (n)
        memcpy(s->indices, indices, (size_t)n * sizeof *indices);
    return lh__datasets_add(all, &s->head);
}

static lh_status check_lengths(const lh_dataset *d, const int64_t *lengths, int32_t n,
                               lh__error *e) {
    int64_t sum = 0;

    if (n < 1)
        return lh__fail(e, LH_EINVAL, "a random split into %d parts; there must be at least 1", n);
    for (int32_t i = 0; i < n; i++)
        if (lengths[i] < 0 || __builtin_add_overflow(sum, lengths[i], &sum))
            return lh__fail(e, LH_EINVAL, "a random split: part %d is to hold %" PRId64 " items", i,
                            lengths[i]);
    if (sum != d->length)
        return lh__fail(e, LH_EINVAL,
                        "a random split: the lengths of the parts add up to %" PRId64
                        ", but the dataset holds %" PRId64 " items",
                        sum, d->length);
    return LH_OK;
}

lh_status lh__dataset_split(lh__datasets *all, const lh_dataset *d, const int64_t *lengths,
                            int32_t n, uint64_t seed, lh_dataset **out, lh__error *e) {
    lh_status status = check_lengths(d, lengths, n, e);
    lh__permutation order;
    int64_t from = 0;

    if (status != LH_OK)
        return status;
    order = lh__permutation_of((uint64_t)d->length,
                               (lh__philox_key){.seed = seed, .stream = LH__STREAM_SPLIT});
    for (int32_t k = 0; k < n; k++) {
        subset *s = subset_new(d, lengths[k], e);

        if (!s)
            return LH_ENOMEM;
        for (int64_t i = 0; i < lengths[k]; i++)
            s->indices[i] = (int64_t)lh__permute(&order, (uint64_t)(from + i));
        from += lengths[k];
        out[k] = lh__datasets_add(all, &s->head);
    }
    return LH_OK;
}
