/* dropout.h - torch.nn.Dropout is lh_dropout of ops.h; this is Dropout1d, 2d, 3d. */
#ifndef LHOST_NN_DROPOUT_H
#define LHOST_NN_DROPOUT_H

#include "param.h"

LH_EXTERN_C_BEGIN

static inline lh_tensor *lh_dropout_channels_(lh_ctx *c, const char *file, int32_t line,
                                              lh_tensor *x, double p) {
    const double one = 1;
    int64_t ints[1 + LH_MAX_DIMS];
    int32_t ndim = lh_ndim(c, x);
    lh_tensor *mask;

    ints[0] = lh_dtype_(c, x);
    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = d < 2 ? lh_dim(c, x, d) : 1;
    mask = lh_op_(c, file, line, LH_OP_FULL, NULL, 0, ints, 1 + ndim, &one, 1);
    mask = lh_op1_(c, file, line, LH_OP_DROPOUT, mask, 0, NULL, 1, &p);
    return lh_op2_(c, file, line, LH_OP_MUL, x, mask);
}

/* x (n, channels, ...): in training mode whole channels become 0 with probability p, the others
 * grow by 1 / (1 - p). */
#define lh_dropout_channels(c, x, p) lh_dropout_channels_((c), LH_HERE_, (x), (p))

LH_EXTERN_C_END
#endif
