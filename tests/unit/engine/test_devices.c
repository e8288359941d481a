/* test_devices.c - the same graphs on every device, dtype and number of threads.
 *
 * Every case of cases.c, forward and backward: `cpu` in f64 and f32 against `ref` in f64 on the
 * same (f32) inputs; `cpu` with 1, 2 and 3 threads against itself, bit by bit.
 */
#include "cases.h"
#include "fixture.h"

enum { ROOM = 8192 };

/* y and the gradients of its weighted sum to all inputs that have one, one after the other. */
static int64_t run(lh__engine *e, const op_case *c, int32_t dtype, int32_t layout, double *out) {
    lh_tensor *in[LH__MAX_INPUTS], *y, *loss, *weights, *g;
    int64_t n;

    begin_dirty_step(e, 3);
    for (int32_t i = 0; i < c->n_in; i++) {
        in[i] = case_input_new(e, c, i, LH_F32, (uint64_t)(c - cases), layout);
        if (in[i]->view.dtype == LH_F32)
            in[i] = call(e, LH_OP_CAST, TENSORS(in[i]), INTS(dtype), NONE);
        in[i]->requires_grad = case_has_gradient(c, i);
    }
    y = case_call(e, c, in);
    cr_assert_not_null(y);
    n = values(e, y, out, ROOM);
    weights = call(e, LH_OP_UNIFORM, NONE, INTS(y->view.dtype), REALS(0.5, 1.5));
    loss = call(e, LH_OP_MUL, TENSORS(y, weights), NONE, NONE);
    loss = call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    for (int32_t i = 0; i < c->n_in; i++)
        if (in[i]->requires_grad) {
            g = lh__grad_of(e, loss, in[i], 0);
            cr_assert_not_null(g);
            n += values(e, g, out + n, ROOM - n);
        }
    return n;
}

static void compare(const char *device, int32_t dtype, double tolerance) {
    static double expected[ROOM], got[ROOM];
    lh__engine *ref = new_engine("ref", LH_F64, 1), *e = new_engine(device, dtype, 2);

    for (const op_case *c = cases; c < cases + case_count; c++)
        for (int32_t layout = 0; layout < 3; layout++) {
            /* A cast to f64 stays one. */
            int64_t n = run(ref, c, LH_F64, layout, expected);

            cr_assert_eq(run(e, c, dtype, layout, got), n);
            for (int64_t i = 0; i < n; i++)
                cr_assert(fabs(got[i] - expected[i]) <= tolerance * fmax(1.0, fabs(expected[i])),
                          "%s on %s, case %td, layout %d, value %lld: %.9g instead of %.9g",
                          lh__row_of(c->op)->name, device, c - cases, layout, (long long)i, got[i],
                          expected[i]);
        }
    lh__engine_free(ref);
    lh__engine_free(e);
}

Test(devices, cpu_f64_equals_ref) {
    compare("cpu", LH_F64, 1e-12);
}

Test(devices, cpu_f32_equals_ref) {
    compare("cpu", LH_F32, 5e-6);
}

Test(devices, ref_f32_equals_ref) {
    compare("ref", LH_F32, 5e-6);
}

/* Loss and gradients of a two-layer network big enough to be cut into tiles. */
static int64_t network(int32_t threads, float *out) {
    enum { BATCH = 300, IN = 257, HIDDEN = 193, CLASSES = 10 };
    lh__engine *e = new_engine("cpu", LH_F32, threads);
    lh_init init = {.kind = LH_INIT_KAIMING_UNIFORM, .a = sqrt(5)};
    lh_tensor *w1 = lh__param_new(e, "w1", 0, 2, (int64_t[]){HIDDEN, IN}, &init);
    lh_tensor *b1 = lh__param_new(e, "b1", 0, 1, (int64_t[]){HIDDEN}, NULL);
    lh_tensor *w2 = lh__param_new(e, "w2", 0, 2, (int64_t[]){CLASSES, HIDDEN}, &init);
    lh_tensor *x, *t, *loss;
    int64_t n = 0;

    lh__params_seal(e);
    x = call(e, LH_OP_NORMAL, NONE, INTS(LH_F32, BATCH, IN), REALS(0, 1));
    t = call(e, LH_OP_UNIFORM, NONE, INTS(LH_F32, BATCH), REALS(0, CLASSES));
    t = call(e, LH_OP_CAST, TENSORS(t), INTS(LH_I64), NONE);
    x = call(e, LH_OP_RELU, TENSORS(call(e, LH_OP_LINEAR, TENSORS(x, w1, b1), NONE, NONE)), NONE,
             NONE);
    x = call(e, LH_OP_DROPOUT, TENSORS(x), NONE, REALS(0.2));
    x = call(e, LH_OP_LINEAR, TENSORS(x, w2), NONE, NONE);
    loss = call(e, LH_OP_NLL_LOSS,
                TENSORS(call(e, LH_OP_LOG_SOFTMAX, TENSORS(x), INTS(1), NONE), t), NONE, NONE);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    out[n++] = (float)lh__item(e, loss);
    for (int64_t i = 0; i < lh__param_count(e); i++) {
        const lh__view *g = &lh__param_at(e, i)->grad;

        memcpy(out + n, g->data, (size_t)lh__view_numel(g) * sizeof *out);
        n += lh__view_numel(g);
    }
    lh__engine_free(e);
    return n;
}

Test(devices, bits_do_not_depend_on_threads) {
    static float one[1 << 17], more[1 << 17];
    int64_t n = network(1, one);

    cr_assert(isfinite(one[0]) && one[0] > 0);
    for (int32_t threads = 2; threads <= 3; threads++) {
        cr_assert_eq(network(threads, more), n);
        cr_expect_eq(memcmp(one, more, (size_t)n * sizeof *one), 0, "%d threads differ", threads);
    }
}
