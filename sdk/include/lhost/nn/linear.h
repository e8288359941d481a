/* linear.h - torch.nn.Linear. */
#ifndef LHOST_NN_LINEAR_H
#define LHOST_NN_LINEAR_H

#include "param.h"

LH_EXTERN_C_BEGIN

/* NAME.weight (out, in) and NAME.bias (out), both U(-1/sqrt(in), 1/sqrt(in)). */
typedef struct lh_linear {
    lh_tensor *weight, *bias; /* bias NULL: none */
} lh_linear;

static inline lh_linear lh_linear_make_(lh_ctx *c, const char *name, int64_t in, int64_t out,
                                        int bias) {
    const lh_init init = lh_init_(LH_INIT_FAN_UNIFORM, (double)in, 0);
    const int64_t shape[2] = {out, in};
    lh_linear layer;

    layer.weight = lh_param_of_(c, 1, name, "weight", 2, shape, init);
    layer.bias = lh_param_of_(c, bias, name, "bias", 1, shape, init);
    return layer;
}

#define lh_linear_make(c, name, in, out) lh_linear_make_(c, name, in, out, 1)
#define lh_linear_make_nobias(c, name, in, out) lh_linear_make_(c, name, in, out, 0)

static inline lh_tensor *lh_linear_apply_(lh_ctx *c, const char *file, int32_t line,
                                          const lh_linear *layer, lh_tensor *x) {
    lh_tensor *inputs[3];

    inputs[0] = x;
    inputs[1] = layer->weight;
    inputs[2] = layer->bias;
    return lh_op_(c, file, line, LH_OP_LINEAR, inputs, layer->bias ? 3 : 2, NULL, 0, NULL, 0);
}

/* x (..., in) to (..., out): x weight^T + bias. */
#define lh_linear_apply(c, layer, x) lh_linear_apply_((c), LH_HERE_, &(layer), (x))

LH_EXTERN_C_END
#endif
