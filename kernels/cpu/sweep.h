/* sweep.h - how the destinations of CONV and CONV_TRANSPOSE meet their source, for both ways the
 * cpu device computes them.
 *
 * Destination positions are first + spread j. CONV: spread 1; tap k of position j reads the source
 * at low + j step + offset(k). CONV_TRANSPOSE: one pass for every first in [0, spread), with the
 * taps that meet it; step 1.
 */
#ifndef LH_KERNELS_CPU_SWEEP_H
#define LH_KERNELS_CPU_SWEEP_H

#include "kernels/convolution.h"
#include "kernels/view.h"

typedef struct sweep {
    lh__conv g;
    int64_t from_c, to_c;       /* channels of a group */
    int64_t from[3], to[3];     /* extents */
    int64_t step[3], spread[3]; /* one of them is 1 */
    int64_t low[3], reach[3];   /* least offset; greatest minus least */
    int64_t count[3];           /* positions j */
    int64_t row, column;        /* of the weight, from channel to channel: to, from */
    lh__strides source, result; /* of channels.c's operands */
    int32_t transpose;
    lh__products products; /* F32 or what operands are rounded to */
} sweep;

static inline int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* What the operands of a call are rounded to as they are laid out. In two bfloat16 they are as good
 * as whole, and taken so. */
static inline lh__products rounding_of(const lh__kernel_call *call) {
    const bool rounds = call->out->dtype == LH_F32 && call->products != LH__PRODUCTS_BF16X3;

    return rounds ? call->products : LH__PRODUCTS_F32;
}

static inline sweep sweep_of(const lh__kernel_call *call) {
    const bool transpose = call->op == LH_OP_CONV_TRANSPOSE;
    sweep s = {.g = lh__conv_of(call),
               .source = lh__strides_of(call->in[0]),
               .result = lh__strides_of(call->out),
               .transpose = transpose,
               .products = rounding_of(call)};
    const lh__conv *g = &s.g;

    s.from_c = transpose ? g->small_c : g->large_c;
    s.to_c = transpose ? g->large_c : g->small_c;
    s.row = transpose ? g->taps : g->large_c * g->taps;
    s.column = transpose ? g->large_c * g->taps : g->taps;
    for (int32_t d = 0; d < 3; d++) {
        int64_t span = (g->kernel[d] - 1) * g->dilation[d], stride = g->stride[d];

        s.from[d] = transpose ? g->small[d] : g->large[d];
        s.to[d] = transpose ? g->large[d] : g->small[d];
        s.step[d] = transpose ? 1 : stride;
        s.spread[d] = transpose ? stride : 1;
        s.low[d] = transpose ? -floor_div(span - g->padding[d], stride) : -g->padding[d];
        s.reach[d] = transpose ? floor_div(stride - 1 + g->padding[d], stride) - s.low[d] : span;
        if (s.reach[d] < 0) /* no tap meets anything */
            s.reach[d] = 0;
        s.count[d] = (s.to[d] + s.spread[d] - 1) / s.spread[d];
    }
    return s;
}

/* offset[] of tap k, from `low` on, for destinations first + ...; false: it doesn't meet them. */
static inline bool meets(const sweep *s, const int64_t first[3], int64_t k, int64_t offset[3]) {
    int64_t tap[3];

    lh__split3(s->g.kernel, k, tap);
    for (int32_t d = 0; d < 3; d++) {
        offset[d] = tap[d] * s->g.dilation[d] - s->g.padding[d];
        if (s->transpose) {
            offset[d] = first[d] - offset[d];
            if (offset[d] % s->spread[d])
                return false;
            offset[d] /= s->spread[d];
        }
        offset[d] -= s->low[d];
    }
    return true;
}

#endif
