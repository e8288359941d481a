/* test_random.c - random operators: a function of seed, phase, step and ordinal, of nothing else.
 */
#include "fixture.h"

enum { N = 1000 };

static void draw(const char *device, uint64_t seed, int32_t phase, uint64_t step, int32_t before,
                 double *out) {
    lh__error err = {0};
    lh__engine *e = lh__engine_new(&(lh__engine_options){device, 2, LH_F32, seed, 0}, &err);

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
