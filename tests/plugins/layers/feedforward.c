/* feedforward.c - linear layers, convolutions, normalization, embeddings, a list of stages. */
#include "layers.h"

/* Linear and convolution. */

MAKE(linear) {
    b->linear = lh_linear_make(c, "l", 7, 5);
}
MAKE(linear_nobias) {
    b->linear = lh_linear_make_nobias(c, "l", 7, 5);
}
APPLY(linear) {
    return lh_linear_apply(c, b->linear, x);
}
MAKE(conv1d) {
    b->conv = lh_conv1d_make(c, "l", 4, 6, 3, .stride = 2, .padding = 1, .groups = 2);
}
MAKE(conv2d) {
    b->conv = lh_conv2d_make(c, "l", 3, 4, 0, .kernels = {3, 2}, .strides = {2, 1},
                             .paddings = {1, 0}, .dilations = {1, 2});
}
MAKE(conv2d_nobias) {
    b->conv = lh_conv2d_make(c, "l", 2, 3, 3, .padding = 1, .bias = 0);
}
MAKE(conv1d_same) {
    b->conv = lh_conv1d_make(c, "l", 4, 6, 4, .padding = LH_SAME, .groups = 2);
}
MAKE(conv2d_same) {
    b->conv =
        lh_conv2d_make(c, "l", 3, 4, 0, .kernels = {3, 2}, .padding = LH_SAME, .dilations = {2, 3});
}
MAKE(conv3d_same) {
    b->conv = lh_conv3d_make(c, "l", 2, 3, 0, .kernels = {2, 3, 4}, .padding = LH_SAME);
}
MAKE(conv3d) {
    b->conv = lh_conv3d_make(c, "l", 2, 3, 2, .padding = 1);
}
MAKE(conv_transpose1d) {
    b->conv = lh_conv_transpose1d_make(c, "l", 4, 6, 3, .stride = 2, .padding = 1,
                                       .output_padding = 1, .groups = 2);
}
MAKE(conv_transpose2d) {
    b->conv = lh_conv_transpose2d_make(c, "l", 3, 4, 3, .kernels = {3, 2}, .strides = {2, 1},
                                       .dilation = 2);
}
MAKE(conv_transpose3d) {
    b->conv = lh_conv_transpose3d_make(c, "l", 2, 3, 2, .bias = 0);
}
APPLY(conv) {
    return lh_conv_apply(c, b->conv, x);
}

/* Normalization. */

MAKE(batch_norm) {
    b->batch_norm = lh_batch_norm_make(c, "l", 3);
}
MAKE(batch_norm_plain) {
    b->batch_norm = lh_batch_norm_make(c, "l", 3, .eps = 1e-3, .momentum = 0.3, .affine = 0);
}
APPLY(batch_norm) {
    lh_tensor *parts[4] = {lh_batch_norm_apply(c, b->batch_norm, x), b->batch_norm.running_mean,
                           b->batch_norm.running_var,
                           lh_cast(c, b->batch_norm.num_batches_tracked, LH_F64)};

    return flat(c, 4, parts);
}
MAKE(layer_norm) {
    b->norm = lh_layer_norm_make(c, "l", 6);
}
MAKE(layer_norm_shape) {
    b->norm = lh_layer_norm_make(c, "l", 0, .shape = {3, 6}, .eps = 1e-3);
}
MAKE(layer_norm_nobias) {
    b->norm = lh_layer_norm_make(c, "l", 6, .bias = 0);
}
MAKE(layer_norm_plain) {
    b->norm = lh_layer_norm_make(c, "l", 6, .affine = 0);
}
MAKE(rms_norm) {
    b->norm = lh_rms_norm_make(c, "l", 6);
}
MAKE(group_norm) {
    b->norm = lh_group_norm_make(c, "l", 2, 6);
}
MAKE(instance_norm) {
    b->norm = lh_instance_norm_make(c, "l", 3);
}
MAKE(instance_norm_affine) {
    b->norm = lh_instance_norm_make(c, "l", 3, .affine = 1);
}
APPLY(norm) {
    return lh_layer_norm_apply(c, b->norm, x);
}

/* Embedding. */

MAKE(embedding) {
    b->embedding = lh_embedding_make(c, "l", 11, 4);
}
MAKE(embedding_padded) {
    b->embedding = lh_embedding_make(c, "l", 11, 4, .padding_idx = 2);
}
MAKE(tied) {
    b->embedding = lh_embedding_make(c, "l", 11, 4);
    b->linear = (lh_linear){b->embedding.weight, NULL};
}
APPLY(embedding) {
    return lh_embedding_apply(c, b->embedding, x);
}
APPLY(tied) {
    return lh_linear_apply(c, b->linear, lh_embedding_apply(c, b->embedding, x));
}

/* A list of stages. */

MAKE(sequential) {
    b->conv = lh_conv2d_make(c, lh_name(c, "l.%d", 0), 1, 2, 3);
    b->batch_norm = lh_batch_norm_make(c, lh_name(c, "l.%d", 1), 2);
    b->linear = lh_linear_make(c, lh_name(c, "l.%d", 5), 18, 4);
}

static lh_tensor *flatten(lh_ctx *c, const char *file, int32_t line, const void *layer,
                          lh_tensor *x) {
    return lh_flatten(c, x);
}

APPLY(sequential) {
    const double p = 0;

    return lh_sequential(c, x, LH_STAGE(conv, &b->conv), LH_STAGE(batch_norm, &b->batch_norm),
                         LH_STAGE_OP(LH_OP_RELU), LH_STAGE_FN(flatten, NULL), LH_STAGE(dropout, &p),
                         LH_STAGE(linear, &b->linear));
}

const test_case feedforward_cases[] = {
    {"linear", make_linear, apply_linear, SHAPE(2, 3, 7), SHAPE(2, 3, 5)},
    {"linear_nobias", make_linear_nobias, apply_linear, SHAPE(4, 7), SHAPE(4, 5)},
    {"conv1d", make_conv1d, apply_conv, SHAPE(2, 4, 9), SHAPE(2, 6, 5)},
    {"conv2d", make_conv2d, apply_conv, SHAPE(2, 3, 7, 6), SHAPE(2, 4, 4, 4)},
    {"conv2d_nobias", make_conv2d_nobias, apply_conv, SHAPE(1, 2, 5, 5), SHAPE(1, 3, 5, 5)},
    {"conv1d_same", make_conv1d_same, apply_conv, SHAPE(2, 4, 7), SHAPE(2, 6, 7)},
    {"conv2d_same", make_conv2d_same, apply_conv, SHAPE(2, 3, 5, 6), SHAPE(2, 4, 5, 6)},
    {"conv3d_same", make_conv3d_same, apply_conv, SHAPE(1, 2, 3, 4, 5), SHAPE(1, 3, 3, 4, 5)},
    {"conv3d", make_conv3d, apply_conv, SHAPE(2, 2, 3, 4, 3), SHAPE(2, 3, 4, 5, 4)},
    {"conv_transpose1d", make_conv_transpose1d, apply_conv, SHAPE(2, 4, 5), SHAPE(2, 6, 10)},
    {"conv_transpose2d", make_conv_transpose2d, apply_conv, SHAPE(2, 3, 4, 3), SHAPE(2, 4, 11, 5)},
    {"conv_transpose3d", make_conv_transpose3d, apply_conv, SHAPE(1, 2, 2, 3, 2),
     SHAPE(1, 3, 3, 4, 3)},
    {"batch_norm", make_batch_norm, apply_batch_norm, SHAPE(2, 3, 4, 5), FLAT(127)},
    {"batch_norm_plain", make_batch_norm_plain, apply_batch_norm, SHAPE(6, 3), FLAT(25),
     .is_bare = 1},
    {"batch_norm_eval", make_batch_norm, apply_batch_norm, SHAPE(4, 3, 5), FLAT(67),
     .is_evaluation = 1},
    {"layer_norm", make_layer_norm, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_shape", make_layer_norm_shape, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_nobias", make_layer_norm_nobias, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_plain", make_layer_norm_plain, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6),
     .is_bare = 1},
    {"rms_norm", make_rms_norm, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"group_norm", make_group_norm, apply_norm, SHAPE(2, 6, 3, 2), SHAPE(2, 6, 3, 2)},
    {"instance_norm", make_instance_norm, apply_norm, SHAPE(2, 3, 4, 2), SHAPE(2, 3, 4, 2),
     .is_bare = 1},
    {"instance_norm_affine", make_instance_norm_affine, apply_norm, SHAPE(2, 3, 5), SHAPE(2, 3, 5)},
    {"embedding", make_embedding, apply_embedding, SHAPE(3, 5), SHAPE(3, 5, 4), .is_index = 1},
    {"embedding_padded", make_embedding_padded, apply_embedding, SHAPE(2, 3), SHAPE(2, 3, 4),
     .is_index = 1},
    {"tied", make_tied, apply_tied, SHAPE(2, 3), SHAPE(2, 3, 11), .is_index = 1},
    {"sequential", make_sequential, apply_sequential, SHAPE(3, 1, 5, 5), SHAPE(3, 4)},
    {0},
};
