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
lh__kernel ISA(index_select);
lh__kernel ISA(index_select_grad);
lh__kernel ISA(reduce); /* SUM MEAN AMAX AMIN SUM_TO */
lh__kernel ISA(argmax);
lh__kernel ISA(softmax);
lh__kernel ISA(softmax_grad);
lh__kernel ISA(nll_loss);
lh__kernel ISA(nll_grad);
lh__kernel ISA(cross_entropy);
lh__kernel ISA(ce_grad);
lh__kernel ISA(pair_loss); /* MSE_LOSS BCE_WITH_LOGITS */
lh__kernel ISA(accuracy);
lh__kernel ISA(full);
lh__kernel ISA(uniform);
lh__kernel ISA(normal);
lh__kernel ISA(bernoulli);
lh__kernel ISA(dropout);

void ISA(update)(const lh__update *u);
double ISA(sum_squares)(int32_t dtype, const void *x, int64_t n, lh__pool *pool);
void ISA(scale)(int32_t dtype, void *x, int64_t n, double factor, lh__pool *pool);
void ISA(clamp)(int32_t dtype, void *x, int64_t n, double lo, double hi, lh__pool *pool);

extern const lh__device ISA(device);

#endif
