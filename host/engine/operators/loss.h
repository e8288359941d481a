/* loss.h - what the losses of classes and of pairs share: reductions of the losses of elements.
 *
 * Invariant: a loss's integers begin with its reduction; without integers it is the mean.
 */
#ifndef LH_ENGINE_OPERATORS_LOSS_H
#define LH_ENGINE_OPERATORS_LOSS_H

#include "engine/operators/rules.h"

static inline lh_status check_reduction(const lh__check *c, int64_t last) {
    if (c->n_ints > 0 && (c->ints[0] < LH_REDUCE_NONE || c->ints[0] > last))
        return lh__reject(c, LH_EINVAL, "%lld is no reduction of it; see LH_REDUCE_... in ops.h",
                          (long long)c->ints[0]);
    return LH_OK;
}

static inline int64_t reduction_of(const lh__check *c) {
    return c->n_ints > 0 ? c->ints[0] : LH_REDUCE_MEAN;
}

/* Sum of all elements. */
static inline lh_tensor *total(lh__engine *e, lh_tensor *x) {
    const int64_t drop_axes = 0;

    return op1_ints(e, LH_OP_SUM, x, 1, &drop_axes);
}

/* The losses of the elements, as the call wants them. */
static inline lh_tensor *reduced(lh__check *c, lh_tensor *losses) {
    const int64_t drop_axes = 0, batch = lh__in(c, 0)->ndim ? lh__in(c, 0)->shape[0] : 1;

    switch (reduction_of(c)) {
    case LH_REDUCE_NONE:
        return losses;
    case LH_REDUCE_MEAN:
        return op1_ints(c->e, LH_OP_MEAN, losses, 1, &drop_axes);
    case LH_REDUCE_BATCHMEAN:
        return scaled(c->e, total(c->e, losses), 1.0 / (double)batch);
    default:
        return total(c->e, losses);
    }
}

#endif
