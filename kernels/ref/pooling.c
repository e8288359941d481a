/* pooling.c - the oracle's pooling: every window with every tap. */
#include <math.h>

#include "kernels/pooling.h"
#include "kernels/ref/ref.h"

/* Number, within its plane, of the position that tap k of window o looks at; -1 in the padding. */
static int64_t looks_at(const lh__pooling *p, int64_t o, int64_t k) {
    int64_t out[3], tap[3], number = 0;

    lh__split3(p->out, o, out);
    lh__split3(p->kernel, k, tap);
    for (int32_t d = 0; d < 3; d++) {
        int64_t at = out[d] * p->stride[d] - p->padding[d] + tap[d] * p->dilation[d];

        if (at < 0 || at >= p->in[d])
            return -1;
        number = number * p->in[d] + at;
    }
    return number;
}

/* The first of the greatest; a NaN is greater than all. */
void lh__ref_max_pool_indices(const lh__kernel_call *call) {
    lh__pooling p = lh__pooling_of(call);
    int64_t windows = lh__volume(p.out);

    for (int64_t i = 0; i < p.planes * windows; i++) {
        int64_t best = -1;
        double greatest = 0;

        for (int64_t k = 0; k < lh__volume(p.kernel); k++) {
            int64_t at = looks_at(&p, i % windows, k);
            double x = at < 0 ? 0 : lh__get(call->in[0], i / windows * lh__volume(p.in) + at);

            if (at >= 0 && (best < 0 || x > greatest || isnan(x)))
                best = at, greatest = x;
        }
        lh__store_int(call->out, i, best);
    }
}

static double count_of(const lh__pooling *p, int64_t o) {
    int64_t out[3], count = 1;

    lh__split3(p->out, o, out);
    for (int32_t d = 0; d < 3; d++)
        count *= lh__pooling_count(p, d, out[d]);
    return (double)count;
}

void lh__ref_avg_pool(const lh__kernel_call *call) {
    lh__pooling p = lh__pooling_of(call);
    int64_t windows = lh__volume(p.out);

    for (int64_t i = 0; i < p.planes * windows; i++) {
        double sum = 0;

        for (int64_t k = 0; k < lh__volume(p.kernel); k++) {
            int64_t at = looks_at(&p, i % windows, k);

            if (at >= 0)
                sum += lh__get(call->in[0], i / windows * lh__volume(p.in) + at);
        }
        lh__store(call->out, i, sum / count_of(&p, i % windows));
    }
}

void lh__ref_avg_pool_grad(const lh__kernel_call *call) {
    lh__pooling p = lh__pooling_of(call);
    int64_t windows = lh__volume(p.out), positions = lh__volume(p.in);
    const lh__view *y = call->out;

    for (int64_t i = 0; i < p.planes * positions; i++)
        lh__store(y, i, 0);
    for (int64_t i = 0; i < p.planes * windows; i++) {
        double share = lh__get(call->in[0], i) / count_of(&p, i % windows);

        for (int64_t k = 0; k < lh__volume(p.kernel); k++) {
            int64_t at = looks_at(&p, i % windows, k), to = i / windows * positions + at;

            if (at >= 0)
                lh__store(y, to, lh__load(y, to) + share);
        }
    }
}
