/* winograd.h - convolutions of 3 x 3 and stride 1 with fewer products. */
#ifndef LH_KERNELS_CPU_WINOGRAD_H
#define LH_KERNELS_CPU_WINOGRAD_H

#include "kernels/convolution.h"
#include "kernels/cpu/isa.h"

/* CONV or CONV_TRANSPOSE, CONV_WEIGHT_GRAD of contiguous F32, operands rounded as the call says.
 * False, and nothing done: not of this kind, or no memory. */
bool ISA(winograd_takes)(const lh__kernel_call *call);
bool ISA(winograd)(const lh__kernel_call *call);
bool ISA(winograd_weight)(const lh__kernel_call *call);

#endif
