/* arithmetic.c - elementwise operators: binary, with a scalar, unary. */
#include "engine/operators/rules.h"

static lh_status shape_clamp(lh__check *c) {
    if (!(c->call->reals[0] <= c->call->reals[1]))
        return lh__reject(c, LH_EINVAL, "the bounds %g and %g are not in order", c->call->reals[0],
                          c->call->reals[1]);
    return lh__shape_same(c);
}

/* Binary. */

static lh_tensor *d_add(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, g, n->in[i]);
}

static lh_tensor *d_sub_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1(e, LH_OP_NEG, summed_to(e, g, n->in[i]));
}

static lh_tensor *d_mul(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, mul(e, g, n->in[1 - i]), n->in[i]);
}

static lh_tensor *d_div_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op2(e, LH_OP_DIV, g, n->in[1]), n->in[i]);
}

/* -g y / b */
static lh_tensor *d_div_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *gy = op2(e, LH_OP_DIV, mul(e, g, n->out), n->in[1]);

    return op1(e, LH_OP_NEG, summed_to(e, gy, n->in[i]));
}

/* g b a^(b - 1), 0 where b is 0 */
static lh_tensor *d_pow_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *a = n->in[0], *b = n->in[1], *zero = number(e, b, 0.0);
    lh_tensor *power = op2(e, LH_OP_POW, a, op1_real(e, LH_OP_ADD_SCALAR, b, -1.0));
    lh_tensor *slope = op3(e, LH_OP_WHERE, op2(e, LH_OP_EQ, b, zero), zero, mul(e, b, power));

    return summed_to(e, mul(e, g, slope), n->in[i]);
}

/* g y ln a, 0 where a is not positive */
static lh_tensor *d_pow_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
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

static lh_tensor *d_maximum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return chosen(e, n, i, g, LH_OP_GT);
}

static lh_tensor *d_minimum(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return chosen(e, n, i, g, LH_OP_LT);
}

static lh_tensor *d_where_a(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op3(e, LH_OP_WHERE, n->in[0], g, number(e, g, 0.0)), n->in[i]);
}

static lh_tensor *d_where_b(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return summed_to(e, op3(e, LH_OP_WHERE, n->in[0], number(e, g, 0.0), g), n->in[i]);
}

/* With a scalar, unary. */

static lh_tensor *d_mul_scalar(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return scaled(e, g, n->reals[0]);
}

/* g p x^(p - 1) */
static lh_tensor *d_pow_scalar(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    double p = n->reals[0];

    if (p == 0.0)
        return scaled(e, g, 0.0);
    return mul(e, g, scaled(e, op1_real(e, LH_OP_POW_SCALAR, n->in[0], p - 1.0), p));
}

static lh_tensor *d_neg(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1(e, LH_OP_NEG, g);
}

static lh_tensor *d_exp(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, n->out);
}

static lh_tensor *d_log(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_DIV, g, n->in[0]);
}

/* g / (2 y) */
static lh_tensor *d_sqrt(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH_OP_DIV, g, scaled(e, n->out, 2.0));
}

static lh_tensor *d_square(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, scaled(e, n->in[0], 2.0));
}

static lh_tensor *d_abs(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_ABS_GRAD, g, n->in[0]);
}

static lh_tensor *d_relu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_RELU_GRAD, g, n->out);
}

static lh_tensor *d_sigmoid(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_SIGMOID_GRAD, g, n->out);
}

static lh_tensor *d_tanh(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op2(e, LH__OP_TANH_GRAD, g, n->out);
}

static lh_tensor *d_clamp(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_CLAMP_GRAD, 2, (lh_tensor *[]){g, n->in[0]}, 0, NULL, 2, n->reals);
}

/* Gradients of (g, z) -> g f(z), z an operator's input or output; here g is their own. */

/* f(y) = y (1 - y): f' = 1 - 2 y */
static lh_tensor *d_sigmoid_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *slope = op1_real(e, LH_OP_ADD_SCALAR, scaled(e, n->in[1], -2.0), 1.0);

    return mul(e, mul(e, g, n->in[0]), slope);
}

/* f(y) = 1 - y^2: f' = -2 y */
static lh_tensor *d_tanh_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, mul(e, g, n->in[0]), scaled(e, n->in[1], -2.0));
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_ADD, "add", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_broadcast, {d_add, d_add}, NULL},
    {LH_OP_SUB, "sub", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_broadcast, {d_add, d_sub_b}, NULL},
    {LH_OP_MUL, "mul", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_broadcast, {d_mul, d_mul}, NULL},
    {LH_OP_DIV, "div", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_broadcast, {d_div_a, d_div_b}, NULL},
    {LH_OP_POW, "pow", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_broadcast, {d_pow_a, d_pow_b}, NULL},
    {LH_OP_MAXIMUM, "maximum", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_broadcast, {d_maximum, d_maximum}, NULL},
    {LH_OP_MINIMUM, "minimum", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_broadcast, {d_minimum, d_minimum}, NULL},
    {LH_OP_EQ, "eq", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_NE, "ne", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_LT, "lt", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_LE, "le", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_GT, "gt", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_GE, "ge", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__COMPARE, lh__shape_broadcast, {0}, NULL},
    {LH_OP_WHERE, "where", "condition a b", {3, 3}, {0, 0}, {0, 0}, 0, LH__CHOOSE,
     lh__shape_broadcast, {NULL, d_where_a, d_where_b}, NULL},
    {LH_OP_ADD_SCALAR, "add_scalar", "x", {1, 1}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {lh__d_identity}, NULL},
    {LH_OP_MUL_SCALAR, "mul_scalar", "x", {1, 1}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {d_mul_scalar}, NULL},
    {LH_OP_POW_SCALAR, "pow_scalar", "x", {1, 1}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {d_pow_scalar}, NULL},
    {LH_OP_NEG, "neg", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {d_neg}, NULL},
    {LH_OP_EXP, "exp", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_exp}, NULL},
    {LH_OP_LOG, "log", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_log}, NULL},
    {LH_OP_SQRT, "sqrt", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_sqrt}, NULL},
    {LH_OP_SQUARE, "square", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {d_square}, NULL},
    {LH_OP_ABS, "abs", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {d_abs}, NULL},
    {LH_OP_RELU, "relu", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {d_relu}, NULL},
    {LH_OP_SIGMOID, "sigmoid", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_sigmoid}, NULL},
    {LH_OP_TANH, "tanh", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_tanh}, NULL},
    {LH_OP_CLAMP, "clamp", "x", {1, 1}, {0, 0}, {2, 2}, 0, LH__REALS,
     shape_clamp, {d_clamp}, NULL},

    /* what gradients are made of */
    {LH__OP_RELU_GRAD, "relu_grad", "g y", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, lh__d_zero}, NULL},
    {LH__OP_SIGMOID_GRAD, "sigmoid_grad", "g y", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_sigmoid_grad}, NULL},
    {LH__OP_TANH_GRAD, "tanh_grad", "g y", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_tanh_grad}, NULL},
    {LH__OP_ABS_GRAD, "abs_grad", "g x", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, lh__d_zero}, NULL},
    {LH__OP_CLAMP_GRAD, "clamp_grad", "g x", {2, 2}, {0, 0}, {2, 2}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, lh__d_zero}, NULL},
};
/* clang-format on */

const lh__family lh__arithmetic = {rows, sizeof rows / sizeof *rows};
