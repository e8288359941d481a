/* test_attention.c - attention and its gradient agree with the oracle's: lengths around those of
 * blocks, layouts, masks that are shared or hide whole rows, dropout; the oracle's dropout is that
 * of the operator of that name. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "operands.h"

enum { N, HEADS, T, S, D, E, SIZES };
enum { NO_MASK, KEEP, ADDED };

/* What a call is about. */
typedef struct about {
    int64_t size[SIZES];
    int mask;
    int64_t causal, before;
    double p;
    int32_t dtype;
    int layout;
    int64_t side_by_side; /* gradients */
} about;

static lh__view matrix(const about *a, int64_t rows, int64_t columns) {
    return operand(a->dtype, 4, (int64_t[]){a->size[N], a->size[HEADS], rows, columns}, a->layout);
}

static lh__view mask_of(const about *a) {
    int64_t shape[] = {a->size[N], a->size[HEADS], a->size[T], a->size[S]};
    lh__view mask = operand(a->mask == KEEP ? LH_BOOL : a->dtype, 4, shape, a->layout);

    for (int64_t j = 0; a->size[N] && a->size[HEADS] && a->size[T] && j < a->size[S]; j++)
        put(&mask, j, a->mask == KEEP ? 0 : -INFINITY); /* the first row has no key */
    return mask;
}

static void set(trial *t, const about *a, lh__products products) {
    t->call.n_ints = 3, t->call.n_reals = 2;
    t->ints[0] = a->causal, t->ints[1] = a->before, t->ints[2] = a->side_by_side;
    t->reals[0] = 1 / sqrt((double)a->size[D] + 1), t->reals[1] = a->p;
    t->call.ints = t->ints, t->call.reals = t->reals;
    t->call.key = (lh__philox_key){5, 6, 7};
    t->call.products = products;
    /* Weights are rounded before they are normalized, or after. */
    t->ulps = products == LH__PRODUCTS_F32 || a->dtype == LH_F64 ? 8
              : products == LH__PRODUCTS_BF16X3                  ? 40
                                                                 : 4000;
    t->size = 60;
}

/* The call, then its gradient, on the same devices. */
static void check(const about *a, lh__products products) {
    const int64_t *n = a->size, heads = n[N] * n[HEADS];
    int64_t results = heads * n[T] * (n[E] + 1);
    int64_t gradients = heads * (n[T] * n[D] + n[S] * (n[D] + n[E]));
    lh__view q = matrix(a, n[T], n[D]), k = matrix(a, n[S], n[D]), v = matrix(a, n[S], n[E]);
    lh__view g = matrix(a, n[T], n[E]), mask, vector;
    trial t = trial_of(LH__OP_ATTENTION, a->mask ? 4 : 3, a->dtype, 1, &results);
    trial d = trial_of(LH__OP_ATTENTION_GRAD, a->mask ? 6 : 5, a->dtype, 1, &gradients);

    if (a->mask)
        mask = mask_of(a);
    t.in[0] = &q, t.in[1] = &k, t.in[2] = &v, t.in[3] = &mask;
    set(&t, a, products);
    expect_agreement(&t, "attention");
    vector = run_trial(&t, lh__device_ref(), NULL);
    d.in[0] = &g, d.in[1] = &vector;
    d.in[2] = &q, d.in[3] = &k, d.in[4] = &v, d.in[5] = &mask;
    set(&d, a, products);
    expect_agreement(&d, "attention_grad");
}

Test(attention, agrees_on_shapes_layouts_and_masks) {
    static const int64_t sizes[] = {1, 2, 7, 17, 0};

    for (int round = 0; round < 200; round++) {
        about a = {.mask = round % 3,
                   .causal = round / 3 % 2,
                   .before = (int64_t)draw_below(3),
                   .p = round % 5 == 0 ? 0.4 : 0,
                   .dtype = round % 2 ? LH_F32 : LH_F64,
                   .layout = (int)draw_below(LAYOUTS)};

        for (int i = 0; i < SIZES; i++)
            a.size[i] = i < T ? 1 + draw_below(3) : sizes[draw_below(round % 7 ? 4 : 5)];
        if (round % 4 == 0) {
            a.size[S] = a.size[T];
            a.side_by_side = 1;
        }
        check(&a, LH__PRODUCTS_F32);
    }
}

Test(attention, agrees_when_cut_into_blocks) {
    static const about all[] = {
        {{1, 1, 130, 203, 5, 3}, NO_MASK, 0, 2, 0, LH_F32, CONTIGUOUS, 0},
        {{1, 2, 203, 130, 3, 5}, NO_MASK, 1, 1, 0, LH_F32, TRANSPOSED, 0},
        {{1, 1, 70, 190, 4, 4}, NO_MASK, 1, 2, 0, LH_F64, CONTIGUOUS, 0},
        {{3, 3, 65, 129, 4, 17}, KEEP, 0, 1, 0, LH_F32, STEPPED, 0},
        {{3, 3, 129, 65, 17, 4}, ADDED, 1, 0, 0.3, LH_F32, CONTIGUOUS, 0},
        {{1, 3, 66, 67, 2, 2}, KEEP, 1, 2, 0.5, LH_F64, CONTIGUOUS, 0},
        {{2, 4, 64, 64, 33, 16}, NO_MASK, 1, 1, 0.1, LH_F32, CONTIGUOUS, 0},
        {{3, 3, 130, 130, 8, 6}, NO_MASK, 1, 1, 0, LH_F32, CONTIGUOUS, 1},
        {{1, 2, 70, 70, 5, 5}, KEEP, 0, 1, 0.2, LH_F64, CONTIGUOUS, 1},
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check(&all[i], LH__PRODUCTS_F32);
}

Test(attention, agrees_on_rounded_products) {
    for (lh__products p = LH__PRODUCTS_F32; p <= LH__PRODUCTS_BF16X3; p++) {
        about a = {{2, 2, 70, 66, 17, 24}, NO_MASK, 1, 1, 0, LH_F32, CONTIGUOUS, 0};

        check(&a, p);
        a.dtype = LH_F64; /* taken as they are */
        check(&a, p);
    }
}

/* Weights of one key are 1 before dropout. */
Test(attention, drops_what_dropout_drops) {
    int64_t shape[] = {2, 1, 70, 1}, n = 2 * 70, results = 2 * n;
    lh__view q = operand(LH_F32, 4, shape, CONTIGUOUS), ones = operand(LH_F32, 1, &n, CONTIGUOUS);
    lh__view k = operand(LH_F32, 4, (int64_t[]){2, 1, 1, 1}, CONTIGUOUS), v = k, y, dropped;
    trial t = trial_of(LH__OP_ATTENTION, 3, LH_F32, 1, &results);
    trial d = trial_of(LH_OP_DROPOUT, 1, LH_F32, 1, &n);
    const about a = {.size = {2, 1, 70, 1, 1, 1}, .before = 2, .p = 0.25};

    for (int64_t i = 0; i < n; i++)
        put(&ones, i, at(&v, i / 70));
    t.in[0] = &q, t.in[1] = &k, t.in[2] = &v;
    set(&t, &a, LH__PRODUCTS_F32);
    d.in[0] = &ones;
    set(&d, &a, LH__PRODUCTS_F32);
    d.call.n_ints = 0, d.call.n_reals = 1, d.reals[0] = a.p;
    for (int device = 0; device < 2; device++) {
        const lh__device *on = device ? lh__device_cpu() : lh__device_ref();

        y = run_trial(&t, on, NULL);
        dropped = run_trial(&d, on, NULL);
        for (int64_t i = 0; i < n; i++)
            cr_expect_float_eq(at(&y, i), at(&dropped, i), 1e-6);
    }
}
