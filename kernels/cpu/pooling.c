/* pooling.c - the cpu device's pooling: tap by tap over rows of windows, or over the channels of a
 * window where they are last.
 *
 * Invariant: planes are independent, and each is done by one thread in the order of its windows;
 * so are rows of windows where nothing is added up.
 */
#include "kernels/pooling.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

enum {
    ROW = 256,            /* windows at a time */
    LANES = 16,           /* channels of a window at a time */
    RANGE_WORK = 1 << 16, /* taps worth a visit to the pool */
};

typedef struct pool {
    lh__pooling p;
    const void *x; /* of AVG_POOL_GRAD: g */
    void *y;
    int64_t channels; /* that are neighbours; 1: planes */
} pool;

/* The windows of [from, to) on the last axis whose tap k is inside x. */
static void inside(const lh__pooling *p, int64_t k, int64_t *from, int64_t *to) {
    int64_t shift = k * p->dilation[2] - p->padding[2], stride = p->stride[2];
    int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    int64_t end = shift < p->in[2] ? (p->in[2] - shift + stride - 1) / stride : 0;

    *from = *from > first ? *from : first;
    *to = *to < end ? *to : end;
}

/* Offset, within a plane, of the row of x that taps (k0, k1) of windows (i, j) look at; -1: none.
 */
static int64_t row_offset(const lh__pooling *p, int64_t i, int64_t j, int64_t k0, int64_t k1) {
    int64_t a = i * p->stride[0] - p->padding[0] + k0 * p->dilation[0];
    int64_t b = j * p->stride[1] - p->padding[1] + k1 * p->dilation[1];

    return a < 0 || a >= p->in[0] || b < 0 || b >= p->in[1] ? -1 : (a * p->in[1] + b) * p->in[2];
}

/* Whether every tap of every window is inside x. */
static bool all_inside(const lh__pooling *p) {
    for (int32_t d = 0; d < 3; d++)
        if (p->padding[d] > 0 ||
            (p->out[d] - 1) * p->stride[d] + (p->kernel[d] - 1) * p->dilation[d] >= p->in[d])
            return false;
    return true;
}

/* at[o]: where windows [first, first + n), counted over all planes, begin in their plane. */
static void list_windows(const lh__pooling *p, int64_t first, int64_t n, int32_t *at) {
    for (int64_t o = 0; o < n; o++) {
        int64_t window[3], offset = 0;

        lh__split3(p->out, (first + o) % lh__volume(p->out), window);
        for (int32_t d = 0; d < 3; d++)
            offset = offset * p->in[d] + window[d] * p->stride[d];
        at[o] = (int32_t)offset;
    }
}

#define T float
#define VECTOR vector_f32
#define EVEN LH__EVEN_F32
#define FN(name) name##_f32
#include "kernels/cpu/pooling.inc"
#undef T
#undef VECTOR
#undef EVEN
#undef FN
#define T double
#define VECTOR vector_f64
#define EVEN LH__EVEN_F64
#define FN(name) name##_f64
#include "kernels/cpu/pooling.inc"

/* False: the oracle's. Units are planes, or rows of windows where channels are neighbours. */
static bool run(const lh__kernel_call *call, int64_t channels, lh__range_fn *f32,
                lh__range_fn *f64) {
    int32_t dtype = call->in[0]->dtype;
    pool q = {.p = lh__pooling_of(call),
              .x = call->in[0]->data,
              .y = call->out->data,
              .channels = channels};
    const int64_t rows = channels > 1 ? q.p.out[0] * q.p.out[1] : 1;
    int64_t work = lh__volume(q.p.out) / rows * channels * lh__volume(q.p.kernel);

    if ((dtype != LH_F32 && dtype != LH_F64) || lh__volume(q.p.in) > INT32_MAX ||
        (channels == 1 && !lh__view_is_contiguous(call->in[0])) ||
        (call->op != LH_OP_MAX_POOL_INDICES && call->out->dtype != dtype))
        return false;
    lh__for_ranges(call->pool, q.p.planes / channels * rows, RANGE_WORK / (work + 1) + 1,
                   dtype == LH_F32 ? f32 : f64, &q);
    return true;
}

uint32_t ISA(max_pool_channels_last)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    const lh__pooling p = lh__pooling_of(call);
    const int64_t positions = lh__volume(p.in);

    return (x->dtype == LH_F32 || x->dtype == LH_F64) && x->shape[1] > 1 && positions > 1 &&
                   positions <= INT32_MAX
               ? 3
               : 0;
}

void ISA(max_pool_indices)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    const bool last = ISA(max_pool_channels_last)(call) && !lh__view_is_contiguous(x) &&
                      lh__view_is_channels_last(x) && lh__view_is_channels_last(call->out);

    if (!(last ? run(call, x->shape[1], max_rows_f32, max_rows_f64)
               : run(call, 1, max_planes_f32, max_planes_f64)))
        lh__ref_max_pool_indices(call);
}

void ISA(avg_pool)(const lh__kernel_call *call) {
    if (!run(call, 1, avg_planes_f32, avg_planes_f64))
        lh__ref_avg_pool(call);
}

void ISA(avg_pool_grad)(const lh__kernel_call *call) {
    if (!run(call, 1, avg_grad_planes_f32, avg_grad_planes_f64))
        lh__ref_avg_pool_grad(call);
}
