/* dataset_normalize.c - a field of another dataset as F32: (x * scale - mean) / std.
 *
 * Items in memory are read once and written once. Other items are first gathered into the
 * destination and turned where they are, so that nothing is allocated.
 */
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct normalize;
typedef void apply(const struct normalize *z, const void *src, float *dst, size_t n);

typedef struct normalize {
    lh_dataset head;
    const lh_dataset *base;
    int32_t field;
    float scale, mean, factor; /* factor: 1 / std */
    size_t numel;              /* of an item */
    apply *apply;
} normalize;

/* One body per dtype, compiled for every x86-64 and for AVX2; without contraction, so that both
 * give the same bits. */
#define APPLY(name, type, target)                                                        \
    target static void name(const normalize *z, const void *src, float *dst, size_t n) { \
        const type *x = src;                                                             \
        float scale = z->scale, mean = z->mean, factor = z->factor;                      \
                                                                                         \
        for (size_t i = 0; i < n; i++)                                                   \
            dst[i] = ((float)x[i] * scale - mean) * factor;                              \
    }
APPLY(apply_u8, uint8_t, )
APPLY(apply_f32, float, )
#ifdef __x86_64__
APPLY(apply_u8_avx2, uint8_t, __attribute__((target("avx2"))))
APPLY(apply_f32_avx2, float, __attribute__((target("avx2"))))
#endif

static apply *choose(int32_t dtype) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return dtype == LH_U8 ? apply_u8_avx2 : apply_f32_avx2;
#endif
    return dtype == LH_U8 ? apply_u8 : apply_f32;
}

static const void *normalize_at(const lh_dataset *d, int32_t field, int64_t index) {
    const normalize *z = (const normalize *)d;

    if (field == z->field || !z->base->kind->at)
        return NULL;
    return z->base->kind->at(z->base, field, index);
}

/* Items in memory: from where they lie to `dst`. */
static void apply_direct(const normalize *z, const int64_t *indices, int64_t n, float *dst) {
    const lh_dataset *base = z->base;
    size_t size = lh__field_size(&base->fields[z->field]);

    for (int64_t i = 0; i < n; i++, dst += z->numel) {
        if (i + LH__ITEMS_AHEAD < n)
            lh__prefetch(base->kind->at(base, z->field, indices[i + LH__ITEMS_AHEAD]), size);
        z->apply(z, base->kind->at(base, z->field, indices[i]), dst, z->numel);
    }
}

static lh_status normalize_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                                  void *const *fields, lh__error *e) {
    const normalize *z = (const normalize *)d;
    const lh_dataset *base = z->base;
    int direct = base->kind->at && n > 0 && base->kind->at(base, z->field, indices[0]);
    size_t count = (size_t)n * z->numel;
    float *dst = fields[z->field];
    void *beneath[LH__MAX_FIELDS];
    uint8_t *raw = NULL;
    lh_status status;

    memcpy(beneath, fields, (size_t)d->n_fields * sizeof *beneath);
    beneath[z->field] = NULL;
    if (dst && !direct) { /* at the end of the destination: writing never overtakes reading */
        raw = (uint8_t *)(dst + count) - (size_t)n * lh__field_size(&base->fields[z->field]);
        beneath[z->field] = raw;
    }
    status = base->kind->gather(base, indices, n, beneath, e);
    if (status != LH_OK || !dst)
        return status;
    if (direct)
        apply_direct(z, indices, n, dst);
    else
        z->apply(z, raw, dst, count);
    return LH_OK;
}

static void normalize_destroy(lh_dataset *d) {
    free(d);
}

static const lh__dataset_kind kind = {normalize_gather, normalize_at, normalize_destroy};

lh_dataset *lh__dataset_normalize(lh__datasets *all, const lh_dataset *d, int32_t field,
                                  double scale, double mean, double std, lh__error *e) {
    normalize *z = NULL;

    if (field < 0 || field >= d->n_fields)
        lh__fail(e, LH_EINVAL, "normalize: there is no field %d; the dataset has fields 0 to %d",
                 field, d->n_fields - 1);
    else if (d->fields[field].dtype != LH_U8 && d->fields[field].dtype != LH_F32)
        lh__fail(e, LH_EDTYPE, "normalize: field %d is neither U8 nor F32", field);
    else if (!(std > 0) || !isfinite((float)(1 / std)) || !isfinite((float)scale) ||
             !isfinite((float)mean))
        lh__fail(e, LH_EINVAL,
                 "normalize: scale %g, mean %g, std %g; all must be finite and std above 0", scale,
                 mean, std);
    else if (!(z = malloc(sizeof *z)))
        lh__fail(e, LH_ENOMEM, "normalize: out of memory");
    if (!z)
        return NULL;
    *z = (normalize){.head = *d,
                     .base = d,
                     .field = field,
                     .scale = (float)scale,
                     .mean = (float)mean,
                     .factor = (float)(1 / std),
                     .apply = choose(d->fields[field].dtype)};
    z->head.kind = &kind;
    z->head.fields[field].dtype = LH_F32;
    z->numel = lh__field_size(&z->head.fields[field]) / sizeof(float);
    return lh__datasets_add(all, &z->head);
}
