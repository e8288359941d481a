/* random.c - the cpu device's filled and random tensors.
 *
 * Invariant: element i is the oracle's, to the bit: the same words (Philox over 16 counters at a
 * time), the same arithmetic in double. Strided inputs and other dtypes go to the oracle.
 */
#include "kernels/cpu/draw.h"

/* Elements drawn in a range, LH__DRAWN at a time, the first ones in what is left of their four. */
#define DRAW_LOOP(call, begin, end, value)                                \
    for (int64_t at = (begin) & ~(int64_t)3; at < end; at += LH__DRAWN) { \
        int64_t n = end - at < LH__DRAWN ? end - at : LH__DRAWN;          \
        uint32_t bits[LH__DRAWN];                                         \
                                                                          \
        lh__draw((call)->key, at, bits);                                  \
        SIMD for (int64_t j = at < begin ? begin - at : 0; j < n; j++) {  \
            y[at + j] = (value);                                          \
        }                                                                 \
    }

#define UNIT ((double)(int32_t)bits[j] * 0x1p-24)

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/random.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/random.inc"

static void run(const lh__kernel_call *call, lh__range_fn *f32, lh__range_fn *f64,
                lh__kernel *oracle) {
    const lh__view *y = call->out;
    bool same =
        call->n_in == 0 || (call->in[0]->dtype == y->dtype && lh__view_is_contiguous(call->in[0]));

    if (same && (y->dtype == LH_F32 || y->dtype == LH_F64))
        lh__for_ranges(call->pool, lh__view_numel(y), LH__TILE, y->dtype == LH_F32 ? f32 : f64,
                       call);
    else
        oracle(call);
}

void ISA(full)(const lh__kernel_call *call) {
    run(call, full_f32, full_f64, lh__ref_full);
}

void ISA(arange)(const lh__kernel_call *call) {
    run(call, arange_f32, arange_f64, lh__ref_arange);
}

/* Two 64-bit words from each counter, as the oracle takes them; ranges begin at even elements. */
static void randint_range(const void *arg, int64_t begin, int64_t end) {
    const lh__kernel_call *call = arg;
    const uint64_t low = (uint64_t)call->ints[0], range = (uint64_t)call->ints[1] - low;
    int64_t *y = call->out->data;

    for (int64_t i = begin; i < end; i += 2) {
        uint32_t w[4];

        lh__philox(call->key, (uint64_t)i >> 1, w);
        y[i] = (int64_t)(low + ((uint64_t)w[0] << 32 | w[1]) % range);
        if (i + 1 < end)
            y[i + 1] = (int64_t)(low + ((uint64_t)w[2] << 32 | w[3]) % range);
    }
}

void ISA(randint)(const lh__kernel_call *call) {
    lh__for_ranges(call->pool, lh__view_numel(call->out), LH__TILE, randint_range, call);
}

void ISA(uniform)(const lh__kernel_call *call) {
    run(call, uniform_f32, uniform_f64, lh__ref_uniform);
}

void ISA(normal)(const lh__kernel_call *call) {
    run(call, normal_f32, normal_f64, lh__ref_normal);
}

void ISA(bernoulli)(const lh__kernel_call *call) {
    run(call, bernoulli_f32, bernoulli_f64, lh__ref_bernoulli);
}

bool ISA(drops)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *y = call->out;

    return (call->op == LH_OP_DROPOUT || call->op == LH__OP_DROPOUT_MASK) && x->dtype == y->dtype &&
           (y->dtype == LH_F32 || y->dtype == LH_F64) && lh__view_is_contiguous(x);
}

void ISA(drop)(const lh__kernel_call *call, const void *x, void *y, int64_t begin, int64_t end) {
    if (call->out->dtype == LH_F32)
        drop_f32(call, x, y, begin, end);
    else
        drop_f64(call, x, y, begin, end);
}

void ISA(dropout)(const lh__kernel_call *call) {
    run(call, dropout_f32, dropout_f64, lh__ref_dropout);
}
