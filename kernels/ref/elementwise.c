/* elementwise.c - the oracle's operators that map elements to an element.
 *
 * Invariant: one formula per operator on doubles, and one on integers where all dtypes of a call
 * may be integers. x[0], x[1], x[2] are the inputs' elements, r the call's reals.
 */
#include <math.h>

#include "kernels/ref/ref.h"

#define ROOT_TWO 1.41421356237309504880
#define ROOT_TWO_OVER_PI 0.79788456080286535588

typedef double real_fn(const double *x, const double *r);
typedef int64_t int_fn(const int64_t *x, const double *r);

#define REAL(name, value)                                         \
    static double name##_real(const double *x, const double *r) { \
        return value;                                             \
    }
#define INT(name, value)                                           \
    static int64_t name##_int(const int64_t *x, const double *r) { \
        return value;                                              \
    }
#define BOTH(name, value) REAL(name, value) INT(name, value)

/* Integer arithmetic wraps around. */
#define WRAP(a, op, b) (int64_t)((uint64_t)(a)op(uint64_t)(b))

/* min(max(x, lo), hi); NaN stays. */
static double clamped(double x, const double *r) {
    double low = x < r[0] ? r[0] : x;

    return low > r[1] ? r[1] : low;
}

static double gelu_tanh_of(double x) {
    return tanh(ROOT_TWO_OVER_PI * (x + 0.044715 * x * x * x));
}

static double normal_cdf(double x) {
    return 0.5 * (1 + erf(x / ROOT_TWO));
}

static double gelu_slope(double x) {
    return normal_cdf(x) + x * 0.5 * ROOT_TWO_OVER_PI * exp(-0.5 * x * x);
}

static double gelu_tanh_slope(double x) {
    double t = gelu_tanh_of(x);

    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ROOT_TWO_OVER_PI * (1 + 3 * 0.044715 * x * x);
}

static double sigmoid_of(double x) {
    return 1 / (1 + exp(-x));
}

/* log(1 + exp(z)) / beta, z = beta x; x beyond the threshold of z. */
static double softplus_of(double x, const double *r) {
    double z = r[0] * x;

    return z > r[1] ? x : (fmax(z, 0) + log1p(exp(-fabs(z)))) / r[0];
}

REAL(add, x[0] + x[1])
INT(add, WRAP(x[0], +, x[1]))
REAL(sub, x[0] - x[1])
INT(sub, WRAP(x[0], -, x[1]))
REAL(mul, x[0] * x[1])
INT(mul, WRAP(x[0], *, x[1]))
REAL(div, x[0] / x[1])
REAL(power, pow(x[0], x[1]))
/* A NaN on either side is the result. */
BOTH(maximum, x[0] > x[1] || x[0] != x[0] ? x[0] : x[1])
BOTH(minimum, x[0] < x[1] || x[0] != x[0] ? x[0] : x[1])
BOTH(eq, x[0] == x[1])
BOTH(ne, x[0] != x[1])
BOTH(lt, x[0] < x[1])
BOTH(le, x[0] <= x[1])
BOTH(gt, x[0] > x[1])
BOTH(ge, x[0] >= x[1])
BOTH(where, x[0] != 0 ? x[1] : x[2])
REAL(add_scalar, x[0] + r[0])
INT(add_scalar, WRAP(x[0], +, (int64_t)r[0]))
REAL(mul_scalar, x[0] * r[0])
INT(mul_scalar, WRAP(x[0], *, (int64_t)r[0]))
REAL(pow_scalar, pow(x[0], r[0]))
REAL(neg, -x[0])
INT(neg, WRAP(0, -, x[0]))
REAL(exponential, exp(x[0]))
REAL(logarithm, log(x[0]))
REAL(root, sqrt(x[0]))
REAL(square, x[0] * x[0])
INT(square, WRAP(x[0], *, x[0]))
REAL(absolute, fabs(x[0]))
INT(absolute, x[0] < 0 ? WRAP(0, -, x[0]) : x[0])
BOTH(relu, x[0] <= 0 ? 0 : x[0])
REAL(sigmoid, sigmoid_of(x[0]))
REAL(tangent, tanh(x[0]))
REAL(clamp, clamped(x[0], r))
INT(clamp, (int64_t)clamped((double)x[0], r))
REAL(gelu, x[0] * normal_cdf(x[0]))
REAL(gelu_tanh, x[0] * 0.5 * (1 + gelu_tanh_of(x[0])))
REAL(silu, x[0] * sigmoid_of(x[0]))
REAL(leaky_relu, x[0] > 0 ? x[0] : r[0] * x[0])
REAL(elu, x[0] > 0 ? x[0] : r[0] * expm1(x[0]))
REAL(softplus, softplus_of(x[0], r))
REAL(sine, sin(x[0]))
REAL(cosine, cos(x[0]))
REAL(rsqrt, 1 / sqrt(x[0]))
REAL(error_function, erf(x[0]))
BOTH(sign, (x[0] > 0) - (x[0] < 0))
REAL(floored, floor(x[0]))
INT(floored, x[0])
REAL(relu_grad, x[1] > 0 ? x[0] : 0)
REAL(sigmoid_grad, x[0] * x[1] * (1 - x[1]))
REAL(tanh_grad, x[0] * (1 - x[1] * x[1]))
REAL(abs_grad, x[1] > 0 ? x[0] : x[1] < 0 ? -x[0] : 0)
REAL(clamp_grad, x[1] >= r[0] && x[1] <= r[1] ? x[0] : 0)
REAL(gelu_grad, x[0] * gelu_slope(x[1]))
REAL(gelu_tanh_grad, x[0] * gelu_tanh_slope(x[1]))
REAL(silu_grad, x[0] * sigmoid_of(x[1]) * (1 + x[1] * (1 - sigmoid_of(x[1]))))
REAL(leaky_relu_grad, x[1] > 0 ? x[0] : r[0] * x[0])
REAL(elu_grad, x[1] > 0 ? x[0] : x[0] * r[0] * exp(x[1]))
REAL(softplus_grad, r[0] * x[1] > r[1] ? x[0] : x[0] * sigmoid_of(r[0] * x[1]))

static const struct {
    real_fn *real;
    int_fn *integer;
} table[LH__OP_LIMIT] = {
    [LH_OP_ADD] = {add_real, add_int},
    [LH_OP_SUB] = {sub_real, sub_int},
    [LH_OP_MUL] = {mul_real, mul_int},
    [LH_OP_DIV] = {div_real, NULL},
    [LH_OP_POW] = {power_real, NULL},
    [LH_OP_MAXIMUM] = {maximum_real, maximum_int},
    [LH_OP_MINIMUM] = {minimum_real, minimum_int},
    [LH_OP_EQ] = {eq_real, eq_int},
    [LH_OP_NE] = {ne_real, ne_int},
    [LH_OP_LT] = {lt_real, lt_int},
    [LH_OP_LE] = {le_real, le_int},
    [LH_OP_GT] = {gt_real, gt_int},
    [LH_OP_GE] = {ge_real, ge_int},
    [LH_OP_WHERE] = {where_real, where_int},
    [LH_OP_ADD_SCALAR] = {add_scalar_real, add_scalar_int},
    [LH_OP_MUL_SCALAR] = {mul_scalar_real, mul_scalar_int},
    [LH_OP_POW_SCALAR] = {pow_scalar_real, NULL},
    [LH_OP_NEG] = {neg_real, neg_int},
    [LH_OP_EXP] = {exponential_real, NULL},
    [LH_OP_LOG] = {logarithm_real, NULL},
    [LH_OP_SQRT] = {root_real, NULL},
    [LH_OP_SQUARE] = {square_real, square_int},
    [LH_OP_ABS] = {absolute_real, absolute_int},
    [LH_OP_RELU] = {relu_real, relu_int},
    [LH_OP_SIGMOID] = {sigmoid_real, NULL},
    [LH_OP_TANH] = {tangent_real, NULL},
    [LH_OP_CLAMP] = {clamp_real, clamp_int},
    [LH_OP_GELU] = {gelu_real, NULL},
    [LH_OP_SILU] = {silu_real, NULL},
    [LH_OP_LEAKY_RELU] = {leaky_relu_real, NULL},
    [LH_OP_ELU] = {elu_real, NULL},
    [LH_OP_SOFTPLUS] = {softplus_real, NULL},
    [LH_OP_SIN] = {sine_real, NULL},
    [LH_OP_COS] = {cosine_real, NULL},
    [LH_OP_RSQRT] = {rsqrt_real, NULL},
    [LH_OP_ERF] = {error_function_real, NULL},
    [LH_OP_SIGN] = {sign_real, sign_int},
    [LH_OP_FLOOR] = {floored_real, floored_int},
    [LH__OP_RELU_GRAD] = {relu_grad_real, NULL},
    [LH__OP_SIGMOID_GRAD] = {sigmoid_grad_real, NULL},
    [LH__OP_TANH_GRAD] = {tanh_grad_real, NULL},
    [LH__OP_ABS_GRAD] = {abs_grad_real, NULL},
    [LH__OP_CLAMP_GRAD] = {clamp_grad_real, NULL},
    [LH__OP_ADD_INTO] = {add_real, add_int},
    [LH__OP_GELU_GRAD] = {gelu_grad_real, NULL},
    [LH__OP_SILU_GRAD] = {silu_grad_real, NULL},
    [LH__OP_LEAKY_RELU_GRAD] = {leaky_relu_grad_real, NULL},
    [LH__OP_ELU_GRAD] = {elu_grad_real, NULL},
    [LH__OP_SOFTPLUS_GRAD] = {softplus_grad_real, NULL},
};

/* All inputs and the output are integers, and so is a scalar. */
static bool is_integer_call(const lh__kernel_call *call) {
    for (int32_t k = 0; k < call->n_in; k++)
        if (lh__dtype_is_real(call->in[k]->dtype))
            return false;
    if (call->op == LH_OP_ADD_SCALAR || call->op == LH_OP_MUL_SCALAR)
        if (!(fabs(call->reals[0]) < 0x1p53) || call->reals[0] != trunc(call->reals[0]))
            return false;
    return !lh__dtype_is_real(call->out->dtype) && table[call->op].integer;
}

/* The formula of a call on doubles; an integer chooses that of GELU. */
static real_fn *real_of(const lh__kernel_call *call) {
    bool by_tanh = call->n_ints > 0 && call->ints[0];

    if (call->op == LH_OP_GELU && by_tanh)
        return gelu_tanh_real;
    if (call->op == LH__OP_GELU_GRAD && by_tanh)
        return gelu_tanh_grad_real;
    return table[call->op].real;
}

void lh__ref_elementwise(const lh__kernel_call *call) {
    const lh__view *y = call->out;
    bool integer = is_integer_call(call);
    real_fn *real = real_of(call);

    for (int64_t i = 0, n = lh__view_numel(y); i < n; i++) {
        int64_t whole[3] = {0};
        double x[3] = {0};

        for (int32_t k = 0; k < call->n_in; k++) {
            int64_t offset = lh__view_offset(call->in[k], i);

            if (integer)
                whole[k] = lh__load_int(call->in[k], offset);
            else
                x[k] = lh__load(call->in[k], offset);
        }
        if (integer)
            lh__store_int(y, i, table[call->op].integer(whole, call->reals));
        else
            lh__store(y, i, real(x, call->reals));
    }
}
