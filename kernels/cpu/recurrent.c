/* recurrent.c - the cpu device's recurrent layers: per step, products of h with each gate's
 * weights, then the cell, while their sums are in cache.
 *
 * Rows do not depend on one another. They are cut into blocks, and one thread walks all steps of a
 * block: threads meet once a call. Where there is one block only, threads share the units of each
 * step instead. The weights are laid out once a call, in panels that the inner loop reads from end
 * to end, or in strips for a unit that multiplies bfloat16.
 *
 * Invariant: cuts follow from the shape alone, and a row's sums run over k in order wherever it is
 * cut. Contiguous operands of one real dtype; others go to the oracle.
 *
 * Next, for tests/bench/versus's char-lstm: the way back could leave its gradients to the gates
 * laid out for the product that makes W_hh's gradient, which turns them again, and h where that
 * product reads it, which is copied now; and sum b_hh's gradient on the way.
 */
#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/vmath.h"

enum {
#ifdef __AVX512F__
    TALL = 8, /* rows of the inner loop: 16 sums in 32 registers */
#else
    TALL = 6, /* 12 sums in 16 */
#endif
    WIDE = 2,                  /* registers of a panel's row */
    DEPTH = 256,               /* rows of a panel that the first cache has room for */
    BLOCK = 16,                /* rows of a block, */
    LARGE_BLOCK = 64,          /* and where weights do not fit the second cache: */
    LARGE_WEIGHTS = 1 << 20,   /* bytes */
    MOST_GATES = 4,            /* of a cell */
    LEAST_TO_CUT = 512 * 1024, /* multiply-adds of a job */
    LEAST_TO_PACK = 4,         /* steps, */
    LEAST_TO_PACK_STRIPS = 2,  /* and for a unit */
    STRIP_DEPTH = 16,          /* steps of a strip that the first cache has room for */
};

/* Where things are in a row of y (or of a walk back), in slots of `hidden`. */
typedef struct layout {
    int64_t gates, width; /* of y */
    int64_t made;         /* the first that its step back reads; a later step, the one before */
    int64_t units, back;  /* of a walk back; where it has the gradients to W_hh h + b_hh */
} layout;

static const layout rnn_layout = {1, 1, 0, 1, 0}, lstm_layout = {4, 6, 2, 5, 0},
                    gru_layout = {3, 5, 1, 7, 3};

typedef struct walk walk;

/* A piece of a step: rows [row, row + rows), units [unit, unit + units), those of a panel. */
typedef struct piece {
    int64_t step, row, rows, unit, units;
} piece;

typedef void piece_fn(const walk *w, piece p);

/* Of a cell: its pieces forwards and back. */
typedef struct cell {
    piece_fn *forwards, *back;
} cell;

/* What cells read or write in each step: of rows of `slots`, those from `first` on, up to `end`,
 * `later` steps after. */
typedef struct touched {
    const void *data;
    int64_t slots, first, end, later;
} touched;

struct walk {
    const layout *layout;
    piece_fn *piece;
    const char *x, *h, *c, *w, *b,
        *g; /* what the kernel has of them; h, c: before the first step */
    char *y, *out;
    void *packed;              /* the weights in panels; NULL: products take them where they lie */
    char *laid;                /* what packed weights multiply; NULL: that is y, going back out */
    const lh__bf16_unit *unit; /* multiplies what is packed and laid; NULL: the inner loop */
    lh__bf16_run run;          /* of the unit, but for steps and rows */
    int64_t t, n, hidden, width; /* units of a panel */
    int64_t given;               /* slots of g: as many as y's, or h's alone */
    int64_t step, steps, stride; /* of a job: the first, how many, 1 or -1 */
    int64_t block, spans, span;  /* rows of a block; its tiles in a job, panels of each */
    touched touched[4];
    lh__products products;
    bool relu, is_back;
};

/* The element at which slot `slot` of a row begins; rows have `slots`. */
static int64_t place_of(const walk *w, int64_t slots, int64_t step, int64_t row, int64_t slot) {
    return ((step * w->n + row) * slots + slot) * w->hidden;
}

#include "kernels/cpu/recurrent_laid.inc"
#define T float
#define VECTOR vector_f32
#define FMA LH__FMA_F32
#define FN(name) name##_f32
#include "kernels/cpu/recurrent.inc"
#include "kernels/cpu/recurrent_cells.inc"
#undef T
#undef VECTOR
#undef FMA
#undef FN
#define T double
#define VECTOR vector_f64
#define FMA LH__FMA_F64
#define FN(name) name##_f64
#include "kernels/cpu/recurrent.inc"
#include "kernels/cpu/recurrent_cells.inc"

/* Tile: a span of panels of a block, over the steps of the job. */
static void walk_tile(void *arg, int64_t tile) {
    const walk *w = arg;
    const int64_t row = tile / w->spans * w->block, first = tile % w->spans * w->span;
    const int64_t end = least(parts_of(w->hidden, w->width), first + w->span);
    piece p = {.row = row, .rows = least(w->block, w->n - row)};

    if (w->unit)
        w->unit->begin();
    for (int64_t i = 0; i < w->steps; i++) {
        p.step = w->step + i * w->stride;
        for (int64_t panel = first; panel < end; panel++) {
            p.unit = panel * w->width;
            p.units = least(w->width, w->hidden - p.unit);
            w->piece(w, p);
            if (w->laid)
                lay_piece(w, p);
        }
    }
    if (w->unit)
        w->unit->end();
}

/* Rows of a block. */
static int64_t block_of(const walk *w) {
    const int64_t size = w->unit ? 2 : w->width == 8 ? 8 : 4;
    const bool is_large = w->layout->gates * w->hidden * w->hidden * size > LARGE_WEIGHTS;

    if (w->unit)
        return w->n <= STRIP ? BLOCK : w->n <= 2 * STRIP || !is_large ? STRIP : LARGE_BLOCK;
    if (is_large)
        return w->n < 2 * LARGE_BLOCK ? (w->n + 15) / 16 * 8 : LARGE_BLOCK;
    return BLOCK;
}

/* All steps: at once, a tile for each block; or one by one, tiles of a panel. */
static void run(walk *w, lh__pool *pool) {
    const int64_t panels = parts_of(w->hidden, w->width), t = w->t;
    const int64_t step = w->n * w->hidden * w->hidden * w->layout->gates;

    w->block = block_of(w);
    w->stride = w->is_back ? -1 : 1;
    w->step = w->is_back ? t - 1 : 0;
    w->spans = 1, w->span = panels, w->steps = t;
    if (w->n > w->block || step < LEAST_TO_CUT) {
        lh__pool_run(step * t < LEAST_TO_CUT ? NULL : pool, parts_of(w->n, w->block), walk_tile, w);
        return;
    }
    w->spans = panels, w->span = 1, w->steps = 1;
    for (int64_t i = 0; i < t; i++, w->step += w->stride)
        lh__pool_run(pool, panels, walk_tile, w);
}

static bool is_plain(const lh__kernel_call *call) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype || !lh__view_is_contiguous(call->in[k]))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* The weights in panels, where there are steps enough to make up for it. */
static void pack(walk *w, bool is_f64, lh__pool *pool) {
    const int64_t gates = w->layout->gates, panels = parts_of(w->hidden, w->width);
    const int64_t panel = w->unit ? panels * STRIP_STEP : w->hidden * w->width * (is_f64 ? 8 : 4);
    const int64_t weights = panels * gates * panel;
    const bool rounds = w->products != LH__PRODUCTS_F32;

    if (w->t >= (w->unit ? LEAST_TO_PACK_STRIPS : LEAST_TO_PACK))
        w->packed = lh__pool_scratch(pool, (size_t)(weights + (rounds ? laid_bytes(w) : 0)));
    if (!w->packed)
        return;
    lh__pool_run(w->hidden * w->hidden * gates < LEAST_TO_CUT / 8 ? NULL : pool, panels * gates,
                 w->unit  ? pack_strip
                 : is_f64 ? pack_panel_f64
                          : pack_panel_f32,
                 w);
    if (rounds) {
        w->laid = (char *)w->packed + weights;
        lay_first(w);
    }
}

static void run_cells(walk *w, const lh__kernel_call *call, const cell *cells) {
    const bool is_f64 = call->out->dtype == LH_F64;

    w->products =
        is_f64 || call->products == LH__PRODUCTS_BF16X3 ? LH__PRODUCTS_F32 : call->products;
    choose_unit(w);
    w->relu = call->n_ints > 0 && call->ints[0];
    w->width = is_f64 ? PANEL_f64 : PANEL_f32;
    w->piece = w->is_back ? cells[is_f64].back : cells[is_f64].forwards;
    if (lh__view_numel(call->out) == 0)
        return;
    pack(w, is_f64, call->pool);
    run(w, call->pool);
}

/* What a cell reads of the step before. */
static touched carried(const walk *w) {
    const layout *l = w->layout;

    return (touched){l->made ? w->y : NULL, l->width, l->made - 1, l->made, -1};
}

static void forwards(const lh__kernel_call *call, const layout *places, const cell *cells) {
    const lh__view *const *in = call->in;
    int32_t last = call->n_in - 1;
    walk w = {.layout = places, .x = in[0]->data, .h = in[1]->data, .c = in[2]->data};

    w.w = in[last - 1]->data, w.b = in[last]->data, w.y = call->out->data;
    w.t = in[0]->shape[0], w.n = in[0]->shape[1], w.hidden = in[1]->shape[1];
    w.touched[0] = (touched){w.x, places->gates, 0, places->gates, 0};
    w.touched[1] = (touched){w.y, places->width, 0, places->width, 0};
    w.touched[2] = carried(&w);
    run_cells(&w, call, cells);
}

static void backwards(const lh__kernel_call *call, const layout *places, const cell *cells) {
    const lh__view *const *in = call->in;
    int32_t last = call->n_in - 1;
    walk w = {.layout = places, .g = in[0]->data, .is_back = true, .out = call->out->data};

    w.y = in[1]->data, w.h = w.c = in[2]->data, w.w = in[last]->data;
    w.t = in[0]->shape[0], w.n = in[0]->shape[1], w.hidden = in[last]->shape[1];
    w.given = w.hidden ? in[0]->shape[2] / w.hidden : 0;
    w.touched[0] = (touched){w.g, w.given, 0, w.given, 0};
    w.touched[1] = (touched){w.y, places->width, places->made, places->width, 0};
    w.touched[2] = (touched){w.out, places->units, 0, places->units, 0};
    w.touched[3] = carried(&w);
    run_cells(&w, call, cells);
}

#define WALK(name, kind, way)                                               \
    void ISA(name)(const lh__kernel_call *call) {                           \
        static const cell cells[2] = {{kind##_piece_f32, kind##_back_f32},  \
                                      {kind##_piece_f64, kind##_back_f64}}; \
                                                                            \
        if (is_plain(call))                                                 \
            way(call, &kind##_layout, cells);                               \
        else                                                                \
            lh__ref_##name(call);                                           \
    }

WALK(rnn, rnn, forwards)
WALK(lstm, lstm, forwards)
WALK(gru, gru, forwards)
WALK(rnn_grad, rnn, backwards)
WALK(lstm_grad, lstm, backwards)
WALK(gru_grad, gru, backwards)
