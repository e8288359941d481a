/* recurrent.c - the oracle's recurrent layers and their walks back through time.
 *
 * y (t, n, width hidden) and out (t, n, units hidden) are contiguous; a row of either is cut into
 * slots of `hidden` elements: see ops.h and kernel.h. Later steps read earlier ones from y or out.
 */
#include <math.h>

#include "kernels/ref/ref.h"

/* Sizes, and a position: step, row, unit. */
typedef struct place {
    int64_t t, n, hidden, step, row, unit;
} place;

/* Slot `slot` at p of v, contiguous, whose rows have `slots` of them. */
static int64_t at(const place *p, int64_t slots, int64_t slot) {
    return ((p->step * p->n + p->row) * slots + slot) * p->hidden + p->unit;
}

static double state(const place *p, const lh__view *v) {
    return lh__get(v, p->row * p->hidden + p->unit);
}

/* Gate `gate` of W_hh h + b_hh, h being that before the step: slot 0 of y, or the initial one. */
static double hidden_share(const lh__kernel_call *call, const place *p, int64_t slots,
                           int64_t gate) {
    const lh__view *y = call->out, *w = call->in[call->n_in - 2], *b = call->in[call->n_in - 1];
    const lh__products products = y->dtype == LH_F32 ? call->products : LH__PRODUCTS_F32;
    place before = *p;
    double sum = lh__get(b, gate * p->hidden + p->unit);

    before.step--;
    for (before.unit = 0; before.unit < p->hidden; before.unit++)
        sum += lh__rounded_product(
            products, lh__get(w, (gate * p->hidden + p->unit) * p->hidden + before.unit),
            p->step ? lh__load(y, at(&before, slots, 0)) : state(&before, call->in[1]));
    return sum;
}

/* The slot at p one step before: from `first` at the first step. */
static double before(const place *p, const lh__view *y, int64_t slots, int64_t slot,
                     const lh__view *first) {
    place earlier = *p;

    earlier.step--;
    return p->step ? lh__load(y, at(&earlier, slots, slot)) : state(p, first);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

typedef void cell_fn(const lh__kernel_call *call, const place *p);

static void rnn_cell(const lh__kernel_call *call, const place *p) {
    double z = lh__get(call->in[0], at(p, 1, 0)) + hidden_share(call, p, 1, 0);

    lh__store(call->out, at(p, 1, 0), call->ints[0] ? (z <= 0 ? 0 : z) : tanh(z));
}

static void lstm_cell(const lh__kernel_call *call, const place *p) {
    const lh__view *y = call->out;
    double gate[4], c;

    for (int64_t k = 0; k < 4; k++) {
        double z = lh__get(call->in[0], at(p, 4, k)) + hidden_share(call, p, 6, k);

        gate[k] = k == 2 ? tanh(z) : sigmoid(z);
        lh__store(y, at(p, 6, 2 + k), gate[k]);
    }
    c = gate[1] * before(p, y, 6, 1, call->in[2]) + gate[0] * gate[2];
    lh__store(y, at(p, 6, 1), c);
    lh__store(y, at(p, 6, 0), gate[3] * tanh(c));
}

static void gru_cell(const lh__kernel_call *call, const place *p) {
    const lh__view *y = call->out;
    double share[3], x[3], r, z, n;

    for (int64_t k = 0; k < 3; k++) {
        x[k] = lh__get(call->in[0], at(p, 3, k));
        share[k] = hidden_share(call, p, 5, k);
    }
    r = sigmoid(x[0] + share[0]);
    z = sigmoid(x[1] + share[1]);
    n = tanh(x[2] + r * share[2]);
    lh__store(y, at(p, 5, 0), (1 - z) * n + z * before(p, y, 5, 0, call->in[1]));
    lh__store(y, at(p, 5, 1), r);
    lh__store(y, at(p, 5, 2), z);
    lh__store(y, at(p, 5, 3), n);
    lh__store(y, at(p, 5, 4), share[2]);
}

static void forwards(const lh__kernel_call *call, cell_fn *cell) {
    const lh__view *x = call->in[0], *h = call->in[1];
    place p = {.t = x->shape[0], .n = x->shape[1], .hidden = h->shape[1]};

    if (lh__view_numel(call->out) == 0)
        return;
    for (; p.step < p.t; p.step++)
        for (p.row = 0; p.row < p.n; p.row++)
            for (p.unit = 0; p.unit < p.hidden; p.unit++)
                cell(call, &p);
}

void lh__ref_rnn(const lh__kernel_call *call) {
    forwards(call, rnn_cell);
}

void lh__ref_lstm(const lh__kernel_call *call) {
    forwards(call, lstm_cell);
}

void lh__ref_gru(const lh__kernel_call *call) {
    forwards(call, gru_cell);
}

/* The gradient to slot `slot` of y's `width` at p, g's: 0 where it has h's alone. */
static double given(const lh__kernel_call *call, const place *p, int64_t width, int64_t slot) {
    const lh__view *g = call->in[0];

    if (g->shape[2] == width * p->hidden)
        return lh__get(g, at(p, width, slot));
    return slot == 0 ? lh__get(g, at(p, 1, 0)) : 0;
}

/* The gradient to h at p: g's, and from the next step's `gates` of out, from slot `first` on, that
 * were made from W_hh h. */
static double d_hidden(const lh__kernel_call *call, const place *p, int64_t width, int64_t slots,
                       int64_t first, int64_t gates) {
    const lh__view *w = call->in[call->n_in - 1];
    const lh__products products = w->dtype == LH_F32 ? call->products : LH__PRODUCTS_F32;
    double sum = given(call, p, width, 0);
    place next = *p;

    if (++next.step == p->t)
        return sum;
    for (int64_t k = 0; k < gates; k++)
        for (next.unit = 0; next.unit < p->hidden; next.unit++)
            sum +=
                lh__rounded_product(products, lh__load(call->out, at(&next, slots, first + k)),
                                    lh__get(w, (k * p->hidden + next.unit) * p->hidden + p->unit));
    return sum;
}

/* Slot `slot` of out one step later; 0 after the last. */
static double later(const lh__kernel_call *call, const place *p, int64_t slots, int64_t slot) {
    place next = *p;

    return ++next.step == p->t ? 0 : lh__load(call->out, at(&next, slots, slot));
}

static void rnn_back(const lh__kernel_call *call, const place *p) {
    double dh = d_hidden(call, p, 1, 1, 0, 1), y = lh__get(call->in[1], at(p, 1, 0));

    lh__store(call->out, at(p, 1, 0), call->ints[0] ? (y > 0 ? dh : 0) : dh * (1 - y * y));
}

static void lstm_back(const lh__kernel_call *call, const place *p) {
    const lh__view *y = call->in[1], *out = call->out;
    double i = lh__get(y, at(p, 6, 2)), f = lh__get(y, at(p, 6, 3));
    double u = lh__get(y, at(p, 6, 4)), o = lh__get(y, at(p, 6, 5));
    double squashed = tanh(lh__get(y, at(p, 6, 1))), dh = d_hidden(call, p, 6, 5, 0, 4);
    double dc = given(call, p, 6, 1) + later(call, p, 5, 4) + dh * o * (1 - squashed * squashed);
    double di = given(call, p, 6, 2) + dc * u;
    double df = given(call, p, 6, 3) + dc * before(p, y, 6, 1, call->in[2]);
    double du = given(call, p, 6, 4) + dc * i, d_o = given(call, p, 6, 5) + dh * squashed;

    lh__store(out, at(p, 5, 0), di * i * (1 - i));
    lh__store(out, at(p, 5, 1), df * f * (1 - f));
    lh__store(out, at(p, 5, 2), du * (1 - u * u));
    lh__store(out, at(p, 5, 3), d_o * o * (1 - o));
    lh__store(out, at(p, 5, 4), dc * f);
}

static void gru_back(const lh__kernel_call *call, const place *p) {
    const lh__view *y = call->in[1], *out = call->out;
    double r = lh__get(y, at(p, 5, 1)), z = lh__get(y, at(p, 5, 2)), n = lh__get(y, at(p, 5, 3));
    double dh = d_hidden(call, p, 5, 7, 3, 3) + later(call, p, 7, 6);
    double dn = (given(call, p, 5, 3) + dh * (1 - z)) * (1 - n * n);
    double dz = (given(call, p, 5, 2) + dh * (before(p, y, 5, 0, call->in[2]) - n)) * z * (1 - z);
    double dr = (given(call, p, 5, 1) + dn * lh__get(y, at(p, 5, 4))) * r * (1 - r);

    lh__store(out, at(p, 7, 0), dr);
    lh__store(out, at(p, 7, 1), dz);
    lh__store(out, at(p, 7, 2), dn);
    lh__store(out, at(p, 7, 3), dr);
    lh__store(out, at(p, 7, 4), dz);
    lh__store(out, at(p, 7, 5), given(call, p, 5, 4) + dn * r);
    lh__store(out, at(p, 7, 6), dh * z);
}

static void backwards(const lh__kernel_call *call, cell_fn *cell) {
    const lh__view *y = call->in[1], *w = call->in[call->n_in - 1];
    place p = {.t = y->shape[0], .n = y->shape[1], .hidden = w->shape[1]};

    if (lh__view_numel(call->out) == 0)
        return;
    for (p.step = p.t - 1; p.step >= 0; p.step--)
        for (p.row = 0; p.row < p.n; p.row++)
            for (p.unit = 0; p.unit < p.hidden; p.unit++)
                cell(call, &p);
}

void lh__ref_rnn_grad(const lh__kernel_call *call) {
    backwards(call, rnn_back);
}

void lh__ref_lstm_grad(const lh__kernel_call *call) {
    backwards(call, lstm_back);
}

void lh__ref_gru_grad(const lh__kernel_call *call) {
    backwards(call, gru_back);
}
