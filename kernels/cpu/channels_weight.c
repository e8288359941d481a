/* channels_weight.c - the gradient of a convolution's weight, with channels side by side.
 *
 * The product of channels.c with other names: sums over positions of one number of the window, of
 * the large side, by a register of the gradient, of the small one. In bfloat16 elements may be
 * pairs of neighbouring positions.
 *
 * Invariants: what a unit of work does depends on shapes alone, and so does the order of its sums;
 * at most DEPTH products are added before the sum goes to memory.
 */
#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/channels.h"
#include "kernels/cpu/channels_window.h"

enum {
    BLOCK = 128, /* channels of either side in a unit */
    UNITS = 8,   /* at least, if there are as many images */
};

/* A unit is a share of the runs of images with a block of large channels
 * and one of small channels. */
typedef struct weight_grad {
    sweep s; /* as of CONV: from the large side to the small one */
    cuts c;
    const float *large, *small;
    float *y, *sums; /* [unit][panel][tap][large channel][lane] */
    int64_t large_blocks, small_blocks, large_block, small_block; /* how many; channels of one */
    int64_t shares;
    const lh__panel_fns *products;
    const lh__bf16_unit *pairs; /* NULL: summands are positions, else pairs of neighbours */
    int64_t line, summand;      /* positions of a line, and of a summand: a multiple */
    rooms rooms;
} weight_grad;

/* What a unit's products go over: rows of the source and of the sums; offsets of the positions. */
typedef struct lists {
    const float **row;
    float **to;
    int32_t *position;
} lists;

/* Adds a part's products to a unit's sums: windows x, gradient g[summand][small channel]. Rows are
 * taps and large channels, which sums have in this order. */
static void add_part(const weight_grad *w, const part *at, const float *x, const float *g,
                     const lists *l, float *sums, int64_t large, int64_t small, bool adds) {
    const sweep *s = &w->s;
    const int64_t line = w->c.columns * w->large_block, rows = s->g.taps * large;
    int64_t n = 0;

    for (int64_t image = 0; image < at->images; image++)
        for (int64_t i = 0; i < at->rows; i++)
            for (int64_t j = 0; j < w->line; j += w->summand)
                l->position[n++] = (int32_t)((image * w->c.window_rows + i * s->step[1]) * line +
                                             j * s->step[2] * w->large_block);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t tap = i / large, a = tap / s->g.kernel[2] * s->g.dilation[1];

        l->row[i] =
            x + a * line + tap % s->g.kernel[2] * s->g.dilation[2] * w->large_block + i % large;
    }
    for (int64_t c = 0; c < small; c += PANEL, sums += s->g.taps * w->large_block * PANEL) {
        for (int64_t i = 0; i < rows; i++)
            l->to[i] = sums + (i / large * w->large_block + i % large) * PANEL;
        for (int64_t k = 0; k < n; k += DEPTH)
            panel_list(w->products, rows, (least(PANEL, small - c) + WIDTH - 1) / WIDTH,
                       least(DEPTH, n - k), l->row, l->position + k, g + k * w->small_block + c,
                       w->small_block, l->to, adds || k > 0);
    }
}

static int64_t sums_of_unit(const weight_grad *w) {
    return w->s.g.taps * w->large_block * w->small_block;
}

static int64_t positions_of_unit(const weight_grad *w) {
    return w->c.images * w->c.rows * w->line;
}

/* How far the next position of a pair is. */
static int64_t next_position(const weight_grad *w) {
    return w->s.step[2] * w->large_block;
}

/* The window of a part's large side, channels [l0, l0 + large); in pairs each position is one with
 * the next. */
static void take_large(const weight_grad *w, const part *at, int64_t l0, int64_t large, float *x) {
    const int64_t size = window_size(&w->c, w->large_block), next = next_position(w);

    fill_window(x, w->large, &w->s, &w->c, at, w->large_block, l0, large);
    if (w->pairs) {
        memset(x + size, 0, (size_t)next * sizeof *x);
        w->pairs->pair(x, x, x + next, size);
    }
}

/* g[summand][small channel] of a part, channels [s0, s0 + small); 0 behind the end of a line. */
static void take_small(const weight_grad *w, const part *at, int64_t s0, int64_t small, float *g) {
    const sweep *s = &w->s;
    const images gradient = {w->small, s->result, s->to[1], s->to[2]};
    const window rows = {at->row, 0, at->rows, w->line};
    const int64_t image = at->rows * w->line * w->small_block, size = at->images * image;

    if (w->line > s->to[2])
        memset(g, 0, (size_t)size * sizeof *g);
    for (int64_t i = 0; i < at->images; i++)
        image_to_lanes(g + i * image, w->small_block, &gradient, at->image + i, s0, small, &rows);
    lh__round_f32(g, size, s->products, 0);
    for (int64_t i = 0; w->pairs && i < size; i += 2 * w->small_block)
        w->pairs->pair(g + i / 2, g + i, g + i + w->small_block, w->small_block);
}

static void weight_unit(void *arg, int64_t unit) {
    const weight_grad *w = arg;
    const sweep *s = &w->s;
    const int64_t blocks = w->large_blocks * w->small_blocks, share = unit / blocks;
    const int64_t l0 = unit % blocks / w->small_blocks * w->large_block;
    const int64_t s0 = unit % w->small_blocks * w->small_block;
    const int64_t large = least(w->large_block, s->from_c - l0);
    const int64_t small = least(w->small_block, s->to_c - s0);
    const int64_t first = share * w->c.units / w->shares;
    const int64_t end = (share + 1) * w->c.units / w->shares;
    int64_t room;
    float *x = enter_room(&w->rooms, &room);
    float *g = x + window_size(&w->c, w->large_block) + round_up(next_position(w), WIDTH);
    const lists l = {.row = (const float **)(g + positions_of_unit(w) * w->small_block),
                     .to = (float **)(l.row + s->g.taps * w->large_block),
                     .position = (int32_t *)(l.to + s->g.taps * w->large_block)};

    for (int64_t run = first; run < end; run++) {
        const part at = part_of(s, &w->c, run);

        take_large(w, &at, l0, large, x);
        take_small(w, &at, s0, small, g);
        add_part(w, &at, x, g, &l, w->sums + unit * sums_of_unit(w), large, small, run > first);
    }
    leave_room(&w->rooms, room);
}

/* Adds up the shares: WIDTH small channels of a block with all of the block's large channels. */
static void weight_sum(void *arg, int64_t unit) {
    const weight_grad *w = arg;
    const int64_t groups = w->small_block / WIDTH, block = unit / groups, taps = w->s.g.taps;
    const int64_t l0 = block / w->small_blocks * w->large_block;
    const int64_t at = unit % groups * WIDTH, s0 = block % w->small_blocks * w->small_block + at;
    const int64_t large = w->s.from_c, small = w->s.to_c, run = MOST_TAPS / taps;
    const int64_t channels = least(w->large_block, large - l0), size = sums_of_unit(w);
    const int64_t shared = size * w->large_blocks * w->small_blocks;
    const float *from =
        w->sums + block * size + at / PANEL * taps * w->large_block * PANEL + at % PANEL;
    float turned[MOST_TAPS * WIDTH];

    if (s0 >= small)
        return;
    for (int64_t c = 0; c < channels; c += run) {
        const int64_t n = least(run, channels - c);

        for (int64_t i = 0; i < n * taps; i++) {
            const float *sum = from + (i % taps * w->large_block + c + i / taps) * PANEL;
            vector_f32 total = load(sum);

            __builtin_prefetch(sum + run * PANEL);
            for (int64_t share = 1; share < w->shares; share++)
                total += load(sum + share * shared);
            store(turned + i * WIDTH, total);
        }
        lanes_to_planes(w->y + (s0 * large + l0 + c) * taps, large * taps, least(WIDTH, small - s0),
                        turned, WIDTH, n * taps);
    }
}

/* The geometry of the convolution whose weight's gradient this is. */
static sweep forward_sweep(const lh__kernel_call *call) {
    const lh__view *in[2] = {call->in[1], call->out};
    lh__kernel_call forward = *call;

    forward.op = LH_OP_CONV;
    forward.in = in;
    forward.out = call->in[0];
    return sweep_of(&forward);
}

#ifdef LH__HAS_BF16
#include "kernels/cpu/channels_weight_bf16.inc"
#else
static bool tiled_weight(const lh__kernel_call *call, const weight_grad *grad) {
    return false;
}
#endif

bool ISA(channels_weight)(const lh__kernel_call *call) {
    weight_grad w = {.s = forward_sweep(call),
                     .small = call->in[0]->data,
                     .large = call->in[1]->data,
                     .y = call->out->data,
                     .products = &panels_f32};
    const int64_t large = w.s.from_c, small = w.s.to_c;
    int64_t blocks;

    w.large_blocks = (large + BLOCK - 1) / BLOCK;
    w.large_block = elements_of((large + w.large_blocks - 1) / w.large_blocks);
    w.large_blocks = (large + w.large_block - 1) / w.large_block;
    w.small_blocks = (small + BLOCK - 1) / BLOCK;
    w.small_block = round_up((small + w.small_blocks - 1) / w.small_blocks, PANEL);
    w.small_blocks = (small + w.small_block - 1) / w.small_block;
    blocks = w.large_blocks * w.small_blocks;
    if (tiled_weight(call, &w))
        return true;
    w.c = cut(&w.s, w.large_block, POSITIONS);
    w.pairs = unit_of_pairs(w.s.products, large);
    w.summand = w.pairs ? 2 : 1;
    w.line = round_up(w.s.to[2], w.summand);
    if (w.pairs) {
        w.products = w.pairs->panels;
        w.s.products = LH__PRODUCTS_F32; /* pairing rounds */
    }
    w.shares = blocks >= UNITS ? 1 : least(UNITS / blocks, w.c.units);
    w.sums =
        rooms_of(&w.rooms, call->pool, w.shares * blocks * sums_of_unit(&w),
                 window_size(&w.c, w.large_block) + round_up(next_position(&w), WIDTH) +
                     positions_of_unit(&w) * (w.small_block + 1) + 4 * w.s.g.taps * w.large_block);
    if (!w.sums)
        return false;
    lh__pool_run(call->pool, w.shares * blocks, weight_unit, &w);
    lh__pool_run(call->pool, blocks * (w.small_block / WIDTH), weight_sum, &w);
    return true;
}
