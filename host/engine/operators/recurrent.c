/* recurrent.c - recurrent layers over whole sequences, their gates' share of x already computed.
 *
 * Invariant: operands reach the kernels contiguous. A kernel walks time forwards, its gradient
 * backwards: what that leaves, the gradient to each step's gates, is all that the gradients to the
 * operands need, as products over all steps at once. There is no second derivative.
 */
#include "engine/operators/rules.h"
#include "engine/parts.h"

/* How much there is of a cell: gates, and units of `hidden` in a row of y. */
typedef struct cell {
    int64_t gates, width;
} cell;

static cell cell_of(uint32_t op) {
    return op == LH_OP_LSTM ? (cell){4, 6} : op == LH_OP_GRU ? (cell){3, 5} : (cell){1, 1};
}

static lh_status reject_operand(const lh__check *c, const char *name, int32_t ndim,
                                const int64_t *shape) {
    char text[LH__SHAPE_TEXT];

    return lh__reject(c, LH_ESHAPE, "%s has to be %s", name, lh__shape_text(ndim, shape, text));
}

static int32_t has_shape(const lh__view *v, int32_t ndim, const int64_t *shape) {
    int32_t same = v->ndim == ndim;

    for (int32_t d = 0; same && d < ndim; d++)
        same = v->shape[d] == shape[d];
    return same;
}

/* (x (t, n, gates), h (n, hidden)[, c (n, hidden)], w_hh (gates, hidden), b_hh (gates)) */
static lh_status shape_recurrent(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *h = lh__in(c, 1);
    cell kind = cell_of(c->call->op);
    int32_t w = c->n_in - 2;
    int64_t state[2], weight[2];

    if (x->ndim != 3 || h->ndim != 2)
        return lh__reject(c, LH_ESHAPE,
                          "x needs three axes, (time, n, gates), and h two, "
                          "(n, hidden)");
    if (x->shape[0] == 0)
        return lh__reject(c, LH_ESHAPE, "x has no time steps");
    state[0] = x->shape[1], state[1] = h->shape[1];
    weight[0] = kind.gates * h->shape[1], weight[1] = h->shape[1];
    if (x->shape[2] != weight[0])
        return lh__reject(c, LH_ESHAPE, "the last axis of x has to be %lld times hidden: %lld",
                          (long long)kind.gates, (long long)weight[0]);
    if (!has_shape(h, 2, state))
        return reject_operand(c, "h", 2, state);
    if (w == 3 && !has_shape(lh__in(c, 2), 2, state))
        return reject_operand(c, "c", 2, state);
    if (!has_shape(lh__in(c, w), 2, weight))
        return reject_operand(c, "w_hh", 2, weight);
    if (!has_shape(lh__in(c, w + 1), 1, weight))
        return reject_operand(c, "b_hh", 1, weight);
    lh__set_shape(c, 3, x->shape);
    c->out.shape[2] = kind.width * h->shape[1];
    return LH_OK;
}

/* (g, y[, c or h], w_hh): (t, n, 1, 5 or 7 hidden) */
static lh_status shape_grad(lh__check *c) {
    int64_t units = c->call->op == LH__OP_LSTM_GRAD ? 5 : c->call->op == LH__OP_GRU_GRAD ? 7 : 1;

    lh__shape_same(c);
    c->out.shape[2] = units * lh__in(c, c->n_in - 1)->shape[1];
    return LH_OK;
}

/* The gradient to h, where nothing else has got one; or that to y. */
static lh_tensor *arrived(lh__engine *e, const lh__node *n, lh_tensor *g) {
    const lh__part *first = g->parts ? g->parts->first : NULL;
    const int64_t hidden = n->in[1]->view.shape[1];

    if (first && !first->next && g->parts->axis == 2 && first->begin == 0 && first->end == hidden)
        return first->g;
    return lh__whole(e, g);
}

/* What the walk back through time leaves, once for all operands. */
static lh_tensor *walked(lh__engine *e, const lh__node *n, lh_tensor *g) {
    lh_tensor *in[4] = {NULL, n->out};
    uint32_t op_of = n->row->op;
    int32_t n_in = 2;

    if (*n->joint)
        return *n->joint;
    in[0] = op1(e, LH_OP_CONTIGUOUS, arrived(e, n, g));
    if (op_of == LH_OP_LSTM)
        in[n_in++] = n->in[2];
    else if (op_of == LH_OP_GRU)
        in[n_in++] = n->in[1];
    in[n_in++] = n->in[n->n_in - 2];
    op_of = op_of == LH_OP_LSTM  ? LH__OP_LSTM_GRAD
            : op_of == LH_OP_GRU ? LH__OP_GRU_GRAD
                                 : LH__OP_RNN_GRAD;
    return *n->joint = op(e, op_of, n_in, in, n->n_ints, n->ints, 0, NULL);
}

/* Elements [start, end) of `axis`. */
static lh_tensor *part(lh__engine *e, lh_tensor *x, int64_t axis, int64_t start, int64_t end) {
    return op1_ints(e, LH_OP_SLICE, x, 4, (int64_t[]){axis, start, end, 1});
}

/* Units [first, first + count) of a walk's rows. */
static lh_tensor *units(lh__engine *e, const lh__node *n, lh_tensor *walk, int64_t first,
                        int64_t count) {
    int64_t hidden = n->in[1]->view.shape[1];

    return part(e, walk, 2, first * hidden, (first + count) * hidden);
}

/* The gradient to W_hh h + b_hh, (t, n, gates). */
static lh_tensor *d_gates(lh__engine *e, const lh__node *n, lh_tensor *g) {
    return units(e, n, walked(e, n, g), n->row->op == LH_OP_GRU ? 3 : 0, cell_of(n->row->op).gates);
}

static lh_tensor *d_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return units(e, n, walked(e, n, g), 0, cell_of(n->row->op).gates);
}

/* The first step of a walk's part, (n, ...). */
static lh_tensor *first_step(lh__engine *e, lh_tensor *walk) {
    return as_rows(e, part(e, walk, 0, 0, 1));
}

static lh_tensor *d_h(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *dh = op2(e, LH_OP_MATMUL, first_step(e, d_gates(e, n, g)), n->in[n->n_in - 2]);

    if (n->row->op != LH_OP_GRU)
        return dh;
    return op2(e, LH_OP_ADD, dh, first_step(e, units(e, n, walked(e, n, g), 6, 1)));
}

static lh_tensor *d_c(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return first_step(e, units(e, n, walked(e, n, g), 4, 1));
}

/* The sum over steps and rows of dgates^T h before the step: one product. */
static lh_tensor *d_w_hh(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *h = &n->in[1]->view;
    int64_t first[] = {1, h->shape[0], h->shape[1]}, axis = 0;
    lh_tensor *later = part(e, n->out, 0, 0, n->out->view.shape[0] - 1), *before;

    later = op1(e, LH_OP_CONTIGUOUS, units(e, n, later, 0, 1));
    before = op(e, LH_OP_CONCAT, 2, (lh_tensor *[]){reshaped(e, n->in[1], 3, first), later}, 1,
                &axis, 0, NULL);
    return op2(e, LH_OP_MATMUL, transposed(e, as_rows(e, d_gates(e, n, g))), as_rows(e, before));
}

static lh_tensor *d_b_hh(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, d_gates(e, n, g), n->in[i]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_RNN, "rnn", "x h w_hh b_hh", {4, 4}, {1, 1}, {0, 0}, 0, LH__REALS,
     shape_recurrent, {d_x, d_h, d_w_hh, d_b_hh}, lh__compose_contiguous},
    {LH_OP_LSTM, "lstm", "x h c w_hh b_hh", {5, 5}, {0, 0}, {0, 0}, LH__PARTS, LH__REALS,
     shape_recurrent, {d_x, d_h, d_c, d_w_hh, d_b_hh}, lh__compose_contiguous},
    {LH_OP_GRU, "gru", "x h w_hh b_hh", {4, 4}, {0, 0}, {0, 0}, LH__PARTS, LH__REALS,
     shape_recurrent, {d_x, d_h, d_w_hh, d_b_hh}, lh__compose_contiguous},

    /* what gradients are made of */
    {LH__OP_RNN_GRAD, "rnn_grad", "g y w_hh", {3, 3}, {1, 1}, {0, 0}, 0, LH__REALS,
     shape_grad, {0}, NULL},
    {LH__OP_LSTM_GRAD, "lstm_grad", "g y c w_hh", {4, 4}, {0, 0}, {0, 0}, 0, LH__REALS,
     shape_grad, {0}, NULL},
    {LH__OP_GRU_GRAD, "gru_grad", "g y h w_hh", {4, 4}, {0, 0}, {0, 0}, 0, LH__REALS,
     shape_grad, {0}, NULL},
};
/* clang-format on */

const lh__family lh__recurrent = {rows, sizeof rows / sizeof *rows};
