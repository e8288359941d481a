/* convolution.h - the geometry that the three convolution kernels share.
 *
 * A convolution ties a large side to a small one: small position o and tap k meet the large
 * position o stride - padding + k dilation, weight (small channels, large channels / groups, k...).
 * CONV computes the small side, CONV_TRANSPOSE the large one, CONV_WEIGHT_GRAD the weight.
 */
#ifndef LH_KERNELS_CONVOLUTION_H
#define LH_KERNELS_CONVOLUTION_H

#include "kernels/kernel.h"

/* Always three spatial axes; those that the call lacks come first and have one position. */
typedef struct lh__conv {
    int64_t batch, groups;
    int64_t large_c, small_c; /* channels of a group */
    int64_t large[3], small[3];
    int64_t kernel[3], stride[3], padding[3], dilation[3];
    int64_t taps; /* of the kernel */
} lh__conv;

static inline lh__conv lh__conv_of(const lh__kernel_call *call) {
    const lh__view *weight = call->op == LH__OP_CONV_WEIGHT_GRAD ? call->out : call->in[1];
    const lh__view *large = call->op == LH_OP_CONV             ? call->in[0]
                            : call->op == LH_OP_CONV_TRANSPOSE ? call->out
                                                               : call->in[1];
    const lh__view *small = call->op == LH_OP_CONV ? call->out : call->in[0];
    int32_t axes = weight->ndim - 2, dilation = call->op == LH_OP_CONV_TRANSPOSE ? 3 : 2;
    lh__conv g = {.batch = small->shape[0],
                  .groups = call->ints[(dilation + 1) * axes],
                  .large_c = weight->shape[1],
                  .taps = 1};

    g.small_c = weight->shape[0] / g.groups;
    for (int32_t d = 0; d < 3; d++) {
        int32_t own = d - (3 - axes);

        g.large[d] = own < 0 ? 1 : large->shape[2 + own];
        g.small[d] = own < 0 ? 1 : small->shape[2 + own];
        g.kernel[d] = own < 0 ? 1 : weight->shape[2 + own];
        g.stride[d] = own < 0 ? 1 : call->ints[own];
        g.padding[d] = own < 0 ? 0 : call->ints[axes + own];
        g.dilation[d] = own < 0 ? 1 : call->ints[dilation * axes + own];
        g.taps *= g.kernel[d];
    }
    return g;
}

#endif
