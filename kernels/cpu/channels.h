/* channels.h - convolutions computed on channels side by side. */
#ifndef LH_KERNELS_CPU_CHANNELS_H
#define LH_KERNELS_CPU_CHANNELS_H

#include "kernels/cpu/isa.h"

/* Whether the functions below take a call (CONV, CONV_TRANSPOSE, CONV_WEIGHT_GRAD) of contiguous
 * operands. */
bool ISA(channels_take)(const lh__kernel_call *call);

/* False, and nothing done: no memory. */
bool ISA(channels_conv)(const lh__kernel_call *call);
bool ISA(channels_weight)(const lh__kernel_call *call);

#endif
