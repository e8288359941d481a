/* random.c - filled and random tensors. */
#include "engine/operators/rules.h"

#include <float.h>
#include <math.h>

#include "kernels/ref/ref.h"

static lh_status shape_dropout(lh__check *c) {
    if (!(c->call->reals[0] >= 0.0 && c->call->reals[0] <= 1.0))
        return lh__reject(c, LH_EINVAL, "the probability %g is not within 0 and 1",
                          c->call->reals[0]);
    return lh__shape_same(c);
}

static lh_status shape_fill(lh__check *c) {
    return lh__shape_from(c, 1);
}

static lh_status shape_uniform(lh__check *c) {
    if (!(c->call->reals[0] <= c->call->reals[1]))
        return lh__reject(c, LH_EINVAL, "the bounds %g and %g are not in order", c->call->reals[0],
                          c->call->reals[1]);
    return shape_fill(c);
}

static lh_status shape_normal(lh__check *c) {
    if (!(c->call->reals[1] >= 0.0))
        return lh__reject(c, LH_EINVAL, "the standard deviation %g can't be negative",
                          c->call->reals[1]);
    return shape_fill(c);
}

/* O(elements). */
static lh_status shape_bernoulli(lh__check *c) {
    const lh__view *p = lh__in(c, 0);

    if (lh__computed(c->e, c->in[0]) != LH_OK)
        return LH_ENOMEM;
    for (int64_t i = 0, n = lh__view_numel(p); i < n; i++)
        if (!(lh__get(p, i) >= 0.0 && lh__get(p, i) <= 1.0))
            return lh__reject(c, LH_EINVAL,
                              "%g at element %lld is no probability; take the sigmoid of logits",
                              lh__get(p, i), (long long)i);
    return lh__shape_same(c);
}

static lh_status shape_randint(lh__check *c) {
    if (c->ints[0] >= c->ints[1])
        return lh__reject(c, LH_EINVAL, "no integer is at least %lld and less than %lld",
                          (long long)c->ints[0], (long long)c->ints[1]);
    return lh__shape_from(c, 2);
}

/* Every row of weights can be drawn from: finite, not negative, not all 0. O(elements). */
static lh_status check_weights(const lh__check *c, int64_t classes) {
    const lh__view *w = lh__in(c, 0);

    if (lh__computed(c->e, c->in[0]) != LH_OK)
        return LH_ENOMEM;
    for (int64_t i = 0, n = lh__view_numel(w); i < n; i += classes) {
        double sum = 0.0;

        for (int64_t j = i; j < i + classes; j++) {
            double x = lh__get(w, j);

            if (!(x >= 0.0 && x <= DBL_MAX))
                return lh__reject(c, LH_EINVAL,
                                  "weight %g of class %lld in row %lld can't be drawn by: weights "
                                  "are finite and not negative",
                                  x, (long long)(j - i), (long long)(i / classes));
            sum += x;
        }
        if (sum == 0.0 || isinf(sum))
            return lh__reject(c, LH_EINVAL, "the weights of row %lld add up to %g",
                              (long long)(i / classes), sum);
    }
    return LH_OK;
}

static lh_status shape_multinomial(lh__check *c) {
    const lh__view *w = lh__in(c, 0);

    if (!lh__dtype_is_real(w->dtype))
        return lh__reject(c, LH_EDTYPE, "weights are real numbers; cast them");
    if (w->ndim == 0 || w->shape[w->ndim - 1] == 0)
        return lh__reject(c, LH_ESHAPE, "the last axis of the weights has to hold classes");
    if (c->ints[0] < 1)
        return lh__reject(c, LH_EINVAL, "the number of draws, %lld, has to be positive",
                          (long long)c->ints[0]);
    lh__set_shape(c, w->ndim, w->shape);
    c->out.shape[w->ndim - 1] = c->ints[0];
    return check_weights(c, w->shape[w->ndim - 1]);
}

static lh_tensor *d_dropout(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_real(e, LH__OP_DROPOUT_MASK, g, n->reals[0]);
}

/* Where nothing is dropped, the identity. */
static lh_tensor *compose_dropout(lh__check *c) {
    return c->call->reals[0] > 0 ? NULL : c->in[0];
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_FULL, "full", "", {0, 0}, {1, LH__ANY}, {1, 1}, 0, LH__GIVEN, shape_fill, {0}, NULL},
    {LH_OP_UNIFORM, "uniform", "", {0, 0}, {1, LH__ANY}, {2, 2}, LH__RANDOM, LH__GIVEN_REAL,
     shape_uniform, {0}, NULL},
    {LH_OP_NORMAL, "normal", "", {0, 0}, {1, LH__ANY}, {2, 2}, LH__RANDOM, LH__GIVEN_REAL,
     shape_normal, {0}, NULL},
    {LH_OP_BERNOULLI, "bernoulli", "p", {1, 1}, {0, 0}, {0, 0}, LH__RANDOM, LH__REALS,
     shape_bernoulli, {0}, NULL},
    {LH_OP_DROPOUT, "dropout", "x", {1, 1}, {0, 0}, {1, 1}, LH__RANDOM | LH__TRAIN_ONLY, LH__REALS,
     shape_dropout, {d_dropout}, compose_dropout},
    {LH_OP_ARANGE, "arange", "", {0, 0}, {2, 2}, {2, 2}, 0, LH__GIVEN, shape_fill, {0}, NULL},
    {LH_OP_RANDINT, "randint", "", {0, 0}, {2, LH__ANY}, {0, 0}, LH__RANDOM, LH__POSITION,
     shape_randint, {0}, NULL},
    {LH_OP_MULTINOMIAL, "multinomial", "weights", {1, 1}, {1, 1}, {0, 0}, LH__RANDOM, LH__POSITION,
     shape_multinomial, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_DROPOUT_MASK, "dropout_mask", "g", {1, 1}, {0, 0}, {1, 1}, LH__REPLAYS, LH__REALS,
     lh__shape_same, {d_dropout}, NULL},
};
/* clang-format on */

const lh__family lh__random = {rows, sizeof rows / sizeof *rows};
