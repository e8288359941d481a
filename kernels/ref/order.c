/* order.c - the oracle's cumulative sums and sorting along an axis. */
#include <math.h>

#include "kernels/ref/ref.h"

void lh__ref_cumsum(const lh__kernel_call *call) {
    const lh__view *y = call->out;
    bool integer = !lh__dtype_is_real(y->dtype), backwards = call->n_ints > 1 && call->ints[1];
    int64_t axis = call->ints[0], length = y->shape[axis];
    int64_t stride = call->in[0]->stride[axis], y_stride = y->stride[axis];
    lh__view kept, inner, y_kept;

    lh__view_split(y, 1u << axis, &y_kept, &inner);
    lh__view_split(call->in[0], 1u << axis, &kept, &inner);
    for (int64_t i = 0, n = lh__view_numel(&kept); i < n; i++) {
        int64_t from = lh__view_offset(&kept, i), to = lh__view_offset(&y_kept, i);
        uint64_t total = 0;
        double sum = 0;

        for (int64_t k = 0; k < length; k++) {
            int64_t j = backwards ? length - 1 - k : k;

            if (integer)
                total += (uint64_t)lh__load_int(&inner, from + j * stride);
            else
                sum += lh__load(&inner, from + j * stride);
            if (integer)
                lh__store_int(y, to + j * y_stride, (int64_t)total);
            else
                lh__store(y, to + j * y_stride, sum);
        }
    }
}

/* Elements of x along an axis, and a heap of their positions in y, the one that comes last in the
 * order at its root. Equal elements are ordered by position: no two are the same, so that a heap
 * sorts in place and yet stably. */
typedef struct heap {
    const lh__view *x;
    int64_t base, stride; /* of the elements */
    int64_t *at, step;    /* positions, and how far apart they are */
    bool descending;
} heap;

/* Whether element a of the line comes before element b. A NaN is larger than every number. */
static bool precedes(const heap *h, int64_t a, int64_t b) {
    int64_t p = h->base + a * h->stride, q = h->base + b * h->stride;
    bool less, more;

    if (lh__dtype_is_real(h->x->dtype)) {
        double x = lh__load(h->x, p), y = lh__load(h->x, q);

        less = x < y || (isnan(y) && !isnan(x));
        more = x > y || (isnan(x) && !isnan(y));
    } else {
        int64_t x = lh__load_int(h->x, p), y = lh__load_int(h->x, q);

        less = x<y, more = x> y;
    }
    return less == more ? a < b : less != h->descending;
}

/* Puts `position` into the hole at node i of the first n nodes. */
static void sift(const heap *h, int64_t i, int64_t n, int64_t position) {
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && precedes(h, h->at[child * h->step], h->at[(child + 1) * h->step]))
            child++;
        if (!precedes(h, position, h->at[child * h->step]))
            break;
        h->at[i * h->step] = h->at[child * h->step];
    }
    h->at[i * h->step] = position;
}

/* The first k of n positions, in order. O(n log k). */
static void sort(const heap *h, int64_t n, int64_t k) {
    for (int64_t i = k - 1; i >= 0; i--)
        sift(h, i, k, i);
    for (int64_t i = k; k > 0 && i < n; i++)
        if (precedes(h, i, h->at[0]))
            sift(h, 0, k, i);
    for (int64_t end = k - 1; end > 0; end--) {
        int64_t position = h->at[end * h->step];

        h->at[end * h->step] = h->at[0];
        sift(h, 0, end, position);
    }
}

void lh__ref_order(const lh__kernel_call *call) {
    int32_t first = call->op == LH_OP_TOPK; /* TOPK begins with k */
    const lh__view *x = call->in[0], *y = call->out;
    int64_t axis = call->ints[first];
    lh__view kept, y_kept, inner;
    heap h = {.x = x, .stride = x->stride[axis], .step = y->stride[axis]};

    h.descending = call->n_ints > first + 1 ? call->ints[first + 1] != 0 : first;
    lh__view_split(x, 1u << axis, &kept, &inner);
    lh__view_split(y, 1u << axis, &y_kept, &inner);
    for (int64_t i = 0, n = lh__view_numel(&kept); i < n && y->shape[axis] > 0; i++) {
        h.base = lh__view_offset(&kept, i);
        h.at = (int64_t *)y->data + lh__view_offset(&y_kept, i);
        sort(&h, x->shape[axis], y->shape[axis]);
    }
}
