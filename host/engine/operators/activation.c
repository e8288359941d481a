/* activation.c - activations and further elementwise operators, and what begins a graph.
 *
 * Activations have a gradient operator each, a pass over memory instead of several; its own
 * gradients are written with the operators of arithmetic.c.
 */
#include <math.h>

#include "engine/operators/rules.h"
#include "kernels/view.h"

static const double root_two_over_pi = 0.79788456080286535588;
static const double two_over_root_pi = 1.12837916709551257390;

static lh_status shape_gelu(lh__check *c) {
    if (c->n_ints == 1 && c->ints[0] != 0 && c->ints[0] != 1)
        return lh__reject(c, LH_EINVAL, "%lld is no approximation: 0 is exact, 1 that by tanh",
                          (long long)c->ints[0]);
    return lh__shape_same(c);
}

static lh_status shape_softplus(lh__check *c) {
    double beta = c->call->reals[0];

    if (!isfinite(beta) || beta == 0.0)
        return lh__reject(c, LH_EINVAL, "beta %g divides; it has to be a number other than 0",
                          beta);
    return lh__shape_same(c);
}

static lh_status shape_masked_fill(lh__check *c) {
    double value = c->call->reals[0];

    if (lh__in(c, 1)->dtype != LH_BOOL)
        return lh__reject(c, LH_EDTYPE, "the mask has to be bool; compare or cast it");
    if (!lh__dtype_is_real(c->out.dtype) && (!isfinite(value) || value != trunc(value)))
        return lh__reject(c, LH_EDTYPE, "%g is no %s; cast x first", value,
                          lh__dtype_name(c->out.dtype));
    return lh__shape_broadcast(c);
}

static lh_status shape_require_grad(lh__check *c) {
    if (!lh__dtype_is_real(lh__in(c, 0)->dtype))
        return lh__reject(c, LH_EDTYPE, "only real numbers have a gradient; cast it first");
    return lh__shape_view(c);
}

static lh_tensor *compose_masked_fill(lh__check *c) {
    lh_tensor *value = number(c->e, c->in[0], c->call->reals[0]);

    return op3(c->e, LH_OP_WHERE, c->in[1], value, c->in[0]);
}

/* First derivatives. */

/* The gradient operator of an activation: of g and x, ints and reals the activation's. */
static lh_tensor *slope(lh__engine *e, uint32_t code, const lh__node *n, lh_tensor *g) {
    return op(e, code, 2, (lh_tensor *[]){g, n->in[0]}, n->n_ints, n->ints, n->n_reals, n->reals);
}

static lh_tensor *d_gelu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return slope(e, LH__OP_GELU_GRAD, n, g);
}

static lh_tensor *d_silu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return slope(e, LH__OP_SILU_GRAD, n, g);
}

static lh_tensor *d_leaky_relu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return slope(e, LH__OP_LEAKY_RELU_GRAD, n, g);
}

static lh_tensor *d_elu(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return slope(e, LH__OP_ELU_GRAD, n, g);
}

static lh_tensor *d_softplus(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return slope(e, LH__OP_SOFTPLUS_GRAD, n, g);
}

/* g cos x */
static lh_tensor *d_sin(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, op1(e, LH_OP_COS, n->in[0]));
}

/* -g sin x */
static lh_tensor *d_cos(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1(e, LH_OP_NEG, mul(e, g, op1(e, LH_OP_SIN, n->in[0])));
}

/* -g y^3 / 2 */
static lh_tensor *d_rsqrt(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, scaled(e, op1_real(e, LH_OP_POW_SCALAR, n->out, 3.0), -0.5));
}

/* exp(-scale x^2) */
static lh_tensor *bell(lh__engine *e, lh_tensor *x, double scale) {
    return op1(e, LH_OP_EXP, scaled(e, op1(e, LH_OP_SQUARE, x), -scale));
}

/* 2 g exp(-x^2) / sqrt(pi) */
static lh_tensor *d_erf(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, g, scaled(e, bell(e, n->in[0], 1.0), two_over_root_pi));
}

/* Second derivatives: gradients of (g, x) -> g f'(x), given h. */

static lh_tensor *plus(lh__engine *e, lh_tensor *a, double value) {
    return op1_real(e, LH_OP_ADD_SCALAR, a, value);
}

/* f = x P(x), P the normal distribution, p its density: f'' = p (2 - x^2). */
static lh_tensor *gelu_curvature(lh__engine *e, lh_tensor *x) {
    lh_tensor *density = scaled(e, bell(e, x, 0.5), root_two_over_pi * 0.5);

    return mul(e, density, plus(e, op1(e, LH_OP_NEG, op1(e, LH_OP_SQUARE, x)), 2.0));
}

/* f = x (1 + t) / 2, t = tanh u, u = k (x + c x^3):
 * f'' = (1 - t^2) (u' + x u'' / 2 - x t u'^2). */
static lh_tensor *gelu_tanh_curvature(lh__engine *e, lh_tensor *x) {
    const double k = root_two_over_pi, c = 0.044715;
    lh_tensor *square = op1(e, LH_OP_SQUARE, x);
    lh_tensor *u = mul(e, x, plus(e, scaled(e, square, k * c), k));
    lh_tensor *rise = plus(e, scaled(e, square, 3.0 * k * c), k);
    lh_tensor *t = op1(e, LH_OP_TANH, u);
    lh_tensor *bend = op2(e, LH_OP_ADD, rise, scaled(e, square, 3.0 * k * c));
    lh_tensor *turn = mul(e, mul(e, x, t), op1(e, LH_OP_SQUARE, rise));

    return op2(e, LH__OP_TANH_GRAD, op2(e, LH_OP_SUB, bend, turn), t);
}

static lh_tensor *d_gelu_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    int32_t by_tanh = n->n_ints == 1 && n->ints[0];

    return mul(e, mul(e, h, n->in[0]),
               (by_tanh ? gelu_tanh_curvature : gelu_curvature)(e, n->in[1]));
}

/* f = x s, s the sigmoid: f'' = s' (2 + x (1 - 2 s)). */
static lh_tensor *d_silu_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *x = n->in[1], *s = op1(e, LH_OP_SIGMOID, x);
    lh_tensor *factor = plus(e, mul(e, x, plus(e, scaled(e, s, -2.0), 1.0)), 2.0);

    return op2(e, LH__OP_SIGMOID_GRAD, mul(e, mul(e, h, n->in[0]), factor), s);
}

/* f'' = f' where x <= 0, else 0. */
static lh_tensor *d_elu_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *x = n->in[1], *zero = number(e, x, 0.0);

    return op3(e, LH_OP_WHERE, op2(e, LH_OP_GT, x, zero), zero, mul(e, h, n->out));
}

/* f' = s(z), z = beta x, s the sigmoid: f'' = beta s'(z), 0 beyond the threshold. */
static lh_tensor *d_softplus_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *z = scaled(e, n->in[1], n->reals[0]), *zero = number(e, z, 0.0);
    lh_tensor *s = op1(e, LH_OP_SIGMOID, z), *gh = mul(e, h, n->in[0]);
    lh_tensor *bend = op2(e, LH__OP_SIGMOID_GRAD, scaled(e, gh, n->reals[0]), s);

    return op3(e, LH_OP_WHERE, op2(e, LH_OP_GT, z, number(e, z, n->reals[1])), zero, bend);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_GELU, "gelu", "x", {1, 1}, {0, 1}, {0, 0}, 0, LH__REALS,
     shape_gelu, {d_gelu}, NULL},
    {LH_OP_SILU, "silu", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_silu}, NULL},
    {LH_OP_LEAKY_RELU, "leaky_relu", "x", {1, 1}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {d_leaky_relu}, NULL},
    {LH_OP_ELU, "elu", "x", {1, 1}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {d_elu}, NULL},
    {LH_OP_SOFTPLUS, "softplus", "x", {1, 1}, {0, 0}, {2, 2}, 0, LH__REALS,
     shape_softplus, {d_softplus}, NULL},
    {LH_OP_SIN, "sin", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_sin}, NULL},
    {LH_OP_COS, "cos", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_cos}, NULL},
    {LH_OP_RSQRT, "rsqrt", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_rsqrt}, NULL},
    {LH_OP_ERF, "erf", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_erf}, NULL},
    {LH_OP_SIGN, "sign", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {lh__d_zero}, NULL},
    {LH_OP_FLOOR, "floor", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__NUMBERS,
     lh__shape_same, {lh__d_zero}, NULL},
    {LH_OP_MASKED_FILL, "masked_fill", "x mask", {2, 2}, {0, 0}, {1, 1}, 0, LH__AS_IS,
     shape_masked_fill, {0}, compose_masked_fill},
    {LH_OP_REQUIRE_GRAD, "require_grad", "x", {1, 1}, {0, 0}, {0, 0}, LH__LEAF, LH__AS_IS,
     shape_require_grad, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_GELU_GRAD, "gelu_grad", "g x", {2, 2}, {0, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_gelu_grad}, NULL},
    {LH__OP_SILU_GRAD, "silu_grad", "g x", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_silu_grad}, NULL},
    {LH__OP_LEAKY_RELU_GRAD, "leaky_relu_grad", "g x", {2, 2}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, lh__d_zero}, NULL},
    {LH__OP_ELU_GRAD, "elu_grad", "g x", {2, 2}, {0, 0}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_elu_grad}, NULL},
    {LH__OP_SOFTPLUS_GRAD, "softplus_grad", "g x", {2, 2}, {0, 0}, {2, 2}, 0, LH__REALS,
     lh__shape_same, {lh__d_same, d_softplus_grad}, NULL},
};
/* clang-format on */

const lh__family lh__activation = {rows, sizeof rows / sizeof *rows};
