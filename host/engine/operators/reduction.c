/* reduction.c - sums, products, moments, norms and extremes over axes, and where they are. */
#include "engine/operators/rules.h"

#include <math.h>

#include "kernels/view.h"

/* Sets c->out to the first input's shape with the axes of `mask` gone or, with keepdim, 1. */
static lh_status reduce_axes(lh__check *c, uint32_t mask, int64_t keepdim) {
    c->out.ndim = 0;
    for (int32_t d = 0; d < lh__in(c, 0)->ndim; d++)
        if (!(mask >> d & 1) || keepdim)
            c->out.shape[c->out.ndim++] = mask >> d & 1 ? 1 : lh__in(c, 0)->shape[d];
    return LH_OK;
}

/* The axes that the call's integers from `first` on name, none: all, as bits. */
static lh_status reduced_mask(lh__check *c, int32_t first, uint32_t *mask) {
    int32_t ndim = lh__in(c, 0)->ndim;
    lh_status status;

    *mask = c->n_ints > first ? 0 : (1u << ndim) - 1;
    for (int32_t i = first; i < c->n_ints; i++) {
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
    lh_status status = reduced_mask(c, 1, &mask);

    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

/* Of VAR and STD, whose axes come after the correction. */
static lh_status shape_moment(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, 2, &mask);

    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

static lh_status shape_extreme(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, 1, &mask);

    for (int32_t d = 0; status == LH_OK && d < lh__in(c, 0)->ndim; d++)
        if ((mask >> d & 1) && lh__in(c, 0)->shape[d] == 0)
            return lh__reject(c, LH_ESHAPE, "axis %d is empty: there is no element to choose", d);
    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

static lh_status shape_norm(lh__check *c) {
    double p = c->call->reals[0];

    if (!(p > 0.0))
        return lh__reject(c, LH_EINVAL, "the order %g of a norm has to be positive", p);
    return isinf(p) ? shape_extreme(c) : shape_reduce(c);
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

static lh_tensor *d_prod(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_PROD_GRAD, 2, (lh_tensor *[]){g, n->in[0]}, n->n_ints, n->ints, 0, NULL);
}

static lh_tensor *d_sum_to(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *x = &n->in[i]->view;

    return op1_ints(e, LH_OP_EXPAND, g, x->ndim, x->shape);
}

/* Compositions. */

/* The reduction `code` of x over the axes that the call names from its integer `first` on. */
static lh_tensor *reduced(const lh__check *c, uint32_t code, lh_tensor *x, int64_t keep,
                          int32_t first) {
    int64_t ints[1 + LH_MAX_DIMS] = {keep};

    for (int32_t k = first; k < c->n_ints; k++)
        ints[1 + k - first] = c->ints[k];
    return op1_ints(c->e, code, x, 1 + c->n_ints - first, ints);
}

static lh_tensor *where(lh__engine *e, lh_tensor *condition, lh_tensor *a, double b) {
    return a ? op3(e, LH_OP_WHERE, condition, number(e, a, b), a) : NULL;
}

/* x^p for x >= 0. The derivative at 0 is 0, as torch.std and torch.norm have it, not infinite. */
static lh_tensor *power(lh__engine *e, lh_tensor *x, double p) {
    lh_tensor *zero = x ? op2(e, LH_OP_EQ, x, number(e, x, 0.0)) : NULL, *safe, *y;

    safe = where(e, zero, x, 1.0);
    y = p == 0.5 ? op1(e, LH_OP_SQRT, safe) : op1_real(e, LH_OP_POW_SCALAR, safe, p);
    return where(e, zero, y, 0.0);
}

/* sum((x - mean)^2) / max(0, n - correction) */
static lh_tensor *compose_var(lh__check *c) {
    lh_tensor *x = c->in[0], *mean = reduced(c, LH_OP_MEAN, x, 1, 2);
    lh_tensor *squares = op1(c->e, LH_OP_SQUARE, op2(c->e, LH_OP_SUB, x, mean));
    double n;

    if (!squares)
        return NULL;
    n = (double)lh__view_numel(&x->view) / (double)lh__view_numel(&mean->view);
    return scaled(c->e, reduced(c, LH_OP_SUM, squares, c->ints[0], 2),
                  1 / fmax(0.0, n - (double)c->ints[1]));
}

static lh_tensor *compose_std(lh__check *c) {
    return power(c->e, op1_ints(c->e, LH_OP_VAR, c->in[0], c->n_ints, c->ints), 0.5);
}

/* log(sum(exp(x - m))) + m, where m, the largest element, is a constant; 0 where it is infinite. */
static lh_tensor *compose_logsumexp(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0], *m, *sum;

    if (lh__view_numel(&x->view) == 0)
        return op1(e, LH_OP_LOG, reduced(c, LH_OP_SUM, x, c->ints[0], 1));
    m = reduced(c, LH_OP_AMAX, op1(e, LH_OP_DETACH, x), 1, 1);
    m = where(e, op2(e, LH_OP_EQ, op1(e, LH_OP_ABS, m), number(e, x, INFINITY)), m, 0.0);
    sum = reduced(c, LH_OP_SUM, op1(e, LH_OP_EXP, op2(e, LH_OP_SUB, x, m)), 1, 1);
    return reshaped(e, op2(e, LH_OP_ADD, op1(e, LH_OP_LOG, sum), m), c->out.ndim, c->out.shape);
}

static lh_tensor *compose_norm(lh__check *c) {
    lh__engine *e = c->e;
    double p = c->call->reals[0];
    lh_tensor *x = c->in[0], *sum;

    if (isinf(p))
        return reduced(c, LH_OP_AMAX, op1(e, LH_OP_ABS, x), c->ints[0], 1);
    if (p == 1.0)
        return reduced(c, LH_OP_SUM, op1(e, LH_OP_ABS, x), c->ints[0], 1);
    x = p == 2.0 ? op1(e, LH_OP_SQUARE, x) : power(e, op1(e, LH_OP_ABS, x), p);
    sum = reduced(c, LH_OP_SUM, x, c->ints[0], 1);
    return power(e, sum, 1 / p);
}

/* How many elements are, or are not, 0: its comparison with 0. The count is an F32 that may be
 * rounded, but not to 0. */
static lh_tensor *count_zeros(lh__check *c, uint32_t compare) {
    lh__engine *e = c->e;
    const int64_t f32 = LH_F32;
    lh_tensor *x = c->in[0], *found, *count;

    if (!lh__dtype_is_real(x->view.dtype))
        x = op1_ints(e, LH_OP_CAST, x, 1, &f32);
    found = x ? op2(e, compare, x, number(e, x, 0.0)) : NULL;
    count = reduced(c, LH_OP_SUM, op1_ints(e, LH_OP_CAST, found, 1, &f32), c->ints[0], 1);
    return count ? op2(e, compare, count, number(e, count, 0.0)) : NULL;
}

static lh_tensor *compose_any(lh__check *c) {
    return count_zeros(c, LH_OP_NE);
}

static lh_tensor *compose_all(lh__check *c) {
    return count_zeros(c, LH_OP_EQ);
}

/* Along the last axis of a contiguous x, whose elements the kernel takes one after the other. */
static lh_tensor *compose_argmax(lh__check *c) {
    lh__engine *e = c->e;
    int32_t last = lh__in(c, 0)->ndim - 1, n = 0;
    int64_t axes[LH_MAX_DIMS];
    lh_tensor *x;

    if (c->ints[0] == last)
        return lh__compose_contiguous(c);
    for (int32_t d = 0; d <= last; d++)
        if (d != c->ints[0])
            axes[n++] = d;
    axes[n] = c->ints[0];
    x = op1(e, LH_OP_CONTIGUOUS, op1_ints(e, LH_OP_PERMUTE, c->in[0], last + 1, axes));
    return reshaped(e, op1_ints(e, c->row->op, x, 1, &(const int64_t){last}), c->out.ndim,
                    c->out.shape);
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
     shape_argmax, {0}, compose_argmax},
    {LH_OP_ARGMIN, "argmin", "x", {1, 1}, {1, 2}, {0, 0}, 0, LH__POSITION,
     shape_argmax, {0}, compose_argmax},
    {LH_OP_PROD, "prod", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__COUNT,
     shape_reduce, {d_prod}, NULL},
    {LH_OP_VAR, "var", "x", {1, 1}, {2, LH__ANY}, {0, 0}, 0, LH__REALS,
     shape_moment, {0}, compose_var},
    {LH_OP_STD, "std", "x", {1, 1}, {2, LH__ANY}, {0, 0}, 0, LH__REALS,
     shape_moment, {0}, compose_std},
    {LH_OP_LOGSUMEXP, "logsumexp", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__REALS,
     shape_reduce, {0}, compose_logsumexp},
    {LH_OP_NORM, "norm", "x", {1, 1}, {1, LH__ANY}, {1, 1}, 0, LH__REALS,
     shape_norm, {0}, compose_norm},
    {LH_OP_ANY, "any", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__COMPARE,
     shape_reduce, {0}, compose_any},
    {LH_OP_ALL, "all", "x", {1, 1}, {1, LH__ANY}, {0, 0}, 0, LH__COMPARE,
     shape_reduce, {0}, compose_all},

    /* what gradients are made of */
    {LH__OP_SUM_TO, "sum_to", "g", {1, 1}, {0, LH__ANY}, {0, 0}, LH__LANDS, LH__AS_IS,
     lh__shape_tail, {d_sum_to}, NULL},
    {LH__OP_PROD_GRAD, "prod_grad", "g x", {2, 2}, {1, LH__ANY}, {0, 0}, LH__LANDS, LH__REALS,
     lh__shape_second, {0}, NULL},
};
/* clang-format on */

const lh__family lh__reduction = {rows, sizeof rows / sizeof *rows};
