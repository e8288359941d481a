/* test_convolution.c - convolution, its transpose and their second derivatives against sums written
 * out, on every device; what is refused.
 */
#include "fixture.h"
#include "kernels/view.h"

static lh__error err;

static lh__engine *engine(const char *device, int32_t dtype) {
    lh__engine *e = new_engine(device, dtype, 2);

    err = (lh__error){0};
    lh__engine_set_error(e, &err);
    return e;
}

/* Small multiples of 1/8, so that sums are exact in F32. */
static lh_tensor *eighths(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape,
                          int64_t seed) {
    static double data[1 << 16];
    int64_t n = 1;
    lh_tensor *t;

    for (int32_t d = 0; d < ndim; d++)
        n *= shape[d];
    cr_assert_leq(n, 1 << 16);
    for (int64_t i = 0; i < n; i++)
        data[i] = (double)((i * 7919 + seed * 104729) % 17 - 8) / 8.0;
    t = lh__tensor_new(e, LH_F64, ndim, shape, data);
    return call(e, LH_OP_CAST, TENSORS(t), INTS(dtype), NONE);
}

/* One image plane convolution problem: x (n, groups c, h, w), weight (groups o, c, k, l). */
typedef struct problem {
    int64_t n, groups, c, o, h, w, k, l;
    int64_t stride[2], padding[2], dilation[2];
} problem;

static const problem problems[] = {
    {2, 1, 3, 5, 9, 11, 3, 3, {1, 1}, {1, 1}, {1, 1}},
    {1, 1, 1, 1, 1, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
    {2, 3, 2, 3, 8, 7, 2, 3, {3, 2}, {2, 1}, {2, 1}},
    {2, 1, 40, 35, 13, 17, 3, 2, {2, 1}, {1, 0}, {1, 2}},
    {1, 5, 1, 2, 12, 12, 5, 5, {2, 2}, {4, 4}, {1, 1}},
    {3, 1, 2, 3, 3, 40, 1, 40, {1, 1}, {0, 3}, {1, 1}},
    {1, 1, 3, 2, 70, 200, 3, 3, {1, 1}, {1, 1}, {1, 1}},
};

static int64_t extent(const problem *p, int d) {
    int64_t x = d ? p->w : p->h, kernel = d ? p->l : p->k;

    return (x + 2 * p->padding[d] - p->dilation[d] * (kernel - 1) - 1) / p->stride[d] + 1;
}

typedef void visit(void *arg, int64_t x, int64_t weight, int64_t y);

/* Every product of the definition: the numbers of the elements of x, weight and y that meet. */
static void for_products(const problem *p, visit *fn, void *arg) {
    int64_t oh = extent(p, 0), ow = extent(p, 1), out = p->n * p->groups * p->o * oh * ow;

    for (int64_t y = 0; y < out; y++) {
        int64_t j = y % ow, i = y / ow % oh, o = y / ow / oh % (p->groups * p->o);
        int64_t image = y / ow / oh / (p->groups * p->o), first = o / p->o * p->c;

        for (int64_t r = 0; r < p->c * p->k * p->l; r++) {
            int64_t c = r / p->l / p->k;
            int64_t a = i * p->stride[0] - p->padding[0] + r / p->l % p->k * p->dilation[0];
            int64_t b = j * p->stride[1] - p->padding[1] + r % p->l * p->dilation[1];

            if (a >= 0 && a < p->h && b >= 0 && b < p->w)
                fn(arg, ((image * p->groups * p->c + first + c) * p->h + a) * p->w + b,
                   o * p->c * p->k * p->l + r, y);
        }
    }
}

typedef struct sums {
    double x[1 << 16], weight[1 << 16], y[1 << 16];     /* what is given */
    double to_x[1 << 16], to_w[1 << 16], to_y[1 << 16]; /* what comes out */
} sums;

static void add_products(void *arg, int64_t x, int64_t weight, int64_t y) {
    sums *s = arg;

    s->to_y[y] += s->x[x] * s->weight[weight];
    s->to_x[x] += s->y[y] * s->weight[weight];
    s->to_w[weight] += s->x[x] * s->y[y];
}

static void expect_values(lh__engine *e, const lh_tensor *t, const double *expected,
                          const char *what, int64_t problem_number) {
    static double got[1 << 16];
    int64_t n;

    cr_assert_not_null(t, "%s: %s", what, err.text);
    n = values(e, t, got, 1 << 16);
    for (int64_t i = 0; i < n; i++)
        cr_assert(fabs(got[i] - expected[i]) <= 1e-4, "%s of problem %lld, %lld: %g instead of %g",
                  what, (long long)problem_number, (long long)i, got[i], expected[i]);
}

/* The convolution and both gradients, and the transposed one from the small side to the large. */
static void solve(lh__engine *e, int32_t dtype, const problem *p, sums *s) {
    int64_t xs[] = {p->n, p->groups * p->c, p->h, p->w};
    int64_t ws[] = {p->groups * p->o, p->c, p->k, p->l};
    int64_t ys[] = {p->n, p->groups * p->o, extent(p, 0), extent(p, 1)};
    int64_t more[2], number = p - problems;
    lh_tensor *x = eighths(e, dtype, 4, xs, 1), *weight = eighths(e, dtype, 4, ws, 2);
    lh_tensor *g = eighths(e, dtype, 4, ys, 3), *y, *loss;

    memset(s, 0, sizeof *s);
    values(e, x, s->x, 1 << 16);
    values(e, weight, s->weight, 1 << 16);
    values(e, g, s->y, 1 << 16);
    for_products(p, add_products, s);
    x->requires_grad = weight->requires_grad = 1;
    y = call(e, LH_OP_CONV, TENSORS(x, weight),
             INTS(p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->dilation[0],
                  p->dilation[1], p->groups),
             NONE);
    expect_values(e, y, s->to_y, "y", number);
    loss = call(e, LH_OP_MUL, TENSORS(y, g), NONE, NONE);
    loss = call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    expect_values(e, lh__grad_of(e, loss, x, 0), s->to_x, "gradient to x", number);
    expect_values(e, lh__grad_of(e, loss, weight, 0), s->to_w, "gradient to weight", number);
    for (int d = 0; d < 2; d++)
        more[d] = xs[2 + d] - ((ys[2 + d] - 1) * p->stride[d] - 2 * p->padding[d] +
                               (ws[2 + d] - 1) * p->dilation[d] + 1);
    y = call(e, LH_OP_CONV_TRANSPOSE, TENSORS(g, weight),
             INTS(p->stride[0], p->stride[1], p->padding[0], p->padding[1], more[0], more[1],
                  p->dilation[0], p->dilation[1], p->groups),
             NONE);
    expect_values(e, y, s->to_x, "transposed convolution", number);
}

static void solve_all(const char *device, int32_t dtype) {
    static sums s;
    lh__engine *e = engine(device, dtype);

    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        lh__step_begin(e, LH__PHASE_TRAIN, i);
        solve(e, dtype, &problems[i], &s);
    }
    lh__engine_free(e);
}

Test(convolution, cpu_f32_is_the_sum_of_its_products) {
    solve_all("cpu", LH_F32);
}

Test(convolution, cpu_f64_is_the_sum_of_its_products) {
    solve_all("cpu", LH_F64);
}

Test(convolution, ref_is_the_sum_of_its_products) {
    solve_all("ref", LH_F64);
}

Test(convolution, bias_is_added_once_per_channel) {
    lh__engine *e = engine("cpu", LH_F32);
    float b[] = {10, 20};
    lh_tensor *x = full(e, LH_F32, 1, 3, (int64_t[]){1, 3, 4});
    lh_tensor *weight = full(e, LH_F32, 1, 3, (int64_t[]){2, 3, 2});
    lh_tensor *bias = lh__tensor_new(e, LH_F32, 1, (int64_t[]){2}, b), *y;
    double v[16];

    y = call(e, LH_OP_CONV, TENSORS(x, weight, bias), INTS(1, 1, 1, 1), NONE);
    cr_assert_eq(values(e, y, v, 16), 10);
    for (int i = 0; i < 10; i++) /* the windows at both ends have one position in the padding */
        cr_expect_eq(v[i], (i % 5 == 0 || i % 5 == 4 ? 3 : 6) + b[i / 5]);
    lh__engine_free(e);
}

/* y = conv(x, w): sum((dy/dx)^2) is a function of w alone, (sum w)^2 for every position of x that
 * all taps reach; its gradient to w is 2 (sum w) for each of them. */
Test(convolution, has_second_derivatives) {
    lh__engine *e = engine("cpu", LH_F64);
    double taps[] = {1, 2, -0.5}, v[3];
    lh_tensor *x = full(e, LH_F64, 1, 3, (int64_t[]){1, 1, 8}), *y, *g;
    lh_tensor *w = lh__tensor_new(e, LH_F64, 3, (int64_t[]){1, 1, 3}, taps);

    x->requires_grad = w->requires_grad = 1;
    y = call(e, LH_OP_CONV, TENSORS(x, w), INTS(1, 0, 1, 1), NONE);
    g = lh__grad_of(e, call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE), x, 1);
    g = call(e, LH_OP_SLICE, TENSORS(g), INTS(2, 2, 6, 1), NONE); /* reached by all three taps */
    g = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(g), NONE, NONE)), INTS(0), NONE);
    cr_assert_not_null(g, "%s", err.text);
    cr_expect_float_eq(lh__item(e, g), 4 * 2.5 * 2.5, 1e-12);
    g = lh__grad_of(e, g, w, 0);
    cr_assert_not_null(g, "%s", err.text);
    values(e, g, v, 3);
    for (int i = 0; i < 3; i++)
        cr_expect_float_eq(v[i], 4 * 2 * 2.5, 1e-12);
    lh__engine_free(e);
}

/* The weight's gradient is summed in shares of the images; they do not depend on threads. */
Test(convolution, bits_do_not_depend_on_threads) {
    static float one[2][1 << 16], more[2][1 << 16];

    for (int32_t threads = 1; threads <= 3; threads++) {
        lh__engine *e = new_engine("cpu", LH_F32, threads);
        float(*to)[1 << 16] = threads == 1 ? one : more;
        lh_tensor *x = call(e, LH_OP_NORMAL, NONE, INTS(LH_F32, 9, 5, 14, 14), REALS(0, 1));
        lh_tensor *w = call(e, LH_OP_NORMAL, NONE, INTS(LH_F32, 19, 5, 3, 3), REALS(0, 1)), *y, *g;

        x->requires_grad = w->requires_grad = 1;
        y = call(e, LH_OP_CONV, TENSORS(x, w), INTS(1, 1, 1, 1, 1, 1, 1), NONE);
        y = call(e, LH_OP_SQUARE, TENSORS(y), NONE, NONE);
        y = call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
        g = lh__grad_of(e, y, x, 0);
        cr_assert_eq(lh__tensor_read(e, g, to[0], 9 * 5 * 14 * 14 * 4), LH_OK);
        g = lh__grad_of(e, y, w, 0);
        cr_assert_eq(lh__tensor_read(e, g, to[1], 19 * 5 * 3 * 3 * 4), LH_OK);
        cr_assert(isfinite(to[0][0]) && to[1][0] != 0);
        if (threads > 1)
            cr_expect_eq(memcmp(one, more, sizeof one), 0, "%d threads differ", threads);
        lh__engine_free(e);
    }
}

/* Refusals. */

static void expect(const lh_tensor *result, lh_status code, const char *part) {
    cr_expect_null(result, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s: code %d instead of %d", err.text, err.code, code);
    cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
    err = (lh__error){0};
}

static lh_tensor *conv(lh__engine *e, uint32_t op, const int64_t x[4], const int64_t w[4],
                       int32_t n, const int64_t *ints) {
    return call(e, op, TENSORS(full(e, LH_F32, 1, 4, x), full(e, LH_F32, 1, 4, w)), n, ints, NONE);
}

#define SHAPE(...) ((const int64_t[4]){__VA_ARGS__})

Test(convolution, refuses_what_does_not_fit) {
    lh__engine *e = engine("ref", LH_F32);
    const int64_t *x = SHAPE(2, 4, 5, 6), *w = SHAPE(6, 4, 3, 3);
    lh_tensor *in[] = {full(e, LH_F32, 1, 4, x), full(e, LH_F32, 1, 4, w),
                       full(e, LH_F32, 1, 1, (int64_t[]){4})};
    uint32_t op = LH_OP_CONV;

    expect(conv(e, op, SHAPE(2, 3, 5, 6), w, INTS(1, 1, 0, 0, 1, 1, 1)), LH_ESHAPE, "takes 4");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0, 1, 1, 4)), LH_EINVAL, "4 groups");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0, 1, 1, 0)), LH_EINVAL, "0 groups");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0, 1, 1, 2)), LH_ESHAPE, "takes 8");
    expect(conv(e, op, x, w, INTS(1, 0, 0, 0, 1, 1, 1)), LH_EINVAL, "stride");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0, 0, 1, 1)), LH_EINVAL, "dilation");
    expect(conv(e, op, x, w, INTS(1, 1, -1, 0, 1, 1, 1)), LH_EINVAL, "padding");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0, 3, 1, 1)), LH_ESHAPE, "reaches over 7");
    expect(conv(e, op, x, SHAPE(6, 4, 3, 0), INTS(1, 1, 0, 0, 1, 1, 1)), LH_ESHAPE, "no extent");
    expect(conv(e, op, x, w, INTS(1, 1, 0, 0)), LH_EINVAL, "take 7");
    expect(call(e, op, 3, in, INTS(1, 1, 0, 0, 1, 1, 1), NONE), LH_ESHAPE, "bias");
    in[1] = full(e, LH_F32, 1, 3, w);
    expect(call(e, op, 2, in, INTS(1, 1, 0, 0, 1, 1, 1), NONE), LH_ESHAPE, "as many axes as x");
    in[0] = full(e, LH_F32, 1, 2, x);
    expect(call(e, op, 2, in, INTS(1, 1, 0, 0, 1, 1, 1), NONE), LH_ESHAPE, "3 to 5 axes");
    op = LH_OP_CONV_TRANSPOSE;
    w = SHAPE(4, 3, 3, 3);
    expect(conv(e, op, SHAPE(2, 3, 5, 6), w, INTS(1, 1, 0, 0, 0, 0, 1, 1, 1)), LH_ESHAPE,
           "takes 4");
    expect(conv(e, op, x, w, INTS(2, 2, 0, 0, 2, 0, 1, 1, 1)), LH_EINVAL, "output_padding 2");
    expect(conv(e, op, x, w, INTS(1, 1, 4, 0, 0, 0, 1, 1, 1)), LH_ESHAPE, "lower the padding");
    lh__engine_free(e);
}
