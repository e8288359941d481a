/* random.c - the oracle's filled and random tensors: element i is a function of the key and i. */
#include "kernels/ref/ref.h"

void lh__ref_full(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i, call->reals[0]);
}

void lh__ref_arange(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i, call->reals[0] + call->reals[1] * (double)i);
}

/* 64 random bits: two of the four words that the key makes of i / 2. */
static uint64_t bits_of(lh__philox_key key, uint64_t i) {
    uint32_t w[4];

    lh__philox(key, i >> 1, w);
    return (uint64_t)w[2 * (i & 1)] << 32 | w[2 * (i & 1) + 1];
}

/* low + bits mod (high - low): uneven by less than (high - low) / 2^64. */
void lh__ref_randint(const lh__kernel_call *call) {
    uint64_t low = (uint64_t)call->ints[0], range = (uint64_t)call->ints[1] - low;

    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store_int(call->out, i, (int64_t)(low + bits_of(call->key, (uint64_t)i) % range));
}

enum { MARKS = 512 };

/* A row of weights; mark[m] is the sum of those before class m * step. */
typedef struct weights {
    const lh__view *v;
    int64_t start, classes, step; /* first element; classes from mark to mark */
    double mark[MARKS], total;
} weights;

static void mark_weights(weights *w, const lh__view *v, int64_t row) {
    w->v = v;
    w->classes = v->shape[v->ndim - 1];
    w->start = row * w->classes;
    w->step = (w->classes + MARKS - 1) / MARKS;
    w->total = 0;
    for (int64_t j = 0; j < w->classes; j++) {
        if (j % w->step == 0)
            w->mark[j / w->step] = w->total;
        w->total += lh__get(v, w->start + j);
    }
}

/* The first class up to which the weights add up to more than u of the total: never one of weight
 * 0. u in [0, 1). */
static int64_t class_at(const weights *w, double u) {
    int64_t low = 0, high = (w->classes - 1) / w->step, best = 0;
    double goal = u * w->total, sum;

    while (low < high) { /* the last mark that is not above the goal */
        int64_t middle = (low + high + 1) / 2;

        if (w->mark[middle] <= goal)
            low = middle;
        else
            high = middle - 1;
    }
    sum = w->mark[low];
    for (int64_t j = low * w->step; j < w->classes; j++) {
        double x = lh__get(w->v, w->start + j);

        sum += x;
        best = x > 0 ? j : best;
        if (sum > goal)
            return j;
    }
    return best; /* the goal was rounded up to the total */
}

/* By the inverse of the distribution function, at 53 random bits for each draw. */
void lh__ref_multinomial(const lh__kernel_call *call) {
    const lh__view *y = call->out;
    int64_t draws = y->shape[y->ndim - 1];
    weights w = {0};

    for (int64_t i = 0, n = lh__view_numel(y); i < n; i++) {
        if (i % draws == 0)
            mark_weights(&w, call->in[0], i / draws);
        lh__store_int(y, i,
                      class_at(&w, (double)(bits_of(call->key, (uint64_t)i) >> 11) * 0x1p-53));
    }
}

void lh__ref_uniform(const lh__kernel_call *call) {
    double lo = call->reals[0], hi = call->reals[1];

    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i, lo + (hi - lo) * lh__philox_uniform(call->key, (uint64_t)i));
}

void lh__ref_normal(const lh__kernel_call *call) {
    double mean = call->reals[0], std = call->reals[1];

    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i, mean + std * lh__philox_normal(call->key, (uint64_t)i));
}

void lh__ref_bernoulli(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i,
                  lh__philox_uniform(call->key, (uint64_t)i) < lh__get(call->in[0], i));
}

void lh__ref_dropout(const lh__kernel_call *call) {
    double p = call->reals[0], scale = 1 / (1 - p);

    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++) {
        bool keep = lh__philox_uniform(call->key, (uint64_t)i) >= p;

        lh__store(call->out, i, keep ? lh__get(call->in[0], i) * scale : 0);
    }
}
