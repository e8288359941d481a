/* index.c - the oracle's copies, concatenation and selection by index.
 *
 * Invariant: an index outside its axis is never followed: the element becomes NaN (0 in integers),
 * its gradient is left out.
 */
#include <math.h>

#include "kernels/ref/ref.h"

void lh__ref_copy(const lh__kernel_call *call) {
    lh__view y = *call->out; /* contiguous, so it may take the shape of x */
    int64_t stride = 1;

    y.ndim = call->in[0]->ndim;
    for (int32_t d = y.ndim - 1; d >= 0; d--) {
        y.shape[d] = call->in[0]->shape[d];
        y.stride[d] = stride;
        stride *= y.shape[d];
    }
    lh__view_copy(&y, call->in[0]);
}

void lh__ref_concat(const lh__kernel_call *call) {
    int64_t axis = call->ints[0], start = 0;

    for (int32_t k = 0; k < call->n_in; k++) {
        int64_t length = call->in[k]->shape[axis];
        lh__view part = lh__view_slice(call->out, axis, start, length, 1);

        lh__view_copy(&part, call->in[k]);
        start += length;
    }
}

static void zero(const lh__view *y) {
    int64_t size = lh__view_numel(y) * lh__dtype_size(y->dtype);

    if (size)
        memset(y->data, 0, (size_t)size);
}

void lh__ref_slice_grad(const lh__kernel_call *call) {
    const lh__view *g = call->in[0];
    int64_t axis = call->ints[0];
    lh__view part = lh__view_slice(call->out, axis, call->ints[1], g->shape[axis], call->ints[3]);

    if (call->n_in == 1) {
        zero(call->out);
        lh__view_copy(&part, g);
        return;
    }
    lh__view_copy(call->out, call->in[1]);
    for (int64_t i = 0, n = lh__view_numel(g); i < n; i++)
        lh__set(&part, i, lh__get(&part, i) + lh__get(g, i));
}

/* Visits every element of `index`: its value, checked, and the offset in x that belongs to it. In
 * GATHER the index has the shape of the elements it selects; in INDEX_SELECT one dimension. */
static int64_t gather_offset(const lh__view *x, const lh__view *index, int64_t axis, int64_t i) {
    lh__view at = *x;
    int64_t chosen = lh__load_int(index, lh__view_offset(index, i));

    if (chosen < 0 || chosen >= x->shape[axis])
        return -1;
    for (int32_t d = 0; d < at.ndim; d++)
        at.shape[d] = index->shape[d];
    at.stride[axis] = 0;
    return lh__view_offset(&at, i) + chosen * x->stride[axis];
}

static int64_t select_offset(const lh__view *x, const lh__view *index, int64_t axis, int64_t i) {
    lh__view at = *x;
    int64_t inner = 1, chosen;

    for (int32_t d = (int32_t)axis + 1; d < x->ndim; d++)
        inner *= x->shape[d];
    at.shape[axis] = lh__view_numel(index);
    at.stride[axis] = 0;
    chosen = lh__load_int(index, lh__view_offset(index, i / inner % at.shape[axis]));
    if (chosen < 0 || chosen >= x->shape[axis])
        return -1;
    return lh__view_offset(&at, i) + chosen * x->stride[axis];
}

typedef int64_t offset_fn(const lh__view *x, const lh__view *index, int64_t axis, int64_t i);

static void take(const lh__kernel_call *call, offset_fn *offset) {
    const lh__view *x = call->in[0], *y = call->out;

    for (int64_t i = 0, n = lh__view_numel(y); i < n; i++) {
        int64_t at = offset(x, call->in[1], call->ints[0], i);

        if (!lh__dtype_is_real(x->dtype))
            lh__store_int(y, i, at < 0 ? 0 : lh__load_int(x, at));
        else
            lh__store(y, i, at < 0 ? NAN : lh__load(x, at));
    }
}

static void put_add(const lh__kernel_call *call, offset_fn *offset) {
    const lh__view *g = call->in[0], *y = call->out;

    zero(y);
    for (int64_t i = 0, n = lh__view_numel(g); i < n; i++) {
        int64_t at = offset(y, call->in[1], call->ints[0], i);

        if (at < 0)
            continue;
        if (lh__dtype_is_real(y->dtype))
            lh__store(y, at, lh__load(y, at) + lh__get(g, i));
        else
            lh__store_int(y, at, lh__load_int(y, at) + lh__load_int(g, lh__view_offset(g, i)));
    }
}

void lh__ref_gather(const lh__kernel_call *call) {
    take(call, gather_offset);
}

void lh__ref_gather_grad(const lh__kernel_call *call) {
    put_add(call, gather_offset);
}

void lh__ref_index_select(const lh__kernel_call *call) {
    take(call, select_offset);
}

void lh__ref_index_select_grad(const lh__kernel_call *call) {
    put_add(call, select_offset);
}
