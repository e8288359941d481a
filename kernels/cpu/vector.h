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
#elif defined(__aarch64__)
#include <arm_neon.h>
enum { LH__VECTOR_BYTES = 16 };
#define LH__FMA_F32(a, b, c) \
    ((vector_f32)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define LH__FMA_F64(a, b, c) \
    ((vector_f64)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
#else
enum { LH__VECTOR_BYTES = 16 };
#define LH__FMA_F32(a, b, c) ((a) * (b) + (c))
#define LH__FMA_F64(a, b, c) ((a) * (b) + (c))
#endif

/* Before a loop of a few iterations whose number is a constant once inlined: it goes away. */
#ifdef __clang__
#define LH__UNROLL _Pragma("clang loop unroll(full)")
#else
#define LH__UNROLL _Pragma("GCC unroll 16")
#endif

/* The elements of the first (last) halves of two vectors of n lanes in turn. */
#define LH__LOW_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define LH__HIGH_2(a, b) __builtin_shufflevector(a, b, 1, 3)
#define LH__LOW_4(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define LH__HIGH_4(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define LH__LOW_8(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define LH__HIGH_8(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define LH__LOW_16(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define LH__HIGH_16(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
/* Every second element of two vectors of n lanes, from the first on. */
#define LH__EVEN_2(a, b) __builtin_shufflevector(a, b, 0, 2)
#define LH__EVEN_4(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define LH__EVEN_8(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define LH__EVEN_16(a, b) \
    __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#if defined(__AVX512F__)
#define LH__LOW_F32 LH__LOW_16
#define LH__HIGH_F32 LH__HIGH_16
#define LH__LOW_F64 LH__LOW_8
#define LH__HIGH_F64 LH__HIGH_8
#define LH__EVEN_F32 LH__EVEN_16
#define LH__EVEN_F64 LH__EVEN_8
#elif defined(__FMA__)
#define LH__LOW_F32 LH__LOW_8
#define LH__HIGH_F32 LH__HIGH_8
#define LH__LOW_F64 LH__LOW_4
#define LH__HIGH_F64 LH__HIGH_4
#define LH__EVEN_F32 LH__EVEN_8
#define LH__EVEN_F64 LH__EVEN_4
#else
#define LH__LOW_F32 LH__LOW_4
#define LH__HIGH_F32 LH__HIGH_4
#define LH__LOW_F64 LH__LOW_2
#define LH__HIGH_F64 LH__HIGH_2
#define LH__EVEN_F32 LH__EVEN_4
#define LH__EVEN_F64 LH__EVEN_2
#endif

/* Of any alignment. */
typedef float vector_f32 __attribute__((vector_size(LH__VECTOR_BYTES), aligned(4), may_alias));
typedef double vector_f64 __attribute__((vector_size(LH__VECTOR_BYTES), aligned(8), may_alias));

#endif
