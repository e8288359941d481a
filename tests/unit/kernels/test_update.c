/* test_update.c - optimizer updates against torch.optim's formulas, written out in double for one
 * parameter; what they hang on; sums of squares. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "kernels/update.h"
#include "operands.h"

enum { N = 40003, STEPS = 4 };

/* One parameter's history under PyTorch's documented algorithms, independent of the kernels: each
 * state begins at 0. */
typedef struct history {
    double p, m, v, top, average, buffer;
} history;

static void by_the_book(history *h, double g, const lh_optimizer_options *o, int64_t step) {
    double t = (double)step;

    if (o->maximize)
        g = -g;
    if (o->kind == LH_ADAMW)
        h->p = h->p - o->lr * o->weight_decay * h->p;
    else
        g = g + o->weight_decay * h->p;
    switch (o->kind) {
    case LH_SGD:
        if (o->momentum != 0) {
            h->buffer = step > 1 ? o->momentum * h->buffer + (1 - o->dampening) * g : g;
            g = o->nesterov ? g + o->momentum * h->buffer : h->buffer;
        }
        h->p -= o->lr * g;
        break;
    case LH_ADAM:
    case LH_ADAMW: {
        double m_hat, v_hat;

        h->m = o->beta1 * h->m + (1 - o->beta1) * g;
        h->v = o->beta2 * h->v + (1 - o->beta2) * g * g;
        h->top = h->v > h->top ? h->v : h->top;
        m_hat = h->m / (1 - pow(o->beta1, t));
        v_hat = (o->amsgrad ? h->top : h->v) / (1 - pow(o->beta2, t));
        h->p -= o->lr * m_hat / (sqrt(v_hat) + o->eps);
        break;
    }
    case LH_RMSPROP: {
        double v;

        h->v = o->alpha * h->v + (1 - o->alpha) * g * g;
        h->average = o->alpha * h->average + (1 - o->alpha) * g;
        v = o->centered ? h->v - h->average * h->average : h->v;
        if (o->momentum > 0) {
            h->buffer = o->momentum * h->buffer + g / (sqrt(v) + o->eps);
            h->p -= o->lr * h->buffer;
        } else {
            h->p -= o->lr * g / (sqrt(v) + o->eps);
        }
        break;
    }
    case LH_ADAGRAD:
        h->v += g * g;
        h->p -= o->lr / (1 + (t - 1) * o->lr_decay) * g / (sqrt(h->v) + o->eps);
        break;
    }
}

static const lh_optimizer_options settings[] = {
    {.kind = LH_SGD, .lr = 0.1},
    {.kind = LH_SGD, .lr = 0.1, .weight_decay = 0.01, .maximize = 1},
    {.kind = LH_SGD, .lr = 0.1, .momentum = 0.9},
    {.kind = LH_SGD, .lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01},
    {.kind = LH_SGD, .lr = 0.1, .momentum = 0.9, .nesterov = 1},
    {.kind = LH_ADAM, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
    {.kind = LH_ADAM, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-3, .weight_decay = 0.1},
    {.kind = LH_ADAM, .lr = 0.01, .beta1 = 0.8, .beta2 = 0.5, .eps = 1e-8, .amsgrad = 1},
    {.kind = LH_ADAMW, .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1},
    {.kind = LH_ADAMW,
     .lr = 0.01,
     .beta1 = 0.9,
     .beta2 = 0.5,
     .eps = 1e-8,
     .amsgrad = 1,
     .maximize = 1},
    {.kind = LH_RMSPROP, .lr = 0.01, .alpha = 0.99, .eps = 1e-8},
    {.kind = LH_RMSPROP,
     .lr = 0.01,
     .alpha = 0.9,
     .eps = 1e-3,
     .momentum = 0.9,
     .weight_decay = 0.1},
    {.kind = LH_RMSPROP, .lr = 0.01, .alpha = 0.9, .eps = 1e-3, .centered = 1},
    {.kind = LH_RMSPROP,
     .lr = 0.01,
     .alpha = 0.9,
     .eps = 1e-3,
     .centered = 1,
     .momentum = 0.5,
     .maximize = 1},
    {.kind = LH_ADAGRAD, .lr = 0.1, .eps = 1e-10},
    {.kind = LH_ADAGRAD, .lr = 0.1, .eps = 1e-10, .lr_decay = 0.1, .weight_decay = 0.1},
};

/* STEPS updates of n parameters; the result in p and the states. */
typedef struct run {
    lh__view p, g[STEPS], s1, s2, s3;
} run;

static lh__view zeros(int32_t dtype, int64_t n) {
    lh__view v = operand(dtype, 1, &n, CONTIGUOUS);

    memset(v.data, 0, (size_t)(n * lh__dtype_size(dtype)));
    return v;
}

static run start(int32_t dtype, int64_t n) {
    run r = {.p = operand(dtype, 1, &n, CONTIGUOUS)};

    for (int step = 0; step < STEPS; step++)
        r.g[step] = operand(dtype, 1, &n, CONTIGUOUS);
    r.s1 = zeros(dtype, n), r.s2 = zeros(dtype, n), r.s3 = zeros(dtype, n);
    return r;
}

static run copy_of(const run *from, int32_t dtype, int64_t n) {
    run r = *from;

    r.p = operand(dtype, 1, &n, CONTIGUOUS);
    memcpy(r.p.data, from->p.data, (size_t)(n * lh__dtype_size(dtype)));
    r.s1 = zeros(dtype, n), r.s2 = zeros(dtype, n), r.s3 = zeros(dtype, n);
    return r;
}

/* An update of r by its gradient g, whose counts are every second number of `steps`. */
static void begin_update(lh__update_call *u, const run *r, int g, const lh_optimizer_options *o,
                         double scale, double max_norm, int64_t *steps, lh__pool *pool) {
    const bool adam = o->kind == LH_ADAM || o->kind == LH_ADAMW;

    lh__update_write(u, o, scale, max_norm, &r->p, pool);
    u->inputs[LH__UPDATE_GRAD] = r->g[g];
    if (o->kind != LH_SGD || o->momentum != 0)
        u->inputs[LH__UPDATE_STATE1] = r->s1;
    if (adam || (o->kind == LH_RMSPROP && o->momentum > 0))
        u->inputs[LH__UPDATE_STATE2] = r->s2;
    if (o->amsgrad || o->centered)
        u->inputs[LH__UPDATE_STATE3] = r->s3;
    u->inputs[LH__UPDATE_STEPS] = lh__line(LH_I64, steps, 2);
    u->inputs[LH__UPDATE_STEPS].stride[0] = 2;
}

static void run_update(const lh__update_call *u, const lh__device *device) {
    device->kernels[LH__OP_UPDATE](&u->call);
}

static void train(run *r, const lh__device *device, const lh_optimizer_options *o, lh__pool *pool) {
    int64_t steps[] = {0, -7, 0}; /* of two members, with something between */
    lh__update_call u;

    for (int step = 0; step < STEPS; step++) {
        begin_update(&u, r, step, o, 0.5, 0, steps, pool);
        run_update(&u, device);
    }
    cr_assert_eq(steps[0], STEPS);
    cr_assert_eq(steps[1], -7);
    cr_assert_eq(steps[2], STEPS);
}

static void check(int32_t dtype, int64_t n, const lh__device *device, const char *name) {
    double tolerance = dtype == LH_F32 ? 2e-5 : 1e-13;

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const lh_optimizer_options *o = &settings[i];
        run first = start(dtype, n), r = copy_of(&first, dtype, n);

        train(&r, device, o, NULL);
        for (int64_t j = 0; j < n; j++) {
            history h = {.p = at(&first.p, j)};

            for (int step = 0; step < STEPS; step++)
                by_the_book(&h, 0.5 * at(&r.g[step], j), o, step + 1);
            cr_assert(fabs(at(&r.p, j) - h.p) <= tolerance * (1 + fabs(h.p)),
                      "setting %zu on %s: parameter %ld is %.17g, not %.17g", i, name, (long)j,
                      at(&r.p, j), h.p);
        }
    }
}

Test(update, follows_the_book) {
    static const int64_t lengths[] = {0, 1, 7, 17, 2000};
    lh__variant variants[3];
    int n = lh__cpu_variants(variants);

    for (int l = 0; l < 5; l++)
        for (int d = 0; d < 2; d++) {
            check(d ? LH_F64 : LH_F32, lengths[l], lh__device_ref(), "ref");
            for (int v = 0; v < n; v++)
                check(d ? LH_F64 : LH_F32, lengths[l], variants[v].device, variants[v].isa);
        }
}

Test(update, threads_change_no_bit) {
    lh__pool *pool = lh__pool_new(3);

    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        run first = start(LH_F32, N), a = copy_of(&first, LH_F32, N),
            b = copy_of(&first, LH_F32, N);

        train(&a, lh__device_cpu(), &settings[i], NULL);
        train(&b, lh__device_cpu(), &settings[i], pool);
        cr_assert_arr_eq(a.p.data, b.p.data, N * sizeof(float));
        cr_assert_arr_eq(a.s1.data, b.s1.data, N * sizeof(float));
    }
    lh__pool_free(pool);
}

/* A guard that is not finite: nothing is written, nothing counted. */
Test(update, waits_for_guards) {
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    const lh_optimizer_options o = {
        .kind = LH_ADAM, .lr = 0.1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    static const double values[] = {3, INFINITY, -INFINITY, NAN};
    int64_t n = 17;

    for (int d = 0; d < 2; d++)
        for (int v = 0; v < 4; v++)
            for (int guard = LH__UPDATE_GUARD1; guard <= LH__UPDATE_GUARD2; guard++) {
                run first = start(LH_F32, n), r = copy_of(&first, LH_F32, n);
                float value = (float)values[v];
                int64_t steps[3] = {4, 4, 4};
                lh__update_call u;

                begin_update(&u, &r, 0, &o, 1, 0, steps, NULL);
                u.inputs[guard] = (lh__view){.data = &value, .dtype = LH_F32};
                run_update(&u, devices[d]);
                cr_assert_eq(steps[0], v ? 4 : 5);
                cr_assert_eq(memcmp(r.p.data, first.p.data, (size_t)n * sizeof(float)) == 0, v > 0);
                cr_assert_eq(at(&r.s1, 0) == 0, v > 0);
            }
}

/* Scaled gradients are clipped to the norm that they have together. */
Test(update, clips_to_a_norm) {
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    const lh_optimizer_options o = {.kind = LH_SGD, .lr = 1};
    static const double norms[] = {0.25, 100};
    int64_t n = 3;

    for (int d = 0; d < 2; d++)
        for (int k = 0; k < 2; k++) {
            run r = start(LH_F64, n);
            double grad[] = {3, 0, -4}, param[] = {1, 1, 1}, squares = 25 + 144, norm = 0.5 * 13;
            int64_t steps[3] = {0};
            lh__update_call u;

            memcpy(r.g[0].data, grad, sizeof grad);
            memcpy(r.p.data, param, sizeof param);
            begin_update(&u, &r, 0, &o, 0.5, norms[k], steps, NULL);
            u.inputs[LH__UPDATE_SQUARES] = (lh__view){.data = &squares, .dtype = LH_F64};
            run_update(&u, devices[d]);
            for (int64_t i = 0; i < n; i++)
                cr_assert_float_eq(at(&r.p, i),
                                   1 - 0.5 * grad[i] * fmin(1, norms[k] / (norm + 1e-6)), 1e-14);
        }
}

static double squares_of(const lh__device *device, const lh__view *x, const double *total,
                         lh__pool *pool) {
    const lh__view before = {.data = (void *)(uintptr_t)total, .dtype = LH_F64};
    _Alignas(64) double sum = NAN;
    const lh__view y = {.data = &sum, .dtype = LH_F64}, *in[] = {x, &before};
    const lh__kernel_call call = {
        .op = LH__OP_SQUARES, .n_in = total ? 2 : 1, .in = in, .out = &y, .pool = pool};

    device->kernels[LH__OP_SQUARES](&call);
    return sum;
}

Test(update, sum_of_squares) {
    lh__pool *pool = lh__pool_new(3);
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    static const int64_t lengths[] = {0, 1, 17, N};
    const double total = 2.5;

    for (int dtype = LH_F32; dtype <= LH_F64; dtype++)
        for (int l = 0; l < 4; l++)
            for (int d = 0; d < 2; d++) {
                int64_t n = lengths[l];
                lh__view x = operand(dtype, 1, &n, CONTIGUOUS);
                double squares = 0, got, alone;

                for (int64_t i = 0; i < n; i++)
                    squares += at(&x, i) * at(&x, i);
                got = squares_of(devices[d], &x, NULL, pool);
                alone = squares_of(devices[d], &x, NULL, NULL);
                cr_assert(fabs(got - squares) <= 1e-12 * squares);
                cr_assert_eq(got, alone);
                cr_assert_eq(squares_of(devices[d], &x, &total, pool), got + total);
            }
    lh__pool_free(pool);
}

/* The largest F32 squared does not fit into F32; its norm must. */
Test(update, sum_of_squares_does_not_overflow) {
    float big[] = {3e38f, 3e38f};
    const lh__view x = lh__line(LH_F32, big, 2);

    cr_assert_float_eq(sqrt(squares_of(lh__device_cpu(), &x, NULL, NULL)) / 3e38, sqrt(2), 1e-6);
}
