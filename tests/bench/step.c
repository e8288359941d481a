/* step.c - time of LitMNIST's training step on lhost's engine, batch in memory: zero_grad, forward,
 * loss, backward, Adam. The last line of output is JSON: {"step_us": MEDIAN}.
 *
 *     step [--threads N] [--steps N] [--plan 0|1] [--lr X] [--flush_denormal 0|1]
 *
 * With --lr 1e-3 the one batch is learnt by heart: gradients become subnormal.
 */
#include "engine/optimizer.h"
#include "tests/bench/timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, WARM_UP = 200 };

static lh_tensor *op(lh__engine *e, uint32_t code, lh_tensor *a, lh_tensor *b, lh_tensor *c,
                     const int64_t *ints, int32_t n_ints) {
    lh_tensor *const inputs[] = {a, b, c};
    const lh_op_call call = {.struct_size = sizeof call,
                             .op = code,
                             .n_inputs = c   ? 3
                                         : b ? 2
                                             : 1,
                             .n_ints = n_ints,
                             .line = __LINE__,
                             .file = "step.c",
                             .inputs = inputs,
                             .ints = ints};

    return lh__op(e, &call);
}

typedef struct layer {
    lh_tensor *weight, *bias;
} layer;

static layer linear(lh__engine *e, const char *name, int64_t in, int64_t out) {
    const double bound = 1 / sqrt((double)in);
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -bound, .b = bound};
    const int64_t shape[] = {out, in};
    char key[32];
    layer l;

    snprintf(key, sizeof key, "%s.weight", name);
    l.weight = lh__param_new(e, key, 0, 2, shape, &init);
    snprintf(key, sizeof key, "%s.bias", name);
    l.bias = lh__param_new(e, key, 0, 1, shape, &init);
    return l;
}

static int step(lh__engine *e, lh_optimizer *adam, const layer *l, const float *x, const int64_t *y,
                uint64_t number) {
    const int64_t x_shape[] = {BATCH, 784}, axis = 1;
    lh_tensor *h, *target, *loss;

    lh__step_begin(e, LH__PHASE_TRAIN, number);
    lh__optimizer_zero_grad(adam);
    h = lh__tensor_wrap(e, LH_F32, 2, x_shape, x);
    target = lh__tensor_wrap(e, LH_I64, 1, x_shape, y);
    for (int i = 0; i < 3; i++) {
        h = op(e, LH_OP_LINEAR, h, l[i].weight, l[i].bias, NULL, 0);
        h = i < 2 ? op(e, LH_OP_RELU, h, NULL, NULL, NULL, 0) : h;
    }
    h = op(e, LH_OP_LOG_SOFTMAX, h, NULL, NULL, &axis, 1);
    loss = op(e, LH_OP_NLL_LOSS, h, target, NULL, NULL, 0);
    lh__hold(e, loss);
    lh__names_end(e);
    if (lh__backward(e, loss, 1, 0) != LH_OK)
        return 0;
    lh__graph_end(e);
    return lh__optimizer_step(adam, &(lh__terms){.scale = 1}) == LH_OK && lh__settle(e) == LH_OK;
}

int main(int argc, char **argv) {
    lh__error err = {0};
    lh__engine_options options = {
        .device = "cpu", .threads = 1, .dtype = LH_F32, .seed = 1, .deferred = 1};
    lh_optimizer_options adam_options = {
        LH_SIZED(lh_optimizer_options),
        .kind = LH_ADAM,
        .lr = 1e-5, /* learnt by heart, gradients would become subnormal, and slow */
        .beta1 = 0.9,
        .beta2 = 0.999,
        .eps = 1e-8};
    float *x = malloc(BATCH * 784 * sizeof *x);
    int64_t y[BATCH];
    int steps = 2000;
    double *times;
    lh__engine *e;
    lh_optimizer *adam;
    layer l[3];

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            options.threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--steps") == 0)
            steps = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--plan") == 0)
            options.deferred = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--flush_denormal") == 0)
            options.flush_denormal = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--lr") == 0)
            adam_options.lr = atof(argv[i + 1]);
    }
    times = malloc((size_t)steps * sizeof *times);
    e = lh__engine_new(&options, &err);
    if (!x || !times || !e)
        goto fail;
    lh__engine_set_error(e, &err);
    for (int i = 0; i < BATCH * 784; i++)
        x[i] = (float)(i * 2654435761u >> 8) / (float)(1 << 24) - 0.5f;
    for (int i = 0; i < BATCH; i++)
        y[i] = i % 10;
    l[0] = linear(e, "layer_1", 784, 128);
    l[1] = linear(e, "layer_2", 128, 256);
    l[2] = linear(e, "layer_3", 256, 10);
    if (lh__params_seal(e) != LH_OK || !(adam = lh__optimizer_new(e, &adam_options)))
        goto fail;
    for (int i = -WARM_UP; i < steps; i++) {
        double start = now_us();

        if (!step(e, adam, l, x, y, (uint64_t)(i + WARM_UP)))
            goto fail;
        if (i >= 0)
            times[i] = now_us() - start;
    }
    qsort(times, (size_t)steps, sizeof *times, by_value);
    printf("{\"step_us\": %.2f, \"fastest_us\": %.2f}\n", times[steps / 2], times[0]);
    lh__engine_free(e);
    free(times);
    free(x);
    return 0;
fail:
    fprintf(stderr, "step: %s\n", err.code ? err.text : "out of memory");
    return 1;
}
