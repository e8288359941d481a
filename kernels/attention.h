/* attention.h - what a call of attention, or of its gradient, is about, shared by the devices.
 *
 * Invariant: results are vectors that hold several tensors one after another: the result and, (n,
 * heads, t), what its rows were normalized with; or the gradients to q, k and v. Each has axes (n,
 * heads, positions, features), of which positions may lie elsewhere in memory. Gradients may also
 * lie side by side: (n, positions), then those to q, to k and to v, each (heads, features).
 */
#ifndef LH_KERNELS_ATTENTION_H
#define LH_KERNELS_ATTENTION_H

#include "kernels/view.h"

typedef struct lh__attention {
    const lh__view *q, *k, *v, *mask; /* mask NULL: none */
    int64_t n, heads, t, s, d, e;     /* queries, keys, their features, those of values */
    double scale, dropout;
    int64_t before; /* axes of n, heads that lie before positions in results */
    bool causal;
} lh__attention;

/* Of a call whose inputs are q, k, v[, mask] from `first` on. */
static inline lh__attention lh__attention_of(const lh__kernel_call *call, int32_t first) {
    const lh__view *q = call->in[first], *v = call->in[first + 2];

    return (lh__attention){.q = q,
                           .k = call->in[first + 1],
                           .v = v,
                           .mask = first + 3 < call->n_in ? call->in[first + 3] : NULL,
                           .n = q->shape[0],
                           .heads = q->shape[1],
                           .t = q->shape[2],
                           .s = v->shape[2],
                           .d = q->shape[3],
                           .e = v->shape[3],
                           .scale = call->reals[0],
                           .dropout = call->reals[1],
                           .before = call->ints[1],
                           .causal = call->ints[0] != 0};
}

/* The tensor of such a vector that begins at element `first`. */
static inline lh__view lh__attention_part(const lh__attention *a, const lh__view *vector,
                                          int64_t first, int64_t positions, int64_t features) {
    int64_t head = (a->before == 2 ? positions : 1) * features;
    int64_t row = (a->before == 2 ? 1 : a->before == 1 ? a->heads : a->n * a->heads) * features;

    return (lh__view){
        .data = (char *)vector->data + first * lh__dtype_size(vector->dtype),
        .dtype = vector->dtype,
        .ndim = 4,
        .shape = {a->n, a->heads, positions, features},
        .stride = {a->heads * (a->before ? positions : 1) * features, head, row, 1},
    };
}

/* The gradients to q, k and v in such a vector. */
static inline void lh__attention_gradients(const lh__attention *a, const lh__view *vector,
                                           bool side_by_side, lh__view part[3]) {
    const int64_t positions[] = {a->t, a->s, a->s}, features[] = {a->d, a->d, a->e};
    int64_t first = 0;

    for (int32_t i = 0; i < 3; i++) {
        part[i] = lh__attention_part(a, vector, first, positions[i], features[i]);
        first += a->heads * features[i] * (side_by_side ? 1 : a->n * positions[i]);
        if (!side_by_side)
            continue;
        part[i].stride[2] = a->heads * (2 * a->d + a->e);
        part[i].stride[1] = features[i];
        part[i].stride[0] = positions[i] * part[i].stride[2];
    }
}

/* Keys that query i sees of the first `most`. */
static inline int64_t lh__attention_seen(const lh__attention *a, int64_t i, int64_t most) {
    return a->causal && i + 1 < most ? i + 1 : most;
}

#endif
