/* update.c - the cpu device's optimizer updates and gradient clipping.
 *
 * Invariant: one vectorised pass; hyper-parameters are combined in double, then used in the element
 * type. Squares are summed in double: an overflow of F32 does not hide in a gradient norm. Updates
 * take subnormal numbers for 0: the averages of a gradient that has vanished halve a hundred times
 * on the way there, and a processor takes a hundred cycles for each operation with one. What is
 * lost is below 1e-37 of a state, in F32; results stay a function of the numbers alone.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"
#include "kernels/denormal.h"

enum { BLOCK = 1024 };

/* A vector to be scaled by lo, clamped to [lo, hi], or summed. */
typedef struct vector {
    void *x;
    double lo, hi;
} vector;

static double gradient_scale(const lh__update *u) {
    return u->options->maximize ? -u->grad_scale : u->grad_scale;
}

#ifdef __FMA__
static inline float fma_f32(float a, float b, float c) {
    return fmaf(a, b, c);
}

static inline double fma_f64(double a, double b, double c) {
    return fma(a, b, c);
}
#endif

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/update.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/update.inc"

static lh__range_fn *const rules[][2] = {
    [LH_SGD] = {sgd_f32, sgd_f64},
    [LH_ADAM] = {adam_f32, adam_f64},
    [LH_ADAMW] = {adam_f32, adam_f64},
    [LH_RMSPROP] = {rmsprop_f32, rmsprop_f64},
    [LH_ADAGRAD] = {adagrad_f32, adagrad_f64},
};

static void update_range(const void *arg, int64_t begin, int64_t end) {
    const lh__update *u = arg;
    const bool flushed = lh__flushes_denormal();

    lh__flush_denormal(true);
    rules[u->kind][u->dtype == LH_F64](u, begin, end);
    lh__flush_denormal(flushed);
}

void ISA(update)(const lh__update *u) {
    lh__for_ranges(u->pool, u->n, LH__TILE, update_range, u);
}

double ISA(sum_squares)(int32_t dtype, const void *x, int64_t n, lh__pool *pool) {
    vector v = {.x = (void *)(uintptr_t)x};

    return lh__sum_ranges(pool, n, LH__TILE, dtype == LH_F64 ? squares_f64 : squares_f32, &v);
}

void ISA(scale)(int32_t dtype, void *x, int64_t n, double factor, lh__pool *pool) {
    vector v = {.x = x, .lo = factor};

    lh__for_ranges(pool, n, LH__TILE, dtype == LH_F64 ? scale_f64 : scale_f32, &v);
}

void ISA(clamp)(int32_t dtype, void *x, int64_t n, double lo, double hi, lh__pool *pool) {
    vector v = {.x = x, .lo = lo, .hi = hi};

    lh__for_ranges(pool, n, LH__TILE, dtype == LH_F64 ? clamp_f64 : clamp_f32, &v);
}
