/* view.h - arithmetic on strided views, shared by the devices: offsets, splitting, dtypes. */
#ifndef LH_KERNELS_VIEW_H
#define LH_KERNELS_VIEW_H

#include <stdbool.h>

#include "kernels/kernel.h"

static inline bool lh__dtype_is_real(int32_t dtype) {
    return dtype == LH_F32 || dtype == LH_F64 || dtype == LH_F16 || dtype == LH_BF16;
}

/* Offset, in elements, of element i of the view in row-major order. */
static inline int64_t lh__view_offset(const lh__view *v, int64_t i) {
    int64_t offset = 0;

    for (int32_t d = v->ndim - 1; d > 0; d--) {
        offset += i % v->shape[d] * v->stride[d];
        i /= v->shape[d];
    }
    return v->ndim ? offset + i * v->stride[0] : 0;
}

static inline bool lh__view_is_contiguous(const lh__view *v) {
    int64_t n = 1;

    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        if (v->shape[d] != 1 && v->stride[d] != n)
            return false;
        n *= v->shape[d];
    }
    return true;
}

/* Channels last: of (n, channels, positions...) the channels of a position are neighbours, the
 * positions of an image follow one another. */
static inline void lh__view_put_channels_last(lh__view *v) {
    int64_t n = v->shape[1];

    v->stride[1] = 1;
    for (int32_t d = v->ndim - 1; d > 1; n *= v->shape[d--])
        v->stride[d] = n;
    v->stride[0] = n;
}

static inline bool lh__view_is_channels_last(const lh__view *v) {
    lh__view last = *v;

    if (v->ndim < 3)
        return false;
    lh__view_put_channels_last(&last);
    for (int32_t d = 0; d < v->ndim; d++)
        if (v->shape[d] != 1 && v->stride[d] != last.stride[d])
            return false;
    return true;
}

/* How images (n, channels, positions...) lie: elements from one to the next, from channel to
 * channel, from position to position. One of the last two is 1. */
typedef struct lh__strides {
    int64_t image, channel, position;
} lh__strides;

/* Of a view that is contiguous, or has its channels last. */
static inline lh__strides lh__strides_of(const lh__view *v) {
    int64_t positions = 1;

    for (int32_t d = 2; d < v->ndim; d++)
        positions *= v->shape[d];
    return lh__view_is_contiguous(v) ? (lh__strides){v->shape[1] * positions, positions, 1}
                                     : (lh__strides){v->shape[1] * positions, 1, v->shape[1]};
}

/* n elements side by side; none where there is no address. */
static inline lh__view lh__line(int32_t dtype, void *data, int64_t n) {
    return (lh__view){
        .data = data, .dtype = dtype, .ndim = 1, .shape = {data ? n : 0}, .stride = {1}};
}

/* Splits x into the axes whose bit in `mask` is clear (kept) and those whose bit is set (inner).
 * Element (i, j) of the pair lies at lh__view_offset(kept, i) + lh__view_offset(inner, j). */
static inline void lh__view_split(const lh__view *x, uint32_t mask, lh__view *kept,
                                  lh__view *inner) {
    kept->data = inner->data = x->data;
    kept->dtype = inner->dtype = x->dtype;
    kept->ndim = inner->ndim = 0;
    for (int32_t d = 0; d < x->ndim; d++) {
        lh__view *part = mask >> d & 1 ? inner : kept;

        part->shape[part->ndim] = x->shape[d];
        part->stride[part->ndim++] = x->stride[d];
    }
}

/* The axes that a call reduces, as bits: SUM MEAN PROD AMAX AMIN ARGMAX ARGMIN SUM_TO of
 * input 0. */
static inline uint32_t lh__reduced_axes(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *y = call->out;
    uint32_t mask = 0;

    if (call->op == LH_OP_ARGMAX || call->op == LH_OP_ARGMIN)
        return 1u << call->ints[0];
    if (call->op == LH__OP_SUM_TO) {
        for (int32_t d = 0, lead = x->ndim - y->ndim; d < x->ndim; d++)
            if (d < lead || y->shape[d - lead] != x->shape[d])
                mask |= 1u << d;
        return mask;
    }
    for (int32_t i = 1; i < call->n_ints; i++)
        mask |= 1u << call->ints[i];
    return call->n_ints > 1 ? mask : (1u << x->ndim) - 1;
}

/* The part of x that begins at `start` on `axis`, `length` long, every `step`th element. */
static inline lh__view lh__view_slice(const lh__view *x, int64_t axis, int64_t start,
                                      int64_t length, int64_t step) {
    lh__view v = *x;

    if (v.data)
        v.data = (char *)v.data + start * v.stride[axis] * lh__dtype_size(v.dtype);
    v.shape[axis] = length;
    v.stride[axis] *= step;
    return v;
}

/* Positions in a box of three extents, as convolution and pooling have them: how many there are,
 * and where the n-th in row-major order is. */
static inline int64_t lh__volume(const int64_t e[3]) {
    return e[0] * e[1] * e[2];
}

static inline void lh__split3(const int64_t e[3], int64_t n, int64_t i[3]) {
    i[2] = n % e[2];
    i[1] = n / e[2] % e[1];
    i[0] = n / e[2] / e[1];
}

#endif
