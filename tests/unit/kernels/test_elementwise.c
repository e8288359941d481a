/* test_elementwise.c - the cpu device's elementwise operators agree with the oracle, and the oracle
 * with the C library. */
#include <criterion/criterion.h>
#include <math.h>

#include "operands.h"

/* Operators with n inputs; `ulps` between a result computed in F32 and one rounded from double. */
/* clang-format off */
static const struct {
    uint32_t op;
    int32_t n_in;
    double ulps, size;
} operators[] = {
    {LH_OP_ADD, 2, 1, 0},
    {LH_OP_SUB, 2, 1, 0},
    {LH_OP_MUL, 2, 1, 0},
    {LH_OP_DIV, 2, 1, 0},
    {LH_OP_POW, 2, 2, 0},
    {LH_OP_MAXIMUM, 2, 0, 0},
    {LH_OP_MINIMUM, 2, 0, 0},
    {LH_OP_EQ, 2, 0, 0},
    {LH_OP_NE, 2, 0, 0},
    {LH_OP_LT, 2, 0, 0},
    {LH_OP_LE, 2, 0, 0},
    {LH_OP_GT, 2, 0, 0},
    {LH_OP_GE, 2, 0, 0},
    {LH_OP_WHERE, 3, 0, 0},
    {LH_OP_ADD_SCALAR, 1, 1, 1},
    {LH_OP_MUL_SCALAR, 1, 1, 0},
    {LH_OP_POW_SCALAR, 1, 2, 0},
    {LH_OP_NEG, 1, 0, 0},
    {LH_OP_EXP, 1, 2, 0},
    {LH_OP_LOG, 1, 2, 0},
    {LH_OP_SQRT, 1, 1, 0},
    {LH_OP_SQUARE, 1, 1, 0},
    {LH_OP_ABS, 1, 0, 0},
    {LH_OP_RELU, 1, 0, 0},
    {LH_OP_SIGMOID, 1, 3, 0},
    {LH_OP_TANH, 1, 2, 0},
    {LH_OP_CLAMP, 1, 1, 0},
    {LH_OP_GELU, 1, 3, 4},
    {LH_OP_SILU, 1, 4, 0},
    {LH_OP_LEAKY_RELU, 1, 1, 0},
    {LH_OP_ELU, 1, 3, 0},
    {LH_OP_SOFTPLUS, 1, 4, 0},
    {LH_OP_SIN, 1, 2, 0},
    {LH_OP_COS, 1, 2, 0},
    {LH_OP_RSQRT, 1, 2, 0},
    {LH_OP_ERF, 1, 2, 0},
    {LH_OP_SIGN, 1, 0, 0},
    {LH_OP_FLOOR, 1, 0, 0},
    {LH__OP_RELU_GRAD, 2, 0, 0},
    {LH__OP_SIGMOID_GRAD, 2, 3, 9},
    {LH__OP_TANH_GRAD, 2, 3, 9},
    {LH__OP_ABS_GRAD, 2, 0, 0},
    {LH__OP_CLAMP_GRAD, 2, 0, 0},
    {LH__OP_GELU_GRAD, 2, 3, 9},
    {LH__OP_SILU_GRAD, 2, 3, 9},
    {LH__OP_LEAKY_RELU_GRAD, 2, 1, 0},
    {LH__OP_ELU_GRAD, 2, 4, 0},
    {LH__OP_SOFTPLUS_GRAD, 2, 4, 0},
    {LH__OP_ADD_INTO, 2, 1, 0},
};
/* clang-format on */

enum { N_OPERATORS = sizeof operators / sizeof *operators };

static bool compares(uint32_t op) {
    return op >= LH_OP_EQ && op <= LH_OP_GE;
}

/* Returns in how many ways operands may have their channels last. */
static int check(int which, int32_t dtype, int32_t ndim, const int64_t *shape, int layout) {
    uint32_t op = operators[which].op;
    trial t = trial_of(op, operators[which].n_in, compares(op) ? LH_BOOL : dtype, ndim, shape);
    lh__view in[3];

    for (int32_t k = 0; k < t.call.n_in; k++) {
        bool condition = op == LH_OP_WHERE && k == 0;

        in[k] = operand(condition ? LH_BOOL : dtype, ndim, shape,
                        k == 0 ? layout : (int)draw_below(LAYOUTS));
        t.in[k] = &in[k];
    }
    t.call.n_reals = 2;
    t.reals[0] = op == LH_OP_POW_SCALAR ? (double)draw_below(5) - 1 : -0.75;
    t.reals[1] = 1.5;
    t.ulps = operators[which].ulps;
    t.size = operators[which].size;
    expect_agreement(&t, "elementwise");
    return expect_channels_last(&t, "elementwise");
}

Test(elementwise, of_images_may_have_channels_last) {
    const int64_t shape[] = {2, 19, 3, 5};

    for (int which = 0; which < N_OPERATORS; which++)
        if (operators[which].n_in == 1)
            cr_expect_gt(check(which, LH_F32, 4, shape, CONTIGUOUS), 0);
}

Test(elementwise, agrees_on_every_layout_and_dtype) {
    static const int32_t dtypes[] = {LH_F32, LH_F64};

    for (int which = 0; which < N_OPERATORS; which++)
        for (int round = 0; round < 24; round++) {
            int32_t ndim = (int32_t)draw_below(5);
            int64_t shape[LH_MAX_DIMS];

            draw_shape(ndim, shape, true);
            if (ndim == 4) /* keep it quick */
                shape[0] = shape[0] > 3 ? 3 : shape[0], shape[1] = shape[1] > 3 ? 3 : shape[1];
            check(which, dtypes[round % 2], ndim, shape, round / 2 % LAYOUTS);
        }
}

Test(elementwise, agrees_on_integers) {
    static const uint32_t ops[] = {LH_OP_ADD,     LH_OP_SUB, LH_OP_MUL, LH_OP_MAXIMUM,
                                   LH_OP_MINIMUM, LH_OP_EQ,  LH_OP_LT,  LH_OP_GE,
                                   LH_OP_WHERE,   LH_OP_NEG, LH_OP_ABS, LH_OP_SQUARE};
    static const int32_t dtypes[] = {LH_I64, LH_U8};
    int64_t shape[] = {7, 17};

    for (int which = 0; which < N_OPERATORS; which++)
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            for (int d = 0; d < 2; d++)
                if (operators[which].op == ops[i])
                    check(which, dtypes[d], 2, shape, (int)draw_below(LAYOUTS));
}

Test(elementwise, agrees_when_cut_into_tiles) {
    static const uint32_t ops[] = {LH_OP_ADD, LH_OP_WHERE, LH_OP_TANH, LH_OP_EQ};
    int64_t line[] = {100003}, table[] = {331, 257};

    for (int which = 0; which < N_OPERATORS; which++)
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            if (operators[which].op == ops[i]) {
                check(which, LH_F32, 1, line, CONTIGUOUS);
                check(which, LH_F32, 2, table, TRANSPOSED);
                check(which, LH_F64, 2, table, BROADCAST);
            }
}

/* The oracle itself, against closed forms that no rounding touches. */
Test(elementwise, oracle_computes_integers_in_64_bits) {
    int64_t shape[] = {1};
    trial t = trial_of(LH_OP_ADD, 2, LH_I64, 1, shape);
    lh__view a = operand(LH_I64, 1, shape, CONTIGUOUS), b = a, y;

    ((int64_t *)a.data)[0] = INT64_C(0x20000000000001); /* 2^53 + 1 is no double */
    t.in[0] = &a, t.in[1] = &b;
    y = run_trial(&t, lh__device_ref(), NULL);
    cr_assert_eq(((int64_t *)y.data)[0], INT64_C(0x40000000000002));
}

Test(elementwise, special_values) {
    static const struct {
        uint32_t op;
        double a, b, want;
    } cases[] = {
        {LH_OP_RELU, NAN, 0, NAN},
        {LH_OP_RELU, -1, 0, 0},
        {LH_OP_MAXIMUM, NAN, 1, NAN},
        {LH_OP_MAXIMUM, 1, NAN, NAN},
        {LH_OP_MINIMUM, 1, NAN, NAN},
        {LH_OP_CLAMP, NAN, 0, NAN},
        {LH_OP_CLAMP, 5, 0, 1},
        {LH_OP_EXP, INFINITY, 0, INFINITY},
        {LH_OP_EXP, -INFINITY, 0, 0},
        {LH_OP_EXP, NAN, 0, NAN},
        {LH_OP_LOG, 0, 0, -INFINITY},
        {LH_OP_LOG, -1, 0, NAN},
        {LH_OP_LOG, INFINITY, 0, INFINITY},
        {LH_OP_TANH, INFINITY, 0, 1},
        {LH_OP_TANH, -INFINITY, 0, -1},
        {LH_OP_TANH, NAN, 0, NAN},
        {LH_OP_SIGMOID, -INFINITY, 0, 0},
        {LH_OP_SIGMOID, INFINITY, 0, 1},
        {LH_OP_NE, NAN, NAN, 1},
        {LH_OP_GELU, NAN, 0, NAN},
        {LH_OP_GELU, 50, 0, 50},
        {LH_OP_GELU, -50, 0, 0},
        {LH_OP_SILU, INFINITY, 0, INFINITY},
        {LH_OP_LEAKY_RELU, -3, 0, 3}, /* the slope is -1 */
        {LH_OP_ELU, -INFINITY, 0, 1},
        {LH_OP_ELU, NAN, 0, NAN},
        {LH_OP_SOFTPLUS, NAN, 0, NAN},
        {LH_OP_ERF, INFINITY, 0, 1},
        {LH_OP_ERF, -INFINITY, 0, -1},
        {LH_OP_ERF, NAN, 0, NAN},
        {LH_OP_RSQRT, 0, 0, INFINITY},
        {LH_OP_RSQRT, -1, 0, NAN},
        {LH_OP_SIN, INFINITY, 0, NAN},
        {LH_OP_SIGN, NAN, 0, 0},
        {LH_OP_SIGN, -3, 0, -1},
        {LH_OP_FLOOR, -1.5, 0, -2},
        {LH__OP_RELU_GRAD, 3, 0, 0},
        {LH__OP_ABS_GRAD, 3, 0, 0},
        {LH__OP_ABS_GRAD, 3, -2, -3},
        {LH__OP_CLAMP_GRAD, 3, 1, 3},
        {LH__OP_CLAMP_GRAD, 3, 1.5, 0},
    };
    int64_t shape[] = {19}; /* a vector and a rest */
    lh__variant variants[3];
    int n = lh__cpu_variants(variants);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        trial t = trial_of(cases[i].op, 2, compares(cases[i].op) ? LH_BOOL : LH_F32, 1, shape);
        lh__view a = operand(LH_F32, 1, shape, CONTIGUOUS), b = operand(LH_F32, 1, shape, STEPPED);

        for (int64_t j = 0; j < shape[0]; j++)
            put(&a, j, cases[i].a), put(&b, j, cases[i].b);
        t.in[0] = &a, t.in[1] = &b;
        t.reals[0] = -1, t.reals[1] = 1;
        if (cases[i].op < LH__OP_RELU_GRAD && cases[i].op >= LH_OP_ADD_SCALAR)
            t.call.n_in = 1;
        for (int v = -1; v < n; v++) {
            lh__view y = run_trial(&t, v < 0 ? lh__device_ref() : variants[v].device, NULL);

            for (int64_t j = 0; j < shape[0]; j++)
                cr_assert(at(&y, j) == cases[i].want || (isnan(at(&y, j)) && isnan(cases[i].want)),
                          "operator %u of %g, %g on %s is %g", cases[i].op, cases[i].a, cases[i].b,
                          v < 0 ? "ref" : variants[v].isa, at(&y, j));
        }
    }
}

/* y may be a: gradient accumulation. */
Test(elementwise, add_into_works_in_place) {
    int64_t shape[] = {70001};
    lh__view a = operand(LH_F32, 1, shape, CONTIGUOUS), b = operand(LH_F32, 1, shape, CONTIGUOUS);
    trial t = trial_of(LH__OP_ADD_INTO, 2, LH_F32, 1, shape);
    lh__kernel_call call = t.call;
    const lh__view *in[] = {&a, &b};
    lh__view want;

    t.in[0] = &a, t.in[1] = &b;
    want = run_trial(&t, lh__device_ref(), NULL);
    call.in = in;
    call.out = &a;
    lh__device_cpu()->kernels[LH__OP_ADD_INTO](&call);
    for (int64_t i = 0; i < shape[0]; i++)
        cr_assert_eq(at(&a, i), at(&want, i));
}
