/* nn.h - layers: header-only sugar over parameters and operators, with PyTorch's names and
 * defaults.
 *
 * A layer is a small struct of parameter handles, made in configure_model and applied in steps; its
 * parameters are called NAME.weight, NAME.bias, as in PyTorch's state_dict. [trainer]
 */
#ifndef LHOST_NN_H
#define LHOST_NN_H

#include <stdio.h>

#include "ops.h"

LH_EXTERN_C_BEGIN

/* A parameter by hand: lh_param(c, "scale", &(lh_init){...}, 10, 20) of shape (10, 20), in the
 * run's precision. */
#define lh_param(c, name, init, ...) \
    (c)->host->param((c), (name), 0, LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__), (init))

/* State that is saved but has no gradient. */
#define lh_buffer(c, name, fill, ...) \
    (c)->host->buffer((c), (name), 0, LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__), (fill))

static inline lh_init lh_init_(uint32_t kind, double a, double b) {
    lh_init init;

    init.struct_size = (uint32_t)sizeof init;
    init.kind = kind;
    init.mode = LH_FAN_IN;
    init.nonlinearity = LH_LEAKY_RELU_GAIN;
    init.a = a;
    init.b = b;
    init.lo = init.hi = 0;
    return init;
}

/* torch.nn.Linear: weight (out, in) and bias (out), both U(-1/sqrt(in), 1/sqrt(in)). */
typedef struct lh_linear {
    lh_tensor *weight, *bias; /* bias NULL: none */
} lh_linear;

static inline lh_linear lh_linear_make_(lh_ctx *c, const char *name, int64_t in, int64_t out,
                                        int bias) {
    const int64_t shape[2] = {out, in};
    const lh_init init = lh_init_(LH_INIT_FAN_UNIFORM, (double)in, 0);
    lh_linear layer = {NULL, NULL};
    char key[128];

    snprintf(key, sizeof key, "%s.weight", name);
    layer.weight = c->host->param(c, key, 0, 2, shape, &init);
    if (bias) {
        snprintf(key, sizeof key, "%s.bias", name);
        layer.bias = c->host->param(c, key, 0, 1, shape, &init);
    }
    return layer;
}

#define lh_linear_make(c, name, in, out) lh_linear_make_(c, name, in, out, 1)
#define lh_linear_make_nobias(c, name, in, out) lh_linear_make_(c, name, in, out, 0)

/* x (..., in) to (..., out): x weight^T + bias. */
#define lh_linear_apply(c, layer, x)                                                \
    lh_op_(c, LH_HERE_, LH_OP_LINEAR, LH_TENSORS_(x, (layer).weight, (layer).bias), \
           (layer).bias ? 3 : 2, NULL, 0, NULL, 0)

LH_EXTERN_C_END
#endif
