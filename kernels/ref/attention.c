/* attention.c - the oracle's scaled dot-product attention and its gradient.
 *
 * Invariant: scores are computed anew wherever they are needed; a row without a key has weights,
 * results and gradients of 0.
 */
#include <math.h>

#include "kernels/attention.h"
#include "kernels/ref/ref.h"

enum { FEATURES = 64 }; /* of a result, added up side by side */

/* A call; of a gradient also g, the result y, and the logarithms that the call left. */
typedef struct job {
    lh__attention a;
    lh__philox_key key;
    lh__products products;
    const lh__view *g;
    lh__view y, log_sum; /* (n heads t) */
} job;

/* A matrix of positions and features of one head. */
typedef struct place {
    int64_t n, head;
} place;

static int64_t offset(const lh__view *v, place p, int64_t position, int64_t feature) {
    return p.n * v->stride[0] + p.head * v->stride[1] + position * v->stride[2] +
           feature * v->stride[3];
}

static double at(const lh__view *v, place p, int64_t position, int64_t feature) {
    return lh__load(v, offset(v, p, position, feature));
}

/* The product of row i of x and row j of y. */
static double dot(lh__products products, const lh__view *x, const lh__view *y, place p, int64_t i,
                  int64_t j) {
    double sum = 0;

    for (int64_t l = 0; l < x->shape[3]; l++)
        sum += lh__rounded_product(products, at(x, p, i, l), at(y, p, j, l));
    return sum;
}

static double score(const job *w, place p, int64_t i, int64_t j) {
    const lh__attention *a = &w->a;

    if (j >= lh__attention_seen(a, i, a->s) ||
        (a->mask && a->mask->dtype == LH_BOOL && at(a->mask, p, i, j) == 0))
        return -INFINITY;
    return a->scale * dot(w->products, a->q, a->k, p, i, j) +
           (a->mask && a->mask->dtype != LH_BOOL ? at(a->mask, p, i, j) : 0);
}

/* The logarithm of the sum of exp(score) of a row; 0 where no key is seen. */
static double log_sum(const job *w, place p, int64_t i) {
    double max = -INFINITY, sum = 0;

    for (int64_t j = 0; j < w->a.s; j++)
        max = fmax(max, score(w, p, i, j));
    max = max == -INFINITY ? 0 : max;
    for (int64_t j = 0; j < w->a.s; j++)
        sum += exp(score(w, p, i, j) - max);
    return sum == 0 ? 0 : max + log(sum);
}

/* What dropout multiplies a weight with. */
static double kept(const job *w, place p, int64_t i, int64_t j) {
    int64_t element = ((p.n * w->a.heads + p.head) * w->a.t + i) * w->a.s + j;

    if (w->a.dropout == 0)
        return 1;
    return lh__philox_uniform(w->key, (uint64_t)element) >= w->a.dropout ? 1 / (1 - w->a.dropout)
                                                                         : 0;
}

/* y[i] = the sum over j of factor(i, j) x[j]; with `across` of factor(j, i). */
typedef double factor(const job *w, place p, int64_t i, int64_t j);

static void combine(const job *w, place p, const lh__view *y, const lh__view *x, factor *f,
                    bool across) {
    for (int64_t i = 0; i < y->shape[2]; i++)
        for (int64_t from = 0; from < y->shape[3]; from += FEATURES) {
            int64_t n = y->shape[3] - from < FEATURES ? y->shape[3] - from : FEATURES;
            double sum[FEATURES] = {0};

            for (int64_t j = 0; j < x->shape[2]; j++) {
                double by = across ? f(w, p, j, i) : f(w, p, i, j);

                for (int64_t l = 0; l < n; l++)
                    sum[l] += lh__rounded_product(w->products, by, at(x, p, j, from + l));
            }
            for (int64_t l = 0; l < n; l++)
                lh__store(y, offset(y, p, i, from + l), sum[l]);
        }
}

static int64_t row_of(const job *w, place p, int64_t i) {
    return (p.n * w->a.heads + p.head) * w->a.t + i;
}

static double weight(const job *w, place p, int64_t i, int64_t j) {
    return exp(score(w, p, i, j) - lh__load(&w->log_sum, row_of(w, p, i)));
}

static double kept_weight(const job *w, place p, int64_t i, int64_t j) {
    return weight(w, p, i, j) * kept(w, p, i, j);
}

/* scale weight (what arrives at it - the sum of weights times what arrives at them) */
static double score_grad(const job *w, place p, int64_t i, int64_t j) {
    double arrives = dot(w->products, w->g, w->a.v, p, i, j) * kept(w, p, i, j);
    double all = dot(LH__PRODUCTS_F32, w->g, &w->y, p, i, i);

    return w->a.scale * weight(w, p, i, j) * (arrives - all);
}

/* Only those of float32 operands are rounded. */
static lh__products products_of(const lh__kernel_call *call) {
    return call->out->dtype == LH_F32 ? call->products : LH__PRODUCTS_F32;
}

void lh__ref_attention(const lh__kernel_call *call) {
    job w = {.a = lh__attention_of(call, 0), .key = call->key, .products = products_of(call)};
    int64_t rows = w.a.n * w.a.heads * w.a.t;

    w.y = lh__attention_part(&w.a, call->out, 0, w.a.t, w.a.e);
    w.log_sum = lh__view_slice(call->out, 0, rows * w.a.e, rows, 1);
    for (place p = {0}; p.n < w.a.n; p.n++)
        for (p.head = 0; p.head < w.a.heads; p.head++) {
            for (int64_t i = 0; i < w.a.t; i++)
                lh__store(&w.log_sum, row_of(&w, p, i), log_sum(&w, p, i));
            combine(&w, p, &w.y, w.a.v, kept_weight, false);
        }
}

void lh__ref_attention_grad(const lh__kernel_call *call) {
    job w = {.a = lh__attention_of(call, 2),
             .key = call->key,
             .products = products_of(call),
             .g = call->in[0]};
    const lh__attention *a = &w.a;
    int64_t rows = a->n * a->heads * a->t;
    lh__view grads[3];

    lh__attention_gradients(a, call->out, call->ints[2] != 0, grads);
    w.y = lh__attention_part(a, call->in[1], 0, a->t, a->e);
    w.log_sum = lh__view_slice(call->in[1], 0, rows * a->e, rows, 1);
    for (place p = {0}; p.n < a->n; p.n++)
        for (p.head = 0; p.head < a->heads; p.head++) {
            combine(&w, p, &grads[0], a->k, score_grad, false);
            combine(&w, p, &grads[1], a->q, score_grad, true);
            combine(&w, p, &grads[2], w.g, kept_weight, true);
        }
}
