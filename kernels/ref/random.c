/* random.c - the oracle's filled and random tensors: element i is a function of the key and i. */
#include "kernels/ref/ref.h"

void lh__ref_full(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++)
        lh__store(call->out, i, call->reals[0]);
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
