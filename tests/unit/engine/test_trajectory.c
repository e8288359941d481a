/* test_trajectory.c - twenty steps of LitMNIST follow PyTorch's (tests/golden/mnist.py, which tells
 * how weights and batches come from an integer hash): losses, and what training did to the weights.
 *
 * Bounds: F64 1e-10 of the value. F32 1e-5: twenty steps of rounding; PyTorch's own F32 and F64
 * losses are up to 3e-7 apart.
 */
#include "training.h"

enum { STEPS = 20, BATCH = 64, PARAMS = 6 };
static const int64_t widths[] = {784, 128, 256, 10};

static uint32_t hash(uint32_t stream, uint32_t i) {
    uint32_t h = stream * 0x9E3779B9u + i;

    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h *= 0x846CA68Bu;
    return h ^ h >> 16;
}

static double unit(uint32_t stream, int64_t i) {
    return (hash(stream, (uint32_t)i) >> 8) / 8388608.0 - 1;
}

static lh_tensor *op(struct training *t, uint32_t code, int n, lh_tensor *const *inputs) {
    const int64_t axis = 1;
    lh_tensor *out = lh__op(
        t->engine, &(lh_op_call){LH_SIZED(lh_op_call), .op = code, .n_inputs = n,
                                 .n_ints = code == LH_OP_LOG_SOFTMAX, .line = __LINE__,
                                 .file = "test_trajectory.c", .inputs = inputs, .ints = &axis});

    cr_assert(out, "%s", t->err.text);
    return out;
}

/* Parameter p: even, the weight of layer p / 2; odd, its bias. */
static void make_params(struct training *t, lh__param **params) {
    for (int p = 0; p < PARAMS; p++) {
        int64_t in = widths[p / 2], shape[] = {widths[p / 2 + 1], in};
        char name[16];

        snprintf(name, sizeof name, "p%d", p);
        cr_assert(lh__param_new(t->engine, name, 0, p % 2 ? 1 : 2, shape, NULL));
    }
    cr_assert_eq(lh__params_seal(t->engine), LH_OK);
    for (int p = 0; p < PARAMS; p++) {
        params[p] = lh__param_at(t->engine, p);
        for (int64_t i = 0; i < lh__view_numel(&params[p]->tensor.view); i++)
            set_element(&params[p]->tensor.view, i,
                        (float)(unit((uint32_t)p, i) / sqrt((double)widths[p / 2])));
    }
}

static double train_step(struct training *t, lh_optimizer *adam, lh__param **params, int step) {
    const int64_t x_shape[] = {BATCH, 784};
    lh_tensor *x, *y;

    lh__step_begin(t->engine, LH__PHASE_TRAIN, (uint64_t)step);
    lh__optimizer_zero_grad(adam);
    x = lh__tensor_new(t->engine, lh__engine_get_options(t->engine)->dtype, 2, x_shape, NULL);
    y = lh__tensor_new(t->engine, LH_I64, 1, x_shape, NULL);
    for (int64_t i = 0; i < BATCH * 784; i++)
        set_element(&x->view, i, (float)unit(100 + (uint32_t)step, i));
    for (int64_t i = 0; i < BATCH; i++)
        ((int64_t *)y->view.data)[i] = hash(200 + (uint32_t)step, (uint32_t)i) % 10;
    for (int layer = 0; layer < 3; layer++) {
        x = layer ? op(t, LH_OP_RELU, 1, &x) : x;
        x = op(t, LH_OP_LINEAR, 3,
               (lh_tensor *[]){x, &params[2 * layer]->tensor, &params[2 * layer + 1]->tensor});
    }
    x = op(t, LH_OP_LOG_SOFTMAX, 1, &x);
    x = op(t, LH_OP_NLL_LOSS, 2, (lh_tensor *[]){x, y});
    cr_assert_eq(lh__backward(t->engine, x, 1, 0), LH_OK, "%s", t->err.text);
    cr_assert_eq(lh__optimizer_step(adam, &(lh__terms){.scale = 1}), LH_OK);
    return lh__item(t->engine, x);
}

static void expect_near(const char *what, int i, double value, double golden, double bound) {
    cr_expect(fabs(value - golden) <= bound * fmax(1, fabs(golden)), "%s %d: %.17g, PyTorch %.17g",
              what, i, value, golden);
}

/* Losses are stored in the run's dtype, the sums in F64. */
static double golden_at(const struct golden *g, const char *what, const char *dtype, int i) {
    char name[64];
    const void *data;

    snprintf(name, sizeof name, "%s.%s", what, dtype);
    data = golden_tensor(g, name);
    return strcmp(what, "losses") == 0 && strcmp(dtype, "float32") == 0 ? ((const float *)data)[i]
                                                                        : ((const double *)data)[i];
}

static void follow(const char *device, int32_t dtype, const char *dtype_name, double bound) {
    struct training *t = training_begin(device, dtype);
    struct golden g = golden_open("mnist");
    lh__param *params[PARAMS];
    lh_optimizer *adam;

    make_params(t, params);
    adam = lh_adam(&t->ctx, .lr = 1e-3);
    for (int s = 0; s < STEPS; s++)
        expect_near("loss", s, train_step(t, adam, params, s),
                    golden_at(&g, "losses", dtype_name, s), bound);
    for (int p = 0; p < PARAMS; p++) {
        double squares = 0, moved = 0;

        for (int64_t i = 0; i < lh__view_numel(&params[p]->tensor.view); i++) {
            double value = value_at(params[p], i);
            double began = (float)(unit((uint32_t)p, i) / sqrt((double)widths[p / 2]));

            squares += value * value;
            moved += (value - began) * (value - began);
        }
        expect_near("sum of squares", p, squares, golden_at(&g, "sum_squares", dtype_name, p),
                    bound);
        expect_near("update", p, sqrt(moved), golden_at(&g, "update_norm", dtype_name, p), bound);
    }
    golden_close(&g);
    training_end(t);
}

Test(trajectory, cpu_f32) {
    follow("cpu", LH_F32, "float32", 1e-5);
}

Test(trajectory, cpu_f64) {
    follow("cpu", LH_F64, "float64", 1e-10);
}

Test(trajectory, ref_f64) {
    follow("ref", LH_F64, "float64", 1e-10);
}
