/* order.c - what depends on the order of elements along an axis: cumulative sums, sorting. */
#include "engine/operators/rules.h"

static lh_status shape_topk(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int64_t k = c->ints[0];
    lh_status status = lh__fix_axis(c, &c->ints[1], x->ndim);

    if (status != LH_OK)
        return status;
    if (k < 0 || k > x->shape[c->ints[1]])
        return lh__reject(c, LH_ESHAPE, "%lld elements can't be chosen of axis %lld of length %lld",
                          (long long)k, (long long)c->ints[1], (long long)x->shape[c->ints[1]]);
    lh__set_shape(c, x->ndim, x->shape);
    c->out.shape[c->ints[1]] = k;
    return LH_OK;
}

/* The sum of g over what comes after: a cumulative sum from the other end. */
static lh_tensor *d_cumsum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    int64_t backwards = n->n_ints > 1 && n->ints[1];

    return op1_ints(e, LH_OP_CUMSUM, g, 2, (int64_t[]){n->ints[0], !backwards});
}

static lh_tensor *compose_argsort(lh__check *c) {
    return lh__compose_lines(c, 0);
}

static lh_tensor *compose_topk(lh__check *c) {
    return lh__compose_lines(c, 1);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_CUMSUM, "cumsum", "x", {1, 1}, {1, 2}, {0, 0}, 0, LH__COUNT,
     lh__shape_axis, {d_cumsum}, lh__compose_contiguous},
    {LH_OP_ARGSORT, "argsort", "x", {1, 1}, {1, 2}, {0, 0}, 0, LH__POSITION,
     lh__shape_axis, {0}, compose_argsort},
    {LH_OP_TOPK, "topk", "x", {1, 1}, {2, 3}, {0, 0}, 0, LH__POSITION,
     shape_topk, {0}, compose_topk},
};
/* clang-format on */

const lh__family lh__order = {rows, sizeof rows / sizeof *rows};
