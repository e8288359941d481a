/* norm.h - torch.nn.BatchNorm1d ... 3d, LayerNorm, RMSNorm, GroupNorm, InstanceNorm1d ... 3d.
 *
 *     m->norm = lh_batch_norm_make(c, "norm", 64);
 *     x = lh_batch_norm_apply(c, m->norm, x);
 *
 * NAME.weight begins as ones, NAME.bias as zeros.
 */
#ifndef LHOST_NN_NORM_H
#define LHOST_NN_NORM_H

#include <float.h>

#include "param.h"

LH_EXTERN_C_BEGIN

static inline lh_tensor *lh_ones_of_(lh_ctx *c, int wanted, const char *name, int32_t ndim,
                                     const int64_t *shape) {
    return lh_param_of_(c, wanted, name, "weight", ndim, shape, lh_init_(LH_INIT_CONSTANT, 1, 0));
}

static inline lh_tensor *lh_zeros_of_(lh_ctx *c, int wanted, const char *name, int32_t ndim,
                                      const int64_t *shape) {
    return lh_param_of_(c, wanted, name, "bias", ndim, shape, lh_init_(LH_INIT_CONSTANT, 0, 0));
}

/* ---- Batch normalization. Also the buffers NAME.running_mean, NAME.running_var and
 * NAME.num_batches_tracked (int64, a scalar). */
typedef struct lh_batch_norm_options {
    double eps, momentum; /* 1e-5, 0.1 */
    int32_t affine;       /* 1 */
} lh_batch_norm_options;

typedef struct lh_batch_norm {
    lh_tensor *weight, *bias; /* NULL: none */
    lh_tensor *running_mean, *running_var, *num_batches_tracked;
    double reals[2]; /* eps, momentum */
} lh_batch_norm;

static inline lh_batch_norm lh_batch_norm_make_(lh_ctx *c, const char *name, int64_t channels,
                                                const lh_batch_norm_options *o) {
    lh_batch_norm layer;

    layer.weight = lh_ones_of_(c, o->affine, name, 1, &channels);
    layer.bias = lh_zeros_of_(c, o->affine, name, 1, &channels);
    layer.running_mean = lh_buffer_of_(c, name, "running_mean", 0, 1, &channels, 0);
    layer.running_var = lh_buffer_of_(c, name, "running_var", 0, 1, &channels, 1);
    layer.num_batches_tracked = lh_buffer_of_(c, name, "num_batches_tracked", LH_I64, 0, NULL, 0);
    layer.reals[0] = o->eps;
    layer.reals[1] = o->momentum;
    return layer;
}

/* (c, name, channels). Options: .eps 1e-5, .momentum 0.1, .affine 1. */
#define lh_batch_norm_make(c, ...) LH_BATCH_NORM_(c, __VA_ARGS__, )
#define LH_BATCH_NORM_(c, name, channels, ...) \
    lh_batch_norm_make_(                       \
        (c), (name), (channels),               \
        &(const lh_batch_norm_options){.eps = 1e-5, .momentum = 0.1, .affine = 1, __VA_ARGS__})

static inline lh_tensor *lh_batch_norm_apply_(lh_ctx *c, const char *file, int32_t line,
                                              const lh_batch_norm *layer, lh_tensor *x) {
    lh_tensor *inputs[6];
    int32_t n = 0;

    inputs[n++] = x;
    if (layer->weight) {
        inputs[n++] = layer->weight;
        inputs[n++] = layer->bias;
    }
    inputs[n++] = layer->running_mean;
    inputs[n++] = layer->running_var;
    inputs[n++] = layer->num_batches_tracked;
    return lh_op_(c, file, line, LH_OP_BATCH_NORM, inputs, n, NULL, 0, layer->reals, 2);
}

/* x (n, channels, ...); in training mode by the statistics of the batch, which also move the
 * running ones; in evaluation mode by these. */
#define lh_batch_norm_apply(c, layer, x) lh_batch_norm_apply_((c), LH_HERE_, &(layer), (x))

/* ---- The others: no state but weight and bias. */
typedef struct lh_norm_options {
    double eps;                 /* 1e-5; RMSNorm: that of the dtype */
    int32_t affine, bias;       /* 1 and 1; InstanceNorm 0; bias: LayerNorm's only */
    int64_t shape[LH_MAX_DIMS]; /* LayerNorm, RMSNorm: several axes, instead of one of `features` */
} lh_norm_options;

typedef struct lh_layer_norm {
    lh_tensor *weight, *bias; /* NULL: none */
    uint32_t op;              /* LH_OP_LAYER_NORM, ... */
    int32_t n_ints;
    int64_t ints; /* number of axes, or of groups */
    double eps;   /* 0: that of the dtype */
} lh_layer_norm;
typedef lh_layer_norm lh_rms_norm;
typedef lh_layer_norm lh_group_norm;
typedef lh_layer_norm lh_instance_norm;

/* Over the last axes. */
static inline lh_layer_norm lh_layer_norm_make_(lh_ctx *c, const char *name, uint32_t op,
                                                int64_t features, const lh_norm_options *o) {
    const int64_t *shape = o->shape[0] ? o->shape : &features;
    lh_layer_norm layer;
    int32_t axes = 1;

    while (o->shape[0] && axes < LH_MAX_DIMS && o->shape[axes])
        axes++;
    layer.weight = lh_ones_of_(c, o->affine, name, axes, shape);
    layer.bias = lh_zeros_of_(c, o->affine && o->bias && op == LH_OP_LAYER_NORM, name, axes, shape);
    layer.op = op;
    layer.n_ints = 1;
    layer.ints = axes;
    layer.eps = o->eps;
    return layer;
}

/* Over all but the first two axes; of `groups` channels together. */
static inline lh_group_norm lh_group_norm_make_(lh_ctx *c, const char *name, uint32_t op,
                                                int64_t groups, int64_t channels,
                                                const lh_norm_options *o) {
    lh_group_norm layer;

    layer.weight = lh_ones_of_(c, o->affine, name, 1, &channels);
    layer.bias = lh_zeros_of_(c, o->affine, name, 1, &channels);
    layer.op = op;
    layer.n_ints = op == LH_OP_GROUP_NORM;
    layer.ints = groups;
    layer.eps = o->eps;
    return layer;
}

/* (c, name, features), of the last axis. Options: .eps, .affine 1 (elementwise_affine), .bias 1.
 * .shape = {8, 32}: over several axes; `features` is not looked at then. */
#define lh_layer_norm_make(c, ...) LH_LAYER_NORM_(c, LH_OP_LAYER_NORM, 1e-5, __VA_ARGS__, )
#define lh_rms_norm_make(c, ...) LH_LAYER_NORM_(c, LH_OP_RMS_NORM, 0, __VA_ARGS__, )
#define LH_LAYER_NORM_(c, op, eps_, name, features, ...) \
    lh_layer_norm_make_(                                 \
        (c), (name), (op), (features),                   \
        &(const lh_norm_options){.eps = (eps_), .affine = 1, .bias = 1, __VA_ARGS__})

/* (c, name, groups, channels). Options: .eps 1e-5, .affine 1. */
#define lh_group_norm_make(c, ...) LH_GROUP_NORM_(c, __VA_ARGS__, )
#define LH_GROUP_NORM_(c, name, groups, channels, ...)                       \
    lh_group_norm_make_((c), (name), LH_OP_GROUP_NORM, (groups), (channels), \
                        &(const lh_norm_options){.eps = 1e-5, .affine = 1, __VA_ARGS__})

/* (c, name, channels). Options: .eps 1e-5, .affine 0. Without running statistics. */
#define lh_instance_norm_make(c, ...) LH_INSTANCE_NORM_(c, __VA_ARGS__, )
#define LH_INSTANCE_NORM_(c, name, channels, ...)                        \
    lh_group_norm_make_((c), (name), LH_OP_INSTANCE_NORM, 0, (channels), \
                        &(const lh_norm_options){.eps = 1e-5, __VA_ARGS__})

static inline lh_tensor *lh_layer_norm_apply_(lh_ctx *c, const char *file, int32_t line,
                                              const lh_layer_norm *layer, lh_tensor *x) {
    double eps = layer->eps;
    lh_tensor *inputs[3];
    int32_t n = 0;

    if (eps == 0)
        eps = lh_dtype_(c, x) == LH_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    inputs[n++] = x;
    if (layer->weight)
        inputs[n++] = layer->weight;
    if (layer->bias)
        inputs[n++] = layer->bias;
    return lh_op_(c, file, line, layer->op, inputs, n, &layer->ints, layer->n_ints, &eps, 1);
}

/* x (..., features); x (n, channels, ...). */
#define lh_layer_norm_apply(c, layer, x) lh_layer_norm_apply_((c), LH_HERE_, &(layer), (x))
#define lh_rms_norm_apply lh_layer_norm_apply
#define lh_group_norm_apply lh_layer_norm_apply
#define lh_instance_norm_apply lh_layer_norm_apply

LH_EXTERN_C_END
#endif
