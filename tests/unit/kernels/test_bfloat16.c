/* test_bfloat16.c - every unit for bfloat16 that this machine has multiplies as the definition
 * says: sizes with and without rests, every order of the operands, numbers in one part and in two.
 */
#define LH__ISA v4
#include "kernels/cpu/bfloat16.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "operands.h"

/* Strides of rows by columns: contiguous or transposed. */
typedef struct layout {
    int64_t row, column;
} layout;

static layout layout_of(int64_t rows, int64_t columns) {
    return draw_below(2) ? (layout){columns, 1} : (layout){1, rows};
}

static float *random_floats(int64_t n) {
    float *x = malloc((size_t)n * sizeof *x);

    cr_assert(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)draw_real(-3, 3);
    return x;
}

/* Element (i, j) as it should be; *size: of its summands together. */
static double expected(const lh__gemm *g, int64_t i, int64_t j, double before, double *size) {
    double sum = g->adds ? before : 0;

    *size = fabs(sum);
    for (int64_t k = 0; k < g->k; k++) {
        double x = ((const float *)g->a)[i * g->a_row + k * g->a_column];
        double y = ((const float *)g->b)[k * g->b_row + j * g->b_column];
        double product = lh__rounded_product(g->products, x, y);

        sum += product;
        *size += fabs(product);
    }
    return sum;
}

static void multiply(const lh__bf16_unit *unit, const lh__gemm *g) {
    lh__bf16_product p = lh__bf16_product_of(g);

    p.unit = unit;
    p.laid = aligned_alloc(64, lh__bf16_room(&p));
    cr_assert(p.laid);
    for (int64_t i = 0; i < p.row_strips + p.column_strips; i++)
        lh__bf16_lay_out(&p, i);
    lh__bf16_multiply(&p, 0, p.row_strips, 0, p.column_strips);
    free(p.laid);
}

static void check(const lh__bf16_unit *unit, int64_t m, int64_t n, int64_t k, lh__products products,
                  bool adds) {
    const layout a = layout_of(m, k), b = layout_of(k, n);
    float *x = random_floats(m * k), *y = random_floats(k * n), *before = random_floats(m * n);
    float *c = malloc((size_t)(m * n) * sizeof *c);
    const lh__gemm g = {.m = m,
                        .n = n,
                        .k = k,
                        .a = x,
                        .b = y,
                        .c = c,
                        .adds = adds,
                        .a_row = a.row,
                        .a_column = a.column,
                        .b_row = b.row,
                        .b_column = b.column,
                        .c_row = n,
                        .products = products};

    cr_assert(c);
    memcpy(c, before, (size_t)(m * n) * sizeof *c);
    multiply(unit, &g);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double size, want = expected(&g, i, j, before[i * n + j], &size);

            cr_assert_leq(fabs(c[i * n + j] - want), 0x1p-22 * size,
                          "%s, %ld x %ld x %ld, [%ld][%ld]: %.9g, not %.9g", unit->name, (long)m,
                          (long)n, (long)k, (long)i, (long)j, c[i * n + j], want);
        }
    free(x), free(y), free(before), free(c);
}

Test(bfloat16, units_agree_with_the_definition) {
    static const int64_t sizes[] = {1, 15, 16, 31, 32, 33, 70};
    static const lh__products products[] = {LH__PRODUCTS_BF16, LH__PRODUCTS_BF16X3};
    const lh__bf16_unit *units[2];
    const int n = lh__bf16_units(units);

    if (n == 0)
        cr_skip_test("this machine has no unit for bfloat16");
    for (int round = 0; round < 200; round++)
        check(units[round % n], sizes[draw_below(7)], sizes[draw_below(7)], sizes[draw_below(7)],
              products[round / n % 2], draw_below(2));
    for (int i = 0; i < n; i++)
        for (int adds = 0; adds < 2; adds++)
            check(units[i], 33, 40, 1040, LH__PRODUCTS_BF16, adds);
}
