/* lookup.c - LINEAR of rows that were selected from a smaller table: the product is one of the
 * table, whose rows are then selected.
 *
 * With y = (table W^T + b)[index] and s the sums of g over the places where each row was selected,
 * the gradients are s W to the table, s^T table to W, and the sum of s to b: none of them has as
 * many rows as there are selected ones.
 *
 * Invariant: what a gradient can be asked of stays on the tape: the selected rows too are operands
 * of the result, which a walk back passes by unless it is them that it goes to (LH__SHORTCUT).
 */
#include "engine/operators/rules.h"
#include "engine/state.h"

/* Operands of LH__OP_LOOKED_UP. */
enum { Y, X, TABLE, WEIGHT, INDEX, BIAS, MOST };

/* The selection that x shows the rows of, in whatever order; NULL: it is nothing of the kind. */
static const lh__node *selection_of(const lh_tensor *x) {
    for (const lh__node *n = x->node; n; n = n->in[0]->node) {
        const lh__view *in = &n->in[0]->view, *out = &n->out->view;
        const int32_t last = out->ndim - 1;

        if (n->row->op == LH_OP_INDEX_SELECT)
            return n->ints[0] == 0 && in->ndim == 2 ? n : NULL;
        if (last < 0 || in->ndim < 1 || in->shape[in->ndim - 1] != out->shape[last] ||
            (n->row->op == LH_OP_PERMUTE && n->ints[last] != last) ||
            (n->row->op != LH_OP_PERMUTE && n->row->op != LH_OP_RESHAPE &&
             n->row->op != LH_OP_CONTIGUOUS))
            return NULL;
    }
    return NULL;
}

/* The index of each row of x, in the shape of x without its last axis. */
static lh_tensor *index_of(lh__engine *e, const lh_tensor *x) {
    const lh__node *n = x->node;
    const int32_t axes = x->view.ndim - 1;

    switch (n->row->op) {
    case LH_OP_PERMUTE:
        return op1_ints(e, LH_OP_PERMUTE, index_of(e, n->in[0]), axes, n->ints);
    case LH_OP_RESHAPE:
        return reshaped(e, index_of(e, n->in[0]), axes, x->view.shape);
    case LH_OP_CONTIGUOUS:
        return index_of(e, n->in[0]);
    default:
        return n->in[1];
    }
}

/* Whether the table is half as large as x or less, and still what rows were selected from. */
static int32_t is_small(const lh__node *selection, const lh_tensor *x) {
    const lh_tensor *table = selection->in[0];

    return 2 * lh__view_numel(&table->view) < lh__view_numel(&x->view) &&
           (!table->base || table->base->written <= selection->writes);
}

lh_tensor *lh__compose_lookup(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0], *in[MOST] = {NULL, x}, *linear[3];
    const lh__node *selection = e->grad_enabled && !e->watcher ? selection_of(x) : NULL;
    int64_t rows = 1;
    int32_t recording;

    if (!selection || !is_small(selection, x))
        return NULL;
    for (int32_t d = 0; d + 1 < x->view.ndim; d++)
        rows *= x->view.shape[d];
    recording = lh__set_grad_enabled(e, 0);
    in[TABLE] = linear[0] = selection->in[0];
    in[WEIGHT] = linear[1] = c->in[1];
    if (c->n_in > 2)
        in[BIAS] = linear[2] = c->in[2];
    in[INDEX] = reshaped(e, index_of(e, x), 1, &rows);
    in[Y] = selected(e, op(e, LH_OP_LINEAR, c->n_in, linear, 0, NULL, 0, NULL), 0, in[INDEX]);
    in[Y] = reshaped(e, in[Y], c->out.ndim, c->out.shape);
    lh__set_grad_enabled(e, recording);
    return op(e, LH__OP_LOOKED_UP, BIAS + (c->n_in > 2), in, 0, NULL, 0, NULL);
}

/* The sums of g for each row of the table, once for all operands; never where a gradient goes. */
static lh_tensor *summed(lh__engine *e, const lh__node *n, lh_tensor *g) {
    const int64_t ints[] = {0, n->in[TABLE]->view.shape[0], n->in[WEIGHT]->view.shape[0]};
    lh__view *landing = e->landing;

    if (*n->joint)
        return *n->joint;
    e->landing = NULL;
    *n->joint = op(e, LH__OP_INDEX_SELECT_GRAD, 2, (lh_tensor *[]){as_rows(e, g), n->in[INDEX]}, 3,
                   ints, 0, NULL);
    e->landing = landing;
    return *n->joint;
}

static lh_tensor *d_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, op1(e, LH_OP_CONTIGUOUS, g), n->in[WEIGHT]);
}

static lh_tensor *d_table(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, summed(e, n, g), n->in[WEIGHT]);
}

/* From the selected rows where the gradient will itself be derived, which may be by them, and where
 * the table was overwritten. */
static lh_tensor *d_weight(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__param *table = n->in[TABLE]->base;

    if (e->grad_enabled || (table && table->written > n->writes)) {
        g = as_rows(e, op1(e, LH_OP_CONTIGUOUS, g));
        return op2(e, LH_OP_MATMUL, transposed(e, g), as_rows(e, n->in[X]));
    }
    return op2(e, LH_OP_MATMUL, transposed(e, summed(e, n, g)), n->in[TABLE]);
}

static lh_tensor *d_bias(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, summed(e, n, g), n->in[i]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH__OP_LOOKED_UP, "looked_up", "y x table weight index bias", {5, 6}, {0, 0}, {0, 0},
     LH__SHORTCUT, LH__AS_IS, lh__shape_view, {NULL, d_x, d_table, d_weight, NULL, d_bias}, NULL},
};
/* clang-format on */

const lh__family lh__lookup = {rows, sizeof rows / sizeof *rows};
