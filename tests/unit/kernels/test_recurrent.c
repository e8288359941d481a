/* test_recurrent.c - recurrent layers and their walks back agree with the oracle: few and many
 * rows, units that do not fill a panel, one step and several, on any number of threads. */
#include <criterion/criterion.h>
#include <math.h>

#include "operands.h"

typedef struct cell {
    uint32_t op, grad;
    int64_t gates, width, units; /* as kernel.h has them, in slots of hidden */
} cell;

static const cell cells[] = {{LH_OP_RNN, LH__OP_RNN_GRAD, 1, 1, 1},
                             {LH_OP_LSTM, LH__OP_LSTM_GRAD, 4, 6, 5},
                             {LH_OP_GRU, LH__OP_GRU_GRAD, 3, 5, 7}};

static const int32_t dtypes[] = {LH_F32, LH_F64};

/* Random elements within [lo, hi]. */
static lh__view between(double lo, double hi, int32_t dtype, int32_t ndim, const int64_t *shape,
                        int layout) {
    lh__view v = operand(dtype, ndim, shape, layout);

    for (int64_t i = 0; layout == CONTIGUOUS && i < lh__view_numel(&v); i++)
        put(&v, i, lo + (at(&v, i) + 3) / 6 * (hi - lo));
    return v;
}

/* An operand that differs in its last place from the oracle's may be rounded to a neighbour. */
static double allowed_ulps(lh__products products, int64_t t) {
    return products == LH__PRODUCTS_BF16  ? t == 1 ? 32 : 0x1p14
           : products == LH__PRODUCTS_F16 ? t == 1 ? 32 : 0x1p11
           : products == LH__PRODUCTS_F32 ? 32
                                          : 64;
}

/* Weights such that sums over hidden units stay small, whose errors later steps do not blow up. */
static void check(const cell *c, int32_t dtype, lh__products products, int64_t t, int64_t n,
                  int64_t hidden, int layout) {
    const int64_t x_shape[] = {t, n, c->gates * hidden}, y_shape[] = {t, n, c->width * hidden};
    const int64_t d_shape[] = {t, n, c->units * hidden}, state[] = {n, hidden};
    const int64_t weight[] = {c->gates * hidden, hidden};
    const double bound = 1 / sqrt((double)hidden + 1);
    const bool is_lstm = c->op == LH_OP_LSTM, is_rnn = c->op == LH_OP_RNN;
    const int64_t h_shape[] = {t, n, hidden};
    lh__view x = between(-3, 3, dtype, 3, x_shape, layout), y, g;
    lh__view h = between(-1, 1, dtype, 2, state, CONTIGUOUS);
    lh__view s = between(-1, 1, dtype, 2, state, CONTIGUOUS);
    lh__view w = between(-bound, bound, dtype, 2, weight, CONTIGUOUS);
    lh__view b = between(-1, 1, dtype, 1, weight, CONTIGUOUS);
    trial there = trial_of(c->op, is_lstm ? 5 : 4, dtype, 3, y_shape);
    trial back = trial_of(c->grad, is_rnn ? 3 : 4, dtype, 3, d_shape);
    const lh__view *states[] = {&h, &s};

    there.in[0] = &x, there.in[1] = states[0];
    if (is_lstm)
        there.in[2] = states[1];
    there.in[there.call.n_in - 2] = &w, there.in[there.call.n_in - 1] = &b;
    there.call.n_ints = back.call.n_ints = is_rnn;
    there.ints[0] = back.ints[0] = draw_below(2);
    there.call.products = back.call.products = products;
    there.ulps = back.ulps = dtype == LH_F32 ? allowed_ulps(products, t) : 32;
    there.size = back.size = 4;
    expect_agreement(&there, "forwards");
    if (t == 0 || n == 0)
        return;
    y = run_trial(&there, lh__device_ref(), NULL);
    g = between(-1, 1, dtype, 3, draw_below(2) ? y_shape : h_shape, CONTIGUOUS);
    back.in[0] = &g, back.in[1] = &y;
    back.in[2] = is_lstm ? states[1] : states[0];
    back.in[back.call.n_in - 1] = &w;
    expect_agreement(&back, "back");
}

Test(recurrent, agrees_on_shapes) {
    static const int64_t steps[] = {1, 2, 3, 4, 6}, sizes[] = {1, 2, 7, 17, 33};

    for (int round = 0; round < 120; round++)
        check(&cells[round % 3], dtypes[round / 3 % 2], LH__PRODUCTS_F32, steps[draw_below(5)],
              sizes[draw_below(5)], sizes[draw_below(5)], round % 10 ? CONTIGUOUS : STEPPED);
}

/* Weights of 1 + 2^-9, which is 1 in bfloat16, that pass each unit's whole number on to the next:
 * every number is exact, in every step, and others than the rounded sums are wrong. */
Test(recurrent, every_step_rounds_its_operands) {
    enum { STEPS = 5, ROWS = 20, HIDDEN = 40 };
    const int64_t x_shape[] = {STEPS, ROWS, HIDDEN}, state[] = {ROWS, HIDDEN};
    const int64_t weight[] = {HIDDEN, HIDDEN};
    lh__view x = operand(LH_F32, 3, x_shape, CONTIGUOUS), h = operand(LH_F32, 2, state, CONTIGUOUS);
    lh__view w = operand(LH_F32, 2, weight, CONTIGUOUS), b = operand(LH_F32, 1, weight, CONTIGUOUS);
    trial t = trial_of(LH_OP_RNN, 4, LH_F32, 3, x_shape);
    lh__view y;

    for (int64_t i = 0; i < lh__view_numel(&x); i++)
        put(&x, i, (double)draw_below(3));
    for (int64_t i = 0; i < lh__view_numel(&h); i++)
        put(&h, i, (double)draw_below(3));
    for (int64_t i = 0; i < HIDDEN * HIDDEN; i++)
        put(&w, i, i % HIDDEN == (i / HIDDEN + 1) % HIDDEN ? 1 + 0x1p-9 : 0);
    for (int64_t i = 0; i < HIDDEN; i++)
        put(&b, i, 0);
    t.in[0] = &x, t.in[1] = &h, t.in[2] = &w, t.in[3] = &b;
    t.call.n_ints = 1, t.ints[0] = 1; /* relu */
    t.call.products = LH__PRODUCTS_BF16;
    expect_agreement(&t, "whole numbers");
    y = run_trial(&t, lh__device_ref(), NULL);
    for (int64_t i = 0; i < lh__view_numel(&y); i++)
        cr_assert_eq(at(&y, i), floor(at(&y, i)));
}

/* Products of every kind; blocks of 16, 32 and more rows. */
Test(recurrent, agrees_on_rounded_products) {
    static const lh__products products[] = {LH__PRODUCTS_BF16, LH__PRODUCTS_F16,
                                            LH__PRODUCTS_BF16X3};
    static const int64_t steps[] = {1, 2, 3, 5}, rows[] = {1, 7, 16, 17, 32, 40, 70};
    static const int64_t sizes[] = {1, 2, 17, 32, 33, 64, 70};

    for (int round = 0; round < 120; round++)
        check(&cells[round % 3], dtypes[round % 20 == 19], products[round / 3 % 4 % 3],
              steps[draw_below(4)], rows[draw_below(7)], sizes[draw_below(7)], CONTIGUOUS);
}

/* Large enough to be cut: into blocks of rows, and into panels of each step where rows are few. */
Test(recurrent, agrees_where_threads_share) {
    for (int i = 0; i < 3; i++)
        for (int d = 0; d < 2; d++) {
            check(&cells[i], dtypes[d], LH__PRODUCTS_F32, 5, 40, 70, CONTIGUOUS);
            check(&cells[i], dtypes[d], LH__PRODUCTS_F32, 4, 5, i == 0 ? 330 : 190, CONTIGUOUS);
        }
}

/* The same; and weights that are too large for small blocks, more summands than fit the cache. */
Test(recurrent, agrees_where_threads_share_rounded_products) {
    for (int i = 0; i < 3; i++) {
        check(&cells[i], LH_F32, LH__PRODUCTS_BF16, 3, 40, 140, CONTIGUOUS);
        check(&cells[i], LH_F32, LH__PRODUCTS_BF16, 3, 5, i == 0 ? 420 : 240, CONTIGUOUS);
    }
    check(&cells[0], LH_F32, LH__PRODUCTS_BF16, 2, 70, 740, CONTIGUOUS);
}

Test(recurrent, nothing_to_do) {
    for (int i = 0; i < 3; i++) {
        check(&cells[i], LH_F32, LH__PRODUCTS_F32, 4, 0, 7, CONTIGUOUS);
        check(&cells[i], LH_F32, LH__PRODUCTS_F32, 4, 3, 0, CONTIGUOUS);
    }
}
