/* reduction.c - the oracle's sums, means, extremes and argmax over axes. */
#include <math.h>

#include "kernels/ref/ref.h"

void lh__ref_sum(const lh__kernel_call *call) {
    const lh__view *y = call->out;
    bool integer = !lh__dtype_is_real(y->dtype);
    int64_t count;
    lh__view kept, inner;

    lh__view_split(call->in[0], lh__reduced_axes(call), &kept, &inner);
    count = lh__view_numel(&inner);
    for (int64_t i = 0, n = lh__view_numel(y); i < n; i++) {
        int64_t base = lh__view_offset(&kept, i), total = 0;
        double sum = 0;

        for (int64_t j = 0; j < count; j++) {
            int64_t offset = base + lh__view_offset(&inner, j);

            if (integer)
                total += lh__load_int(&inner, offset);
            else
                sum += lh__load(&inner, offset);
        }
        if (integer)
            lh__store_int(y, i, total);
        else
            lh__store(y, i, call->op == LH_OP_MEAN ? sum / (double)count : sum);
    }
}

/* Position in `inner` of the first largest (or smallest) element, a NaN before all. */
static int64_t extreme(const lh__view *inner, int64_t base, bool largest) {
    bool real = lh__dtype_is_real(inner->dtype);
    int64_t best = 0;

    for (int64_t j = 1, n = lh__view_numel(inner); j < n; j++) {
        int64_t at = base + lh__view_offset(inner, j),
                best_at = base + lh__view_offset(inner, best);

        if (real) {
            double x = lh__load(inner, at), m = lh__load(inner, best_at);

            if ((largest ? x > m : x < m) || (isnan(x) && !isnan(m)))
                best = j;
        } else {
            int64_t x = lh__load_int(inner, at), m = lh__load_int(inner, best_at);

            if (largest ? x > m : x < m)
                best = j;
        }
    }
    return best;
}

void lh__ref_extreme(const lh__kernel_call *call) {
    bool largest = call->op == LH_OP_AMAX;
    lh__view kept, inner;

    lh__view_split(call->in[0], lh__reduced_axes(call), &kept, &inner);
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++) {
        int64_t base = lh__view_offset(&kept, i);
        int64_t at;

        if (lh__view_numel(&inner) == 0) {
            lh__store(call->out, i, largest ? -INFINITY : INFINITY);
            continue;
        }
        at = base + lh__view_offset(&inner, extreme(&inner, base, largest));
        if (lh__dtype_is_real(inner.dtype))
            lh__store(call->out, i, lh__load(&inner, at));
        else
            lh__store_int(call->out, i, lh__load_int(&inner, at));
    }
}

void lh__ref_argmax(const lh__kernel_call *call) {
    lh__view kept, inner;

    lh__view_split(call->in[0], lh__reduced_axes(call), &kept, &inner);
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store_int(call->out, i, extreme(&inner, lh__view_offset(&kept, i), true));
}
