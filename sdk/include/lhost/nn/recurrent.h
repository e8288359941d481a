/* recurrent.h - torch.nn.RNN, LSTM and GRU: one lh_recurrent for all.
 *
 *     m->lstm = lh_lstm_make(c, "lstm", 32, 64, .layers = 2, .batch_first = 1);
 *
 *     lh_recurrent_state state = {0};               // no initial state: zeros
 *     y = lh_recurrent_apply(c, m->lstm, x, &state); // now the final one
 */
#ifndef LHOST_NN_RECURRENT_H
#define LHOST_NN_RECURRENT_H

#include "param.h"

LH_EXTERN_C_BEGIN

typedef struct lh_recurrent_options {
    int32_t layers;        /* 1 */
    int32_t bidirectional; /* 0 */
    int32_t batch_first;   /* 0: x (t, n, in); 1: x (n, t, in) */
    int32_t bias;          /* 1 */
    int32_t relu;          /* RNN: instead of tanh; 0 */
    double dropout;        /* between layers; 0 */
} lh_recurrent_options;

/* One layer and direction. Gates: LSTM i f g o, GRU r z n. */
typedef struct lh_recurrent_cell {
    lh_tensor *weight_ih, *weight_hh; /* (gates hidden, in), (gates hidden, hidden) */
    lh_tensor *bias_ih, *bias_hh;     /* (gates hidden); NULL: none */
} lh_recurrent_cell;

/* NAME.weight_ih_l0, NAME.weight_hh_l0, NAME.bias_ih_l0, NAME.bias_hh_l0, then those of direction
 * _l0_reverse, then those of _l1 ...; all U(-1/sqrt(hidden), 1/sqrt(hidden)). */
typedef struct lh_recurrent {
    lh_recurrent_cell *cells; /* lives with the run: (layers, directions) */
    int64_t hidden;
    uint32_t op; /* LH_OP_RNN, LH_OP_LSTM or LH_OP_GRU */
    lh_recurrent_options o;
} lh_recurrent;

/* (layers directions, n, hidden), layer by layer. NULL before: zeros. */
typedef struct lh_recurrent_state {
    lh_tensor *h, *c; /* c: LSTM's only */
} lh_recurrent_state;

static inline lh_tensor *lh_recurrent_param_(lh_ctx *c, int wanted, const char *name,
                                             const char *part, int32_t layer, int reverse,
                                             int32_t ndim, const int64_t *shape, int64_t hidden) {
    char key[LH_NAME_SIZE];

    lh_name_(c, key, "%s_l%d%s", part, (int)layer, reverse ? "_reverse" : "");
    return lh_param_of_(c, wanted, name, key, ndim, shape,
                        lh_init_(LH_INIT_FAN_UNIFORM, (double)hidden, 0));
}

static inline lh_recurrent lh_recurrent_make_(lh_ctx *c, const char *name, uint32_t op, int64_t in,
                                              int64_t hidden, const lh_recurrent_options *o) {
    int32_t directions = o->bidirectional ? 2 : 1, n = o->layers * directions;
    int64_t gates = op == LH_OP_LSTM ? 4 : op == LH_OP_GRU ? 3 : 1;
    lh_recurrent layer;

    layer.cells = (lh_recurrent_cell *)c->host->alloc(c, (uint64_t)n * sizeof(lh_recurrent_cell));
    layer.hidden = hidden;
    layer.op = op;
    layer.o = *o;
    for (int32_t i = 0; layer.cells && i < n; i++) {
        const int64_t width = i < directions ? in : hidden * directions;
        const int64_t ih[2] = {gates * hidden, width}, hh[2] = {gates * hidden, hidden};
        lh_recurrent_cell *cell = &layer.cells[i];
        int32_t l = i / directions;
        int back = i % directions;

        cell->weight_ih = lh_recurrent_param_(c, 1, name, "weight_ih", l, back, 2, ih, hidden);
        cell->weight_hh = lh_recurrent_param_(c, 1, name, "weight_hh", l, back, 2, hh, hidden);
        cell->bias_ih = lh_recurrent_param_(c, o->bias, name, "bias_ih", l, back, 1, ih, hidden);
        cell->bias_hh = lh_recurrent_param_(c, o->bias, name, "bias_hh", l, back, 1, hh, hidden);
    }
    return layer;
}

/* (c, name, in, hidden). Options: .layers 1, .bidirectional 0, .dropout 0, .batch_first 0, .bias 1,
 * of an RNN .relu 0. */
#define lh_rnn_make(c, ...) LH_RECURRENT_(c, LH_OP_RNN, __VA_ARGS__, )
#define lh_lstm_make(c, ...) LH_RECURRENT_(c, LH_OP_LSTM, __VA_ARGS__, )
#define lh_gru_make(c, ...) LH_RECURRENT_(c, LH_OP_GRU, __VA_ARGS__, )
#define LH_RECURRENT_(c, op, name, in, hidden, ...)       \
    lh_recurrent_make_((c), (name), (op), (in), (hidden), \
                       &(const lh_recurrent_options){.layers = 1, .bias = 1, __VA_ARGS__})

/* A call under way: where it comes from, and what all cells need. */
typedef struct lh_recurrent_call_ {
    lh_ctx *c;
    const char *file;
    int32_t line, dtype;
    const lh_recurrent *layer;
    int64_t steps, batch;
} lh_recurrent_call_;

static inline lh_tensor *lh_recurrent_slice_(const lh_recurrent_call_ *r, lh_tensor *x,
                                             int64_t axis, int64_t start, int64_t end) {
    const int64_t ints[4] = {axis, start, end, 1};

    return lh_op1_(r->c, r->file, r->line, LH_OP_SLICE, x, 4, ints, 0, NULL);
}

static inline lh_tensor *lh_recurrent_flip_(const lh_recurrent_call_ *r, lh_tensor *x,
                                            int reverse) {
    const int64_t time = 0;

    return reverse ? lh_op1_(r->c, r->file, r->line, LH_OP_FLIP, x, 1, &time, 0, NULL) : x;
}

static inline lh_tensor *lh_recurrent_concat_(const lh_recurrent_call_ *r, lh_tensor *a,
                                              lh_tensor *b, int64_t axis) {
    lh_tensor *inputs[2];

    inputs[0] = a;
    inputs[1] = b;
    return a ? lh_op_(r->c, r->file, r->line, LH_OP_CONCAT, inputs, 2, &axis, 1, NULL, 0) : b;
}

/* Zeros (n, hidden); or (gates hidden), for a bias that there is not, with `gates` > 0. */
static inline lh_tensor *lh_recurrent_zeros_(const lh_recurrent_call_ *r, int64_t length) {
    const int64_t ints[3] = {r->dtype, length ? length : r->batch, r->layer->hidden};
    const double zero = 0;

    return lh_op_(r->c, r->file, r->line, LH_OP_FULL, NULL, 0, ints, length ? 2 : 3, &zero, 1);
}

/* Cell i's part of an initial state, (n, hidden). */
static inline lh_tensor *lh_recurrent_initial_(const lh_recurrent_call_ *r, lh_tensor *all,
                                               int32_t i) {
    const int64_t shape[2] = {r->batch, r->layer->hidden};

    if (!all)
        return lh_recurrent_zeros_(r, 0);
    all = lh_recurrent_slice_(r, all, 0, i, i + 1);
    return lh_op1_(r->c, r->file, r->line, LH_OP_RESHAPE, all, 2, shape, 0, NULL);
}

/* Cell i over x (t, n, in); adds its final state to *final. (t, n, hidden). */
static inline lh_tensor *lh_recurrent_cell_(const lh_recurrent_call_ *r, int32_t i, lh_tensor *x,
                                            const lh_recurrent_state *initial,
                                            lh_recurrent_state *final) {
    const lh_recurrent *layer = r->layer;
    const lh_recurrent_cell *cell = &layer->cells[i];
    int64_t hidden = layer->hidden, relu = layer->o.relu;
    int reverse = layer->o.bidirectional && i % 2;
    lh_tensor *inputs[5], *out, *h, *c;
    int32_t n = 0;

    inputs[0] = lh_recurrent_flip_(r, x, reverse);
    inputs[1] = cell->weight_ih;
    inputs[2] = cell->bias_ih;
    inputs[0] = lh_op_(r->c, r->file, r->line, LH_OP_LINEAR, inputs, cell->bias_ih ? 3 : 2, NULL, 0,
                       NULL, 0);
    n = 1;
    inputs[n++] = lh_recurrent_initial_(r, initial->h, i);
    if (layer->op == LH_OP_LSTM)
        inputs[n++] = lh_recurrent_initial_(r, initial->c, i);
    inputs[n++] = cell->weight_hh;
    inputs[n++] =
        cell->bias_hh ? cell->bias_hh : lh_recurrent_zeros_(r, lh_dim(r->c, cell->weight_hh, 0));
    out = lh_op_(r->c, r->file, r->line, layer->op, inputs, n, &relu, layer->op == LH_OP_RNN, NULL,
                 0);
    h = lh_recurrent_slice_(r, out, 2, 0, hidden);
    final->h = lh_recurrent_concat_(r, final->h,
                                    lh_recurrent_slice_(r, h, 0, r->steps - 1, r->steps), 0);
    if (layer->op == LH_OP_LSTM) {
        c = lh_recurrent_slice_(r, out, 2, hidden, 2 * hidden);
        final->c = lh_recurrent_concat_(r, final->c,
                                        lh_recurrent_slice_(r, c, 0, r->steps - 1, r->steps), 0);
    }
    return lh_recurrent_flip_(r, h, reverse);
}

static inline lh_tensor *lh_recurrent_apply_(lh_ctx *c, const char *file, int32_t line,
                                             const lh_recurrent *layer, lh_tensor *x,
                                             lh_recurrent_state *state) {
    const int64_t swapped[3] = {1, 0, 2};
    const lh_recurrent_options *o = &layer->o;
    lh_recurrent_state initial = {NULL, NULL}, final = {NULL, NULL};
    lh_recurrent_call_ r;

    if (!x || !layer->cells)
        return NULL;
    if (lh_ndim(c, x) != 3) {
        c->host->fail(c, LH_ESHAPE, file, line,
                      "a recurrent layer takes three axes, (%s, in); reshape what has %d",
                      o->batch_first ? "n, t" : "t, n", (int)lh_ndim(c, x));
        return NULL;
    }
    if (o->batch_first)
        x = lh_op1_(c, file, line, LH_OP_PERMUTE, x, 3, swapped, 0, NULL);
    if (state)
        initial = *state;
    r.c = c;
    r.file = file;
    r.line = line;
    r.dtype = lh_dtype_(c, layer->cells[0].weight_hh);
    r.layer = layer;
    r.steps = lh_dim(c, x, 0);
    r.batch = lh_dim(c, x, 1);
    for (int32_t l = 0; l < o->layers; l++) {
        lh_tensor *y;

        if (l > 0 && o->dropout > 0)
            x = lh_op1_(c, file, line, LH_OP_DROPOUT, x, 0, NULL, 1, &o->dropout);
        if (o->bidirectional) {
            y = lh_recurrent_cell_(&r, 2 * l, x, &initial, &final);
            x = lh_recurrent_concat_(&r, y, lh_recurrent_cell_(&r, 2 * l + 1, x, &initial, &final),
                                     2);
        } else {
            x = lh_recurrent_cell_(&r, l, x, &initial, &final);
        }
    }
    if (state)
        *state = final;
    return o->batch_first ? lh_op1_(c, file, line, LH_OP_PERMUTE, x, 3, swapped, 0, NULL) : x;
}

/* x (t, n, in) to (t, n, directions hidden); axes 0 and 1 swapped with .batch_first. `state`: the
 * initial one, replaced by the final one; NULL: zeros, and it is not wanted. */
#define lh_recurrent_apply(c, layer, x, state) \
    lh_recurrent_apply_((c), LH_HERE_, &(layer), (x), (state))

LH_EXTERN_C_END
#endif
