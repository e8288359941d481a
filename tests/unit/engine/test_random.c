/* test_random.c - random operators: a function of seed, phase, step and ordinal, of nothing else.
 */
#include "fixture.h"

enum { N = 1000 };

static void draw(const char *device, uint64_t seed, int32_t phase, uint64_t step, int32_t before,
                 double *out) {
    lh__error err = {0};
    lh__engine *e = lh__engine_new(
        &(lh__engine_options){.device = device, .threads = 2, .dtype = LH_F32, .seed = seed}, &err);

    lh__step_begin(e, phase, step);
    for (int32_t i = 0; i < before; i++)
        call(e, LH_OP_UNIFORM, NONE, INTS(LH_F32, 3), REALS(0, 1));
    /* An operator that isn't random counts for nothing. */
    full(e, LH_F32, 1, 0, NULL);
    values(e, call(e, LH_OP_UNIFORM, NONE, INTS(LH_F32, N), REALS(0, 1)), out, N);
    lh__engine_free(e);
}

static void expect_equal(const double *a, const double *b, int equal) {
    int64_t same = 0;

    for (int64_t i = 0; i < N; i++)
        same += a[i] == b[i];
    cr_expect(equal ? same == N : same < 5, "%lld of %d numbers are the same", (long long)same, N);
}

Test(random, depends_on_its_key_alone) {
    static double a[N], b[N];

    draw("ref", 1, LH__PHASE_TRAIN, 7, 0, a);
    draw("ref", 1, LH__PHASE_TRAIN, 7, 0, b);
    expect_equal(a, b, 1);
    draw("cpu", 1, LH__PHASE_TRAIN, 7, 0, b);
    expect_equal(a, b, 1);
    draw("ref", 2, LH__PHASE_TRAIN, 7, 0, b);
    expect_equal(a, b, 0);
    draw("ref", 1, LH__PHASE_EVAL, 7, 0, b);
    expect_equal(a, b, 0);
    draw("ref", 1, LH__PHASE_TRAIN, 8, 0, b);
    expect_equal(a, b, 0);
    draw("ref", 1, LH__PHASE_TRAIN, 7, 1, b);
    expect_equal(a, b, 0);
}

/* Element i is Philox of the key (seed, phase and ordinal, step): what makes a run resumable. */
Test(random, key_as_documented) {
    static double a[N];
    lh__philox_key key = {9, (uint64_t)LH__PHASE_EVAL << 32 | 2, 5};

    draw("ref", 9, LH__PHASE_EVAL, 5, 2, a);
    for (uint64_t i = 0; i < N; i++)
        cr_assert_eq(a[i], lh__philox_uniform(key, i));
}

/* Bounds of 5 standard errors. */
Test(random, bernoulli_and_dropout_keep_their_share) {
    enum { MANY = 20000 };
    static double v[MANY];
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *p = full(e, LH_F32, 0.3, 1, (int64_t[]){MANY});
    double share = 0, kept = 0;

    values(e, call(e, LH_OP_BERNOULLI, TENSORS(p), NONE, NONE), v, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert(v[i] == 0 || v[i] == 1);
        share += v[i] / MANY;
    }
    cr_expect_float_eq(share, 0.3, 5 * sqrt(0.21 / MANY));
    values(e, call(e, LH_OP_DROPOUT, TENSORS(p), NONE, REALS(0.6)), v, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert(v[i] == 0 || fabs(v[i] - 0.3 / 0.4) < 1e-6);
        kept += v[i] != 0 ? 1.0 / MANY : 0;
    }
    cr_expect_float_eq(kept, 0.4, 5 * sqrt(0.24 / MANY));
    values(e, call(e, LH_OP_DROPOUT, TENSORS(p), NONE, REALS(1.0)), v, MANY);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(v[i], 0);
    lh__engine_free(e);
}

Test(random, randint) {
    enum { MANY = 20000 };
    static double v[MANY], w[MANY];
    double share[5] = {0};

    for (int threads = 1; threads <= 2; threads++) {
        lh__engine *e = new_engine(threads == 1 ? "ref" : "cpu", LH_F32, threads);
        lh_tensor *t = call(e, LH_OP_RANDINT, NONE, INTS(-2, 3, 4, MANY / 4), NONE);

        cr_assert_eq(t->view.dtype, LH_I64);
        cr_assert_eq(t->view.ndim, 2);
        values(e, t, threads == 1 ? v : w, MANY);
        t = call(e, LH_OP_RANDINT, NONE, INTS(INT64_MAX - 1, INT64_MAX), NONE);
        cr_assert_eq(*(int64_t *)t->view.data, INT64_MAX - 1);
        lh__engine_free(e);
    }
    for (int i = 0; i < MANY; i++) {
        cr_assert(v[i] >= -2 && v[i] <= 2 && v[i] == floor(v[i]));
        cr_assert_eq(v[i], w[i]);
        share[(int)v[i] + 2] += 1.0 / MANY;
    }
    for (int k = 0; k < 5; k++)
        cr_expect_float_eq(share[k], 0.2, 5 * sqrt(0.16 / MANY));
}

/* Two rows of weights, in shares of their sums; what has none is never drawn. */
Test(random, multinomial_draws_in_proportion) {
    enum { DRAWS = 20000, CLASSES = 5 };
    static double v[2 * DRAWS], w[2 * DRAWS];
    const double weights[2][CLASSES] = {{0, 3, 0, 1, 0}, {0.1, 0.2, 0.3, 0.4, 0}};
    double share[2][CLASSES] = {{0}};

    for (int threads = 1; threads <= 2; threads++) {
        lh__engine *e = new_engine(threads == 1 ? "ref" : "cpu", LH_F32, threads);
        lh_tensor *t = lh__tensor_new(e, LH_F64, 2, (int64_t[]){2, CLASSES}, weights);

        t = call(e, LH_OP_MULTINOMIAL, TENSORS(t), INTS(DRAWS), NONE);
        cr_assert_eq(values(e, t, threads == 1 ? v : w, 2 * DRAWS), 2 * DRAWS);
        lh__engine_free(e);
    }
    for (int i = 0; i < 2 * DRAWS; i++) {
        cr_assert_eq(v[i], w[i]);
        share[i / DRAWS][(int)v[i]] += 1.0 / DRAWS;
    }
    for (int r = 0; r < 2; r++)
        for (int k = 0; k < CLASSES; k++) {
            double p = weights[r][k] / (r == 0 ? 4 : 1);

            cr_expect(p > 0 || share[r][k] == 0);
            cr_expect_float_eq(share[r][k], p, 5 * sqrt(p * (1 - p) / DRAWS) + 1e-12);
        }
}

/* Of many classes only every third has a weight: its number. */
Test(random, multinomial_of_many_classes) {
    enum { DRAWS = 20000, CLASSES = 3000 };
    static double weights[CLASSES], v[DRAWS];
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    const int64_t n = CLASSES;
    double mean = 0, expected = 0, square = 0, total = 0;
    lh_tensor *t;

    for (int k = 0; k < CLASSES; k += 3) {
        weights[k] = k;
        total += weights[k], expected += weights[k] * k, square += weights[k] * k * k;
    }
    expected /= total;
    t = lh__tensor_new(e, LH_F64, 1, &n, weights);
    values(e, call(e, LH_OP_MULTINOMIAL, TENSORS(t), INTS(DRAWS), NONE), v, DRAWS);
    for (int i = 0; i < DRAWS; i++) {
        cr_assert(v[i] > 0 && (int)v[i] % 3 == 0);
        mean += v[i] / DRAWS;
    }
    cr_expect_float_eq(mean, expected, 5 * sqrt((square / total - expected * expected) / DRAWS));
    lh__engine_free(e);
}
