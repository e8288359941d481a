/* reduction.c - the oracle's sums, products, extremes and their places over axes. */
#include <math.h>

#include "kernels/ref/ref.h"

/* a + b or a b; what overflows wraps around. */
static int64_t combined(int64_t a, int64_t b, bool product) {
    return (int64_t)(product ? (uint64_t)a * (uint64_t)b : (uint64_t)a + (uint64_t)b);
}

void lh__ref_sum(const lh__kernel_call *call) {
    const lh__view *y = call->out;
    bool integer = !lh__dtype_is_real(y->dtype), product = call->op == LH_OP_PROD;
    int64_t count;
    lh__view kept, inner;

    lh__view_split(call->in[0], lh__reduced_axes(call), &kept, &inner);
    count = lh__view_numel(&inner);
    for (int64_t i = 0, n = lh__view_numel(y); i < n; i++) {
        int64_t base = lh__view_offset(&kept, i), total = product;
        double sum = product;

        for (int64_t j = 0; j < count; j++) {
            int64_t offset = base + lh__view_offset(&inner, j);

            if (integer)
                total = combined(total, lh__load_int(&inner, offset), product);
            else
                sum = product ? sum * lh__load(&inner, offset) : sum + lh__load(&inner, offset);
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
        lh__store_int(call->out, i,
                      extreme(&inner, lh__view_offset(&kept, i), call->op == LH_OP_ARGMAX));
}

/* g times the product of the other elements: of those before, written forwards, then times that of
 * those after, backwards. No division: elements may be 0. */
void lh__ref_prod_grad(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *y = call->out;
    lh__kernel_call prod = *call;
    lh__view kept, inner, y_kept, y_inner;
    uint32_t mask;

    prod.op = LH_OP_PROD;
    prod.in = call->in + 1;
    mask = lh__reduced_axes(&prod);
    lh__view_split(call->in[1], mask, &kept, &inner);
    lh__view_split(y, mask, &y_kept, &y_inner);
    if (lh__view_numel(y) == 0)
        return;
    for (int64_t i = 0, n = lh__view_numel(&kept); i < n; i++) {
        int64_t from = lh__view_offset(&kept, i), to = lh__view_offset(&y_kept, i);
        int64_t count = lh__view_numel(&inner);
        double before = lh__get(g, i), after = 1;

        for (int64_t j = 0; j < count; j++) {
            lh__store(y, to + lh__view_offset(&y_inner, j), before);
            before *= lh__load(&inner, from + lh__view_offset(&inner, j));
        }
        for (int64_t j = count - 1; j >= 0; j--) {
            int64_t at = to + lh__view_offset(&y_inner, j);

            lh__store(y, at, lh__load(y, at) * after);
            after *= lh__load(&inner, from + lh__view_offset(&inner, j));
        }
    }
}
