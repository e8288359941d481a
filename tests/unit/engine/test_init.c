/* test_init.c - initialisers against torch.nn.init's definitions: bounds, moments, orthogonality.
 *
 * Moments of n numbers are compared within 5 standard errors.
 */
#include "fixture.h"

enum { OUT = 128, IN = 64, FIELD = 3, N = OUT * IN * FIELD };
static const int64_t shape[] = {OUT, IN, FIELD};
static double x[N];

/* x as a tensor. */
static lh__view tensor(int32_t ndim, const int64_t *extents) {
    lh__view v = {.data = x, .dtype = LH_F64, .ndim = ndim};

    for (int64_t d = ndim - 1, n = 1; d >= 0; n *= extents[d--])
        v.shape[d] = extents[d], v.stride[d] = n;
    return v;
}

static void fill(lh_init init, int32_t ndim, const int64_t *extents, uint64_t stream) {
    const lh__view to = tensor(ndim, extents);
    lh__error err = {0};

    cr_assert_eq(
        lh__init_fill(&init, (lh__philox_key){1, 3, stream}, &to, lh__device_cpu(), NULL, &err),
        LH_OK, "%s", err.text);
}

typedef struct moments {
    double mean, var, min, max;
} moments;

static moments measure(int64_t n) {
    moments m = {0, 0, INFINITY, -INFINITY};

    for (int64_t i = 0; i < n; i++)
        m.mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        m.var += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
        m.min = fmin(m.min, x[i]);
        m.max = fmax(m.max, x[i]);
    }
    return m;
}

static void expect_uniform(double lo, double hi) {
    moments m = measure(N);
    double var = (hi - lo) * (hi - lo) / 12;

    cr_expect(m.min >= lo && m.max < hi, "[%g, %g) holds [%g, %g]", lo, hi, m.min, m.max);
    cr_expect(m.min < lo + 1e-3 * (hi - lo) && m.max > hi - 1e-3 * (hi - lo));
    cr_expect_float_eq(m.mean, (lo + hi) / 2, 5 * sqrt(var / N));
    cr_expect_float_eq(m.var, var, 5 * var * sqrt(0.8 / N)); /* kurtosis 9/5 */
}

static void expect_normal(double mean, double std) {
    moments m = measure(N);

    cr_expect_float_eq(m.mean, mean, 5 * std / sqrt(N));
    cr_expect_float_eq(m.var, std * std, 5 * std * std * sqrt(2.0 / N));
    cr_expect_gt(m.max, mean + 3 * std);
}

Test(init, uniform_and_normal) {
    fill((lh_init){.kind = LH_INIT_UNIFORM, .a = -3, .b = 5}, 3, shape, 1);
    expect_uniform(-3, 5);
    fill((lh_init){.kind = LH_INIT_NORMAL, .a = 2, .b = 0.5}, 3, shape, 2);
    expect_normal(2, 0.5);
    fill((lh_init){.kind = LH_INIT_CONSTANT, .a = 7}, 3, shape, 2);
    cr_expect(x[0] == 7 && x[N - 1] == 7);
}

Test(init, xavier) {
    double fans = (IN + OUT) * FIELD;

    fill((lh_init){.kind = LH_INIT_XAVIER_UNIFORM, .a = 2}, 3, shape, 3);
    expect_uniform(-2 * sqrt(6 / fans), 2 * sqrt(6 / fans));
    fill((lh_init){.kind = LH_INIT_XAVIER_NORMAL, .a = 1}, 3, shape, 4);
    expect_normal(0, sqrt(2 / fans));
}

Test(init, kaiming) {
    double in = IN * FIELD, out = OUT * FIELD;

    /* nn.Linear's default: a = sqrt(5) gives U(-1/sqrt(in), 1/sqrt(in)). */
    fill((lh_init){.kind = LH_INIT_KAIMING_UNIFORM, .a = sqrt(5)}, 3, shape, 5);
    expect_uniform(-1 / sqrt(in), 1 / sqrt(in));
    fill((lh_init){.kind = LH_INIT_KAIMING_UNIFORM,
                   .mode = LH_FAN_OUT,
                   .nonlinearity = LH_TANH_GAIN},
         3, shape, 6);
    expect_uniform(-5.0 / 3 * sqrt(3 / out), 5.0 / 3 * sqrt(3 / out));
    fill((lh_init){.kind = LH_INIT_KAIMING_NORMAL, .nonlinearity = LH_RELU_GAIN}, 3, shape, 7);
    expect_normal(0, sqrt(2 / in));
    fill((lh_init){.kind = LH_INIT_KAIMING_NORMAL, .nonlinearity = LH_LINEAR_GAIN}, 3, shape, 8);
    expect_normal(0, sqrt(1 / in));
}

/* Of N(0, 1) cut to [-2, 2]: variance 1 - 4 phi(2) / (2 Phi(2) - 1), phi the density. */
Test(init, trunc_normal) {
    double density = exp(-2) / sqrt(2 * acos(-1)), mass = erf(sqrt(2));
    double var = 1 - 4 * density / mass;
    moments m;

    fill((lh_init){.kind = LH_INIT_TRUNC_NORMAL, .a = 0, .b = 1}, 3, shape, 9);
    m = measure(N);
    cr_expect(m.min >= -2 && m.max <= 2 && m.min < -1.99 && m.max > 1.99);
    cr_expect_float_eq(m.mean, 0, 5 * sqrt(var / N));
    cr_expect_float_eq(m.var, var, 5 * var * sqrt(2.0 / N));
    /* One-sided, in the tail: the mean of N(0, 1) beyond 1 is phi(1) / (1 - Phi(1)). */
    fill((lh_init){.kind = LH_INIT_TRUNC_NORMAL, .a = 0, .b = 1, .lo = 1, .hi = 30}, 3, shape, 10);
    m = measure(N);
    cr_expect(m.min >= 1);
    cr_expect_float_eq(m.mean, exp(-0.5) / sqrt(2 * acos(-1)) / (0.5 * erfc(M_SQRT1_2)),
                       5 * 0.5 / sqrt(N));
}

Test(init, fan_uniform) {
    const double bound = 1 / sqrt(784);
    moments m;

    fill((lh_init){.kind = LH_INIT_FAN_UNIFORM, .a = 784}, 3, shape, 12);
    m = measure(N);
    cr_expect(m.min >= -bound && m.max <= bound && m.max > 0.999 * bound);
    cr_expect_float_eq(m.var, bound * bound / 3, 5 * bound * bound / 3 * sqrt(2.0 / N));
}

static void expect_orthogonal(int64_t rows, int64_t columns, double gain) {
    int64_t extents[] = {rows, columns};

    fill((lh_init){.kind = LH_INIT_ORTHOGONAL, .a = gain}, 2, extents, 11);
    for (int64_t i = 0; i < fmin(rows, columns); i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = 0;

            for (int64_t k = 0; k < fmax(rows, columns); k++)
                sum += rows < columns ? x[i * columns + k] * x[j * columns + k]
                                      : x[k * columns + i] * x[k * columns + j];
            cr_expect_float_eq(sum, i == j ? gain * gain : 0, 1e-12);
        }
}

Test(init, orthogonal) {
    expect_orthogonal(17, 17, 1);
    expect_orthogonal(7, 64, 3);
    expect_orthogonal(64, 7, 0.5);
    expect_orthogonal(1, 1, 1);
}

Test(init, eye) {
    fill((lh_init){.kind = LH_INIT_EYE}, 2, (int64_t[]){3, 5}, 1);
    for (int i = 0; i < 15; i++)
        cr_expect_eq(x[i], i / 5 == i % 5);
}

/* The value of the first element of a parameter declared after `others` more. */
static float first_of(const char *name, uint64_t seed, int others) {
    lh__error err = {0};
    lh__engine *e = lh__engine_new(
        &(lh__engine_options){.device = "ref", .threads = 1, .dtype = LH_F32, .seed = seed}, &err);
    lh_init init = {.kind = LH_INIT_NORMAL, .b = 1};
    int64_t n = 4;
    float value;

    for (int i = 0; i < others; i++)
        lh__param_new(e, i ? "other" : "another", 0, 1, &n, &init);
    value = *(float *)lh__param_new(e, name, 0, 1, &n, &init)->view.data;
    lh__engine_free(e);
    return value;
}

Test(init, depends_on_seed_and_name_alone) {
    cr_expect_eq(first_of("w", 42, 0), first_of("w", 42, 2));
    cr_expect_neq(first_of("w", 42, 0), first_of("w", 43, 0));
    cr_expect_neq(first_of("w", 42, 0), first_of("v", 42, 0));
}

Test(init, what_cannot_be_filled) {
    lh__error err = {0};
    const lh__view to = tensor(3, shape);
    const lh_init bad[] = {{.kind = LH_INIT_UNIFORM, .a = 1, .b = 0},
                           {.kind = LH_INIT_NORMAL, .b = -1},
                           {.kind = LH_INIT_TRUNC_NORMAL, .b = 0},
                           {.kind = LH_INIT_KAIMING_UNIFORM, .nonlinearity = 9},
                           {.kind = LH_INIT_FAN_UNIFORM, .a = 0},
                           {.kind = LH_INIT_EYE}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (lh__error){0};
        cr_expect_lt(lh__init_fill(&bad[i], (lh__philox_key){0}, &to, lh__device_cpu(), NULL, &err),
                     0);
        cr_expect_neq(err.text[0], 0);
    }
}

/* Devices and threads change no bit. */
Test(init, is_the_same_everywhere) {
    static const lh_init kinds[] = {{.kind = LH_INIT_UNIFORM, .a = -1, .b = 2},
                                    {.kind = LH_INIT_NORMAL, .a = 1, .b = 2}};
    static double oracle[N];
    const lh__view to = tensor(3, shape);
    lh__pool *pool = lh__pool_new(3);
    lh__error err = {0};

    for (int k = 0; k < 2; k++) {
        cr_assert_eq(
            lh__init_fill(&kinds[k], (lh__philox_key){1, 3, 5}, &to, lh__device_ref(), NULL, &err),
            LH_OK);
        memcpy(oracle, x, sizeof x);
        memset(x, 0, sizeof x);
        cr_assert_eq(
            lh__init_fill(&kinds[k], (lh__philox_key){1, 3, 5}, &to, lh__device_cpu(), pool, &err),
            LH_OK);
        cr_assert_arr_eq(oracle, x, sizeof x);
    }
    lh__pool_free(pool);
}
