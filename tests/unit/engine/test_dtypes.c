/* test_dtypes.c - promotion, and arithmetic in float16, bfloat16 and int32.
 *
 * The halves are 16 bits of storage around arithmetic in at least F32: a result is the exact one
 * rounded once.
 */
#include "cases.h"
#include "fixture.h"
#include "kernels/ref/ref.h"

enum { ROOM = 8192 };

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F32, 2);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(dtypes, .init = setup, .fini = teardown);

/* torch.promote_types as a rule: of two categories (bool, integer, real) the higher one counts; in
 * one the type that holds the other's values, which for float16 and bfloat16 is float32. */
static int32_t category(int32_t dtype) {
    return dtype == LH_BOOL ? 0 : dtype == LH_U8 || dtype == LH_I32 || dtype == LH_I64 ? 1 : 2;
}

static int32_t promoted(int32_t a, int32_t b) {
    int64_t size_a = lh__dtype_size(a), size_b = lh__dtype_size(b);

    if (category(a) != category(b))
        return category(a) > category(b) ? a : b;
    if (a != b && size_a == size_b)
        return LH_F32;
    return size_a > size_b ? a : b;
}

Test(dtypes, promotion_of_all_pairs) {
    for (int32_t a = LH_F32; a <= LH_I32; a++)
        for (int32_t b = LH_F32; b <= LH_I32; b++) {
            lh_tensor *x = full(e, a, 1, 1, (int64_t[]){3}), *y = full(e, b, 1, 0, NULL);
            lh_tensor *both = call(e, LH_OP_CONCAT, TENSORS(x, x), INTS(0), NONE);
            int32_t expected = promoted(a, b), number = expected == LH_BOOL ? LH_I64 : expected;

            cr_assert_not_null(both, "%s", err.text);
            cr_expect_eq(call(e, LH_OP_ADD, TENSORS(x, y), NONE, NONE)->view.dtype, number,
                         "%d with %d", a, b);
            cr_expect_eq(call(e, LH_OP_DIV, TENSORS(x, y), NONE, NONE)->view.dtype,
                         category(expected) == 2 ? expected : LH_F32);
            cr_expect_eq(call(e, LH_OP_LT, TENSORS(x, y), NONE, NONE)->view.dtype, LH_BOOL);
            cr_expect_eq(call(e, LH_OP_SUM, TENSORS(x), INTS(0), NONE)->view.dtype,
                         category(a) == 2 ? a : LH_I64);
        }
    cr_expect_eq(err.code, LH_OK, "%s", err.text);
}

Test(dtypes, of_three_the_order_does_not_matter) {
    const int32_t dtypes[] = {LH_F16, LH_BF16, LH_I64};
    const int64_t one[] = {1};

    for (int32_t i = 0; i < 3; i++) {
        lh_tensor *t[3];

        for (int32_t k = 0; k < 3; k++)
            t[k] = full(e, dtypes[(i + k) % 3], 1, 1, one);
        cr_expect_eq(call(e, LH_OP_CONCAT, 3, t, INTS(0), NONE)->view.dtype, LH_F32);
    }
}

/* 2^-8 of 1 is bfloat16's rounding, 2^-11 float16's: 1 + that is a tie, which goes to the even 1;
 * three halves of it go up. */
Test(dtypes, results_are_rounded_once) {
    const double half_ulp[] = {0x1p-8, 0x1p-11};
    const int32_t dtypes[] = {LH_BF16, LH_F16};

    for (int32_t k = 0; k < 2; k++) {
        double u = half_ulp[k];
        lh_tensor *one = full(e, dtypes[k], 1, 0, NULL), *small = full(e, dtypes[k], u, 0, NULL);
        lh_tensor *more = full(e, dtypes[k], 1.5 * u, 0, NULL);
        lh_tensor *many = full(e, dtypes[k], u, 1, (int64_t[]){1000});

        cr_expect_eq(lh__item(e, call(e, LH_OP_ADD, TENSORS(one, small), NONE, NONE)), 1);
        cr_expect_eq(lh__item(e, call(e, LH_OP_ADD, TENSORS(one, more), NONE, NONE)), 1 + 2 * u);
        /* Summed in the half type it would stop where adding u rounds to nothing. */
        cr_expect_float_eq(lh__item(e, call(e, LH_OP_SUM, TENSORS(many), INTS(0), NONE)) / u, 1000,
                           4);
    }
}

Test(dtypes, integers_of_32_bits_wrap) {
    lh_tensor *x = full(e, LH_I32, 2147483647, 0, NULL), *one = full(e, LH_I32, 1, 0, NULL);
    lh_tensor *y = call(e, LH_OP_ADD, TENSORS(x, one), NONE, NONE);

    cr_assert_not_null(y, "%s", err.text);
    cr_expect_eq(y->view.dtype, LH_I32);
    cr_expect_eq(lh__item(e, y), -2147483648.0);
}

Test(dtypes, halves_are_read_and_written_as_they_are) {
    const int64_t three[] = {3};
    const uint16_t bits[] = {0x3c00, 0xc000, 0x7bff}; /* 1, -2, 65504 */
    uint16_t back[3];
    lh_tensor *x = lh__tensor_new(e, LH_F16, 1, three, bits);
    double as_double[3];

    cr_assert_eq(lh__tensor_read(e, x, back, sizeof back), LH_OK);
    cr_expect_arr_eq(back, bits, sizeof bits);
    values(e, x, as_double, 3);
    cr_expect_eq(as_double[0], 1);
    cr_expect_eq(as_double[1], -2);
    cr_expect_eq(as_double[2], 65504);
    cr_expect_eq(lh__tensor_write(e, x, bits, 2), LH_EINVAL);
}

/* y of a case and the gradients of <1, y>, the case's real inputs cast to `dtype` first. */
static int64_t run(lh__engine *on, const op_case *c, int32_t dtype, double *out) {
    lh_tensor *in[LH__MAX_INPUTS], *leaf[LH__MAX_INPUTS], *y, *loss;
    int64_t n;

    lh__step_begin(on, LH__PHASE_TRAIN, 3);
    for (int32_t i = 0; i < c->n_in; i++) {
        leaf[i] = in[i] = case_input_new(on, c, i, LH_F32, (uint64_t)(c - cases), 0);
        leaf[i]->requires_grad = case_has_gradient(c, i);
        if (in[i]->view.dtype == LH_F32)
            in[i] = call(on, LH_OP_CAST, TENSORS(in[i]), INTS(dtype), NONE);
    }
    y = case_call(on, c, in);
    cr_assert_not_null(y, "%s", lh__row_of(c->op)->name);
    n = values(on, y, out, ROOM);
    loss = call(on, LH_OP_CAST, TENSORS(y), INTS(LH_F32), NONE);
    loss = call(on, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    for (int32_t i = 0; i < c->n_in; i++)
        if (leaf[i]->requires_grad) {
            lh_tensor *g = lh__grad_of(on, loss, leaf[i], 0);

            cr_assert_not_null(g, "%s", lh__row_of(c->op)->name);
            cr_assert_eq(g->view.dtype, LH_F32);
            n += values(on, g, out + n, ROOM - n);
        }
    return n;
}

/* Every operator, forward and backward: the same bits on both devices. */
Test(dtypes, halves_on_cpu_equal_ref) {
    static double expected[ROOM], got[ROOM];
    lh__engine *ref = new_engine("ref", LH_F32, 1);
    const int32_t dtypes[] = {LH_BF16, LH_F16};

    for (const op_case *c = cases; c < cases + case_count; c++)
        for (int32_t k = 0; k < 2; k++) {
            int64_t n = run(ref, c, dtypes[k], expected);

            cr_assert_eq(run(e, c, dtypes[k], got), n);
            for (int64_t i = 0; i < n; i++)
                cr_assert(fabs(got[i] - expected[i]) <= 1e-6 * fabs(expected[i]) ||
                              (isnan(got[i]) && isnan(expected[i])),
                          "%s, case %td, dtype %d, value %lld: %.9g instead of %.9g",
                          lh__row_of(c->op)->name, c - cases, dtypes[k], (long long)i, got[i],
                          expected[i]);
        }
    lh__engine_free(ref);
}

/* Parameters in F32, the product in bfloat16, the loss in F32: what mixed precision is. The
 * gradients are those of the rounded product: dL/dy = 2 y / 3, rounded; dL/dw = dL/dy x. */
Test(dtypes, gradients_pass_through_casts) {
    lh_init init = {.kind = LH_INIT_CONSTANT, .a = 0.7};
    lh_tensor *w = lh__param_new(e, "w", 0, 2, (int64_t[]){1, 2}, &init), *x, *y, *half, *loss;
    double in[] = {1, 2, -1, 4, 0.5, 3}, expected[2] = {0};
    lh__view scalar;
    uint16_t bits;

    scalar = (lh__view){.data = &bits, .dtype = LH_BF16};
    lh__params_seal(e);
    x = lh__tensor_new(e, LH_F64, 2, (int64_t[]){3, 2}, in);
    x = call(e, LH_OP_CAST, TENSORS(x), INTS(LH_BF16), NONE);
    half = call(e, LH_OP_CAST, TENSORS(w), INTS(LH_BF16), NONE);
    y = call(e, LH_OP_LINEAR, TENSORS(x, half), NONE, NONE);
    cr_assert_eq(y->view.dtype, LH_BF16);
    loss = call(e, LH_OP_SQUARE, TENSORS(call(e, LH_OP_CAST, TENSORS(y), INTS(LH_F32), NONE)), NONE,
                NONE);
    loss = call(e, LH_OP_MEAN, TENSORS(loss), INTS(0), NONE);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK, "%s", err.text);
    for (int32_t i = 0; i < 3; i++) {
        double product;

        lh__store(&scalar, 0, 0.7f);
        product = lh__load(&scalar, 0) * (in[2 * i] + in[2 * i + 1]);
        lh__store(&scalar, 0, product);
        lh__store(&scalar, 0, 2 * lh__load(&scalar, 0) / 3);
        for (int32_t j = 0; j < 2; j++)
            expected[j] += lh__load(&scalar, 0) * in[2 * i + j];
    }
    cr_expect_eq(w->param->grad.dtype, LH_F32);
    for (int32_t j = 0; j < 2; j++) {
        lh__store(&scalar, 0, expected[j]);
        cr_expect_float_eq(((float *)w->param->grad.data)[j], lh__load(&scalar, 0), 1e-6);
    }
}

/* A loss may be of a half type too. */
Test(dtypes, a_half_loss) {
    lh_tensor *w = lh__param_new(e, "w", 0, 0, NULL, &(lh_init){.kind = LH_INIT_CONSTANT, .a = 3});

    lh__params_seal(e);
    w = call(e, LH_OP_CAST, TENSORS(w), INTS(LH_F16), NONE);
    w = call(e, LH_OP_SQUARE, TENSORS(w), NONE, NONE);
    cr_assert_eq(lh__backward(e, w, 1.0, 0), LH_OK, "%s", err.text);
    cr_expect_eq(*(float *)lh__param_at(e, 0)->grad.data, 6);
}

Test(dtypes, anomalies_in_halves_are_found) {
    lh__error none = {0};
    lh__engine *strict = lh__engine_new(
        &(lh__engine_options){
            .device = "cpu", .threads = 1, .dtype = LH_F32, .seed = 42, .detect_anomaly = 1},
        &none);
    lh_tensor *x;

    lh__engine_set_error(strict, &none);
    lh__step_begin(strict, 0, 0);
    x = full(strict, LH_F16, 300, 0, NULL);
    cr_expect_null(call(strict, LH_OP_MUL, TENSORS(x, x), NONE, NONE)); /* 90000 > 65504 */
    cr_expect_eq(none.code, LH_ENAN);
    cr_expect(strstr(none.text, "float16"), "%s", none.text);
    lh__engine_free(strict);
}

Test(dtypes, parameters_are_not_halves) {
    cr_expect_null(lh__param_new(e, "w", LH_BF16, 0, NULL, NULL));
    cr_expect_eq(err.code, LH_EDTYPE);
    err = (lh__error){0};
    cr_expect_not_null(lh__buffer_new(e, "b", LH_BF16, 0, NULL, 1), "%s", err.text);
}
