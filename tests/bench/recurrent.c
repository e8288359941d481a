/* recurrent.c - times of recurrent layers on lhost's engine, data in memory: a layer as
 * torch.nn has it (the product with x counted in), forwards, and forwards and backwards; and the
 * whole training step of examples/char-lstm. One line of JSON for each: {"case": NAME, "us":
 * FASTEST, "flops": OPERATIONS}; then {"gflops": CEILING}.
 *
 *     recurrent [--threads N] [--seconds S] [--only NAME] [--products bf16]
 *
 * S seconds for each case, 0.5, of those that have NAME in theirs; products of f32, or of operands
 * rounded to bfloat16.
 */
#include "engine/optimizer.h"
#include "tests/bench/ceiling.h"
#include "tests/bench/timing.h"
#include "tests/lists.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 65, EMBED = 64, HIDDEN = 256, ROWS = 32, STEPS = 32 };

static const char *const kinds[] = {"rnn", "lstm", "gru"};
static const int64_t gates_of[] = {1, 4, 3};

typedef struct size {
    int64_t t, n, in, hidden;
} size;

static const size sizes[] = {
    {32, 32, 64, 256}, {28, 64, 28, 128}, {100, 64, 256, 256}, {20, 1, 32, 64}, {64, 128, 512, 512},
};

static lh_tensor *op(lh__engine *e, uint32_t code, int n_in, lh_tensor **in, int n_ints,
                     const int64_t *ints) {
    return lh__op(e, &(lh_op_call){.struct_size = sizeof(lh_op_call),
                                   .op = code,
                                   .n_inputs = n_in,
                                   .n_ints = n_ints,
                                   .line = __LINE__,
                                   .file = "recurrent.c",
                                   .inputs = in,
                                   .ints = ints});
}

static lh_tensor *param(lh__engine *e, const char *name, int32_t ndim, int64_t rows,
                        int64_t columns, double bound) {
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -bound, .b = bound};

    return lh__param_new(e, name, 0, ndim, (int64_t[]){rows, columns}, &init);
}

typedef struct layer {
    uint32_t op;
    int64_t gates, hidden;
    lh_tensor *w_ih, *b_ih, *w_hh, *b_hh;
} layer;

static layer make_layer(lh__engine *e, int kind, int64_t in, int64_t hidden) {
    const int64_t gates = gates_of[kind] * hidden;
    const double bound = 1 / sqrt((double)hidden);

    return (layer){LH_OP_RNN + (uint32_t)kind,
                   gates_of[kind],
                   hidden,
                   param(e, "w_ih", 2, gates, in, bound),
                   param(e, "b_ih", 1, gates, 0, bound),
                   param(e, "w_hh", 2, gates, hidden, bound),
                   param(e, "b_hh", 1, gates, 0, bound)};
}

/* Every step's h, (t, n, hidden). */
static lh_tensor *apply(lh__engine *e, const layer *l, lh_tensor *x, lh_tensor *h, lh_tensor *c) {
    const bool relu = false, is_rnn = l->op == LH_OP_RNN;

    x = op(e, LH_OP_LINEAR, TENSORS(x, l->w_ih, l->b_ih), 0, NULL);
    if (l->op == LH_OP_LSTM)
        x = op(e, l->op, TENSORS(x, h, c, l->w_hh, l->b_hh), 0, NULL);
    else
        x = op(e, l->op, TENSORS(x, h, l->w_hh, l->b_hh), is_rnn, (int64_t[]){relu});
    return op(e, LH_OP_SLICE, TENSORS(x), INTS(2, 0, l->hidden, 1));
}

/* One case under measurement. */
typedef struct bench {
    lh__engine *e;
    layer layer;
    size size;
    bool backward;
    float *x, *zeros;
    int64_t *text;
    lh_tensor *embed, *head, *head_bias;
    lh_optimizer *adam;
    uint64_t step;
} bench;

static bool layer_step(bench *b) {
    const size *s = &b->size;
    lh__engine *e = b->e;
    lh_tensor *x, *h, *c;

    lh__step_begin(e, LH__PHASE_TRAIN, b->step++);
    lh__set_grad_enabled(e, b->backward);
    x = lh__tensor_wrap(e, LH_F32, 3, (int64_t[]){s->t, s->n, s->in}, b->x);
    h = lh__tensor_wrap(e, LH_F32, 2, (int64_t[]){s->n, s->hidden}, b->zeros);
    c = lh__tensor_wrap(e, LH_F32, 2, (int64_t[]){s->n, s->hidden}, b->zeros);
    x = apply(e, &b->layer, x, h, c);
    if (!b->backward) {
        float last;

        for (int64_t axis = 0; axis < 3; axis++)
            x = op(e, LH_OP_SLICE, TENSORS(x), INTS(axis, 0, 1, 1));
        return x && lh__tensor_read(e, x, &last, sizeof last) == LH_OK;
    }
    for (int64_t i = 0; i < lh__param_count(e); i++)
        lh__param_at(e, i)->has_grad = 0;
    x = op(e, LH_OP_SUM, TENSORS(x), INTS(0));
    return lh__backward(e, x, 1, 0) == LH_OK;
}

static bool char_lstm_step(bench *b) {
    lh__engine *e = b->e;
    lh_tensor *x, *y, *h, *c;

    lh__step_begin(e, LH__PHASE_TRAIN, b->step++);
    lh__optimizer_zero_grad(b->adam);
    x = lh__tensor_wrap(e, LH_I64, 2, (int64_t[]){ROWS, STEPS}, b->text);
    y = lh__tensor_wrap(e, LH_I64, 2, (int64_t[]){ROWS, STEPS}, b->text + 1);
    h = lh__tensor_wrap(e, LH_F32, 2, (int64_t[]){ROWS, HIDDEN}, b->zeros);
    c = lh__tensor_wrap(e, LH_F32, 2, (int64_t[]){ROWS, HIDDEN}, b->zeros);
    x = op(e, LH_OP_EMBEDDING, TENSORS(b->embed, x), INTS(-1));
    x = op(e, LH_OP_PERMUTE, TENSORS(x), INTS(1, 0, 2));
    x = apply(e, &b->layer, x, h, c);
    x = op(e, LH_OP_PERMUTE, TENSORS(x), INTS(1, 0, 2));
    x = op(e, LH_OP_LINEAR, TENSORS(x, b->head, b->head_bias), 0, NULL);
    x = op(e, LH_OP_RESHAPE, TENSORS(x), INTS(-1, VOCAB));
    y = op(e, LH_OP_RESHAPE, TENSORS(y), INTS(-1));
    x = op(e, LH_OP_CROSS_ENTROPY, TENSORS(x, y), 0, NULL);
    if (lh__backward(e, x, 1, 0) != LH_OK)
        return false;
    return lh__optimizer_step(b->adam, &(lh__terms){.scale = 1, .max_norm = 5}) == LH_OK &&
           lh__settle(e) == LH_OK;
}

static lh__engine *new_engine(const lh__engine_options *options, lh__error *err) {
    lh__engine *e = lh__engine_new(options, err);

    if (e)
        lh__engine_set_error(e, err);
    return e;
}

/* The fastest of the steps that `seconds` have room for; NAN when one fails. */
static double fastest(bench *b, bool (*step)(bench *), double seconds) {
    double best = INFINITY, begin = now_us();

    for (int i = 0; i < 10 || now_us() - begin < 1e6 * seconds; i++) {
        double start = now_us(), took;

        if (!step(b))
            return NAN;
        took = now_us() - start;
        best = took < best ? took : best;
    }
    return best;
}

static double layer_us(int kind, size s, bool backward, const lh__engine_options *options,
                       double seconds, lh__error *err) {
    const int64_t x = s.t * s.n * s.in, y = s.n * s.hidden;
    bench b = {.e = new_engine(options, err), .size = s, .backward = backward};
    double us = NAN;

    b.x = malloc((size_t)x * sizeof *b.x);
    b.zeros = calloc((size_t)y, sizeof *b.zeros);
    for (int64_t i = 0; b.x && i < x; i++)
        b.x[i] = (float)(i * 2654435761u >> 8 & 0xffff) / 32768 - 1;
    if (b.e && b.x && b.zeros) {
        b.layer = make_layer(b.e, kind, s.in, s.hidden);
        if (lh__params_seal(b.e) == LH_OK)
            us = fastest(&b, layer_step, seconds);
    }
    lh__engine_free(b.e);
    free(b.x);
    free(b.zeros);
    return us;
}

static double char_lstm_us(int kind, const lh__engine_options *options, double seconds,
                           lh__error *err) {
    const lh_optimizer_options adam = {LH_SIZED(lh_optimizer_options),
                                       .kind = LH_ADAM,
                                       .lr = 2e-3,
                                       .beta1 = 0.9,
                                       .beta2 = 0.999,
                                       .eps = 1e-8};
    int64_t text[ROWS * STEPS + 1];
    float zeros[ROWS * HIDDEN] = {0};
    bench b = {.e = new_engine(options, err), .zeros = zeros, .text = text};
    double us = NAN;

    for (int64_t i = 0; i <= ROWS * STEPS; i++)
        text[i] = i * i % VOCAB;
    if (!b.e)
        return NAN;
    b.embed = param(b.e, "embed", 2, VOCAB, EMBED, 1);
    b.layer = make_layer(b.e, kind, EMBED, HIDDEN);
    b.head = param(b.e, "head", 2, VOCAB, HIDDEN, 1 / sqrt(HIDDEN));
    b.head_bias = param(b.e, "head_bias", 1, VOCAB, 0, 1 / sqrt(HIDDEN));
    if (lh__params_seal(b.e) == LH_OK && (b.adam = lh__optimizer_new(b.e, &adam)))
        us = fastest(&b, char_lstm_step, seconds);
    lh__engine_free(b.e);
    return us;
}

static bool report(const char *name, double us, double flops, const lh__error *err) {
    if (isnan(us)) {
        fprintf(stderr, "recurrent: %s: %s\n", name, err->code ? err->text : "out of memory");
        return false;
    }
    printf("{\"case\": \"%s\", \"us\": %.1f, \"flops\": %.0f}\n", name, us, flops);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv) {
    lh__engine_options options = {.device = "cpu", .threads = 1, .dtype = LH_F32, .seed = 1};
    double seconds = 0.5;
    const char *only = "";
    lh__error err = {0};
    lh__pool *pool;
    bool ok = true;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            options.threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--products") == 0 && strcmp(argv[i + 1], "bf16") == 0)
            options.products = LH__PRODUCTS_BF16;
    }
    for (int kind = 0; kind < 3; kind++) {
        const double gates = (double)gates_of[kind], rows = ROWS * STEPS;
        char name[64];

        snprintf(name, sizeof name, "char-%s step", kinds[kind]);
        if (strstr(name, only))
            ok &= report(name, char_lstm_us(kind, &options, seconds, &err),
                         6 * rows * HIDDEN * (gates * (HIDDEN + EMBED) + VOCAB), &err);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int back = 0; back < 2; back++) {
                const size s = sizes[i];
                const double products = 2 * gates * (double)(s.t * s.n * s.hidden);

                snprintf(name, sizeof name, "%s t%d n%d in%d h%d %s", kinds[kind], (int)s.t,
                         (int)s.n, (int)s.in, (int)s.hidden, back ? "back" : "forward");
                if (strstr(name, only))
                    ok &= report(name, layer_us(kind, s, back, &options, seconds, &err),
                                 products * ((back ? 3 : 1) * (double)s.hidden +
                                             (back ? 2 : 1) * (double)s.in),
                                 &err);
            }
    }
    pool = lh__pool_new(options.threads);
    printf("{\"gflops\": %.1f}\n",
           1e-9 * measured_ceiling(options.products ? CEILING_BF16 : CEILING_F32, pool));
    lh__pool_free(pool);
    return ok ? 0 : 1;
}
