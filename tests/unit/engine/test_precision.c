/* test_precision.c - the operands of products are rounded as the engine's products say, and those
 * alone.
 *
 * Every element of a product is 8 a b; numbers are chosen so that all sums are exact in float32,
 * and that what is left of a and b by rounding can be seen.
 */
#include "fixture.h"

enum { TERMS = 8 };

static lh__engine *rounding(const char *device, lh__products products, int32_t deferred) {
    lh__error err = {0};
    lh__engine *e = lh__engine_new(&(lh__engine_options){.device = device,
                                                         .threads = 1,
                                                         .dtype = LH_F32,
                                                         .deferred = deferred,
                                                         .products = products},
                                   &err);

    cr_assert_not_null(e, "%s", err.text);
    lh__step_begin(e, LH__PHASE_TRAIN, 0);
    return e;
}

/* (rows, columns) of which the first TERMS columns, or rows, hold `value`, and the rest 0. */
static lh_tensor *operand(lh__engine *e, int64_t rows, int64_t columns, bool by_rows, float value) {
    static float x[64 * 64];

    for (int64_t i = 0; i < rows * columns; i++)
        x[i] = (by_rows ? i / columns : i % columns) < TERMS ? value : 0;
    return lh__tensor_new(e, LH_F32, 2, (int64_t[]){rows, columns}, x);
}

static void check(const char *device, lh__products products, double a, double b, double expected) {
    static const int64_t sizes[][3] = {{1, 8, 1},    {3, 17, 5},   {7, 16, 64},
                                       {33, 32, 15}, {40, 64, 33}, {64, 64, 64}};
    static double y[64 * 64];

    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const int64_t *s = sizes[i / 2];
        lh__engine *e = rounding(device, products, (int32_t)i % 2);
        lh_tensor *x = operand(e, s[0], s[1], false, (float)a),
                  *w = operand(e, s[1], s[2], true, (float)b), *product, *sum;

        product = call(e, LH_OP_MATMUL, TENSORS(x, w), NONE, NONE);
        cr_assert_eq(values(e, product, y, 64 * 64), s[0] * s[2]);
        for (int64_t k = 0; k < s[0] * s[2]; k++)
            cr_assert_eq(y[k], TERMS * expected, "%s, products %d, %ld x %ld x %ld: %.9g, not %.9g",
                         device, (int)products, (long)s[0], (long)s[1], (long)s[2], y[k],
                         TERMS * expected);
        /* All else is float32. */
        sum = call(e, LH_OP_ADD_SCALAR, TENSORS(x), NONE, REALS(1));
        values(e, sum, y, 64 * 64);
        cr_assert_eq(y[0], a + 1);
        lh__engine_free(e);
    }
}

Test(precision, operands_of_products_are_rounded) {
    static const char *const devices[] = {"cpu", "ref"};
    const double a = 1 + 0x1p-10, square = 1 + 0x1p-9 + 0x1p-20; /* of a */
    const double c = 1 + 0x1p-13;

    for (size_t d = 0; d < 2; d++) {
        check(devices[d], LH__PRODUCTS_F32, a, a, square);
        check(devices[d], LH__PRODUCTS_F32, c, 1, c);
        /* 8 bits */
        check(devices[d], LH__PRODUCTS_BF16, a, a, 1);
        check(devices[d], LH__PRODUCTS_BF16, c, 1, 1);
        check(devices[d], LH__PRODUCTS_BF16, 1 + 0x1p-7, 1, 1 + 0x1p-7);
        /* to even: of two equally near */
        check(devices[d], LH__PRODUCTS_BF16, 1 + 0x1p-8, 1, 1);
        check(devices[d], LH__PRODUCTS_BF16, 1 + 3 * 0x1p-8, 1, 1 + 0x1p-6);
        /* 11 bits */
        check(devices[d], LH__PRODUCTS_F16, a, a, square);
        check(devices[d], LH__PRODUCTS_F16, c, 1, 1);
        /* two times 8 bits, without the product of the second ones */
        check(devices[d], LH__PRODUCTS_BF16X3, a, a, 1 + 0x1p-9);
        check(devices[d], LH__PRODUCTS_BF16X3, c, 1, c);
    }
}
