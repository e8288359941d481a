/* test_recurrent.c - recurrent layers: PyTorch's formulas step by step, state that goes on, bits
 * that don't depend on threads, refusals.
 */
#include "fixture.h"

enum { STEPS = 4, N = 3, H = 5 };

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F64, 2);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(recurrent, .init = setup, .fini = teardown);

static lh_tensor *normal(lh__engine *of, int32_t dtype, int32_t ndim, const int64_t *shape) {
    int64_t ints[1 + LH_MAX_DIMS] = {dtype};

    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = shape[d];
    return call(of, LH_OP_NORMAL, NONE, 1 + ndim, ints, REALS(0, 0.5));
}

#define NORMAL(...)                                                                  \
    normal(e, LH_F64, (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
           (int64_t[]){__VA_ARGS__})

static const double *data(const lh_tensor *t) {
    cr_assert_not_null(t, "%s", err.text);
    return t->view.data;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Gate k, unit j of W_hh h + b_hh. */
static double share(const double *h, const double *w, const double *b, int k, int j) {
    double sum = b[k * H + j];

    for (int l = 0; l < H; l++)
        sum += w[(k * H + j) * H + l] * h[l];
    return sum;
}

Test(recurrent, rnn_is_torchs) {
    for (int64_t relu = 0; relu < 2; relu++) {
        lh_tensor *x = NORMAL(STEPS, N, H), *h0 = NORMAL(N, H), *w = NORMAL(H, H), *b = NORMAL(H);
        const double *y = data(call(e, LH_OP_RNN, TENSORS(x, h0, w, b), INTS(relu), NONE));

        for (int row = 0; row < STEPS * N; row++) {
            const double *h = row < N ? data(h0) + row * H : y + (row - N) * H;

            for (int j = 0; j < H; j++) {
                double z = data(x)[row * H + j] + share(h, data(w), data(b), 0, j);

                cr_expect_float_eq(y[row * H + j], relu ? fmax(z, 0) : tanh(z), 1e-12);
            }
        }
    }
}

Test(recurrent, lstm_is_torchs) {
    lh_tensor *x = NORMAL(STEPS, N, 4 * H), *h0 = NORMAL(N, H), *c0 = NORMAL(N, H);
    lh_tensor *w = NORMAL(4 * H, H), *b = NORMAL(4 * H);
    const double *y = data(call(e, LH_OP_LSTM, TENSORS(x, h0, c0, w, b), NONE, NONE));

    for (int row = 0; row < STEPS * N; row++) {
        const double *out = y + row * 6 * H;
        const double *h = row < N ? data(h0) + row * H : out - N * 6 * H;
        const double *c = row < N ? data(c0) + row * H : out - N * 6 * H + H;

        for (int j = 0; j < H; j++) {
            double z[4], cell;

            for (int k = 0; k < 4; k++)
                z[k] = data(x)[(row * 4 + k) * H + j] + share(h, data(w), data(b), k, j);
            cell = sigmoid(z[1]) * c[j] + sigmoid(z[0]) * tanh(z[2]);
            cr_expect_float_eq(out[j], sigmoid(z[3]) * tanh(cell), 1e-12);
            cr_expect_float_eq(out[H + j], cell, 1e-12);
            for (int k = 0; k < 4; k++)
                cr_expect_float_eq(out[(2 + k) * H + j], k == 2 ? tanh(z[k]) : sigmoid(z[k]),
                                   1e-12);
        }
    }
}

Test(recurrent, gru_is_torchs) {
    lh_tensor *x = NORMAL(STEPS, N, 3 * H), *h0 = NORMAL(N, H);
    lh_tensor *w = NORMAL(3 * H, H), *b = NORMAL(3 * H);
    const double *y = data(call(e, LH_OP_GRU, TENSORS(x, h0, w, b), NONE, NONE));

    for (int row = 0; row < STEPS * N; row++) {
        const double *out = y + row * 5 * H, *in = data(x) + row * 3 * H;
        const double *h = row < N ? data(h0) + row * H : out - N * 5 * H;

        for (int j = 0; j < H; j++) {
            double r = sigmoid(in[j] + share(h, data(w), data(b), 0, j));
            double z = sigmoid(in[H + j] + share(h, data(w), data(b), 1, j));
            double hn = share(h, data(w), data(b), 2, j), n = tanh(in[2 * H + j] + r * hn);
            double expected[] = {(1 - z) * n + z * h[j], r, z, n, hn};

            for (int k = 0; k < 5; k++)
                cr_expect_float_eq(out[k * H + j], expected[k], 1e-12);
        }
    }
}

/* Two halves of a sequence, the state handed on, are the whole. */
Test(recurrent, state_goes_on) {
    lh_tensor *x = NORMAL(STEPS, N, 4 * H), *h = NORMAL(N, H), *c = NORMAL(N, H);
    lh_tensor *w = NORMAL(4 * H, H), *b = NORMAL(4 * H), *half, *last;
    const double *whole = data(call(e, LH_OP_LSTM, TENSORS(x, h, c, w, b), NONE, NONE));

    for (int64_t from = 0; from < STEPS; from += STEPS / 2) {
        half = call(e, LH_OP_SLICE, TENSORS(x), INTS(0, from, from + STEPS / 2, 1), NONE);
        half = call(e, LH_OP_LSTM, TENSORS(half, h, c, w, b), NONE, NONE);
        for (int i = 0; i < STEPS / 2 * N * 6 * H; i++)
            cr_expect_float_eq(data(half)[i], whole[from * N * 6 * H + i], 1e-13);
        last = call(e, LH_OP_SLICE, TENSORS(half), INTS(0, STEPS / 2 - 1, STEPS / 2, 1), NONE);
        last = call(e, LH_OP_RESHAPE, TENSORS(last), INTS(N, 6 * H), NONE);
        h = call(e, LH_OP_SLICE, TENSORS(last), INTS(1, 0, H, 1), NONE);
        c = call(e, LH_OP_SLICE, TENSORS(last), INTS(1, H, 2 * H, 1), NONE);
    }
}

/* Results and gradients to W_hh and x of layers that are cut into tiles. */
static int64_t large(int32_t threads, uint32_t op, float *out) {
    enum { TIME = 3, ROWS = 65, HIDDEN = 130 };
    int64_t gates = op == LH_OP_LSTM ? 4 * HIDDEN : op == LH_OP_GRU ? 3 * HIDDEN : HIDDEN, n;
    lh__engine *of = new_engine("cpu", LH_F32, threads);
    lh_tensor *x = normal(of, LH_F32, 3, (int64_t[]){TIME, ROWS, gates});
    lh_tensor *h = normal(of, LH_F32, 2, (int64_t[]){ROWS, HIDDEN});
    lh_tensor *w = normal(of, LH_F32, 2, (int64_t[]){gates, HIDDEN});
    lh_tensor *b = normal(of, LH_F32, 1, &gates), *loss, *g[3];
    lh_tensor *in[] = {x, h, h, w, b};

    if (op != LH_OP_LSTM)
        in[2] = w, in[3] = b;
    x->requires_grad = w->requires_grad = 1;
    g[0] = call(of, op, op == LH_OP_LSTM ? 5 : 4, in, op == LH_OP_RNN, (int64_t[]){0}, NONE);
    cr_assert_not_null(g[0]);
    loss = call(of, LH_OP_SQUARE, TENSORS(g[0]), NONE, NONE);
    loss = call(of, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    g[1] = lh__grad_of(of, loss, x, 0), g[2] = lh__grad_of(of, loss, w, 0);
    n = 0;
    for (int k = 0; k < 3; k++) {
        lh_tensor *t = call(of, LH_OP_CONTIGUOUS, TENSORS(g[k]), NONE, NONE);

        cr_assert_not_null(t);
        memcpy(out + n, t->view.data, (size_t)lh__view_numel(&t->view) * sizeof *out);
        n += lh__view_numel(&t->view);
    }
    lh__engine_free(of);
    return n;
}

Test(recurrent, bits_do_not_depend_on_threads) {
    static float one[1 << 19], more[1 << 19];

    for (uint32_t op = LH_OP_RNN; op <= LH_OP_GRU; op++) {
        int64_t n = large(1, op, one);

        for (int32_t threads = 2; threads <= 3; threads++) {
            cr_assert_eq(large(threads, op, more), n);
            cr_expect_eq(memcmp(one, more, (size_t)n * sizeof *one), 0, "%u, %d threads", op,
                         threads);
        }
        for (int64_t i = 0; i < n; i++)
            cr_assert(isfinite(one[i]));
    }
}

static void refused(const lh_tensor *y, lh_status code, const char *part, const char *more) {
    cr_expect_null(y, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s: code %d", err.text, err.code);
    cr_expect(strstr(err.text, part) && strstr(err.text, more), "\"%s\" lacks \"%s\" or \"%s\"",
              err.text, part, more);
    err = (lh__error){0};
}

Test(recurrent, refuses_what_does_not_fit) {
    lh_tensor *x = NORMAL(2, N, 4 * H), *h = NORMAL(N, H), *w = NORMAL(4 * H, H),
              *b = NORMAL(4 * H);

#define REFUSED(op, ints, part, more, ...) \
    refused(call(e, op, TENSORS(__VA_ARGS__), ints, (int64_t[]){0}, NONE), LH_ESHAPE, part, more)
    REFUSED(LH_OP_LSTM, 0, "x needs three axes", "mnist.c:31: lstm(", NORMAL(N, 4 * H), h, h, w, b);
    REFUSED(LH_OP_LSTM, 0, "x needs three axes", "(n, hidden)", x, NORMAL(1, N, H), h, w, b);
    REFUSED(LH_OP_LSTM, 0, "no time steps", "lstm", NORMAL(0, N, 4 * H), h, h, w, b);
    REFUSED(LH_OP_LSTM, 0, "4 times hidden", "20", NORMAL(2, N, 3 * H), h, h, w, b);
    REFUSED(LH_OP_GRU, 0, "3 times hidden", "15", x, h, w, b);
    REFUSED(LH_OP_RNN, 1, "1 times hidden", "5", x, h, w, b);
    REFUSED(LH_OP_LSTM, 0, "h has to be", "(3, 5)", x, NORMAL(2, H), h, w, b);
    REFUSED(LH_OP_LSTM, 0, "c has to be", "(3, 5)", x, h, NORMAL(N, 4), w, b);
    REFUSED(LH_OP_LSTM, 0, "w_hh has to be", "(20, 5)", x, h, h, NORMAL(H, 4 * H), b);
    REFUSED(LH_OP_LSTM, 0, "b_hh has to be", "(20)", x, h, h, w, NORMAL(H));
#undef REFUSED
}

Test(recurrent, has_no_second_derivative) {
    lh_tensor *x = NORMAL(2, N, H), *h = NORMAL(N, H), *w = NORMAL(H, H), *b = NORMAL(H), *y;

    x->requires_grad = 1;
    y = call(e, LH_OP_RNN, TENSORS(x, h, w, b), INTS(0), NONE);
    y = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(y), NONE, NONE)), INTS(0), NONE);
    refused(lh__grad_of(e, y, x, 1), LH_EUNSUPPORTED, "derived once more", "rnn");
}
