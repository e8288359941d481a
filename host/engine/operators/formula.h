/* formula.h - operators as short calls, for gradients and compositions.
 *
 * Invariant: NULL in gives NULL out. The engine knows which call is being derived or composed and
 * fills in the author's line.
 */
#ifndef LH_ENGINE_OPERATORS_FORMULA_H
#define LH_ENGINE_OPERATORS_FORMULA_H

#include "engine/engine.h"

static inline lh_tensor *op(lh__engine *e, uint32_t code, int32_t n_in, lh_tensor *const *in,
                            int32_t n_ints, const int64_t *ints, int32_t n_reals,
                            const double *reals) {
    return lh__op(e, &(lh_op_call){.struct_size = sizeof(lh_op_call),
                                   .op = code,
                                   .n_inputs = n_in,
                                   .n_ints = n_ints,
                                   .n_reals = n_reals,
                                   .inputs = in,
                                   .ints = ints,
                                   .reals = reals});
}

static inline lh_tensor *op1(lh__engine *e, uint32_t code, lh_tensor *a) {
    return op(e, code, 1, &a, 0, NULL, 0, NULL);
}

static inline lh_tensor *op2(lh__engine *e, uint32_t code, lh_tensor *a, lh_tensor *b) {
    return op(e, code, 2, (lh_tensor *[]){a, b}, 0, NULL, 0, NULL);
}

static inline lh_tensor *op3(lh__engine *e, uint32_t code, lh_tensor *a, lh_tensor *b,
                             lh_tensor *c) {
    return op(e, code, 3, (lh_tensor *[]){a, b, c}, 0, NULL, 0, NULL);
}

static inline lh_tensor *op1_ints(lh__engine *e, uint32_t code, lh_tensor *a, int32_t n,
                                  const int64_t *ints) {
    return op(e, code, 1, &a, n, ints, 0, NULL);
}

static inline lh_tensor *op1_real(lh__engine *e, uint32_t code, lh_tensor *a, double value) {
    return op(e, code, 1, &a, 0, NULL, 1, &value);
}

static inline lh_tensor *mul(lh__engine *e, lh_tensor *a, lh_tensor *b) {
    return op2(e, LH_OP_MUL, a, b);
}

static inline lh_tensor *scaled(lh__engine *e, lh_tensor *a, double factor) {
    return op1_real(e, LH_OP_MUL_SCALAR, a, factor);
}

/* The parts of x along `axis` that the index, of one axis, names. */
static inline lh_tensor *selected(lh__engine *e, lh_tensor *x, int64_t axis, lh_tensor *index) {
    return op(e, LH_OP_INDEX_SELECT, 2, (lh_tensor *[]){x, index}, 1, &axis, 0, NULL);
}

/* A scalar of the dtype of `like`. */
static inline lh_tensor *number(lh__engine *e, const lh_tensor *like, double value) {
    const int64_t dtype = like ? like->view.dtype : 0;

    return like ? op(e, LH_OP_FULL, 0, NULL, 1, &dtype, 1, &value) : NULL;
}

static inline lh_tensor *cast_like(lh__engine *e, lh_tensor *a, const lh_tensor *like) {
    const int64_t dtype = like->view.dtype;

    return op1_ints(e, LH_OP_CAST, a, 1, &dtype);
}

static inline lh_tensor *reshaped(lh__engine *e, lh_tensor *a, int32_t ndim, const int64_t *shape) {
    return op1_ints(e, LH_OP_RESHAPE, a, ndim, shape);
}

static inline lh_tensor *reshaped_like(lh__engine *e, lh_tensor *a, const lh_tensor *like) {
    return reshaped(e, a, like->view.ndim, like->view.shape);
}

/* Undoes broadcasting: sums g over the axes that `like` doesn't have or has as 1. */
static inline lh_tensor *summed_to(lh__engine *e, lh_tensor *g, const lh_tensor *like) {
    int32_t same = g && g->view.ndim == like->view.ndim;

    for (int32_t d = 0; same && d < like->view.ndim; d++)
        same = g->view.shape[d] == like->view.shape[d];
    return same ? g : op1_ints(e, LH__OP_SUM_TO, g, like->view.ndim, like->view.shape);
}

/* Swaps the last two axes. */
static inline lh_tensor *transposed(lh__engine *e, lh_tensor *a) {
    int64_t axes[LH_MAX_DIMS];
    int32_t n;

    if (!a)
        return NULL;
    n = a->view.ndim;
    for (int32_t d = 0; d < n; d++)
        axes[d] = d;
    axes[n - 2] = n - 1, axes[n - 1] = n - 2;
    return op1_ints(e, LH_OP_PERMUTE, a, n, axes);
}

/* All axes but the last as one. */
static inline lh_tensor *as_rows(lh__engine *e, lh_tensor *a) {
    int64_t rows = 1;

    if (!a || a->view.ndim == 2)
        return a;
    for (int32_t d = 0; d + 1 < a->view.ndim; d++)
        rows *= a->view.shape[d];
    return reshaped(e, a, 2, (int64_t[]){rows, a->view.shape[a->view.ndim - 1]});
}

#endif
