/* product.c - products of matrices. */
#include "engine/operators/rules.h"

static lh_status shape_matmul(lh__check *c) {
    const lh__view *a = lh__in(c, 0), *b = lh__in(c, 1);
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
        lh__set_shape(c, a->ndim - a_axes, a->shape);
        if ((status = lh__broadcast_into(c, &batch_b)) != LH_OK)
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

static lh_status shape_linear(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *weight = lh__in(c, 1);

    if (weight->ndim != 2)
        return lh__reject(c, LH_ESHAPE, "weight needs two axes, (out, in)");
    if (x->ndim < 1 || x->shape[x->ndim - 1] != weight->shape[1])
        return lh__reject(c, LH_ESHAPE,
                          "x doesn't fit weight: the last axis of x has to equal the second of "
                          "weight, %lld",
                          (long long)weight->shape[1]);
    if (c->n_in == 3 && (lh__in(c, 2)->ndim != 1 || lh__in(c, 2)->shape[0] != weight->shape[0]))
        return lh__reject(c, LH_ESHAPE, "bias doesn't fit weight: it has to be (%lld)",
                          (long long)weight->shape[0]);
    lh__set_shape(c, x->ndim, x->shape);
    c->out.shape[x->ndim - 1] = weight->shape[0];
    return LH_OK;
}

/* The operands of a product, vectors made matrices: a (..., m, k), b (..., k, n), g (..., m, n). */
typedef struct product {
    lh_tensor *a, *b, *g;
} product;

/* A gradient that was expanded (of a sum or mean) has elements that share memory; products want
 * them apart. */
static lh_tensor *spread(lh__engine *e, lh_tensor *g) {
    int32_t shared = 0;

    for (int32_t d = 0; g && d < g->view.ndim; d++)
        shared |= g->view.stride[d] == 0 && g->view.shape[d] > 1;
    return shared ? op1(e, LH_OP_CONTIGUOUS, g) : g;
}

static product matrices(lh__engine *e, const lh__node *n, lh_tensor *gradient) {
    lh_tensor *g = spread(e, gradient);
    product p = {n->in[0], n->in[1], g};
    int32_t a_is_vector = p.a->view.ndim == 1, b_is_vector = p.b->view.ndim == 1;
    int64_t shape[LH_MAX_DIMS + 2];
    int32_t ndim;

    if (!g)
        return (product){0};
    ndim = g->view.ndim - !a_is_vector - !b_is_vector;
    for (int32_t d = 0; d < ndim; d++)
        shape[d] = g->view.shape[d];
    shape[ndim++] = a_is_vector ? 1 : p.a->view.shape[p.a->view.ndim - 2];
    shape[ndim++] = b_is_vector ? 1 : p.b->view.shape[p.b->view.ndim - 1];
    if (a_is_vector)
        p.a = reshaped(e, p.a, 2, (int64_t[]){1, p.a->view.shape[0]});
    if (b_is_vector)
        p.b = reshaped(e, p.b, 2, (int64_t[]){p.b->view.shape[0], 1});
    if (a_is_vector || b_is_vector)
        p.g = reshaped(e, g, ndim, shape);
    return p;
}

/* Sums a product over the batch axes that `like` was broadcast along, then drops the axis that a
 * vector was given. */
static lh_tensor *as_operand(lh__engine *e, lh_tensor *t, const lh_tensor *matrix,
                             const lh_tensor *like) {
    t = matrix ? summed_to(e, t, matrix) : NULL;
    return t && matrix != like ? reshaped_like(e, t, like) : t;
}

/* g b^T */
static lh_tensor *d_matmul_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    product p = matrices(e, n, g);

    return as_operand(e, op2(e, LH_OP_MATMUL, p.g, transposed(e, p.b)), p.a, n->in[i]);
}

/* a^T g. Of one matrix b for a batch of a the batch is more rows of one product. */
static lh_tensor *d_matmul_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    product p = matrices(e, n, g);

    if (p.b && p.b->view.ndim == 2)
        p.a = as_rows(e, p.a), p.g = as_rows(e, p.g);
    return as_operand(e, op2(e, LH_OP_MATMUL, transposed(e, p.a), p.g), p.b, n->in[i]);
}

/* y = x weight^T + bias */
static lh_tensor *d_linear_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, spread(e, g), n->in[1]);
}

static lh_tensor *d_linear_weight(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, transposed(e, as_rows(e, spread(e, g))), as_rows(e, n->in[0]));
}

static lh_tensor *d_linear_bias(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, g, n->in[i]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_MATMUL, "matmul", "a b", {2, 2}, {0, 0}, {0, 0}, LH__LANDS, LH__REALS,
     shape_matmul, {d_matmul_a, d_matmul_b}, NULL},
    {LH_OP_LINEAR, "linear", "x weight bias", {2, 3}, {0, 0}, {0, 0}, 0, LH__REALS,
     shape_linear, {d_linear_x, d_linear_weight, d_linear_bias}, lh__compose_lookup},
};
/* clang-format on */

const lh__family lh__product = {rows, sizeof rows / sizeof *rows};
