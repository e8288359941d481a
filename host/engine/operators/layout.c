/* layout.c - views of a tensor, and copies of parts of it by place or by index. */
#include "engine/operators/rules.h"

#include "kernels/view.h"

static lh_status shape_concat(lh__check *c) {
    const lh__view *first = lh__in(c, 0);
    int64_t total = 0, axis;
    lh_status status = lh__fix_axis(c, &c->ints[0], first->ndim);

    if (status != LH_OK)
        return status;
    axis = c->ints[0];
    for (int32_t i = 0; i < c->n_in; i++) {
        if (lh__in(c, i)->ndim != first->ndim)
            return lh__reject(c, LH_ESHAPE, "operand %d has %d axes, the first %d", i + 1,
                              lh__in(c, i)->ndim, first->ndim);
        for (int32_t d = 0; d < first->ndim; d++)
            if (d != axis && lh__in(c, i)->shape[d] != first->shape[d])
                return lh__reject(
                    c, LH_ESHAPE,
                    "operand %d differs from the first on axis %d; only axis %lld may", i + 1, d,
                    (long long)axis);
        total += lh__in(c, i)->shape[axis];
    }
    lh__set_shape(c, first->ndim, first->shape);
    c->out.shape[axis] = total;
    return LH_OK;
}

static lh_status shape_gather(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *index = lh__in(c, 1);
    lh_status status = lh__fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    if (index->ndim != x->ndim)
        return lh__reject(c, LH_ESHAPE, "the index needs as many axes as x");
    for (int32_t d = 0; d < x->ndim; d++)
        if (d != c->ints[0] && index->shape[d] > x->shape[d])
            return lh__reject(c, LH_ESHAPE, "the index is longer than x on axis %d", d);
    lh__set_shape(c, index->ndim, index->shape);
    return lh__check_range(c, index, x->shape[c->ints[0]], "index");
}

static lh_status shape_index_select(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *index = lh__in(c, 1);
    lh_status status = lh__fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    if (index->ndim != 1)
        return lh__reject(c, LH_ESHAPE, "the index needs one axis; reshape it");
    lh__set_shape(c, x->ndim, x->shape);
    c->out.shape[c->ints[0]] = index->shape[0];
    return lh__check_range(c, index, x->shape[c->ints[0]], "index");
}

/* Views: c->out also gets data and strides. */

static lh_status shape_contiguous(lh__check *c) {
    return lh__view_is_contiguous(lh__in(c, 0)) ? lh__shape_view(c) : lh__shape_same(c);
}

/* Strides under which `x` reads as shape c->out; 0 when there are none. An axis of the new shape
 * has to lie within a run of axes of x that are contiguous among themselves. */
static int32_t reshaped_strides(const lh__view *x, lh__view *out) {
    int32_t d = out->ndim - 1;
    int64_t left = 1, stride = 1; /* of the run of x: elements not yet given to axes; step */

    if (lh__view_is_contiguous(x) || lh__view_numel(x) == 0) {
        for (; d >= 0; d--) {
            out->stride[d] = stride;
            stride *= out->shape[d];
        }
        return 1;
    }
    for (int32_t s = x->ndim - 1; s >= 0; s--) {
        if (x->shape[s] == 1)
            continue;
        if (left == 1)
            stride = x->stride[s];
        else if (x->stride[s] != stride * left)
            return 0;
        for (left *= x->shape[s]; d >= 0 && left % out->shape[d] == 0 && left > 1; d--) {
            out->stride[d] = stride;
            stride *= out->shape[d];
            left /= out->shape[d];
        }
        /* What is left of the run goes on on the next axis of x. */
    }
    if (left != 1)
        return 0;
    for (; d >= 0; d--) {
        if (out->shape[d] != 1)
            return 0;
        out->stride[d] = stride;
    }
    return 1;
}

static lh_status shape_reshape(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int64_t have = lh__view_numel(x), known = 1;
    int32_t unknown = -1;

    if (c->n_ints > LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "%d axes asked for; at most %d are possible", c->n_ints,
                          LH_MAX_DIMS);
    for (int32_t d = 0; d < c->n_ints; d++) {
        if (c->ints[d] == -1 && unknown < 0)
            unknown = d;
        else if (c->ints[d] < 0)
            return lh__reject(c, LH_ESHAPE, "axis %d can't have length %lld; one may be -1", d,
                              (long long)c->ints[d]);
        else if (__builtin_mul_overflow(known, c->ints[d], &known))
            return lh__reject(c, LH_ESHAPE, "more elements than can be counted");
    }
    if (unknown >= 0 && (known == 0 || have % known != 0))
        return lh__reject(c, LH_ESHAPE,
                          "%lld elements can't be split by the %lld of the other "
                          "axes",
                          (long long)have, (long long)known);
    if (unknown >= 0)
        c->ints[unknown] = have / known;
    else if (known != have)
        return lh__reject(c, LH_ESHAPE, "x has %lld elements, the new shape %lld", (long long)have,
                          (long long)known);
    lh__set_shape(c, c->n_ints, c->ints);
    c->out.data = x->data;
    c->is_view = reshaped_strides(x, &c->out);
    return LH_OK;
}

static lh_status shape_permute(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    uint32_t seen = 0;
    lh_status status;

    if (c->n_ints != x->ndim)
        return lh__reject(c, LH_ESHAPE, "%d axes named; x has %d", c->n_ints, x->ndim);
    for (int32_t d = 0; d < x->ndim; d++) {
        if ((status = lh__fix_axis(c, &c->ints[d], x->ndim)) != LH_OK)
            return status;
        if (seen >> c->ints[d] & 1)
            return lh__reject(c, LH_ESHAPE, "axis %lld is named twice", (long long)c->ints[d]);
        seen |= 1u << c->ints[d];
        c->out.shape[d] = x->shape[c->ints[d]];
        c->out.stride[d] = x->stride[c->ints[d]];
    }
    c->out.ndim = x->ndim;
    c->out.data = x->data;
    c->is_view = 1;
    return LH_OK;
}

static lh_status shape_expand(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int32_t lead = c->n_ints - x->ndim;

    if (lead < 0 || c->n_ints > LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "%d axes asked for; x has %d, and %d are possible",
                          c->n_ints, x->ndim, LH_MAX_DIMS);
    for (int32_t d = 0; d < c->n_ints; d++) {
        int64_t have = d < lead ? 1 : x->shape[d - lead];

        if (d >= lead && c->ints[d] == -1)
            c->ints[d] = have;
        if (c->ints[d] < 0 || (have != c->ints[d] && have != 1))
            return lh__reject(c, LH_ESHAPE,
                              "axis %d of length %lld can't become %lld; only 1 can "
                              "be repeated",
                              d, (long long)have, (long long)c->ints[d]);
        c->out.shape[d] = c->ints[d];
        c->out.stride[d] = d < lead || have != c->ints[d] ? 0 : x->stride[d - lead];
    }
    c->out.ndim = c->n_ints;
    c->out.data = x->data;
    c->is_view = 1;
    return LH_OK;
}

/* Start and end count from the end when negative. */
static lh_status shape_slice(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int64_t n, start, end, step;
    lh_status status = lh__fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    n = x->shape[c->ints[0]], start = c->ints[1], end = c->ints[2], step = c->ints[3];
    if (step < 1)
        return lh__reject(c, LH_EINVAL, "step %lld has to be positive", (long long)step);
    start += start < 0 ? n : 0;
    end += end < 0 ? n : 0;
    if (start < 0 || end > n || end < start)
        return lh__reject(c, LH_ESHAPE, "[%lld, %lld) is outside axis %lld of length %lld",
                          (long long)c->ints[1], (long long)c->ints[2], (long long)c->ints[0],
                          (long long)n);
    c->ints[1] = start, c->ints[2] = end;
    c->out = lh__view_slice(x, c->ints[0], start, (end - start + step - 1) / step, step);
    c->is_view = 1;
    return LH_OK;
}

static lh_tensor *d_reshape(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return reshaped_like(e, g, n->in[i]);
}

static lh_tensor *d_permute(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    int64_t inverse[LH_MAX_DIMS];

    for (int32_t d = 0; d < n->n_ints; d++)
        inverse[n->ints[d]] = d;
    return op1_ints(e, LH_OP_PERMUTE, g, n->n_ints, inverse);
}

static lh_tensor *d_expand(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, g, n->in[i]);
}

/* `ints` of the call, then the shape of x. */
static lh_tensor *scattered(lh__engine *e, uint32_t code, const lh__node *n, int32_t n_in,
                            lh_tensor *const *in) {
    const lh__view *x = &n->in[0]->view;
    int64_t ints[LH__MAX_INTS];

    for (int32_t k = 0; k < n->n_ints; k++)
        ints[k] = n->ints[k];
    for (int32_t d = 0; d < x->ndim; d++)
        ints[n->n_ints + d] = x->shape[d];
    return op(e, code, n_in, in, n->n_ints + x->ndim, ints, 0, NULL);
}

static lh_tensor *d_slice(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_SLICE_GRAD, n, 1, &g);
}

static lh_tensor *d_gather(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_GATHER_GRAD, n, 2, (lh_tensor *[]){g, n->in[1]});
}

static lh_tensor *d_index_select(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_INDEX_SELECT_GRAD, n, 2, (lh_tensor *[]){g, n->in[1]});
}

static lh_tensor *d_concat(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    int64_t axis = n->ints[0], start = 0;

    for (int32_t k = 0; k < i; k++)
        start += n->in[k]->view.shape[axis];
    return op1_ints(e, LH_OP_SLICE, g, 4,
                    (int64_t[]){axis, start, start + n->in[i]->view.shape[axis], 1});
}

static lh_tensor *d_cast(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return cast_like(e, g, n->in[i]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_RESHAPE, "reshape", "x", {1, 1}, {0, LH__ANY}, {0, 0}, LH__COPIES, LH__AS_IS,
     shape_reshape, {d_reshape}, NULL},
    {LH_OP_PERMUTE, "permute", "x", {1, 1}, {0, LH__ANY}, {0, 0}, 0, LH__AS_IS,
     shape_permute, {d_permute}, NULL},
    {LH_OP_EXPAND, "expand", "x", {1, 1}, {0, LH__ANY}, {0, 0}, 0, LH__AS_IS,
     shape_expand, {d_expand}, NULL},
    {LH_OP_SLICE, "slice", "x", {1, 1}, {4, 4}, {0, 0}, 0, LH__AS_IS,
     shape_slice, {d_slice}, NULL},
    {LH_OP_CONCAT, "concat", "x", {1, LH__ANY}, {1, 1}, {0, 0}, 0, LH__NUMBERS,
     shape_concat, {d_concat}, NULL},
    {LH_OP_GATHER, "gather", "x index", {2, 2}, {1, 1}, {0, 0}, 0, LH__ANY_INDEX,
     shape_gather, {d_gather}, NULL},
    {LH_OP_INDEX_SELECT, "index_select", "x index", {2, 2}, {1, 1}, {0, 0}, 0, LH__ANY_INDEX,
     shape_index_select, {d_index_select}, NULL},
    {LH_OP_CAST, "cast", "x", {1, 1}, {1, 1}, {0, 0}, LH__COPIES, LH__GIVEN,
     lh__shape_same, {d_cast}, NULL},
    {LH_OP_CONTIGUOUS, "contiguous", "x", {1, 1}, {0, 0}, {0, 0}, LH__COPIES, LH__AS_IS,
     shape_contiguous, {lh__d_identity}, NULL},
    {LH_OP_DETACH, "detach", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__AS_IS, lh__shape_view, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_SLICE_GRAD, "slice_grad", "g", {1, 1}, {4, LH__ANY}, {0, 0}, LH__LANDS, LH__AS_IS,
     lh__shape_tail, {0}, NULL},
    {LH__OP_GATHER_GRAD, "gather_grad", "g index", {2, 2}, {1, LH__ANY}, {0, 0}, LH__LANDS,
     LH__ANY_INDEX, lh__shape_tail, {0}, NULL},
    {LH__OP_INDEX_SELECT_GRAD, "index_select_grad", "g index", {2, 2}, {1, LH__ANY}, {0, 0},
     LH__LANDS, LH__ANY_INDEX, lh__shape_tail, {0}, NULL},
};
/* clang-format on */

const lh__family lh__layout = {rows, sizeof rows / sizeof *rows};
