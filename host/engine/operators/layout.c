/* layout.c - views of a tensor, and copies of parts of it by place or by index. */
#include "engine/operators/rules.h"

#include "engine/parts.h"
#include "engine/state.h"
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
    return lh__check_range(c, 1, x->shape[c->ints[0]], "index");
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
    return lh__check_range(c, 1, x->shape[c->ints[0]], "index");
}

/* One row of zeros and ones for each index. */
static lh_status shape_one_hot(lh__check *c) {
    const lh__view *index = lh__in(c, 0);
    int64_t classes = c->ints[0];

    if (classes < 1)
        return lh__reject(c, LH_EINVAL, "the number of classes, %lld, has to be positive",
                          (long long)classes);
    if (index->ndim == LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "the result would have more than %d axes", LH_MAX_DIMS);
    lh__set_shape(c, index->ndim, index->shape);
    c->out.shape[c->out.ndim++] = classes;
    return lh__check_range(c, 0, classes, "index");
}

static lh_status shape_scatter_add(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *index = lh__in(c, 1), *source = lh__in(c, 2);
    lh_status status = lh__fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    if (index->dtype != LH_I64)
        return lh__reject(c, LH_EDTYPE, "the index has to be int64; cast it");
    if (source->dtype != x->dtype)
        return lh__reject(c, LH_EDTYPE, "source and x have to be of one dtype; cast one");
    if (index->ndim != x->ndim || source->ndim != x->ndim)
        return lh__reject(c, LH_ESHAPE, "index and source need as many axes as x");
    for (int32_t d = 0; d < x->ndim; d++) {
        if (d != c->ints[0] && index->shape[d] > x->shape[d])
            return lh__reject(c, LH_ESHAPE, "the index is longer than x on axis %d", d);
        if (index->shape[d] > source->shape[d])
            return lh__reject(c, LH_ESHAPE, "the index is longer than the source on axis %d", d);
    }
    lh__shape_same(c);
    return lh__check_range(c, 1, x->shape[c->ints[0]], "index");
}

/* Axis d of x, counted from the last in pairs of integers from 1 on: what comes before and after.
 */
static int64_t pad_before(const lh__check *c, int32_t d) {
    int32_t k = 1 + 2 * (lh__in(c, 0)->ndim - 1 - d);

    return k < c->n_ints ? c->ints[k] : 0;
}

static int64_t pad_after(const lh__check *c, int32_t d) {
    int32_t k = 2 + 2 * (lh__in(c, 0)->ndim - 1 - d);

    return k < c->n_ints ? c->ints[k] : 0;
}

/* The mode allows this much around an axis of n elements. */
static lh_status check_pad(const lh__check *c, int32_t d, int64_t n) {
    int64_t before = pad_before(c, d), after = pad_after(c, d);
    int64_t most = before > after ? before : after, least = before > after ? after : before;

    if (most > INT64_MAX / 4 || least < -INT64_MAX / 4)
        return lh__reject(c, LH_ESHAPE, "more elements than can be counted");
    if (c->ints[0] == LH_PAD_CONSTANT)
        return n + before >= 0 && n + after >= 0 && n + before + after >= 0
                   ? LH_OK
                   : lh__reject(c, LH_ESHAPE, "axis %d has %lld elements: fewer than are cut off",
                                d, (long long)n);
    if (least < 0)
        return lh__reject(c, LH_EINVAL, "padding %lld: only constant padding may cut off",
                          (long long)least);
    if (c->ints[0] == LH_PAD_REFLECT && most > 0 && most >= n)
        return lh__reject(c, LH_ESHAPE,
                          "reflecting %lld elements on axis %d takes more than %lld; it has %lld",
                          (long long)most, d, (long long)most, (long long)n);
    if (most > 0 && n == 0)
        return lh__reject(c, LH_ESHAPE, "axis %d is empty: there is no element to repeat", d);
    return LH_OK;
}

static lh_status shape_pad(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    lh_status status;

    if (c->ints[0] < LH_PAD_CONSTANT || c->ints[0] > LH_PAD_REPLICATE)
        return lh__reject(c, LH_EINVAL, "%lld is no mode; use LH_PAD_CONSTANT, ...",
                          (long long)c->ints[0]);
    if (c->n_ints % 2 == 0 || c->n_ints / 2 > x->ndim)
        return lh__reject(c, LH_ESHAPE,
                          "%d numbers of elements; a pair is needed for each of at most %d axes",
                          c->n_ints - 1, x->ndim);
    c->out.ndim = x->ndim;
    for (int32_t d = 0; d < x->ndim; d++) {
        if ((status = check_pad(c, d, x->shape[d])) != LH_OK)
            return status;
        c->out.shape[d] = x->shape[d] + pad_before(c, d) + pad_after(c, d);
    }
    return LH_OK;
}

static lh_status shape_flip(lh__check *c) {
    uint32_t seen = 0;
    lh_status status;

    for (int32_t k = 0; k < c->n_ints; k++) {
        if ((status = lh__fix_axis(c, &c->ints[k], lh__in(c, 0)->ndim)) != LH_OK)
            return status;
        if (seen >> c->ints[k] & 1)
            return lh__reject(c, LH_ESHAPE, "axis %lld is named twice", (long long)c->ints[k]);
        seen |= 1u << c->ints[k];
    }
    return lh__shape_same(c);
}

static lh_status shape_triangle(lh__check *c) {
    if (lh__in(c, 0)->ndim < 2)
        return lh__reject(c, LH_ESHAPE, "x needs two axes or more");
    return lh__shape_same(c);
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
    c->is_view = lh__is_countable(&c->out) && reshaped_strides(x, &c->out);
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
    if (step > n)
        step = n ? n : 1;
    start += start < 0 ? n : 0;
    end += end < 0 ? n : 0;
    if (start < 0 || end > n || end < start)
        return lh__reject(c, LH_ESHAPE, "[%lld, %lld) is outside axis %lld of length %lld",
                          (long long)c->ints[1], (long long)c->ints[2], (long long)c->ints[0],
                          (long long)n);
    c->ints[1] = start, c->ints[2] = end, c->ints[3] = step;
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

/* Of a tensor that is taken apart: a part, or added to what has arrived. */
static lh_tensor *d_slice(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *x = n->in[0], *arrived = x->grad, *parts = NULL;

    if (e->grad_enabled)
        return scattered(e, LH__OP_SLICE_GRAD, n, 1, &g);
    x->grad = NULL;
    if (x->node && n->ints[3] == 1)
        parts = lh__part_added(e, arrived, x, n->ints[0], n->ints[1], n->ints[2], g);
    if (parts || e->err->code != LH_OK)
        return parts;
    arrived = lh__whole(e, arrived);
    return scattered(e, LH__OP_SLICE_GRAD, n, arrived ? 2 : 1, (lh_tensor *[]){g, arrived});
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

/* The gradients of gradients select what the gradients put into place. */

static lh_tensor *d_slice_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_ints(e, LH_OP_SLICE, g, 4, n->ints);
}

static lh_tensor *d_gather_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH_OP_GATHER, 2, (lh_tensor *[]){g, n->in[1]}, 1, n->ints, 0, NULL);
}

static lh_tensor *d_index_select_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH_OP_INDEX_SELECT, 2, (lh_tensor *[]){g, n->in[1]}, 1, n->ints, 0, NULL);
}

/* Compositions. */

/* start, start + step, ...: n of them. */
static lh_tensor *arange(lh__engine *e, int64_t dtype, int64_t n, double start, double step) {
    return op(e, LH_OP_ARANGE, 0, NULL, 2, (int64_t[]){dtype, n}, 2, (double[]){start, step});
}

/* x, or the part of it that remains on axis d, between constants. */
static lh_tensor *pad_constant(const lh__check *c, lh_tensor *x, int32_t d, double value) {
    lh__engine *e = c->e;
    int64_t sides[2] = {pad_before(c, d), pad_after(c, d)}, n = x->view.shape[d], axis = d;
    int64_t ints[1 + LH_MAX_DIMS] = {x->view.dtype};
    lh_tensor *parts[3];
    int32_t count = 0;

    if (sides[0] < 0 || sides[1] < 0)
        x = op1_ints(
            e, LH_OP_SLICE, x, 4,
            (int64_t[]){d, sides[0] < 0 ? -sides[0] : 0, sides[1] < 0 ? n + sides[1] : n, 1});
    for (int32_t k = 0; x && k < x->view.ndim; k++)
        ints[1 + k] = x->view.shape[k];
    for (int32_t side = 0; x && side < 2; side++) {
        ints[1 + d] = sides[side];
        if (sides[side] > 0)
            parts[count++] = op(e, LH_OP_FULL, 0, NULL, 1 + x->view.ndim, ints, 1, &value);
        if (side == 0)
            parts[count++] = op1(e, LH_OP_CONTIGUOUS, x);
    }
    return x && count > 1 ? op(e, LH_OP_CONCAT, count, parts, 1, &axis, 0, NULL) : x;
}

/* Position i of the result is position i - before of x, brought back into it. */
static lh_tensor *pad_by_index(const lh__check *c, lh_tensor *x, int32_t d) {
    lh__engine *e = c->e;
    int64_t before = pad_before(c, d), after = pad_after(c, d), n = x->view.shape[d];
    lh_tensor *at, *last;

    if (before == 0 && after == 0)
        return x;
    at = arange(e, LH_I64, before + n + after, (double)-before, 1.0);
    last = at ? number(e, at, (double)(n - 1)) : NULL;
    if (!last)
        return NULL;
    if (c->ints[0] == LH_PAD_REFLECT) {
        /* last - |last - |at|| */
        at = op1(e, LH_OP_ABS, op2(e, LH_OP_SUB, last, op1(e, LH_OP_ABS, at)));
        at = op2(e, LH_OP_SUB, last, at);
    } else {
        at = op2(e, LH_OP_MINIMUM, op2(e, LH_OP_MAXIMUM, at, number(e, at, 0.0)), last);
    }
    return selected(e, x, d, at);
}

static lh_tensor *compose_pad(lh__check *c) {
    double value = c->call->n_reals ? c->call->reals[0] : 0.0;
    lh_tensor *x = c->in[0];

    for (int32_t d = 0; x && d < c->out.ndim; d++)
        x = c->ints[0] == LH_PAD_CONSTANT ? pad_constant(c, x, d, value) : pad_by_index(c, x, d);
    /* CONCAT makes integers of BOOL */
    return x && x->view.dtype != c->out.dtype ? cast_like(c->e, x, c->in[0]) : x;
}

static lh_tensor *compose_flip(lh__check *c) {
    lh_tensor *x = c->in[0];

    for (int32_t k = 0; x && k < c->n_ints; k++) {
        int64_t n = x->view.shape[c->ints[k]];

        x = selected(c->e, x, c->ints[k], arange(c->e, LH_I64, n, (double)(n - 1), -1.0));
    }
    return x;
}

/* x where its column compares so with its row + diagonal, else 0. */
static lh_tensor *triangle(lh__check *c, uint32_t compare) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0];
    int64_t rows = c->out.shape[c->out.ndim - 2], columns = c->out.shape[c->out.ndim - 1];
    lh_tensor *row = arange(e, LH_F64, rows, (double)c->ints[0], 1.0);
    lh_tensor *column = arange(e, LH_F64, columns, 0.0, 1.0), *keep;

    keep = op2(e, compare, column, reshaped(e, row, 2, (int64_t[]){rows, 1}));
    return op3(e, LH_OP_WHERE, keep, x, number(e, x, 0.0));
}

static lh_tensor *compose_tril(lh__check *c) {
    return triangle(c, LH_OP_LE);
}

static lh_tensor *compose_triu(lh__check *c) {
    return triangle(c, LH_OP_GE);
}

/* `source` added up where `index` says on `axis`, in a tensor of this shape. */
static lh_tensor *scatter(lh__engine *e, lh_tensor *source, lh_tensor *index, int64_t axis,
                          int32_t ndim, const int64_t *shape) {
    int64_t ints[1 + LH_MAX_DIMS] = {axis};

    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = shape[d];
    return op(e, LH__OP_GATHER_GRAD, 2, (lh_tensor *[]){source, index}, 1 + ndim, ints, 0, NULL);
}

/* Rows that are added up may lie apart: those that a gradient brings tend to be parts of others. */
static lh_tensor *compose_index_select_grad(lh__check *c) {
    const lh__view *g = lh__in(c, 0);

    return g->ndim == 2 && c->ints[0] == 0 && g->stride[1] == 1 ? NULL : lh__compose_contiguous(c);
}

static lh_tensor *compose_one_hot(lh__check *c) {
    lh__engine *e = c->e;
    int64_t shape[LH_MAX_DIMS], ints[1 + LH_MAX_DIMS] = {LH_I64};
    int32_t last = c->out.ndim - 1;
    const double one = 1.0;

    for (int32_t d = 0; d <= last; d++)
        ints[1 + d] = shape[d] = d == last ? 1 : c->out.shape[d];
    return scatter(e, op(e, LH_OP_FULL, 0, NULL, 2 + last, ints, 1, &one),
                   reshaped(e, c->in[0], last + 1, shape), last, last + 1, c->out.shape);
}

/* x + what the part of the source that the index has the shape of adds up to. */
static lh_tensor *compose_scatter_add(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *source = c->in[2];
    const lh__view *index = lh__in(c, 1);

    for (int32_t d = 0; source && d < index->ndim; d++)
        if (source->view.shape[d] != index->shape[d])
            source = op1_ints(e, LH_OP_SLICE, source, 4, (int64_t[]){d, 0, index->shape[d], 1});
    return op2(e, LH_OP_ADD, c->in[0],
               scatter(e, source, c->in[1], c->ints[0], c->out.ndim, c->out.shape));
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
     shape_gather, {d_gather}, lh__compose_contiguous},
    {LH_OP_INDEX_SELECT, "index_select", "x index", {2, 2}, {1, 1}, {0, 0}, 0, LH__ANY_INDEX,
     shape_index_select, {d_index_select}, lh__compose_contiguous},
    {LH_OP_CAST, "cast", "x", {1, 1}, {1, 1}, {0, 0}, LH__COPIES, LH__GIVEN,
     lh__shape_same, {d_cast}, NULL},
    {LH_OP_CONTIGUOUS, "contiguous", "x", {1, 1}, {0, 0}, {0, 0}, LH__COPIES, LH__AS_IS,
     shape_contiguous, {lh__d_identity}, NULL},
    {LH_OP_DETACH, "detach", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__AS_IS, lh__shape_view, {0}, NULL},
    {LH_OP_PAD, "pad", "x", {1, 1}, {1, LH__ANY}, {0, 1}, 0, LH__AS_IS,
     shape_pad, {0}, compose_pad},
    {LH_OP_FLIP, "flip", "x", {1, 1}, {0, LH__ANY}, {0, 0}, 0, LH__AS_IS,
     shape_flip, {0}, compose_flip},
    {LH_OP_TRIL, "tril", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__AS_IS,
     shape_triangle, {0}, compose_tril},
    {LH_OP_TRIU, "triu", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__AS_IS,
     shape_triangle, {0}, compose_triu},
    {LH_OP_ONE_HOT, "one_hot", "index", {1, 1}, {1, 1}, {0, 0}, 0, LH__ANY_INDEX,
     shape_one_hot, {0}, compose_one_hot},
    {LH_OP_SCATTER_ADD, "scatter_add", "x index source", {3, 3}, {1, 1}, {0, 0}, 0, LH__AS_IS,
     shape_scatter_add, {0}, compose_scatter_add},

    /* what gradients are made of */
    {LH__OP_SLICE_GRAD, "slice_grad", "g y", {1, 2}, {4, LH__ANY}, {0, 0}, LH__LANDS, LH__AS_IS,
     lh__shape_tail, {d_slice_grad}, lh__compose_contiguous},
    {LH__OP_GATHER_GRAD, "gather_grad", "g index", {2, 2}, {1, LH__ANY}, {0, 0}, LH__LANDS,
     LH__ANY_INDEX, lh__shape_tail, {d_gather_grad}, lh__compose_contiguous},
    {LH__OP_INDEX_SELECT_GRAD, "index_select_grad", "g index", {2, 2}, {1, LH__ANY}, {0, 0},
     LH__LANDS, LH__ANY_INDEX, lh__shape_tail, {d_index_select_grad}, compose_index_select_grad},
};
/* clang-format on */

const lh__family lh__layout = {rows, sizeof rows / sizeof *rows};
