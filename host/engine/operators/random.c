/* random.c - filled and random tensors. */
#include "engine/operators/rules.h"

static lh_status shape_dropout(lh__check *c) {
    if (!(c->call->reals[0] >= 0.0 && c->call->reals[0] <= 1.0))
        return lh__reject(c, LH_EINVAL, "the probability %g is not within 0 and 1",
                          c->call->reals[0]);
    return lh__shape_same(c);
}

static lh_status shape_fill(lh__check *c) {
    return lh__shape_from(c, 1);
}

static lh_tensor *d_dropout(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_real(e, LH__OP_DROPOUT_MASK, g, n->reals[0]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_FULL, "full", "", {0, 0}, {1, LH__ANY}, {1, 1}, 0, LH__GIVEN, shape_fill, {0}, NULL},
    {LH_OP_UNIFORM, "uniform", "", {0, 0}, {1, LH__ANY}, {2, 2}, LH__RANDOM, LH__GIVEN_REAL,
     shape_fill, {0}, NULL},
    {LH_OP_NORMAL, "normal", "", {0, 0}, {1, LH__ANY}, {2, 2}, LH__RANDOM, LH__GIVEN_REAL,
     shape_fill, {0}, NULL},
    {LH_OP_BERNOULLI, "bernoulli", "p", {1, 1}, {0, 0}, {0, 0}, LH__RANDOM, LH__REALS,
     lh__shape_same, {0}, NULL},
    {LH_OP_DROPOUT, "dropout", "x", {1, 1}, {0, 0}, {1, 1}, LH__RANDOM | LH__TRAIN_ONLY, LH__REALS,
     shape_dropout, {d_dropout}, NULL},

    /* what gradients are made of */
    {LH__OP_DROPOUT_MASK, "dropout_mask", "g", {1, 1}, {0, 0}, {1, 1}, LH__REPLAYS, LH__REALS,
     lh__shape_same, {0}, NULL},
};
/* clang-format on */

const lh__family lh__random = {rows, sizeof rows / sizeof *rows};
