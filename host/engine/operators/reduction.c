/* reduction.c - sums, means, extremes over axes, and where they are. */
#include "engine/operators/rules.h"

#include "kernels/view.h"

/* Sets c->out to the first input's shape with the axes of `mask` gone or, with keepdim, 1. */
static lh_status reduce_axes(lh__check *c, uint32_t mask, int64_t keepdim) {
    c->out.ndim = 0;
    for (int32_t d = 0; d < lh__in(c, 0)->ndim; d++)
        if (!(mask >> d & 1) || keepdim)
            c->out.shape[c->out.ndim++] = mask >> d & 1 ? 1 : lh__in(c, 0)->shape[d];
    return LH_OK;
}

static lh_status reduced_mask(lh__check *c, uint32_t *mask) {
    int32_t ndim = lh__in(c, 0)->ndim;
    lh_status status;

    *mask = c->n_ints > 1 ? 0 : (1u << ndim) - 1;
    for (int32_t i = 1; i < c->n_ints; i++) {
        if ((status = lh__fix_axis(c, &c->ints[i], ndim)) != LH_OK)
            return status;
        if (*mask >> c->ints[i] & 1)
            return lh__reject(c, LH_ESHAPE, "axis %lld is named twice", (long long)c->ints[i]);
        *mask |= 1u << c->ints[i];
    }
    return LH_OK;
}

static lh_status shape_reduce(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, &mask);

    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

static lh_status shape_extreme(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, &mask);

    for (int32_t d = 0; status == LH_OK && d < lh__in(c, 0)->ndim; d++)
        if ((mask >> d & 1) && lh__in(c, 0)->shape[d] == 0)
            return lh__reject(c, LH_ESHAPE, "axis %d is empty: there is no element to choose", d);
    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

static lh_status shape_argmax(lh__check *c) {
    lh_status status = lh__fix_axis(c, &c->ints[0], lh__in(c, 0)->ndim);

    if (status != LH_OK)
        return status;
    if (lh__in(c, 0)->shape[c->ints[0]] == 0)
        return lh__reject(c, LH_ESHAPE, "axis %lld is empty: there is no element to choose",
                          (long long)c->ints[0]);
    return reduce_axes(c, 1u << c->ints[0], c->n_ints > 1 && c->ints[1]);
}

/* t, of the shape of the reduced output, with its reduced axes back as 1. */
static lh_tensor *keepdim(lh__engine *e, const lh__node *n, lh_tensor *t) {
    const lh__view *x = &n->in[0]->view;
    int64_t shape[LH_MAX_DIMS];

    for (int32_t d = 0; d < x->ndim; d++)
        shape[d] = n->n_ints > 1 ? x->shape[d] : 1;
    for (int32_t k = 1; k < n->n_ints; k++)
        shape[n->ints[k]] = 1;
    return reshaped(e, t, x->ndim, shape);
}

static lh_tensor *d_sum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *x = &n->in[i]->view;

    return op1_ints(e, LH_OP_EXPAND, keepdim(e, n, g), x->ndim, x->shape);
}

static lh_tensor *d_mean(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    double share = (double)lh__view_numel(&n->out->view) / (double)lh__view_numel(&n->in[0]->view);

    return d_sum(e, n, i, scaled(e, g, share));
}

/* g shared equally by the elements that equal y. */
static lh_tensor *d_extreme(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *x = n->in[0];
    lh_tensor *hit = op2(e, LH_OP_EQ, x, keepdim(e, n, n->out));
    lh_tensor *mask = hit ? cast_like(e, hit, x) : NULL;
    int64_t ints[1 + LH_MAX_DIMS] = {1};
    lh_tensor *hits;

    for (int32_t k = 1; k < n->n_ints; k++)
        ints[k] = n->ints[k];
    hits = op1_ints(e, LH_OP_SUM, mask, n->n_ints, ints);
    return mul(e, mask, op2(e, LH_OP_DIV, keepdim(e, n, g), hits));
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_SUM, "sum", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__COUNT,
     shape_reduce, {d_sum}, NULL},
    {LH_OP_MEAN, "mean", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__REALS,
     shape_reduce, {d_mean}, NULL},
    {LH_OP_AMAX, "amax", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__AS_IS,
     shape_extreme, {d_extreme}, NULL},
    {LH_OP_AMIN, "amin", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__AS_IS,
     shape_extreme, {d_extreme}, NULL},
    {LH_OP_ARGMAX, "argmax", "x", {1, 1}, {1, 2}, {0, 0}, 0, LH__POSITION,
     shape_argmax, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_SUM_TO, "sum_to", "g", {1, 1}, {0, LH__ANY}, {0, 0}, LH__LANDS, LH__AS_IS,
     lh__shape_tail, {0}, NULL},
};
/* clang-format on */

const lh__family lh__reduction = {rows, sizeof rows / sizeof *rows};
