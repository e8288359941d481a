/* isa.h - for the sources that are compiled once for each instruction set.
 *
 * LH__ISA names the set (base, v3, v4: the x86-64 levels); ISA(x) is x in that set. F32 and F64
 * come from one text, an .inc file included with T and FN(name) defined. Loops marked SIMD have
 * independent iterations: operands are the same memory or do not overlap.
 */
#ifndef LH_KERNELS_CPU_ISA_H
#define LH_KERNELS_CPU_ISA_H

#include <math.h>
#include <string.h>

#include "kernels/cpu/tile.h"
#include "kernels/ref/ref.h"

#define LH__JOIN(name, isa) lh__cpu_##name##_##isa
#define LH__EXPAND(name, isa) LH__JOIN(name, isa)
#define ISA(name) LH__EXPAND(name, LH__ISA)

#define SIMD _Pragma("omp simd")

lh__kernel ISA(elementwise);
lh__kernel ISA(copy);
lh__kernel ISA(concat);
lh__kernel ISA(slice_grad);
lh__kernel ISA(gather);
lh__kernel ISA(gather_grad);
lh__kernel ISA(index_select);
lh__kernel ISA(index_select_grad);
lh__kernel ISA(reduce); /* SUM MEAN PROD AMAX AMIN SUM_TO */
lh__kernel ISA(argmax); /* ARGMAX ARGMIN */
lh__kernel ISA(cumsum);
lh__kernel ISA(matmul); /* MATMUL LINEAR */
lh__kernel ISA(softmax);
lh__kernel ISA(softmax_grad);
lh__kernel ISA(nll_loss);
lh__kernel ISA(nll_grad);
lh__kernel ISA(cross_entropy);
lh__kernel ISA(ce_grad);
lh__kernel ISA(pair_loss); /* MSE_LOSS BCE_WITH_LOGITS */
lh__kernel ISA(accuracy);
lh__kernel ISA(bce); /* BCE BCE_LOGITS BCE_GRAD */
lh__kernel ISA(channel_moments);
lh__kernel ISA(channel_norm);
lh__kernel ISA(channel_sums);
lh__kernel ISA(channel_norm_grad);
lh__kernel ISA(layer_norm);      /* LAYER_NORM RMS_NORM */
lh__kernel ISA(layer_norm_grad); /* LAYER_NORM_GRAD RMS_NORM_GRAD */
lh__kernel ISA(row_sums);
int32_t ISA(layer_norm_runs_after)(const lh__kernel_call *call);
lh__kernel ISA(rnn);
lh__kernel ISA(lstm);
lh__kernel ISA(gru);
lh__kernel ISA(rnn_grad);
lh__kernel ISA(lstm_grad);
lh__kernel ISA(gru_grad);
lh__kernel ISA(attention);
lh__kernel ISA(attention_grad);
lh__kernel ISA(full);
lh__kernel ISA(arange);
lh__kernel ISA(randint);
lh__kernel ISA(uniform);
lh__kernel ISA(normal);
lh__kernel ISA(bernoulli);
lh__kernel ISA(dropout);
lh__kernel ISA(conv); /* CONV CONV_TRANSPOSE */
lh__kernel ISA(conv_weight_grad);

/* lh__device.way: of CONV, CONV_TRANSPOSE and CONV_WEIGHT_GRAD. */
const char *ISA(conv_way)(const lh__kernel_call *call);

/* lh__device.runs_after: of CONV and CONV_TRANSPOSE, CHANNEL_NORM and CHANNEL_NORM_GRAD,
 * GATHER_GRAD. */
int32_t ISA(conv_runs_after)(const lh__kernel_call *call);
int32_t ISA(channel_norm_runs_after)(const lh__kernel_call *call);
int32_t ISA(gather_grad_runs_after)(const lh__kernel_call *call);

/* gather.c: whether GATHER or GATHER_GRAD is of images some of which have their channels last; runs
 * it, and what follows. */
bool ISA(gathers_images)(const lh__kernel_call *call);
void ISA(gather_images)(const lh__kernel_call *call);

/* lh__device.channels_last: of elementwise calls, reductions, convolutions, normalization over
 * channels, MAX_POOL_INDICES, GATHER and GATHER_GRAD. */
uint32_t ISA(reduce_channels_last)(const lh__kernel_call *call);
uint32_t ISA(elementwise_channels_last)(const lh__kernel_call *call);
uint32_t ISA(conv_channels_last)(const lh__kernel_call *call);
uint32_t ISA(channel_norm_channels_last)(const lh__kernel_call *call);
uint32_t ISA(max_pool_channels_last)(const lh__kernel_call *call);
uint32_t ISA(gather_channels_last)(const lh__kernel_call *call, uint32_t *free);

lh__kernel ISA(max_pool_indices);
lh__kernel ISA(avg_pool);
lh__kernel ISA(avg_pool_grad);

/* random.c: whether the call is a dropout whose elements lie in order; its elements [begin, end),
 * from x to y. */
bool ISA(drops)(const lh__kernel_call *call);
void ISA(drop)(const lh__kernel_call *call, const void *x, void *y, int64_t begin, int64_t end);

/* elementwise.c: the row function of a call of one real dtype; NULL: it has none. chain.c: the
 * rest. */
lh__row_fn *ISA(row_of)(const lh__kernel_call *call);
int32_t ISA(may_link)(const lh__kernel_call *call);
void ISA(ready_link)(lh__link *link);
void ISA(run_chain)(const lh__chain *chain);
void ISA(run_links)(const lh__after *chain, int64_t begin, int64_t n);

/* lh__device.runs_after, .way and .ways: of MATMUL and LINEAR. */
int32_t ISA(matmul_runs_after)(const lh__kernel_call *call);
const char *ISA(matmul_way)(const lh__kernel_call *call);
int32_t ISA(matmul_ways)(const lh__kernel_call *call);

lh__kernel ISA(squares);
lh__kernel ISA(update);

extern const lh__device ISA(device);

#endif
