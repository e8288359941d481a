/* test_normalization.c - normalization against formulas in double; what batch normalization keeps
 * and when; large shapes on every device and number of threads; calls that are rejected.
 */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F64, 2);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    cr_expect_eq(err.code, LH_OK, "%s", err.text);
    lh__engine_free(e);
}

TestSuite(normalization, .init = setup, .fini = teardown);

enum { N = 5, C = 3, S = 4, NUMEL = N * C * S, COUNT = N * S };
static const double eps = 0.25, momentum = 0.3;

static const int64_t shape[] = {N, C, S}, channels[] = {C};
static const double weight[] = {1.5, -0.5, 2.0}, bias[] = {0.25, 1.0, -3.0};

static lh_tensor *vector(const double *data) {
    return lh__tensor_new(e, LH_F64, 1, channels, data);
}

/* x, drawn around channel-wise means, with its tensor. */
static lh_tensor *drawn(double *x) {
    for (int i = 0; i < NUMEL; i++)
        x[i] = i / S % C + lh__philox_normal((lh__philox_key){3, 0, 0}, (uint64_t)i);
    return lh__tensor_new(e, LH_F64, 3, shape, x);
}

static void moments_of(const double *x, int c, double *mean, double *var) {
    *mean = *var = 0;
    for (int i = 0; i < NUMEL; i++)
        *mean += i / S % C == c ? x[i] / COUNT : 0;
    for (int i = 0; i < NUMEL; i++)
        *var += i / S % C == c ? (x[i] - *mean) * (x[i] - *mean) / COUNT : 0;
}

typedef struct buffers {
    lh_tensor *mean, *var, *count;
} buffers;

static buffers buffers_new(void) {
    buffers b;
    int64_t count = 1 << 24; /* where counting in float32 would stop */

    b.mean = vector((const double[]){5, 6, 7});
    b.var = vector((const double[]){2, 3, 4});
    b.count = lh__tensor_new(e, LH_I64, 0, NULL, &count);
    return b;
}

static lh_tensor *batch_norm(lh_tensor *x, buffers b) {
    return call(e, LH_OP_BATCH_NORM,
                TENSORS(x, vector(weight), vector(bias), b.mean, b.var, b.count), NONE,
                REALS(eps, momentum));
}

static void expect_statistics(buffers b, const double *mean, const double *var, double count) {
    double got[C];

    values(e, b.mean, got, C);
    for (int c = 0; c < C; c++)
        cr_expect_float_eq(got[c], mean[c], 1e-13);
    values(e, b.var, got, C);
    for (int c = 0; c < C; c++)
        cr_expect_float_eq(got[c], var[c], 1e-13);
    cr_expect_eq(lh__item(e, b.count), count);
}

Test(normalization, batch_norm_trains_by_the_batch_and_tracks_it) {
    double x[NUMEL], y[NUMEL], mean[C], var[C], new_mean[C], new_var[C];
    buffers b = buffers_new();
    lh_tensor *in = drawn(x);

    for (int c = 0; c < C; c++) {
        moments_of(x, c, &mean[c], &var[c]);
        new_mean[c] = (1 - momentum) * (5 + c) + momentum * mean[c];
        new_var[c] = (1 - momentum) * (2 + c) + momentum * var[c] * COUNT / (COUNT - 1);
    }
    values(e, batch_norm(in, b), y, NUMEL);
    for (int i = 0; i < NUMEL; i++) {
        int c = i / S % C;

        cr_expect_float_eq(y[i], (x[i] - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c],
                           1e-13);
    }
    expect_statistics(b, new_mean, new_var, (1 << 24) + 1);
}

Test(normalization, batch_norm_tracks_without_gradients_too) {
    double x[NUMEL];
    buffers b = buffers_new();
    int32_t was = lh__set_grad_enabled(e, 0);

    cr_assert_not_null(batch_norm(drawn(x), b));
    cr_expect_eq(lh__item(e, b.count), (1 << 24) + 1);
    cr_expect_eq(lh__set_grad_enabled(e, was), 0, "recording was switched on");
}

/* In evaluation mode it is an affine map of each element, the statistics stay. */
Test(normalization, batch_norm_evaluates_by_the_running_statistics) {
    double x[NUMEL], y[NUMEL], g[NUMEL];
    buffers b = buffers_new();
    lh_tensor *in = drawn(x), *out, *loss;

    in->requires_grad = 1;
    lh__set_training(e, 0);
    out = batch_norm(in, b);
    loss = call(e, LH_OP_SUM, TENSORS(out), INTS(0), NONE);
    values(e, out, y, NUMEL);
    values(e, lh__grad_of(e, loss, in, 0), g, NUMEL);
    for (int i = 0; i < NUMEL; i++) {
        int c = i / S % C;
        double scale = weight[c] / sqrt(2 + c + eps);

        cr_expect_float_eq(y[i], (x[i] - (5 + c)) * scale + bias[c], 1e-13);
        cr_expect_float_eq(g[i], scale, 1e-13);
    }
    expect_statistics(b, (const double[]){5, 6, 7}, (const double[]){2, 3, 4}, 1 << 24);
}

/* One sample is fine in evaluation mode. */
Test(normalization, batch_norm_of_one_value_per_channel) {
    buffers b = buffers_new();
    lh_tensor *x = full(e, LH_F64, 9, 2, (const int64_t[]){1, C});
    double y[C];

    lh__set_training(e, 0);
    values(e, call(e, LH_OP_BATCH_NORM, TENSORS(x, b.mean, b.var), NONE, REALS(0, momentum)), y, C);
    for (int c = 0; c < C; c++)
        cr_expect_float_eq(y[c], (4 - c) / sqrt(2 + c), 1e-13);
    lh__set_training(e, 1);
    cr_expect_null(call(e, LH_OP_BATCH_NORM, TENSORS(x, b.mean, b.var), NONE, REALS(0, momentum)));
    cr_expect(strstr(err.text, "more than one value per channel"), "%s", err.text);
    err = (lh__error){0};
}

/* Rows of `size` elements in memory order, affine per channel where `affine`. */
static void expect_rows(const double *x, lh_tensor *out, int size, int rms, int affine) {
    double y[NUMEL];

    values(e, out, y, NUMEL);
    for (int row = 0; row < NUMEL / size; row++) {
        double mean = 0, var = 0;

        for (int j = 0; j < size && !rms; j++)
            mean += x[row * size + j] / size;
        for (int j = 0; j < size; j++)
            var += (x[row * size + j] - mean) * (x[row * size + j] - mean) / size;
        for (int i = row * size; i < (row + 1) * size; i++) {
            double hat = (x[i] - mean) / sqrt(var + eps);
            int c = i / S % C;

            cr_expect_float_eq(y[i], affine ? hat * weight[c] + bias[c] : hat, 1e-13);
        }
    }
}

Test(normalization, over_rows_groups_and_instances) {
    double x[NUMEL];
    lh_tensor *in = drawn(x), *w = vector(weight), *b = vector(bias);

    expect_rows(x, call(e, LH_OP_LAYER_NORM, TENSORS(in), INTS(1), REALS(eps)), S, 0, 0);
    expect_rows(x, call(e, LH_OP_LAYER_NORM, TENSORS(in), INTS(3), REALS(eps)), NUMEL, 0, 0);
    expect_rows(x, call(e, LH_OP_RMS_NORM, TENSORS(in), INTS(2), REALS(eps)), C * S, 1, 0);
    expect_rows(x, call(e, LH_OP_GROUP_NORM, TENSORS(in, w, b), INTS(1), REALS(eps)), C * S, 0, 1);
    expect_rows(x, call(e, LH_OP_GROUP_NORM, TENSORS(in), INTS(3), REALS(eps)), S, 0, 0);
    expect_rows(x, call(e, LH_OP_INSTANCE_NORM, TENSORS(in, w, b), NONE, REALS(eps)), S, 0, 1);
}

/* A mean far from 0 doesn't drown the variance: -1 and 1 around 4096 in F32. */
Test(normalization, variance_of_far_away_values) {
    const int64_t at[] = {64, 1, 64};
    float x[64 * 64];
    double y[64 * 64];
    lh_tensor *in;

    for (int i = 0; i < 64 * 64; i++)
        x[i] = 4096.0f + (i % 2 ? 1.0f : -1.0f);
    in = lh__tensor_new(e, LH_F32, 3, at, x);
    values(e, call(e, LH_OP_LAYER_NORM, TENSORS(in), INTS(3), REALS(0)), y, 64 * 64);
    cr_expect_float_eq(y[0], -1, 1e-6);
    in = call(e, LH_OP_BATCH_NORM,
              TENSORS(in, full(e, LH_F32, 0, 1, (const int64_t[]){1}),
                      full(e, LH_F32, 1, 1, (const int64_t[]){1})),
              NONE, REALS(0, 0.1));
    values(e, in, y, 64 * 64);
    cr_expect_float_eq(y[1], 1, 1e-6);
}

/* The result and the gradients to x, weight and bias of one call, one after the other. */
static int64_t run(const char *device, int32_t threads, int32_t dtype, uint32_t op, int32_t ndim,
                   const int64_t *extents, double *out, int64_t room) {
    lh__engine *own = new_engine(device, dtype, threads);
    int64_t ints[LH_MAX_DIMS + 1] = {dtype}, n;
    int32_t rows = op != LH_OP_BATCH_NORM, n_in = rows ? 3 : 5;
    const int64_t *last = rows ? extents + ndim - 1 : extents + 1;
    lh_tensor *in[5], *y, *loss;

    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = extents[d];
    in[0] = call(own, LH_OP_NORMAL, NONE, 1 + ndim, ints, REALS(0.5, 2));
    for (int i = 1; i < 5; i++)
        in[i] = call(own, LH_OP_UNIFORM, NONE, INTS(dtype, *last), REALS(0.5, 1.5));
    n_in -= op == LH_OP_RMS_NORM;
    for (int i = 0; i < 3 && i < n_in; i++)
        in[i]->requires_grad = 1;
    y = rows ? call(own, op, n_in, in, INTS(1), REALS(1e-3))
             : call(own, op, n_in, in, NONE, REALS(1e-3, 0.1));
    n = values(own, y, out, room);
    loss = call(own, LH_OP_NORMAL, NONE, 1 + ndim, ints, REALS(0, 1));
    loss = call(own, LH_OP_SUM, TENSORS(call(own, LH_OP_MUL, TENSORS(y, loss), NONE, NONE)),
                INTS(0), NONE);
    for (int i = 0; i < 3 && i < n_in; i++)
        n += values(own, lh__grad_of(own, loss, in[i], 0), out + n, room - n);
    lh__engine_free(own);
    return n;
}

/* Shapes that need every loop: long runs, many channels side by side, many rows. */
Test(normalization, large_shapes_agree_on_all_devices_and_threads) {
    enum { ROOM = 1 << 19 };
    static double expected[ROOM], got[ROOM], again[ROOM];
    static const struct {
        uint32_t op;
        int32_t ndim;
        int64_t shape[4];
    } calls[] = {
        {LH_OP_BATCH_NORM, 4, {3, 5, 70, 71}}, {LH_OP_BATCH_NORM, 2, {150, 601}},
        {LH_OP_BATCH_NORM, 2, {9001, 1}},      {LH_OP_BATCH_NORM, 3, {65, 33, 3}},
        {LH_OP_LAYER_NORM, 2, {700, 129}},     {LH_OP_LAYER_NORM, 2, {3, 9001}},
        {LH_OP_RMS_NORM, 3, {5, 131, 77}},
    };

    for (size_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        uint32_t op = calls[k].op;
        int32_t nd = calls[k].ndim;
        int64_t n = run("ref", 1, LH_F64, op, nd, calls[k].shape, expected, ROOM);

        cr_assert_eq(run("cpu", 1, LH_F64, op, nd, calls[k].shape, got, ROOM), n);
        for (int64_t i = 0; i < n; i++)
            cr_assert(fabs(got[i] - expected[i]) <= 1e-11 * fmax(1, fabs(expected[i])),
                      "call %zu, value %lld: %.17g, %.17g", k, (long long)i, got[i], expected[i]);
        for (int32_t threads = 2; threads <= 3; threads++) {
            run("cpu", threads, LH_F64, op, nd, calls[k].shape, again, ROOM);
            cr_expect_eq(memcmp(got, again, (size_t)n * sizeof *got), 0, "call %zu, %d threads", k,
                         threads);
        }
        run("ref", 1, LH_F32, op, nd, calls[k].shape, expected, ROOM);
        run("cpu", 2, LH_F32, op, nd, calls[k].shape, got, ROOM);
        for (int64_t i = 0; i < n; i++)
            cr_assert(fabs(got[i] - expected[i]) <= 2e-5 * fmax(1, fabs(expected[i])),
                      "call %zu in f32, value %lld: %.9g, %.9g", k, (long long)i, got[i],
                      expected[i]);
    }
}

static void expect_rejected(const lh_tensor *result, lh_status code, const char *part) {
    cr_expect_null(result, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s", err.text);
    cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
    err = (lh__error){0};
}

Test(normalization, calls_that_do_not_fit_are_rejected) {
    double x[NUMEL];
    lh_tensor *in = drawn(x), *v = vector(weight), *wide = full(e, LH_F64, 1, 1, shape), *gaps;

    expect_rejected(call(e, LH_OP_BATCH_NORM, TENSORS(in, v, wide), NONE, REALS(eps, 0.1)),
                    LH_ESHAPE, "operand 3 has to hold one number for each of the 3 channels");
    expect_rejected(call(e, LH_OP_BATCH_NORM, TENSORS(wide, v, v), NONE, REALS(eps, 0.1)),
                    LH_ESHAPE, "(n, channels, ...)");
    expect_rejected(call(e, LH_OP_BATCH_NORM, TENSORS(in, v, v), NONE, REALS(eps, 1.5)), LH_EINVAL,
                    "momentum 1.5");
    expect_rejected(call(e, LH_OP_BATCH_NORM, TENSORS(in, v, v, v), NONE, REALS(eps, 0.1)),
                    LH_ESHAPE, "num_batches_tracked");
    gaps = call(e, LH_OP_EXPAND, TENSORS(full(e, LH_F64, 1, 0, NULL)), INTS(C), NONE);
    expect_rejected(call(e, LH_OP_BATCH_NORM, TENSORS(in, v, gaps), NONE, REALS(eps, 0.1)),
                    LH_EINVAL, "operand 3 is written to");
    expect_rejected(call(e, LH_OP_LAYER_NORM, TENSORS(in), INTS(4), REALS(eps)), LH_ESHAPE,
                    "last 4 of 3 axes");
    expect_rejected(call(e, LH_OP_LAYER_NORM, TENSORS(in, v), INTS(1), REALS(eps)), LH_ESHAPE,
                    "operand 2 needs the shape of the last 1 axes");
    expect_rejected(call(e, LH_OP_RMS_NORM, TENSORS(in), INTS(1), REALS(-1)), LH_EINVAL, "eps -1");
    expect_rejected(call(e, LH_OP_GROUP_NORM, TENSORS(in), INTS(2), REALS(eps)), LH_EINVAL,
                    "3 channels can't be split into 2 groups");
    expect_rejected(call(e, LH_OP_GROUP_NORM, TENSORS(in, v), INTS(3), REALS(eps)), LH_EINVAL,
                    "come together");
    expect_rejected(
        call(e, LH_OP_INSTANCE_NORM, TENSORS(full(e, LH_F64, 1, 2, shape)), NONE, REALS(eps)),
        LH_ESHAPE, "more than one value");
}

Test(normalization, embedding_leaves_its_padding_without_gradient) {
    const int64_t rows[] = {4, 2}, at[] = {2, 3}, index[] = {1, 3, 1, 0, 3, 3};
    double table[] = {0, 1, 10, 11, 20, 21, 30, 31}, y[12], g[8];
    lh_tensor *w = lh__tensor_new(e, LH_F64, 2, rows, table), *out, *loss;
    lh_tensor *i = lh__tensor_new(e, LH_I64, 2, at, index);

    w->requires_grad = 1;
    out = call(e, LH_OP_EMBEDDING, TENSORS(w, i), INTS(1), NONE);
    cr_assert_eq(out->view.ndim, 3);
    loss = call(e, LH_OP_SUM, TENSORS(out), INTS(0), NONE);
    values(e, out, y, 12);
    for (int k = 0; k < 12; k++)
        cr_expect_eq(y[k], table[index[k / 2] * 2 + k % 2]);
    values(e, lh__grad_of(e, loss, w, 0), g, 8);
    cr_expect_arr_eq(g, ((double[]){1, 1, 0, 0, 0, 0, 3, 3}), sizeof g);
    expect_rejected(call(e, LH_OP_EMBEDDING, TENSORS(w, i), INTS(4), NONE), LH_EINVAL,
                    "padding index 4 is outside 0 ... 3");
    i = lh__tensor_new(e, LH_I64, 1, (const int64_t[]){3}, (const int64_t[]){0, 4, 1});
    expect_rejected(call(e, LH_OP_EMBEDDING, TENSORS(w, i), INTS(-1), NONE), LH_EINVAL,
                    "index 4 at element 1 is outside 0 ... 3");
    expect_rejected(call(e, LH_OP_EMBEDDING, TENSORS(i, i), INTS(-1), NONE), LH_ESHAPE,
                    "(rows, features)");
}
