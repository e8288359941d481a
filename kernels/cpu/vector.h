/* vector.h - one register of T: the widest of the instruction set, with fused multiply-add.
 *
 * For sources that are compiled once for each instruction set; T's vector type is LH__VECTOR_T.
 */
#ifndef LH_KERNELS_CPU_VECTOR_H
#define LH_KERNELS_CPU_VECTOR_H

#if defined(__AVX512F__)
#include <immintrin.h>
enum { LH__VECTOR_BYTES = 64 };
#define LH__FMA_F32(a, b, c) ((vector_f32)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define LH__FMA_F64(a, b, c) ((vector_f64)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#elif defined(__FMA__)
#include <immintrin.h>
enum { LH__VECTOR_BYTES = 32 };
#define LH__FMA_F32(a, b, c) ((vector_f32)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define LH__FMA_F64(a, b, c) ((vector_f64)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#else
enum { LH__VECTOR_BYTES = 16 };
#define LH__FMA_F32(a, b, c) ((a) * (b) + (c))
#define LH__FMA_F64(a, b, c) ((a) * (b) + (c))
#endif

/* Before a loop of a few iterations whose number is a constant once inlined: it goes away. */
#ifdef __clang__
#define LH__UNROLL _Pragma("clang loop unroll(full)")
#else
#define LH__UNROLL _Pragma("GCC unroll 8")
#endif

/* Of any alignment. */
typedef float vector_f32 __attribute__((vector_size(LH__VECTOR_BYTES), aligned(4), may_alias));
typedef double vector_f64 __attribute__((vector_size(LH__VECTOR_BYTES), aligned(8), may_alias));

#endif
