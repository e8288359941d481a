/* gradients.c - the formulas of reverse mode, one function per input (or inputs alike).
 *
 * In them x, a, b are inputs, y is the output, g its gradient. Each is written in operators, so
 * that it could be recorded in turn. Invariant: the result has the shape and dtype of the input; of
 * a product of matrices, a sum or a scatter, the operator that may write a parameter's gradient in
 * place (LH__LANDS) comes last.
 */
#include "engine/gradients.h"

#include "kernels/view.h"

/* Shorthand. The engine knows which node is being derived and fills in the author's line. */

static lh_tensor *op(lh__engine *e, uint32_t code, int32_t n_in, lh_tensor *const *in,
                     int32_t n_ints, const int64_t *ints, int32_t n_reals, const double *reals) {
    return lh__op(e, &(lh_op_call){.struct_size = sizeof(lh_op_call),
                                   .op = code,
                                   .n_inputs = n_in,
                                   .n_ints = n_ints,
                                   .n_reals = n_reals,
                                   .inputs = in,
                                   .ints = ints,
                                   .reals = reals});
}

static lh_tensor *op1(lh__engine *e, uint32_t code, lh_tensor *a) {
    return op(e, code, 1, &a, 0, NULL, 0, NULL);
}

static lh_tensor *op2(lh__engine *e, uint32_t code, lh_tensor *a, lh_tensor *b) {
    return op(e, code, 2, (lh_tensor *[]){a, b}, 0, NULL, 0, NULL);
}

static lh_tensor *op3(lh__engine *e, uint32_t code, lh_tensor *a, lh_tensor *b, lh_tensor *c) {
    return op(e, code, 3, (lh_tensor *[]){a, b, c}, 0, NULL, 0, NULL);
}

static lh_tensor *op1_ints(lh__engine *e, uint32_t code, lh_tensor *a, int32_t n,
                           const int64_t *ints) {
    return op(e, code, 1, &a, n, ints, 0, NULL);
}

static lh_tensor *op1_real(lh__engine *e, uint32_t code, lh_tensor *a, double value) {
    return op(e, code, 1, &a, 0, NULL, 1, &value);
}

static lh_tensor *mul(lh__engine *e, lh_tensor *a, lh_tensor *b) {
    return op2(e, LH_OP_MUL, a, b);
}

static lh_tensor *scaled(lh__engine *e, lh_tensor *a, double factor) {
    return op1_real(e, LH_OP_MUL_SCALAR, a, factor);
}

/* A scalar of the dtype of `like`. */
static lh_tensor *number(lh__engine *e, const lh_tensor *like, double value) {
    const int64_t dtype = like->view.dtype;

    return op(e, LH_OP_FULL, 0, NULL, 1, &dtype, 1, &value);
}

static lh_tensor *cast_like(lh__engine *e, lh_tensor *a, const lh_tensor *like) {
    const int64_t dtype = like->view.dtype;

    return op1_ints(e, LH_OP_CAST, a, 1, &dtype);
}

static lh_tensor *reshaped(lh__engine *e, lh_tensor *a, int32_t ndim, const int64_t *shape) {
    return op1_ints(e, LH_OP_RESHAPE, a, ndim, shape);
}

static lh_tensor *reshaped_like(lh__engine *e, lh_tensor *a, const lh_tensor *like) {
    return reshaped(e, a, like->view.ndim, like->view.shape);
}

/* Undoes broadcasting: sums g over the axes that `like` doesn't have or has as 1. */
static lh_tensor *summed_to(lh__engine *e, lh_tensor *g, const lh_tensor *like) {
    int32_t same = g && g->view.ndim == like->view.ndim;

    for (int32_t d = 0; same && d < like->view.ndim; d++)
        same = g->view.shape[d] == like->view.shape[d];
    return same ? g : op1_ints(e, LH__OP_SUM_TO, g, like->view.ndim, like->view.shape);
}

/* Swaps the last two axes. */
static lh_tensor *transposed(lh__engine *e, lh_tensor *a) {
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
static lh_tensor *as_rows(lh__engine *e, lh_tensor *a) {
    int64_t rows = 1;

    if (!a || a->view.ndim == 2)
        return a;
    for (int32_t d = 0; d + 1 < a->view.ndim; d++)
        rows *= a->view.shape[d];
    return reshaped(e, a, 2, (int64_t[]){rows, a->view.shape[a->view.ndim - 1]});
}

/* Binary. */

lh_tensor *lh__d_add(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, g, n->in[i]);
}

lh_tensor *lh__d_sub_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1(e, LH_OP_NEG, summed_to(e, g, n->in[i]));
}

lh_tensor *lh__d_mul(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, mul(e, g, n->in[1 - i]), n->in[i]);
}

lh_tensor *lh__d_div_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op2(e, LH_OP_DIV, g, n->in[1]), n->in[i]);
}

/* -g y / b */
lh_tensor *lh__d_div_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *gy = op2(e, LH_OP_DIV, mul(e, g, n->out), n->in[1]);

    return op1(e, LH_OP_NEG, summed_to(e, gy, n->in[i]));
}

/* g b a^(b - 1), 0 where b is 0 */
lh_tensor *lh__d_pow_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *a = n->in[0], *b = n->in[1], *zero = number(e, b, 0.0);
    lh_tensor *power = op2(e, LH_OP_POW, a, op1_real(e, LH_OP_ADD_SCALAR, b, -1.0));
    lh_tensor *slope = op3(e, LH_OP_WHERE, op2(e, LH_OP_EQ, b, zero), zero, mul(e, b, power));

    return summed_to(e, mul(e, g, slope), n->in[i]);
}

/* g y ln a, 0 where a is not positive */
lh_tensor *lh__d_pow_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *a = n->in[0], *zero = number(e, a, 0.0);
    lh_tensor *positive = op2(e, LH_OP_GT, a, zero);
    lh_tensor *safe = op3(e, LH_OP_WHERE, positive, a, number(e, a, 1.0));
    lh_tensor *slope = op3(e, LH_OP_WHERE, positive, mul(e, n->out, op1(e, LH_OP_LOG, safe)), zero);

    return summed_to(e, mul(e, g, slope), n->in[i]);
}

/* g where input i is the one chosen, g / 2 where the two are equal. */
static lh_tensor *chosen(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g, uint32_t wins) {
    lh_tensor *own = n->in[i], *other = n->in[1 - i];
    lh_tensor *tie =
        op3(e, LH_OP_WHERE, op2(e, LH_OP_EQ, own, other), scaled(e, g, 0.5), number(e, g, 0.0));

    return summed_to(e, op3(e, LH_OP_WHERE, op2(e, wins, own, other), g, tie), own);
}

lh_tensor *lh__d_maximum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return chosen(e, n, i, g, LH_OP_GT);
}

lh_tensor *lh__d_minimum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return chosen(e, n, i, g, LH_OP_LT);
}

lh_tensor *lh__d_where_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op3(e, LH_OP_WHERE, n->in[0], g, number(e, g, 0.0)), n->in[i]);
}

lh_tensor *lh__d_where_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op3(e, LH_OP_WHERE, n->in[0], number(e, g, 0.0), g), n->in[i]);
}

/* With a scalar, unary. */

lh_tensor *lh__d_identity(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return g;
}

lh_tensor *lh__d_mul_scalar(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scaled(e, g, n->reals[0]);
}

/* g p x^(p - 1) */
lh_tensor *lh__d_pow_scalar(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    double p = n->reals[0];

    if (p == 0.0)
        return scaled(e, g, 0.0);
    return mul(e, g, scaled(e, op1_real(e, LH_OP_POW_SCALAR, n->in[0], p - 1.0), p));
}

lh_tensor *lh__d_neg(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1(e, LH_OP_NEG, g);
}

lh_tensor *lh__d_exp(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, n->out);
}

lh_tensor *lh__d_log(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_DIV, g, n->in[0]);
}

/* g / (2 y) */
lh_tensor *lh__d_sqrt(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_DIV, g, scaled(e, n->out, 2.0));
}

lh_tensor *lh__d_square(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, scaled(e, n->in[0], 2.0));
}

lh_tensor *lh__d_abs(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_ABS_GRAD, g, n->in[0]);
}

lh_tensor *lh__d_relu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_RELU_GRAD, g, n->out);
}

lh_tensor *lh__d_sigmoid(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_SIGMOID_GRAD, g, n->out);
}

lh_tensor *lh__d_tanh(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_TANH_GRAD, g, n->out);
}

lh_tensor *lh__d_clamp(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_CLAMP_GRAD, 2, (lh_tensor *[]){g, n->in[0]}, 0, NULL, 2, n->reals);
}

/* Reductions. */

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

lh_tensor *lh__d_sum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *x = &n->in[i]->view;

    return op1_ints(e, LH_OP_EXPAND, keepdim(e, n, g), x->ndim, x->shape);
}

lh_tensor *lh__d_mean(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    double share = (double)lh__view_numel(&n->out->view) / (double)lh__view_numel(&n->in[0]->view);

    return lh__d_sum(e, n, i, scaled(e, g, share));
}

/* g shared equally by the elements that equal y. */
lh_tensor *lh__d_extreme(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
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

/* Shapes. */

lh_tensor *lh__d_reshape(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return reshaped_like(e, g, n->in[i]);
}

lh_tensor *lh__d_permute(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    int64_t inverse[LH_MAX_DIMS];

    for (int32_t d = 0; d < n->n_ints; d++)
        inverse[n->ints[d]] = d;
    return op1_ints(e, LH_OP_PERMUTE, g, n->n_ints, inverse);
}

lh_tensor *lh__d_expand(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
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

lh_tensor *lh__d_slice(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_SLICE_GRAD, n, 1, &g);
}

lh_tensor *lh__d_gather(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_GATHER_GRAD, n, 2, (lh_tensor *[]){g, n->in[1]});
}

lh_tensor *lh__d_index_select(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scattered(e, LH__OP_INDEX_SELECT_GRAD, n, 2, (lh_tensor *[]){g, n->in[1]});
}

lh_tensor *lh__d_concat(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    int64_t axis = n->ints[0], start = 0;

    for (int32_t k = 0; k < i; k++)
        start += n->in[k]->view.shape[axis];
    return op1_ints(e, LH_OP_SLICE, g, 4,
                    (int64_t[]){axis, start, start + n->in[i]->view.shape[axis], 1});
}

lh_tensor *lh__d_cast(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return cast_like(e, g, n->in[i]);
}

/* Linear algebra. */

/* The operands of a product, vectors made matrices: a (..., m, k), b (..., k, n), g (..., m, n). */
typedef struct product {
    lh_tensor *a, *b, *g;
} product;

static product matrices(lh__engine *e, const lh__node *n, lh_tensor *g) {
    product p = {n->in[0], n->in[1], g};
    int32_t a_is_vector = p.a->view.ndim == 1, b_is_vector = p.b->view.ndim == 1;
    int64_t shape[LH_MAX_DIMS + 2];
    int32_t ndim = g->view.ndim - !a_is_vector - !b_is_vector;

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
lh_tensor *lh__d_matmul_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    product p = matrices(e, n, g);

    return as_operand(e, op2(e, LH_OP_MATMUL, p.g, transposed(e, p.b)), p.a, n->in[i]);
}

/* a^T g. Of one matrix b for a batch of a the batch is more rows of one product. */
lh_tensor *lh__d_matmul_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    product p = matrices(e, n, g);

    if (p.b && p.b->view.ndim == 2)
        p.a = as_rows(e, p.a), p.g = as_rows(e, p.g);
    return as_operand(e, op2(e, LH_OP_MATMUL, transposed(e, p.a), p.g), p.b, n->in[i]);
}

/* y = x weight^T + bias */
lh_tensor *lh__d_linear_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, g, n->in[1]);
}

lh_tensor *lh__d_linear_weight(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_MATMUL, transposed(e, as_rows(e, g)), as_rows(e, n->in[0]));
}

lh_tensor *lh__d_linear_bias(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, g, n->in[i]);
}

/* Probabilities and losses. */

lh_tensor *lh__d_softmax(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_SOFTMAX_GRAD, 2, (lh_tensor *[]){g, n->out}, 1, n->ints, 0, NULL);
}

lh_tensor *lh__d_log_softmax(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_LOG_SOFTMAX_GRAD, 2, (lh_tensor *[]){g, n->out}, 1, n->ints, 0, NULL);
}

lh_tensor *lh__d_nll_loss(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_NLL_GRAD, 2, (lh_tensor *[]){g, n->in[1]}, 2, n->in[0]->view.shape, 0,
              NULL);
}

lh_tensor *lh__d_cross_entropy(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op3(e, LH__OP_CE_GRAD, g, n->in[0], n->in[1]);
}

static double one_over_numel(const lh_tensor *x) {
    return 1.0 / (double)lh__view_numel(&x->view);
}

/* 2 g (own - other) / numel */
lh_tensor *lh__d_mse_loss(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *difference = op2(e, LH_OP_SUB, n->in[i], n->in[1 - i]);

    return mul(e, difference, scaled(e, g, 2.0 * one_over_numel(n->in[0])));
}

/* g (sigmoid(logits) - target) / numel */
lh_tensor *lh__d_bce_logits(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *excess = op2(e, LH_OP_SUB, op1(e, LH_OP_SIGMOID, n->in[0]), n->in[1]);

    return mul(e, excess, scaled(e, g, one_over_numel(n->in[0])));
}

/* -g logits / numel */
lh_tensor *lh__d_bce_target(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, n->in[0], scaled(e, g, -one_over_numel(n->in[0])));
}

lh_tensor *lh__d_dropout(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_real(e, LH__OP_DROPOUT_MASK, g, n->reals[0]);
}
