/* test_vmath.c - the cpu device's exp, log, tanh, erf and relatives for F32, in every instruction
 * set, within their bound of the C library's double results. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "operands.h"

enum { N = 1 << 16 };

/* Distance in units in the last place of F32 around the true value; subnormals have the unit of the
 * smallest normal. */
static double ulps(double got, double want) {
    int exponent;

    if (got == want || (isnan(got) && isnan(want)) || (float)want == got)
        return 0;
    frexp(want, &exponent);
    return fabs(got - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
}

/* Floats spread over all exponents and signs: the bit pattern i * 65537, i < N. */
static double pattern(int64_t i) {
    uint32_t bits = (uint32_t)i * 65537u;
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static double even(int64_t i) {
    return (float)(-105 + 195.0 * (double)i / N);
}

static double near_one(int64_t i) {
    return (float)(0.5 + 1.5 * (double)i / N);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static void check(uint32_t op, double (*want)(double), double (*input)(int64_t), double bound) {
    int64_t shape[] = {N};
    lh__view x = operand(LH_F32, 1, shape, CONTIGUOUS);
    trial t = trial_of(op, 1, LH_F32, 1, shape);
    lh__variant variants[3];

    for (int64_t i = 0; i < N; i++)
        put(&x, i, input(i));
    t.in[0] = &x;
    t.call.n_reals = 2;
    t.reals[0] = 1, t.reals[1] = 20; /* of ELU and SOFTPLUS */
    for (int v = 0, n = lh__cpu_variants(variants); v < n; v++) {
        lh__view y = run_trial(&t, variants[v].device, NULL);

        for (int64_t i = 0; i < N; i++) {
            double error = ulps(at(&y, i), want(at(&x, i)));

            cr_assert(error <= bound, "operator %u on %s: f(%a) is %a, not %a: %g ulp", op,
                      variants[v].isa, at(&x, i), at(&y, i), want(at(&x, i)), error);
        }
    }
}

Test(vmath, exp_within_2_ulp) {
    check(LH_OP_EXP, exp, pattern, 2);
    check(LH_OP_EXP, exp, even, 2);
}

Test(vmath, log_within_2_ulp) {
    check(LH_OP_LOG, log, pattern, 2);
    check(LH_OP_LOG, log, near_one, 2);
}

Test(vmath, tanh_within_2_ulp) {
    check(LH_OP_TANH, tanh, pattern, 2);
    check(LH_OP_TANH, tanh, near_one, 2);
}

/* Two roundings more than exp. */
Test(vmath, sigmoid_within_4_ulp) {
    check(LH_OP_SIGMOID, sigmoid, pattern, 4);
    check(LH_OP_SIGMOID, sigmoid, even, 4);
}

Test(vmath, erf_within_2_ulp) {
    check(LH_OP_ERF, erf, pattern, 2);
    check(LH_OP_ERF, erf, near_one, 2);
}

static double negative(int64_t i) {
    return (float)(-40.0 * (double)i / N);
}

/* ELU with alpha 1 is exp(x) - 1 where x <= 0. */
Test(vmath, expm1_within_2_ulp) {
    check(LH_OP_ELU, expm1, negative, 2);
}

static double turns(int64_t i) {
    return (float)(-20 + 40.0 * (double)i / N);
}

Test(vmath, sin_and_cos_within_2_ulp) {
    check(LH_OP_SIN, sin, pattern, 2);
    check(LH_OP_SIN, sin, turns, 2);
    check(LH_OP_COS, cos, pattern, 2);
    check(LH_OP_COS, cos, turns, 2);
}

static double softplus(double x) {
    return log1p(exp(x));
}

static double around_zero(int64_t i) {
    return (float)(-80 + 100.0 * (double)i / N);
}

Test(vmath, softplus_within_4_ulp) {
    check(LH_OP_SOFTPLUS, softplus, around_zero, 4);
}
