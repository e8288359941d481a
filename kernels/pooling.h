/* pooling.h - the geometry of windows that the pooling kernels share. */
#ifndef LH_KERNELS_POOLING_H
#define LH_KERNELS_POOLING_H

#include "kernels/kernel.h"

/* Always three spatial axes; those that the call lacks come first and have one position. */
typedef struct lh__pooling {
    int64_t planes;        /* images x channels */
    int64_t in[3], out[3]; /* extents of x and of its windows */
    int64_t kernel[3], stride[3], padding[3], dilation[3];
    int32_t include_pad; /* AVG_POOL: the padding counts */
} lh__pooling;

static inline lh__pooling lh__pooling_of(const lh__kernel_call *call) {
    int32_t max = call->op == LH_OP_MAX_POOL_INDICES, grad = call->op == LH__OP_AVG_POOL_GRAD;
    const lh__view *x = grad ? call->out : call->in[0], *y = grad ? call->in[0] : call->out;
    int32_t axes = x->ndim - 2;
    lh__pooling p = {.planes = x->shape[0] * x->shape[1],
                     .include_pad = !max && call->ints[3 * axes + 1]};

    for (int32_t d = 0; d < 3; d++) {
        int32_t own = d - (3 - axes);

        p.in[d] = own < 0 ? 1 : x->shape[2 + own];
        p.out[d] = own < 0 ? 1 : y->shape[2 + own];
        p.kernel[d] = own < 0 ? 1 : call->ints[own];
        p.stride[d] = own < 0 ? 1 : call->ints[axes + own];
        p.padding[d] = own < 0 ? 0 : call->ints[2 * axes + own];
        p.dilation[d] = own < 0 || !max ? 1 : call->ints[3 * axes + own];
    }
    return p;
}

/* What an average over window o of axis d divides by, as PyTorch counts: without the padding, or
 * with it but not beyond. */
static inline int64_t lh__pooling_count(const lh__pooling *p, int32_t d, int64_t o) {
    int64_t begin = o * p->stride[d] - p->padding[d], end = begin + p->kernel[d];
    int64_t limit = p->in[d] + (p->include_pad ? p->padding[d] : 0);

    begin = begin < 0 && !p->include_pad ? 0 : begin;
    return (end < limit ? end : limit) - begin;
}

#endif
