/* test_meters.c - meters against their definitions on random data; how batches are cut does not
 * matter; what is refused, and with which words.
 */
#include "fixture.h"

TestSuite(meters, .timeout = 20);

enum { N = 60, C = 4 };
static float scores[N * C], values[N];
static int64_t targets[N], labels[N];

/* Scores in 1/8 steps, so that many are equal; every ninth target is -1. */
static void make_data(void) {
    uint64_t seed = 20240607;

    for (int i = 0; i < N; i++) {
        for (int k = 0; k < C; k++)
            scores[i * C + k] = (float)floor(8 * draw(&seed)) / 8;
        values[i] = (float)floor(8 * draw(&seed)) / 8;
        targets[i] = i % 9 ? (int64_t)(draw(&seed) * C) : -1;
        labels[i] = draw(&seed) < 0.4;
    }
}

static array of_classes(void) {
    return (array){scores, LH_F32, 2, {N, C}};
}

static array of_targets(const int64_t *data) {
    return (array){data, LH_I64, 1, {N}};
}

static array of_values(void) {
    return (array){values, LH_F32, 1, {N}};
}

/* ---- definitions ---- */

/* The pairs of a positive and a negative that are in order, by looking at all of them. */
static double pairs_in_order(const float *s, int stride, int64_t positive, const int64_t *y) {
    double right = 0, all = 0;

    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double a = (double)s[i * stride], b = (double)s[j * stride];

            if (y[i] != positive || y[j] == positive || y[j] < 0)
                continue;
            all++;
            right += a > b ? 1 : a == b ? 0.5 : 0;
        }
    return right / all;
}

Test(meters, auroc_counts_pairs) {
    lh_meter *m = METER(.kind = LH_METER_AUROC, .classes = 1);

    make_data();
    feed(m, of_values(), of_targets(labels), N);
    cr_assert_float_eq(number(m), pairs_in_order(values, 1, 1, labels), 1e-15);
    lh__meter_free(m);
}

Test(meters, auroc_of_each_class_against_the_others) {
    lh_meter *m =
        METER(.kind = LH_METER_AUROC, .classes = C, .average = LH_AVERAGE_NONE, .ignore_index = -1);
    const double *areas;

    make_data();
    feed(m, of_classes(), of_targets(targets), 7);
    areas = value_of(m).data;
    for (int k = 0; k < C; k++)
        cr_assert_float_eq(areas[k], pairs_in_order(scores + k, C, k, targets), 1e-15);
    lh__meter_free(m);
}

/* Whoever has k classes before it, by score, then by number, is not among the first k. */
Test(meters, accuracy_of_the_first_k) {
    make_data();
    for (int top = 1; top <= C; top++) {
        lh_meter *m =
            METER(.kind = LH_METER_ACCURACY, .classes = C, .top_k = top, .ignore_index = -1);
        int right = 0, all = 0;

        for (int i = 0; i < N; i++) {
            const float *row = scores + i * C;
            int before = 0;

            if (targets[i] < 0)
                continue;
            for (int k = 0; k < C; k++)
                before += row[k] > row[targets[i]] || (row[k] == row[targets[i]] && k < targets[i]);
            right += before < top;
            all++;
        }
        feed(m, of_classes(), of_targets(targets), 13);
        cr_assert_eq(number(m), (double)right / all, "top %d", top);
        lh__meter_free(m);
    }
}

/* f1 of a class that is all wrong is 0, and one that does not occur is not averaged. */
Test(meters, classes_that_do_not_occur) {
    static const int64_t found[] = {0, 0, 1, 1}, true_ones[] = {0, 0, 1, 0};
    lh_meter *m = METER(.kind = LH_METER_RECALL, .classes = 3, .average = LH_AVERAGE_MACRO);
    array x = {found, LH_I64, 1, {4}}, y = {true_ones, LH_I64, 1, {4}};

    feed(m, x, y, 4);
    cr_assert_float_eq(number(m), (2.0 / 3 + 1) / 2, 1e-15);
    lh__meter_free(m);
}

/* Scores as images: (n, C, 3) and targets (n, 3) are 3n rows. */
Test(meters, classes_along_the_second_axis) {
    lh_meter *rowwise = METER(.kind = LH_METER_CONFUSION, .classes = C, .ignore_index = -1);
    lh_meter *m = METER(.kind = LH_METER_CONFUSION, .classes = C, .ignore_index = -1);
    static float image[N * C];
    array x = {image, LH_F32, 3, {N / 3, C, 3}}, y = {targets, LH_I64, 2, {N / 3, 3}};

    make_data();
    for (int i = 0; i < N / 3; i++)
        for (int k = 0; k < C; k++)
            for (int j = 0; j < 3; j++)
                image[(i * C + k) * 3 + j] = scores[(i * 3 + j) * C + k];
    feed(rowwise, of_classes(), of_targets(targets), N);
    feed(m, x, y, 4);
    cr_assert_eq(memcmp(value_of(m).data, value_of(rowwise).data, C * C * sizeof(int64_t)), 0);
    lh__meter_free(m);
    lh__meter_free(rowwise);
}

/* 2^8 of equal logits over 8 classes: every token is a surprise of 1 in 8. */
Test(meters, perplexity_of_no_idea) {
    static const double logits[5 * 8];
    static const int64_t tokens[] = {0, 3, 7, 7, 1};
    lh_meter *m = METER(.kind = LH_METER_PERPLEXITY);

    feed(m, (array){logits, LH_F64, 2, {5, 8}}, (array){tokens, LH_I64, 1, {5}}, 5);
    cr_assert_float_eq(number(m), 8, 1e-12);
    lh__meter_free(m);
}

/* A large mean does not cost R2 its digits. */
Test(meters, r2_far_from_zero) {
    static double x[100], y[100];
    lh_meter *m = METER(.kind = LH_METER_R2);

    for (int i = 0; i < 100; i++) {
        y[i] = 1e9 + i;
        x[i] = y[i] + (i % 2 ? 1 : -1);
    }
    feed(m, (array){x, LH_F64, 1, {100}}, (array){y, LH_F64, 1, {100}}, 9);
    cr_assert_float_eq(number(m), 1 - 100 / 83325.0, 1e-9); /* (100^3 - 100) / 12 */
    lh__meter_free(m);
}

Test(meters, r2_of_constant_targets) {
    static const double x[] = {0.1, 0.1, 0.2}, y[] = {0.1, 0.1, 0.1};
    lh_meter *m = METER(.kind = LH_METER_R2);

    feed(m, (array){x, LH_F64, 1, {3}}, (array){y, LH_F64, 1, {3}}, 3);
    cr_assert_eq(number(m), 0);
    lh__meter_reset(m);
    feed(m, (array){y, LH_F64, 1, {3}}, (array){y, LH_F64, 1, {3}}, 3);
    cr_assert_eq(number(m), 1);
    lh__meter_free(m);
}

/* ---- state ---- */

static const uint32_t all_kinds[] = {
    LH_METER_MEAN, LH_METER_ACCURACY, LH_METER_PRECISION,  LH_METER_RECALL,
    LH_METER_F1,   LH_METER_AUROC,    LH_METER_CONFUSION,  LH_METER_MSE,
    LH_METER_MAE,  LH_METER_R2,       LH_METER_PERPLEXITY,
};
enum { N_KINDS = sizeof all_kinds / sizeof *all_kinds };

static lh_meter *any_meter(uint32_t kind) {
    int has_classes = kind >= LH_METER_ACCURACY && kind <= LH_METER_CONFUSION;

    return METER(.kind = kind, .classes = has_classes ? C : 0,
                 .average = has_classes ? LH_AVERAGE_MACRO : 0,
                 .ignore_index = has_classes || kind == LH_METER_PERPLEXITY ? -1 : 0);
}

static void feed_any(lh_meter *m, uint32_t kind, int64_t size) {
    static float other[N];
    array x = of_values(), y = {other, LH_F32, 1, {N}};

    for (int i = 0; i < N; i++)
        other[i] = scores[i] * values[N - 1 - i];
    if (kind == LH_METER_MEAN)
        y.data = NULL;
    if ((kind >= LH_METER_ACCURACY && kind <= LH_METER_CONFUSION) || kind == LH_METER_PERPLEXITY) {
        x = of_classes();
        y = of_targets(targets);
    }
    feed(m, x, y, size);
}

/* The same bits, however the rows were cut into batches. */
Test(meters, batches_do_not_matter) {
    make_data();
    for (int i = 0; i < N_KINDS; i++) {
        lh_meter *whole = any_meter(all_kinds[i]), *cut = any_meter(all_kinds[i]);
        lh__meter_part a[LH__METER_PARTS], b[LH__METER_PARTS];

        feed_any(whole, all_kinds[i], N);
        feed_any(cut, all_kinds[i], 7);
        lh__meter_parts(whole, a);
        lh__meter_parts(cut, b);
        cr_assert_eq(((int64_t *)a[0].data)[0], 1);
        ((int64_t *)b[0].data)[0] = 1; /* the number of updates, which does differ */
        for (int p = 0; p < LH__METER_PARTS; p++) {
            cr_assert_eq(a[p].numel, b[p].numel, "kind %u", all_kinds[i]);
            cr_assert(a[p].numel == 0 || memcmp(a[p].data, b[p].data, 8 * (size_t)a[p].numel) == 0,
                      "kind %u: %s", all_kinds[i], a[p].name);
        }
        lh__meter_free(whole);
        lh__meter_free(cut);
    }
}

/* Parts are the whole state: what goes on from a copy ends with the same bits. */
Test(meters, state_can_be_copied) {
    lh__error e = {0};

    make_data();
    for (int i = 0; i < N_KINDS; i++) {
        lh_meter *m = any_meter(all_kinds[i]), *copy = any_meter(all_kinds[i]);
        lh__meter_part a[LH__METER_PARTS], b[LH__METER_PARTS];

        feed_any(m, all_kinds[i], 7);
        lh__meter_parts(m, a);
        cr_assert_eq(lh__meter_resize(copy, a[3].numel, &e), LH_OK);
        lh__meter_parts(copy, b);
        for (int p = 0; p < LH__METER_PARTS; p++)
            if (a[p].numel)
                memcpy(b[p].data, a[p].data, 8 * (size_t)a[p].numel);
        feed_any(m, all_kinds[i], 11);
        feed_any(copy, all_kinds[i], 11);
        cr_assert_eq(memcmp(value_of(m).data, value_of(copy).data, 8), 0, "kind %u", all_kinds[i]);
        lh__meter_free(m);
        lh__meter_free(copy);
    }
}

Test(meters, reset_begins_anew) {
    make_data();
    for (int i = 0; i < N_KINDS; i++) {
        lh_meter *m = any_meter(all_kinds[i]), *fresh = any_meter(all_kinds[i]);

        feed_any(m, all_kinds[i], 7);
        lh__meter_reset(m);
        cr_assert(lh__meter_is_empty(m));
        feed_any(m, all_kinds[i], N);
        feed_any(fresh, all_kinds[i], N);
        cr_assert_eq(memcmp(value_of(m).data, value_of(fresh).data, 8), 0, "kind %u", all_kinds[i]);
        lh__meter_free(m);
        lh__meter_free(fresh);
    }
}

/* ---- what is refused ---- */

static lh__error e;

#define SAYS(code_, text_)                                       \
    do {                                                         \
        cr_assert_eq(e.code, code_, "%d: %s", e.code, e.text);   \
        cr_assert_not_null(strstr(e.text, text_), "%s", e.text); \
        e.code = LH_OK;                                          \
    } while (0)

#define NO_METER(text_, ...)                                                                \
    do {                                                                                    \
        const lh_meter_options o_ = {LH_SIZED(lh_meter_options), .name = "m", __VA_ARGS__}; \
        cr_assert_null(lh__meter_new(&o_, "k", &e));                                        \
        SAYS(LH_EINVAL, text_);                                                             \
    } while (0)

Test(meters, options) {
    NO_METER("no kind of meter", .kind = 99);
    NO_METER("number of classes", .kind = LH_METER_F1);
    NO_METER("top_k is 1 to 3, not 4", .kind = LH_METER_ACCURACY, .classes = 3, .top_k = 4);
    NO_METER("top_k is of accuracy", .kind = LH_METER_F1, .classes = 3, .top_k = 2);
    NO_METER("no micro average", .kind = LH_METER_AUROC, .classes = 3);
    NO_METER("is no average", .kind = LH_METER_F1, .classes = 3, .average = 9);
    NO_METER("ignore_index is negative", .kind = LH_METER_F1, .classes = 3, .ignore_index = 2);
    NO_METER("it knows no classes", .kind = LH_METER_MSE, .classes = 3);
    NO_METER("is a probability", .kind = LH_METER_F1, .classes = 1, .threshold = 2);
    NO_METER("has a .name", .kind = LH_METER_MSE, .name = "");
}

static void update(lh_meter *m, array scores_, array target) {
    lh__view x = rows(scores_, 0, scores_.shape[0]), y = rows(target, 0, target.shape[0]);

    lh__meter_update(m, &x, target.data ? &y : NULL, &e);
    cr_assert(lh__meter_is_empty(m));
}

Test(meters, operands_that_do_not_fit) {
    static const float x[12];
    static const int64_t y[4];
    lh_meter *m = METER(.kind = LH_METER_ACCURACY, .classes = 3);
    lh_meter *mse = METER(.kind = LH_METER_MSE), *mean = METER(.kind = LH_METER_MEAN);

    update(m, (array){x, LH_F32, 2, {3, 4}}, (array){y, LH_I64, 1, {3}});
    SAYS(LH_ESHAPE, "scores are (n, 3), targets (n)");
    update(m, (array){x, LH_F32, 2, {4, 3}}, (array){y, LH_I64, 1, {3}});
    SAYS(LH_ESHAPE, "don't fit together");
    update(m, (array){x, LH_F32, 2, {4, 3}}, (array){x, LH_F32, 1, {4}});
    SAYS(LH_EDTYPE, "targets are class numbers, int64");
    update(m, (array){x, LH_F32, 2, {4, 3}}, (array){0});
    SAYS(LH_EINVAL, "needs a target");
    update(mse, (array){x, LH_F32, 2, {4, 3}}, (array){x, LH_F32, 1, {12}});
    SAYS(LH_ESHAPE, "their shapes are equal");
    update(mean, (array){x, LH_F32, 1, {4}}, (array){x, LH_F32, 1, {4}});
    SAYS(LH_EINVAL, "no target");
    lh__meter_free(m);
    lh__meter_free(mse);
    lh__meter_free(mean);
}

/* Value and place; and what came before the bad element does not count either. */
Test(meters, elements_out_of_range) {
    static float x[12];
    static const int64_t y[] = {0, 1, 3, 2}, ignored[] = {0, -100, 2, 1}, found[] = {0, 1, 1, 7};
    lh_meter *m = METER(.kind = LH_METER_ACCURACY, .classes = 3);
    lh_meter *auroc = METER(.kind = LH_METER_AUROC, .classes = 3, .average = LH_AVERAGE_MACRO,
                            .ignore_index = -100);
    array scores_ = {x, LH_F32, 2, {4, 3}};

    update(m, scores_, (array){y, LH_I64, 1, {4}});
    SAYS(LH_EINVAL, "target[2] is 3: classes are 0 to 2");
    update(m, scores_, (array){ignored, LH_I64, 1, {4}});
    SAYS(LH_EINVAL, "target[1] is -100: classes are 0 to 2, and no ignore_index is set");
    update(m, (array){found, LH_I64, 1, {4}}, (array){found, LH_I64, 1, {4}});
    SAYS(LH_EINVAL, "target[3] is 7");
    update(auroc, (array){ignored, LH_I64, 1, {4}}, (array){ignored, LH_I64, 1, {4}});
    SAYS(LH_EDTYPE, "needs scores");
    x[10] = NAN;
    update(auroc, scores_, (array){ignored, LH_I64, 1, {4}});
    SAYS(LH_ENAN, "a score of class 1, of target[3], is NaN");
    lh__meter_free(m);
    lh__meter_free(auroc);
}

Test(meters, nothing_to_compute) {
    static const double one[] = {1};
    lh_meter *m = METER(.kind = LH_METER_R2);
    lh__meter_value v;

    cr_assert_eq(lh__meter_compute(m, &v, &e), LH_ESTATE);
    SAYS(LH_ESTATE, "lh_meter_update was not called");
    feed(m, (array){one, LH_F64, 1, {1}}, (array){one, LH_F64, 1, {1}}, 1);
    cr_assert_eq(lh__meter_compute(m, &v, &e), LH_ESTATE);
    SAYS(LH_ESTATE, "two elements at least, and got 1");
    lh__meter_free(m);
}
