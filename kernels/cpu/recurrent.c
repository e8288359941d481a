/* recurrent.c - the cpu device's recurrent layers: per step, products of h with each gate's
 * weights, then the cell.
 *
 * Invariant: a step is cut into tiles of rows and units, by shape alone; a tile makes all gates of
 * its units, so that a step needs the pool once. A tile writes its own elements of a step and reads
 * earlier (going back: later) steps. Contiguous operands of one real dtype; others go to the
 * oracle.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/vmath.h"

enum {
    ROWS = 32,
    UNITS = 64,
    LEAST_TO_CUT = 512 * 1024, /* multiply-adds of a step */
    LEAST_TO_TURN = 4,         /* steps */
};

/* Where things are in a row of y (or of a walk back), in slots of `hidden`. */
typedef struct layout {
    int64_t gates, width; /* of y */
    int64_t sums;         /* where the gates' sums are made in y; each becomes a gate */
    int64_t x_gates;      /* the first so many sums begin with x's share */
    int64_t units, back;  /* of a walk back; where it has the gradients to W_hh h + b_hh */
} layout;

static const layout rnn_layout = {1, 1, 0, 1, 1, 0}, lstm_layout = {4, 6, 2, 4, 5, 0},
                    gru_layout = {3, 5, 1, 2, 7, 3};

typedef struct walk {
    const layout *layout;
    lh__tile_fn *tile;
    const char *x, *h, *c, *w, *b,
        *g; /* what the kernel has of them; h, c: before the first step */
    char *y, *out;
    int64_t w_unit, w_h; /* strides of a gate's weights: from unit to unit, along h */
    int64_t t, n, hidden, step, row_tiles;
    bool relu;
} walk;

/* A tile: rows [row, row + rows), units [unit, unit + units). */
typedef struct piece {
    int64_t row, rows, unit, units;
} piece;

static piece piece_of(const walk *w, int64_t tile) {
    piece p = {.row = tile % w->row_tiles * ROWS, .unit = tile / w->row_tiles * UNITS};

    p.rows = w->n - p.row < ROWS ? w->n - p.row : ROWS;
    p.units = w->hidden - p.unit < UNITS ? w->hidden - p.unit : UNITS;
    return p;
}

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/recurrent.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/recurrent.inc"

#define BOTH(name) \
    { name##_f32, name##_f64 }

static bool is_plain(const lh__kernel_call *call) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype || !lh__view_is_contiguous(call->in[k]))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* All tiles of the step. */
static void run_step(walk *w, lh__pool *pool) {
    int64_t tiles = w->row_tiles * ((w->hidden + UNITS - 1) / UNITS);
    int64_t work = w->n * w->hidden * w->hidden * w->layout->gates;

    lh__pool_run(work < LEAST_TO_CUT ? NULL : pool, tiles, w->tile, w);
}

/* The weights of each gate transposed, which products take as they lie: worth it over some steps.
 */
static void turn_weights(walk *w, const lh__view *weights, lh__pool *pool) {
    const int64_t h = w->hidden, gates = w->layout->gates;
    const lh__view turned = {.data = weights->data,
                             .dtype = weights->dtype,
                             .ndim = 3,
                             .shape = {gates, h, h},
                             .stride = {h * h, 1, h}};
    lh__view out = turned;
    const lh__view *const in = &turned;
    const lh__kernel_call copy = {
        .op = LH_OP_CONTIGUOUS, .n_in = 1, .in = &in, .out = &out, .pool = pool};

    w->w = weights->data, w->w_unit = h, w->w_h = 1;
    out.stride[1] = h, out.stride[2] = 1;
    out.data = w->t < LEAST_TO_TURN
                   ? NULL
                   : lh__pool_scratch(pool, (size_t)(gates * h * h * lh__dtype_size(out.dtype)));
    if (!out.data)
        return;
    ISA(copy)(&copy);
    w->w = out.data, w->w_unit = 1, w->w_h = h;
}

static void forwards(const lh__kernel_call *call, const layout *places, lh__tile_fn *const tile[2],
                     lh__kernel *oracle) {
    const lh__view *const *in = call->in;
    int32_t last = call->n_in - 1;
    walk w = {.layout = places, .x = in[0]->data, .h = in[1]->data, .c = in[2]->data};

    if (!is_plain(call)) {
        oracle(call);
        return;
    }
    w.tile = tile[call->out->dtype == LH_F64];
    w.b = in[last]->data, w.y = call->out->data;
    w.t = in[0]->shape[0], w.n = in[0]->shape[1], w.hidden = in[1]->shape[1];
    turn_weights(&w, in[last - 1], call->pool);
    w.row_tiles = (w.n + ROWS - 1) / ROWS;
    w.relu = call->n_ints > 0 && call->ints[0];
    for (; w.step < w.t; w.step++)
        run_step(&w, call->pool);
}

static void backwards(const lh__kernel_call *call, const layout *places, lh__tile_fn *const tile[2],
                      lh__kernel *oracle) {
    const lh__view *const *in = call->in;
    int32_t last = call->n_in - 1;
    walk w = {.layout = places, .g = in[0]->data, .y = in[1]->data, .out = call->out->data};

    if (!is_plain(call)) {
        oracle(call);
        return;
    }
    w.tile = tile[call->out->dtype == LH_F64];
    w.h = w.c = in[2]->data, w.w = in[last]->data;
    w.t = in[0]->shape[0], w.n = in[0]->shape[1], w.hidden = in[last]->shape[1];
    w.row_tiles = (w.n + ROWS - 1) / ROWS;
    w.relu = call->n_ints > 0 && call->ints[0];
    for (w.step = w.t - 1; w.step >= 0; w.step--)
        run_step(&w, call->pool);
}

#define WALK(name, way, layout)                                 \
    void ISA(name)(const lh__kernel_call *call) {               \
        static lh__tile_fn *const tiles[2] = BOTH(name##_tile); \
                                                                \
        way(call, &layout, tiles, lh__ref_##name);              \
    }

WALK(rnn, forwards, rnn_layout)
WALK(lstm, forwards, lstm_layout)
WALK(gru, forwards, gru_layout)
WALK(rnn_grad, backwards, rnn_layout)
WALK(lstm_grad, backwards, lstm_layout)
WALK(gru_grad, backwards, gru_layout)
