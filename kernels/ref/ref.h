/* ref.h - the oracle's kernels, and how it reads and writes one element.
 *
 * Invariant: every element passes through a double (all-integer calls: an int64_t), whatever the
 * dtype, and is addressed by its row-major number. Slow, short, and the same for all dtypes.
 */
#ifndef LH_KERNELS_REF_H
#define LH_KERNELS_REF_H

#include <string.h>

#include "kernels/view.h"

/* IEEE half precision and bfloat16, as 16 bits. */
double lh__from_half(uint16_t h);
uint16_t lh__to_half(double x);
uint16_t lh__to_bfloat(double x);
double lh__from_bfloat(uint16_t b);

/* x y as a call takes products of float32 operands. */
double lh__rounded_product(lh__products products, double x, double y);

/* Element at `offset` (in elements) from the start of the view. */
double lh__load(const lh__view *v, int64_t offset);
int64_t lh__load_int(const lh__view *v, int64_t offset);
void lh__store(const lh__view *v, int64_t offset, double x);
void lh__store_int(const lh__view *v, int64_t offset, int64_t x);

/* Element number i in row-major order. */
static inline double lh__get(const lh__view *v, int64_t i) {
    return lh__load(v, lh__view_offset(v, i));
}

static inline void lh__set(const lh__view *v, int64_t i, double x) {
    lh__store(v, lh__view_offset(v, i), x);
}

/* Copies element by element in row-major order, converting; the numbers of elements agree. */
void lh__view_copy(const lh__view *to, const lh__view *from);

lh__kernel lh__ref_conv;
lh__kernel lh__ref_conv_transpose;
lh__kernel lh__ref_conv_weight_grad;
lh__kernel lh__ref_max_pool_indices;
lh__kernel lh__ref_avg_pool;
lh__kernel lh__ref_avg_pool_grad;
lh__kernel lh__ref_elementwise; /* binary, unary, with a scalar, where, their gradients */
lh__kernel lh__ref_sum;         /* SUM MEAN PROD SUM_TO */
lh__kernel lh__ref_extreme;     /* AMAX AMIN */
lh__kernel lh__ref_argmax;      /* ARGMAX ARGMIN */
lh__kernel lh__ref_prod_grad;
lh__kernel lh__ref_cumsum;
lh__kernel lh__ref_order; /* ARGSORT TOPK */
lh__kernel lh__ref_copy;  /* CAST CONTIGUOUS RESHAPE COPY */
lh__kernel lh__ref_concat;
lh__kernel lh__ref_slice_grad;
lh__kernel lh__ref_gather;
lh__kernel lh__ref_gather_grad;
lh__kernel lh__ref_index_select;
lh__kernel lh__ref_index_select_grad;
lh__kernel lh__ref_matmul;
lh__kernel lh__ref_linear;
lh__kernel lh__ref_softmax; /* SOFTMAX LOG_SOFTMAX */
lh__kernel lh__ref_softmax_grad;
lh__kernel lh__ref_log_softmax_grad;
lh__kernel lh__ref_nll_loss;
lh__kernel lh__ref_nll_grad;
lh__kernel lh__ref_cross_entropy;
lh__kernel lh__ref_ce_grad;
lh__kernel lh__ref_mse_loss;
lh__kernel lh__ref_bce_with_logits;
lh__kernel lh__ref_bce; /* BCE BCE_LOGITS */
lh__kernel lh__ref_bce_grad;
lh__kernel lh__ref_channel_moments;
lh__kernel lh__ref_channel_norm;
lh__kernel lh__ref_channel_sums;
lh__kernel lh__ref_channel_norm_grad;
lh__kernel lh__ref_layer_norm;      /* LAYER_NORM RMS_NORM */
lh__kernel lh__ref_layer_norm_grad; /* LAYER_NORM_GRAD RMS_NORM_GRAD */
lh__kernel lh__ref_row_sums;
lh__kernel lh__ref_accuracy;
lh__kernel lh__ref_rnn;
lh__kernel lh__ref_lstm;
lh__kernel lh__ref_gru;
lh__kernel lh__ref_rnn_grad;
lh__kernel lh__ref_lstm_grad;
lh__kernel lh__ref_gru_grad;
lh__kernel lh__ref_attention;
lh__kernel lh__ref_attention_grad;
lh__kernel lh__ref_full;
lh__kernel lh__ref_arange;
lh__kernel lh__ref_randint;
lh__kernel lh__ref_multinomial;
lh__kernel lh__ref_uniform;
lh__kernel lh__ref_normal;
lh__kernel lh__ref_bernoulli;
lh__kernel lh__ref_dropout; /* DROPOUT DROPOUT_MASK */

lh__kernel lh__ref_squares;
lh__kernel lh__ref_update;

#endif
