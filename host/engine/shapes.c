/* shapes.c - the shape rules of the catalogue.
 *
 * Invariant: after a rule has passed, the kernel can run without looking: axes exist, extents fit,
 * indices and targets are in range.
 */
#include "engine/shapes.h"

#include <string.h>

#include "kernels/view.h"

static const lh__view *in(const lh__check *c, int32_t i) {
    return &c->in[i]->view;
}

static lh_status set_shape(lh__check *c, int32_t ndim, const int64_t *shape) {
    c->out.ndim = ndim;
    for (int32_t d = 0; d < ndim; d++)
        c->out.shape[d] = shape[d];
    return LH_OK;
}

static lh_status scalar(lh__check *c) {
    c->out.ndim = 0;
    return LH_OK;
}

/* Makes *axis non-negative. */
static lh_status fix_axis(const lh__check *c, int64_t *axis, int32_t ndim) {
    if (*axis < -ndim || *axis >= ndim)
        return lh__reject(c, LH_ESHAPE, "axis %lld doesn't exist; the first operand has %d axes",
                          (long long)*axis, ndim);
    *axis += *axis < 0 ? ndim : 0;
    return LH_OK;
}

/* Broadcasts the shape of v into that of c->out. */
static lh_status broadcast_into(lh__check *c, const lh__view *v) {
    int32_t lead = c->out.ndim - v->ndim;

    if (lead < 0) {
        for (int32_t d = c->out.ndim - 1; d >= 0; d--)
            c->out.shape[d - lead] = c->out.shape[d];
        for (int32_t d = 0; d < -lead; d++)
            c->out.shape[d] = 1;
        c->out.ndim = v->ndim;
        lead = 0;
    }
    for (int32_t d = 0; d < v->ndim; d++) {
        int64_t *have = &c->out.shape[d + lead], extent = v->shape[d];

        if (*have != extent && *have != 1 && extent != 1)
            return lh__reject(c, LH_ESHAPE,
                              "the shapes don't broadcast: %lld and %lld on axis %d; counted from "
                              "the last, axes have to be equal or 1",
                              (long long)*have, (long long)extent, d + lead - c->out.ndim);
        if (*have == 1)
            *have = extent;
    }
    return LH_OK;
}

lh_status lh__shape_broadcast(lh__check *c) {
    lh_status status = LH_OK;

    set_shape(c, in(c, 0)->ndim, in(c, 0)->shape);
    for (int32_t i = 1; i < c->n_in && status == LH_OK; i++)
        status = broadcast_into(c, in(c, i));
    return status;
}

lh_status lh__shape_same(lh__check *c) {
    return set_shape(c, in(c, 0)->ndim, in(c, 0)->shape);
}

lh_status lh__shape_second(lh__check *c) {
    return set_shape(c, in(c, 1)->ndim, in(c, 1)->shape);
}

lh_status lh__shape_clamp(lh__check *c) {
    if (!(c->call->reals[0] <= c->call->reals[1]))
        return lh__reject(c, LH_EINVAL, "the bounds %g and %g are not in order", c->call->reals[0],
                          c->call->reals[1]);
    return lh__shape_same(c);
}

lh_status lh__shape_dropout(lh__check *c) {
    if (!(c->call->reals[0] >= 0.0 && c->call->reals[0] <= 1.0))
        return lh__reject(c, LH_EINVAL, "the probability %g is not within 0 and 1",
                          c->call->reals[0]);
    return lh__shape_same(c);
}

lh_status lh__shape_axis(lh__check *c) {
    lh_status status = fix_axis(c, &c->ints[0], in(c, 0)->ndim);

    return status == LH_OK ? lh__shape_same(c) : status;
}

/* Sets c->out to the first input's shape with the axes of `mask` gone or, with keepdim, 1. */
static lh_status reduce_axes(lh__check *c, uint32_t mask, int64_t keepdim) {
    c->out.ndim = 0;
    for (int32_t d = 0; d < in(c, 0)->ndim; d++)
        if (!(mask >> d & 1) || keepdim)
            c->out.shape[c->out.ndim++] = mask >> d & 1 ? 1 : in(c, 0)->shape[d];
    return LH_OK;
}

static lh_status reduced_mask(lh__check *c, uint32_t *mask) {
    int32_t ndim = in(c, 0)->ndim;
    lh_status status;

    *mask = c->n_ints > 1 ? 0 : (1u << ndim) - 1;
    for (int32_t i = 1; i < c->n_ints; i++) {
        if ((status = fix_axis(c, &c->ints[i], ndim)) != LH_OK)
            return status;
        if (*mask >> c->ints[i] & 1)
            return lh__reject(c, LH_ESHAPE, "axis %lld is named twice", (long long)c->ints[i]);
        *mask |= 1u << c->ints[i];
    }
    return LH_OK;
}

lh_status lh__shape_reduce(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, &mask);

    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

lh_status lh__shape_extreme(lh__check *c) {
    uint32_t mask;
    lh_status status = reduced_mask(c, &mask);

    for (int32_t d = 0; status == LH_OK && d < in(c, 0)->ndim; d++)
        if ((mask >> d & 1) && in(c, 0)->shape[d] == 0)
            return lh__reject(c, LH_ESHAPE, "axis %d is empty: there is no element to choose", d);
    return status == LH_OK ? reduce_axes(c, mask, c->ints[0]) : status;
}

lh_status lh__shape_argmax(lh__check *c) {
    lh_status status = fix_axis(c, &c->ints[0], in(c, 0)->ndim);

    if (status != LH_OK)
        return status;
    if (in(c, 0)->shape[c->ints[0]] == 0)
        return lh__reject(c, LH_ESHAPE, "axis %lld is empty: there is no element to choose",
                          (long long)c->ints[0]);
    return reduce_axes(c, 1u << c->ints[0], c->n_ints > 1 && c->ints[1]);
}

lh_status lh__shape_concat(lh__check *c) {
    const lh__view *first = in(c, 0);
    int64_t total = 0, axis;
    lh_status status = fix_axis(c, &c->ints[0], first->ndim);

    if (status != LH_OK)
        return status;
    axis = c->ints[0];
    for (int32_t i = 0; i < c->n_in; i++) {
        if (in(c, i)->ndim != first->ndim)
            return lh__reject(c, LH_ESHAPE, "operand %d has %d axes, the first %d", i + 1,
                              in(c, i)->ndim, first->ndim);
        for (int32_t d = 0; d < first->ndim; d++)
            if (d != axis && in(c, i)->shape[d] != first->shape[d])
                return lh__reject(
                    c, LH_ESHAPE,
                    "operand %d differs from the first on axis %d; only axis %lld may", i + 1, d,
                    (long long)axis);
        total += in(c, i)->shape[axis];
    }
    set_shape(c, first->ndim, first->shape);
    c->out.shape[axis] = total;
    return LH_OK;
}

/* Every element of `index` is within [0, limit). O(elements). */
static lh_status check_range(const lh__check *c, const lh__view *index, int64_t limit,
                             const char *what) {
    const int64_t *data = index->data;
    int64_t n = lh__view_numel(index);
    int32_t contiguous = lh__view_is_contiguous(index);

    for (int64_t i = 0; i < n; i++) {
        int64_t value = data[contiguous ? i : lh__view_offset(index, i)];

        if (value < 0 || value >= limit)
            return lh__reject(c, LH_EINVAL, "%s %lld at element %lld is outside 0 ... %lld", what,
                              (long long)value, (long long)i, (long long)limit - 1);
    }
    return LH_OK;
}

lh_status lh__shape_gather(lh__check *c) {
    const lh__view *x = in(c, 0), *index = in(c, 1);
    lh_status status = fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    if (index->ndim != x->ndim)
        return lh__reject(c, LH_ESHAPE, "the index needs as many axes as x");
    for (int32_t d = 0; d < x->ndim; d++)
        if (d != c->ints[0] && index->shape[d] > x->shape[d])
            return lh__reject(c, LH_ESHAPE, "the index is longer than x on axis %d", d);
    set_shape(c, index->ndim, index->shape);
    return check_range(c, index, x->shape[c->ints[0]], "index");
}

lh_status lh__shape_index_select(lh__check *c) {
    const lh__view *x = in(c, 0), *index = in(c, 1);
    lh_status status = fix_axis(c, &c->ints[0], x->ndim);

    if (status != LH_OK)
        return status;
    if (index->ndim != 1)
        return lh__reject(c, LH_ESHAPE, "the index needs one axis; reshape it");
    set_shape(c, x->ndim, x->shape);
    c->out.shape[c->ints[0]] = index->shape[0];
    return check_range(c, index, x->shape[c->ints[0]], "index");
}

lh_status lh__shape_matmul(lh__check *c) {
    const lh__view *a = in(c, 0), *b = in(c, 1);
    int32_t a_axes = a->ndim < 2 ? a->ndim : 2, b_axes = b->ndim < 2 ? b->ndim : 2;
    int32_t ndim;
    lh_status status = LH_OK;

    if (!a_axes || !b_axes)
        return lh__reject(c, LH_ESHAPE,
                          "a product of matrices needs at least one axis on each "
                          "side; multiply by a scalar with mul");
    if (a->shape[a->ndim - 1] != b->shape[b->ndim - b_axes])
        return lh__reject(c, LH_ESHAPE, "the %s axis of b has to be the last of a: %lld",
                          b_axes == 1 ? "only" : "second-last", (long long)a->shape[a->ndim - 1]);
    /* The batch axes of a, then those of b broadcast against them, then rows and columns. */
    if (a->ndim > 2 || b->ndim > 2) {
        lh__view batch_b = *b;

        batch_b.ndim = b->ndim - b_axes;
        set_shape(c, a->ndim - a_axes, a->shape);
        if ((status = broadcast_into(c, &batch_b)) != LH_OK)
            return status;
    } else {
        c->out.ndim = 0;
    }
    ndim = c->out.ndim;
    if (a_axes == 2)
        c->out.shape[ndim++] = a->shape[a->ndim - 2];
    if (b_axes == 2)
        c->out.shape[ndim++] = b->shape[b->ndim - 1];
    c->out.ndim = ndim;
    return status;
}

lh_status lh__shape_linear(lh__check *c) {
    const lh__view *x = in(c, 0), *weight = in(c, 1);

    if (weight->ndim != 2)
        return lh__reject(c, LH_ESHAPE, "weight needs two axes, (out, in)");
    if (x->ndim < 1 || x->shape[x->ndim - 1] != weight->shape[1])
        return lh__reject(c, LH_ESHAPE,
                          "x doesn't fit weight: the last axis of x has to equal the second of "
                          "weight, %lld",
                          (long long)weight->shape[1]);
    if (c->n_in == 3 && (in(c, 2)->ndim != 1 || in(c, 2)->shape[0] != weight->shape[0]))
        return lh__reject(c, LH_ESHAPE, "bias doesn't fit weight: it has to be (%lld)",
                          (long long)weight->shape[0]);
    set_shape(c, x->ndim, x->shape);
    c->out.shape[x->ndim - 1] = weight->shape[0];
    return LH_OK;
}

lh_status lh__shape_classes(lh__check *c) {
    const lh__view *x = in(c, 0), *target = in(c, 1);

    if (x->ndim != 2 || target->ndim != 1 || x->shape[0] != target->shape[0])
        return lh__reject(c, LH_ESHAPE,
                          "needs (n, classes) and a target of (n); reshape or flatten them");
    c->out.ndim = 0;
    return check_range(c, target, x->shape[1], "target");
}

lh_status lh__shape_pair(lh__check *c) {
    const lh__view *a = in(c, 0), *b = in(c, 1);

    if (a->ndim != b->ndim || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) != 0)
        return lh__reject(c, LH_ESHAPE, "both have to be of one shape; reshape or expand one");
    return scalar(c);
}

static lh_status shape_from(lh__check *c, int32_t first) {
    int32_t ndim = c->n_ints - first;

    if (ndim < 0 || ndim > LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "%d axes asked for; 0 to %d are possible", ndim,
                          LH_MAX_DIMS);
    for (int32_t d = 0; d < ndim; d++)
        if (c->ints[first + d] < 0)
            return lh__reject(c, LH_ESHAPE, "axis %d can't have length %lld", d,
                              (long long)c->ints[first + d]);
    return set_shape(c, ndim, c->ints + first);
}

lh_status lh__shape_fill(lh__check *c) {
    return shape_from(c, 1);
}

lh_status lh__shape_from_ints(lh__check *c) {
    return shape_from(c, 0);
}

lh_status lh__shape_from_ints_1(lh__check *c) {
    return shape_from(c, 1);
}

lh_status lh__shape_from_ints_4(lh__check *c) {
    return shape_from(c, 4);
}

/* Views: c->out also gets data and strides. */

lh_status lh__shape_view(lh__check *c) {
    c->out = *in(c, 0);
    c->is_view = 1;
    return LH_OK;
}

lh_status lh__shape_contiguous(lh__check *c) {
    return lh__view_is_contiguous(in(c, 0)) ? lh__shape_view(c) : lh__shape_same(c);
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

lh_status lh__shape_reshape(lh__check *c) {
    const lh__view *x = in(c, 0);
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
    set_shape(c, c->n_ints, c->ints);
    c->out.data = x->data;
    c->is_view = reshaped_strides(x, &c->out);
    return LH_OK;
}

lh_status lh__shape_permute(lh__check *c) {
    const lh__view *x = in(c, 0);
    uint32_t seen = 0;
    lh_status status;

    if (c->n_ints != x->ndim)
        return lh__reject(c, LH_ESHAPE, "%d axes named; x has %d", c->n_ints, x->ndim);
    for (int32_t d = 0; d < x->ndim; d++) {
        if ((status = fix_axis(c, &c->ints[d], x->ndim)) != LH_OK)
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

lh_status lh__shape_expand(lh__check *c) {
    const lh__view *x = in(c, 0);
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
lh_status lh__shape_slice(lh__check *c) {
    const lh__view *x = in(c, 0);
    int64_t n, start, end, step;
    lh_status status = fix_axis(c, &c->ints[0], x->ndim);

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
