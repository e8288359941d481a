/* conv.h - torch.nn.Conv1d, Conv2d, Conv3d and ConvTranspose1d, 2d, 3d: one lh_conv for all.
 *
 *     m->conv1 = lh_conv2d_make(c, "conv1", 3, 64, 7, .stride = 2, .padding = 3, .bias = 0);
 *     x = lh_conv_apply(c, m->conv1, x);
 */
#ifndef LHOST_NN_CONV_H
#define LHOST_NN_CONV_H

#include "param.h"

LH_EXTERN_C_BEGIN

/* A .padding: as many zeros as keep the extent, half of them before and half behind, and behind one
 * more where they are odd in number. PyTorch's "same"; with stride 1 alone, not of transposed ones.
 */
#define LH_SAME (-1)

/* One number serves all axes; the fields of three, where one of them is not 0, are axis by axis. */
typedef struct lh_conv_options {
    int64_t stride, padding, dilation, output_padding; /* 1, 0, 1, 0 */
    int64_t kernels[3], strides[3], paddings[3], dilations[3], output_paddings[3];
    int64_t groups; /* 1 */
    int32_t bias;   /* 1 */
} lh_conv_options;

/* NAME.weight, (out, in/groups, kernel...) or transposed (in, out/groups, kernel...), and NAME.bias
 * (out), all U(-1/sqrt(f), 1/sqrt(f)) with f = weight.shape[1] times the kernel's size. */
typedef struct lh_conv {
    lh_tensor *weight, *bias; /* bias NULL: none */
    uint32_t op;              /* LH_OP_CONV or LH_OP_CONV_TRANSPOSE */
    int32_t n_ints;
    int64_t ints[13]; /* as the operator takes them */
    int64_t n_pad;    /* 0, or how many integers LH_OP_PAD takes */
    int64_t pad[7];   /* where LH_SAME wants one zero more behind */
} lh_conv;

static inline int64_t *lh_conv_axes_(int64_t *to, int32_t axes, int64_t one, const int64_t *each) {
    int uses_each = each[0] != 0 || each[1] != 0 || each[2] != 0;

    for (int32_t i = 0; i < axes; i++)
        *to++ = uses_each ? each[i] : one;
    return to;
}

/* Puts numbers in the place of LH_SAME; 0 if that can't be. */
static inline int lh_conv_same_(lh_conv *layer, int32_t axes, const int64_t *kernel) {
    const int64_t *stride = layer->ints, *dilation = layer->ints + 2 * axes;
    int64_t *padding = layer->ints + axes;

    layer->pad[0] = LH_PAD_CONSTANT;
    for (int32_t i = 0; i < axes; i++) {
        int64_t zeros = dilation[i] * (kernel[i] - 1);

        if (padding[i] != LH_SAME)
            continue;
        if (layer->op != LH_OP_CONV || stride[i] != 1)
            return 0;
        padding[i] = zeros / 2;
        layer->pad[2 * (axes - i)] = zeros % 2; /* from the last axis on */
        if (zeros % 2)
            layer->n_pad = 1 + 2 * axes;
    }
    return 1;
}

static inline lh_conv lh_conv_make_(lh_ctx *c, const char *file, int32_t line, const char *name,
                                    int32_t axes, int transposed, int64_t in, int64_t out,
                                    int64_t kernel, const lh_conv_options *o) {
    int64_t shape[5], fan, *next;
    lh_conv layer;
    lh_init init;

    memset(&layer, 0, sizeof layer);
    layer.op = transposed ? LH_OP_CONV_TRANSPOSE : LH_OP_CONV;
    next = lh_conv_axes_(layer.ints, axes, o->stride, o->strides);
    next = lh_conv_axes_(next, axes, o->padding, o->paddings);
    if (transposed)
        next = lh_conv_axes_(next, axes, o->output_padding, o->output_paddings);
    next = lh_conv_axes_(next, axes, o->dilation, o->dilations);
    *next++ = o->groups;
    layer.n_ints = (int32_t)(next - layer.ints);
    if (o->groups < 1 || in % o->groups != 0 || out % o->groups != 0) {
        c->host->fail(c, LH_EINVAL, file, line,
                      "%s: %lld and %lld channels can't be split into %lld groups", name,
                      (long long)in, (long long)out, (long long)o->groups);
        return layer;
    }
    shape[0] = transposed ? in : out;
    shape[1] = (transposed ? out : in) / o->groups;
    lh_conv_axes_(shape + 2, axes, kernel, o->kernels);
    if (!lh_conv_same_(&layer, axes, shape + 2)) {
        c->host->fail(c, LH_EINVAL, file, line,
                      "%s: LH_SAME is padding of a convolution with stride 1, not transposed",
                      name);
        return layer;
    }
    fan = shape[1];
    for (int32_t i = 0; i < axes; i++)
        fan *= shape[2 + i];
    init = lh_init_(LH_INIT_FAN_UNIFORM, (double)fan, 0);
    layer.weight = lh_param_of_(c, 1, name, "weight", 2 + axes, shape, init);
    layer.bias = lh_param_of_(c, o->bias, name, "bias", 1, &out, init);
    return layer;
}

/* (c, name, in, out, kernel): channels, and the extent of the kernel on every axis. Options:
 * .stride 1, .padding 0 (or LH_SAME), .dilation 1, .groups 1, .bias 1, of transposed ones
 * .output_padding 0; axis by axis .kernels = {3, 5}, .strides, .paddings ... Errors: channels that
 * the groups don't divide. */
#define lh_conv1d_make(c, ...) LH_CONV_(c, 1, 0, __VA_ARGS__, )
#define lh_conv2d_make(c, ...) LH_CONV_(c, 2, 0, __VA_ARGS__, )
#define lh_conv3d_make(c, ...) LH_CONV_(c, 3, 0, __VA_ARGS__, )
#define lh_conv_transpose1d_make(c, ...) LH_CONV_(c, 1, 1, __VA_ARGS__, )
#define lh_conv_transpose2d_make(c, ...) LH_CONV_(c, 2, 1, __VA_ARGS__, )
#define lh_conv_transpose3d_make(c, ...) LH_CONV_(c, 3, 1, __VA_ARGS__, )
#define LH_CONV_(c, axes, transposed, name, in, out, kernel, ...)       \
    lh_conv_make_(                                                      \
        (c), LH_HERE_, (name), axes, transposed, (in), (out), (kernel), \
        &(const lh_conv_options){.stride = 1, .dilation = 1, .groups = 1, .bias = 1, __VA_ARGS__})

static inline lh_tensor *lh_conv_apply_(lh_ctx *c, const char *file, int32_t line,
                                        const lh_conv *layer, lh_tensor *x) {
    lh_tensor *inputs[3];
    double zero = 0;

    if (layer->n_pad)
        x = lh_op_(c, file, line, LH_OP_PAD, &x, 1, layer->pad, (int32_t)layer->n_pad, &zero, 1);
    inputs[0] = x;
    inputs[1] = layer->weight;
    inputs[2] = layer->bias;
    return lh_op_(c, file, line, layer->op, inputs, layer->bias ? 3 : 2, layer->ints, layer->n_ints,
                  NULL, 0);
}

/* x (n, in, spatial...) to (n, out, spatial...). */
#define lh_conv_apply(c, layer, x) lh_conv_apply_((c), LH_HERE_, &(layer), (x))

LH_EXTERN_C_END
#endif
