/* update.c - the cpu device's optimizer updates and sums of squares.
 *
 * Invariant: one vectorised pass; hyper-parameters are combined in double, then used in the element
 * type. Squares are summed in double: an overflow of F32 does not hide in a gradient norm. Updates
 * take subnormal numbers for 0: the averages of a gradient that has vanished halve a hundred times
 * on the way there, and a processor takes a hundred cycles for each operation with one. What is
 * lost is below 1e-37 of a state, in F32; results stay a function of the numbers alone.
 */
#include "kernels/update.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"
#include "kernels/denormal.h"

enum { BLOCK = 1024 };

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
    rules[u->options.kind][u->dtype == LH_F64](u, begin, end);
    lh__flush_denormal(flushed);
}

void ISA(update)(const lh__kernel_call *call) {
    lh__update u;

    if (!lh__update_read(call, &u))
        return;
    lh__for_ranges(call->pool, u.n, LH__TILE, update_range, &u);
    lh__update_count(call);
}

void ISA(squares)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    const double sum = lh__sum_ranges(call->pool, lh__view_numel(x), LH__TILE,
                                      x->dtype == LH_F64 ? squares_f64 : squares_f32, x->data);

    *(double *)call->out->data = sum + (call->n_in > 1 ? *(const double *)call->in[1]->data : 0);
}
