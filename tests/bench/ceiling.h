/* ceiling.h - what the cores of this machine could multiply and add at most, measured. */
#ifndef LH_TESTS_BENCH_CEILING_H
#define LH_TESTS_BENCH_CEILING_H

#include "kernels/pool.h"

typedef enum ceiling_kind { CEILING_F32, CEILING_F64, CEILING_BF16 } ceiling_kind;

/* How the products are taken: "AVX-512 f32" ... */
const char *ceiling_name(ceiling_kind kind);

/* Operations per second (a multiply-add is two) of all threads of the pool together, of a loop
 * between registers; bf16 where the processor has no unit for it: as f32. */
double measured_ceiling(ceiling_kind kind, lh__pool *pool);

#endif
