/* gpt.c - time of a Transformer's training step on lhost's engine, characters in memory: zero_grad,
 * forward, cross-entropy, backward, AdamW: the model of examples/gpt. The last line of output is
 * JSON: {"step_ms": MEDIAN}.
 *
 *     gpt [--threads N] [--steps N] [--layers N] [--width N] [--heads N] [--context N] [--batch N]
 *         [--bf16 1]
 */
#include "engine/optimizer.h"
#include "tests/bench/timing.h"
#include "tests/lists.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 65, MOST_LAYERS = 32 };

typedef struct block {
    lh_tensor *ln_1, *qkv, *attended, *ln_2, *up, *down;
} block;

typedef struct gpt {
    lh__engine *e;
    int64_t layers, width, heads, context, batch;
    lh_tensor *wte, *wpe, *ln_f;
    block h[MOST_LAYERS];
} gpt;

static lh_tensor *call(lh__engine *e, uint32_t op, int32_t n, lh_tensor *const *in, int32_t n_ints,
                       const int64_t *ints, int32_t n_reals, double real) {
    return lh__op(e, &(lh_op_call){.struct_size = sizeof(lh_op_call),
                                   .op = op,
                                   .n_inputs = n,
                                   .n_ints = n_ints,
                                   .n_reals = n_reals,
                                   .line = __LINE__,
                                   .file = "gpt.c",
                                   .inputs = in,
                                   .ints = ints,
                                   .reals = (double[]){real, 0}});
}

static lh_tensor *param(gpt *m, const char *name, int64_t layer, int32_t ndim, int64_t rows,
                        int64_t columns) {
    const lh_init ones = {LH_SIZED(lh_init), .kind = LH_INIT_CONSTANT, .a = 1};
    const lh_init normal = {LH_SIZED(lh_init), .kind = LH_INIT_NORMAL, .b = 0.02};
    char key[64];

    snprintf(key, sizeof key, "%s.%lld", name, (long long)layer);
    return lh__param_new(m->e, key, 0, ndim, (int64_t[]){rows, columns},
                         ndim == 1 ? &ones : &normal);
}

static void declare(gpt *m) {
    int64_t w = m->width;

    m->wte = param(m, "wte", 0, 2, VOCABULARY, w);
    m->wpe = param(m, "wpe", 0, 2, m->context, w);
    for (int64_t i = 0; i < m->layers; i++)
        m->h[i] = (block){param(m, "ln_1", i, 1, w, 0),     param(m, "qkv", i, 2, 3 * w, w),
                          param(m, "attended", i, 2, w, w), param(m, "ln_2", i, 1, w, 0),
                          param(m, "up", i, 2, 4 * w, w),   param(m, "down", i, 2, w, 4 * w)};
    m->ln_f = param(m, "ln_f", 0, 1, w, 0);
}

static lh_tensor *norm(const gpt *m, lh_tensor *x, lh_tensor *weight) {
    return call(m->e, LH_OP_LAYER_NORM, TENSORS(x, weight), INTS(1), 1, 1e-5);
}

static lh_tensor *linear(const gpt *m, lh_tensor *x, lh_tensor *weight) {
    return call(m->e, LH_OP_LINEAR, TENSORS(x, weight), 0, NULL, 0, 0);
}

static lh_tensor *add(const gpt *m, lh_tensor *x, lh_tensor *y) {
    return call(m->e, LH_OP_ADD, TENSORS(x, y), 0, NULL, 0, 0);
}

static lh_tensor *split_heads(const gpt *m, lh_tensor *qkv, int64_t i) {
    lh_tensor *x =
        call(m->e, LH_OP_SLICE, TENSORS(qkv), INTS(2, i * m->width, (i + 1) * m->width, 1), 0, 0);

    x = call(m->e, LH_OP_RESHAPE, TENSORS(x),
             INTS(m->batch, m->context, m->heads, m->width / m->heads), 0, 0);
    return call(m->e, LH_OP_PERMUTE, TENSORS(x), INTS(0, 2, 1, 3), 0, 0);
}

static lh_tensor *attend(const gpt *m, const block *h, lh_tensor *x) {
    lh_tensor *qkv = linear(m, x, h->qkv);
    lh_tensor *q = split_heads(m, qkv, 0), *k = split_heads(m, qkv, 1);

    x = call(m->e, LH_OP_ATTENTION, TENSORS(q, k, split_heads(m, qkv, 2)), INTS(1), 2, 0);
    x = call(m->e, LH_OP_PERMUTE, TENSORS(x), INTS(0, 2, 1, 3), 0, 0);
    x = call(m->e, LH_OP_RESHAPE, TENSORS(x), INTS(m->batch, m->context, m->width), 0, 0);
    return linear(m, x, h->attended);
}

static int step(const gpt *m, lh_optimizer *adamw, const int64_t *text, uint64_t number) {
    const int64_t shape[] = {m->batch, m->context}, n = m->batch * m->context;
    lh_tensor *x, *target, *loss;

    lh__step_begin(m->e, LH__PHASE_TRAIN, number);
    lh__optimizer_zero_grad(adamw);
    x = lh__tensor_wrap(m->e, LH_I64, 2, shape, text);
    target = lh__tensor_wrap(m->e, LH_I64, 1, &n, text + 1);
    x = call(m->e, LH_OP_EMBEDDING, TENSORS(m->wte, x), INTS(-1), 0, 0);
    x = add(m, x, call(m->e, LH_OP_SLICE, TENSORS(m->wpe), INTS(0, 0, m->context, 1), 0, 0));
    for (const block *h = m->h; h < m->h + m->layers; h++) {
        lh_tensor *y;

        x = add(m, x, attend(m, h, norm(m, x, h->ln_1)));
        y = linear(m, norm(m, x, h->ln_2), h->up);
        y = call(m->e, LH_OP_GELU, TENSORS(y), INTS(0), 0, 0);
        x = add(m, x, linear(m, y, h->down));
    }
    x = linear(m, norm(m, x, m->ln_f), m->wte);
    x = call(m->e, LH_OP_RESHAPE, TENSORS(x), INTS(-1, VOCABULARY), 0, 0);
    loss = call(m->e, LH_OP_CROSS_ENTROPY, TENSORS(x, target), 0, NULL, 0, 0);
    return lh__backward(m->e, loss, 1, 0) == LH_OK &&
           lh__optimizer_step(adamw, &(lh__terms){.scale = 1}) == LH_OK &&
           lh__settle(m->e) == LH_OK;
}

int main(int argc, char **argv) {
    lh__error err = {0};
    lh__engine_options options = {
        .device = "cpu", .threads = 1, .dtype = LH_F32, .seed = 1, .deferred = 1};
    const lh_optimizer_options adamw_options = {LH_SIZED(lh_optimizer_options),
                                                .kind = LH_ADAMW,
                                                .lr = 1e-3,
                                                .beta1 = 0.9,
                                                .beta2 = 0.99,
                                                .eps = 1e-8,
                                                .weight_decay = 0.1};
    gpt m = {.layers = 4, .width = 128, .heads = 4, .context = 64, .batch = 12};
    int64_t steps = 100, warm_up = 5, threads = 1, bf16 = 0, n;
    const struct {
        const char *name;
        int64_t *value;
    } all[] = {{"--threads", &threads}, {"--steps", &steps},     {"--layers", &m.layers},
               {"--width", &m.width},   {"--heads", &m.heads},   {"--context", &m.context},
               {"--batch", &m.batch},   {"--warm_up", &warm_up}, {"--bf16", &bf16}};
    lh_optimizer *adamw = NULL;
    int64_t *text;
    double *times;

    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (strcmp(argv[i], all[k].name) == 0)
                *all[k].value = atoll(argv[i + 1]);
    options.threads = (int32_t)threads;
    options.products = bf16 ? LH__PRODUCTS_BF16 : LH__PRODUCTS_F32;
    n = m.batch * m.context;
    text = malloc((size_t)(n + 1) * sizeof *text);
    times = malloc((size_t)steps * sizeof *times);
    m.e = lh__engine_new(&options, &err);
    if (!text || !times || !m.e || m.layers > MOST_LAYERS)
        goto fail;
    lh__engine_set_error(m.e, &err);
    for (int64_t i = 0; i <= n; i++)
        text[i] = (int64_t)((uint64_t)i * 2654435761u >> 7) % VOCABULARY;
    declare(&m);
    if (lh__params_seal(m.e) != LH_OK || !(adamw = lh__optimizer_new(m.e, &adamw_options)))
        goto fail;
    for (int64_t i = -warm_up; i < steps; i++) {
        double start = 1e-3 * now_us();

        if (!step(&m, adamw, text, (uint64_t)(i + warm_up)))
            goto fail;
        if (i >= 0)
            times[i] = 1e-3 * now_us() - start;
    }
    qsort(times, (size_t)steps, sizeof *times, by_value);
    printf("{\"step_ms\": %.3f, \"fastest_ms\": %.3f}\n", times[steps / 2], times[0]);
    lh__engine_free(m.e);
    free(times);
    free(text);
    return 0;
fail:
    fprintf(stderr, "gpt: %s\n", err.code ? err.text : "out of memory");
    return 1;
}
