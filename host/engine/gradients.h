/* gradients.h - the gradient functions that the catalogue's rows name: d y / d input. */
#ifndef LH_ENGINE_GRADIENTS_H
#define LH_ENGINE_GRADIENTS_H

#include "engine/catalogue.h"

lh__gradient lh__d_add, lh__d_sub_b, lh__d_mul, lh__d_div_a, lh__d_div_b, lh__d_pow_a, lh__d_pow_b;
lh__gradient lh__d_maximum, lh__d_minimum, lh__d_where_a, lh__d_where_b;
lh__gradient lh__d_identity, lh__d_mul_scalar, lh__d_pow_scalar;
lh__gradient lh__d_neg, lh__d_exp, lh__d_log, lh__d_sqrt, lh__d_square, lh__d_abs, lh__d_relu;
lh__gradient lh__d_sigmoid, lh__d_tanh, lh__d_clamp;
lh__gradient lh__d_sum, lh__d_mean, lh__d_extreme;
lh__gradient lh__d_reshape, lh__d_permute, lh__d_expand, lh__d_slice, lh__d_concat, lh__d_gather;
lh__gradient lh__d_index_select, lh__d_cast;
lh__gradient lh__d_matmul_a, lh__d_matmul_b, lh__d_linear_x, lh__d_linear_weight, lh__d_linear_bias;
lh__gradient lh__d_softmax, lh__d_log_softmax, lh__d_nll_loss, lh__d_cross_entropy;
lh__gradient lh__d_mse_loss, lh__d_bce_logits, lh__d_bce_target, lh__d_dropout;

#endif
