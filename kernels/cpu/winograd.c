/* winograd.c - convolutions of 3 x 3 and stride 1: F(2x2, 3x3) of Lavin and Gray, "Fast algorithms
 * for convolutional neural networks", 2016.
 *
 * A tile of 2 x 2 results needs 4 x 4 values of the source. With d the values, g the taps, both
 * transformed by sums and differences, 16 products do the work of 36:
 *
 *     y = A' [(G g G') * (B' d B)] A
 *
 * summed over channels before A is applied: 16 matrix products of (tiles, channels) by (channels,
 * channels). Their adjoint gives the weight's gradient: g' = G' [sum over tiles of (A y' A') *
 * (B' d B)] G. The data's gradient is the convolution with the taps turned around.
 *
 * Invariants: what a unit of work does depends on shapes alone, and so does the order of its sums.
 * Sums run over at most DEPTH products before they are added up. Rounding: all factors are 1 and
 * 1/2, each transform adds at most 3 x 3 numbers; the error's root mean square stays within 1.25 of
 * that of a plain loop's sums (tests/unit/kernels/test_convolution.c). Larger tiles, F(4x4, 3x3),
 * would lose four to ten times as much, and aren't used.
 */
#include "kernels/cpu/winograd.h"

#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/sweep.h"

enum {
    TAPS = 9,
    POINTS = 16,      /* products of a tile */
    DEPTH = 128,      /* of a sum */
    VALUES = 8192,    /* of one point's transformed source in a unit */
    LINE = 16,        /* channels of a line of memory, or of a register; a multiple of that */
    LEAST_TILES = 48, /* of a unit */
    MOST_TILES = 1024,
    LEAST_CHANNELS = 16, /* fewer don't fill the products */
    BLOCK = 128,         /* channels of either side in a unit of the weight's gradient */
    UNITS = 8,           /* of the weight's gradient, at least, if there are as many runs */
};

/* How the source is cut: a unit is a run of tile rows of one image, or of whole images. */
typedef struct source {
    images of;
    int64_t batch, channels;
    int64_t pad[2];            /* positions before the first */
    int64_t tile_rows, across; /* tiles of an image */
    int64_t rows, images;      /* of a unit */
    int64_t bands, units;      /* of an image; all together */
    int64_t tiles;             /* of a unit, at most */
    lh__products products;     /* F32 or what values are rounded to */
} source;

typedef struct winograd {
    source s;
    const float *weight, *bias;
    float *y, *u;
    lh__strides result;
    int64_t to_c, to[2];
    int64_t to_step, from_step; /* of the weight, from channel to channel */
    int64_t panels;
    bool turned; /* taps from the last to the first */
    const lh__after *after;
    rooms rooms;
} winograd;

/* Units of about VALUES / channels tiles. */
static void cut(source *s, const int64_t out[2], int64_t channels) {
    int64_t tiles = VALUES / round_up(channels, WIDTH), image;

    tiles = tiles < LEAST_TILES ? LEAST_TILES : tiles;
    s->tile_rows = (out[0] + 1) / 2;
    s->across = (out[1] + 1) / 2;
    image = s->tile_rows * s->across;
    s->images = image < tiles ? least(tiles / image, s->batch) : 1;
    s->rows = image <= tiles ? s->tile_rows : (tiles + s->across - 1) / s->across;
    s->bands = (s->tile_rows + s->rows - 1) / s->rows;
    s->rows = (s->tile_rows + s->bands - 1) / s->bands;
    s->bands = (s->tile_rows + s->rows - 1) / s->rows;
    s->units = s->images > 1 ? (s->batch + s->images - 1) / s->images : s->batch * s->bands;
    s->tiles = s->images * s->rows * s->across;
}

/* The part of an image that a unit covers. */
typedef struct part {
    int64_t image, row, rows; /* tile rows */
} part;

/* How many parts unit `unit` has; their first. */
static int64_t parts_in(const source *s, int64_t unit, part *first) {
    if (s->images > 1) {
        *first = (part){unit * s->images, 0, s->tile_rows};
        return least(s->images, s->batch - unit * s->images);
    }
    first->image = unit / s->bands;
    first->row = unit % s->bands * s->rows;
    first->rows = least(s->rows, s->tile_rows - first->row);
    return 1;
}

/* Elements that hold some channels of a part's source. */
static int64_t window_size(const source *s) {
    return (2 * s->rows + 2) * (2 * s->across + 2) * LINE;
}

/* B' of 4 values. */
#define SOURCE_1D(to, d0, d1, d2, d3) \
    to[0] = (d0) - (d2), to[1] = (d1) + (d2), to[2] = (d2) - (d1), to[3] = (d1) - (d3)

/* v[point][lane], points `step` apart, from the tile at `from`, whose rows are `line`, columns
 * `column` apart. */
static inline void transform_source(float *v, int64_t step, const float *from, int64_t line,
                                    int64_t column) {
    vector_f32 rows[4][4], d[4];

    LH__UNROLL for (int j = 0; j < 4; j++) {
        vector_f32 x[4];

        LH__UNROLL for (int i = 0; i < 4; i++) x[i] = load(from + i * line + j * column);
        SOURCE_1D(d, x[0], x[1], x[2], x[3]);
        LH__UNROLL for (int i = 0; i < 4; i++) rows[i][j] = d[i];
    }
    LH__UNROLL for (int i = 0; i < 4; i++) {
        SOURCE_1D(d, rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        LH__UNROLL for (int j = 0; j < 4; j++) store(v + (i * 4 + j) * step, d[j]);
    }
}

typedef void transform(float *to, int64_t step, const float *from, int64_t line, int64_t column);

/* What is transformed, and to where: to[point][tile][channel] of channels [c0, c0 + channels), a
 * tile's channels `row`, points `step` apart. A tile's window begins `pad` before its results and
 * is `more` longer. */
typedef struct tiling {
    float *to, *room;
    int64_t row, step, c0, channels, more;
    const int64_t *pad;
} tiling;

/* The tiles of a part, some channels at a time: those of a register, or of a line of memory where
 * channels are last. */
static inline __attribute__((always_inline)) void
tiles_of_part(const tiling *t, float *to, const source *s, const part *at, transform *apply) {
    const int64_t columns = 2 * s->across + t->more, block = s->of.lie.position == 1 ? WIDTH : LINE;
    const window w = {2 * at->row - t->pad[0], -t->pad[1], 2 * at->rows + t->more, columns};

    if (has_border(&s->of, &w))
        memset(t->room, 0, (size_t)(w.rows * columns * block) * sizeof *t->room);
    for (int64_t c = 0; c < t->channels; c += block) {
        const int64_t n = least(block, t->channels - c);
        float *tile = to + c;

        image_to_lanes(t->room, block, &s->of, at->image, t->c0 + c, n, &w);
        lh__round_f32(t->room, w.rows * columns * block, s->products, 0);
        for (int64_t i = 0; i < at->rows; i++)
            for (int64_t j = 0; j < s->across; j++, tile += t->row)
                for (int64_t l = 0; l < n; l += WIDTH)
                    apply(tile + l, t->step, t->room + (2 * i * columns + 2 * j) * block + l,
                          columns * block, block);
    }
}

/* All tiles of a unit. Returns how many. */
static inline __attribute__((always_inline)) int64_t tiles_of(const tiling *t, const source *s,
                                                              int64_t unit, transform *apply) {
    int64_t tiles = 0, n;
    part at;

    n = parts_in(s, unit, &at);
    for (int64_t k = 0; k < n; k++, at.image++, tiles += at.rows * s->across)
        tiles_of_part(t, t->to + tiles * t->row, s, &at, apply);
    return tiles;
}

/* v[point][tile][channel] of a unit. Returns the number of tiles. */
static int64_t source_tiles(float *v, int64_t row, int64_t step, const source *s, int64_t unit,
                            int64_t c0, int64_t channels, float *room) {
    const tiling t = {v, room, row, step, c0, channels, 2, s->pad};

    return tiles_of(&t, s, unit, transform_source);
}

/* The weight. */

/* G of 3 taps. */
#define TAPS_1D(to, g0, g1, g2)                                                             \
    to[0] = (g0), to[1] = ((g0) + (g2) + (g1)) * 0.5f, to[2] = ((g0) + (g2) - (g1)) * 0.5f, \
    to[3] = (g2)

/* u[point][lane], points `step` apart. */
static inline void transform_taps(float *u, int64_t step, const vector_f32 g[TAPS]) {
    vector_f32 rows[4][3], d[4];

    LH__UNROLL for (int j = 0; j < 3; j++) {
        TAPS_1D(d, g[j], g[3 + j], g[6 + j]);
        LH__UNROLL for (int i = 0; i < 4; i++) rows[i][j] = d[i];
    }
    LH__UNROLL for (int i = 0; i < 4; i++) {
        TAPS_1D(d, rows[i][0], rows[i][1], rows[i][2]);
        LH__UNROLL for (int j = 0; j < 4; j++) store(u + (i * 4 + j) * step, d[j]);
    }
}

/* u[point][from][lane] of `channels` from channels from c on, and of the panel's lanes [l, l +
 * WIDTH): those that are neighbours in memory. */
static void transform_channels(const winograd *w, float *u, int64_t panel, int64_t l, int64_t c,
                               int64_t channels) {
    const int64_t from_c = w->s.channels, first = panel * PANEL + l;
    const planes p = {w->weight + first * w->to_step + c * w->from_step,
                      least(WIDTH, w->to_c - first), w->to_step, 1, channels * TAPS};
    const window all = {0, 0, 1, channels * TAPS};
    float taps[TAPS * WIDTH * WIDTH];

    planes_to_lanes(taps, WIDTH, &p, &all);
    lh__round_f32(taps, channels * TAPS * WIDTH, w->s.products, 0);
    for (int64_t i = 0; i < channels; i++) {
        vector_f32 g[TAPS];

        for (int k = 0; k < TAPS; k++)
            g[k] = load(taps + (i * TAPS + (w->turned ? TAPS - 1 - k : k)) * WIDTH);
        transform_taps(u + (c + i) * PANEL + l, from_c * PANEL, g);
    }
}

/* u[panel][point][from][lane] of one panel and WIDTH of `from`. */
static void transform_weight(void *arg, int64_t unit) {
    const winograd *w = arg;
    const int64_t from_c = w->s.channels, blocks = (from_c + WIDTH - 1) / WIDTH;
    const int64_t panel = unit / blocks, begin = unit % blocks * WIDTH;
    const int64_t end = least(begin + WIDTH, from_c);
    const int64_t neighbours = w->from_step == TAPS ? WIDTH : 1;
    float *u = w->u + panel * POINTS * from_c * PANEL;

    for (int64_t c = begin; c < end; c += neighbours)
        for (int64_t l = 0; l < least(PANEL, w->to_c - panel * PANEL); l += WIDTH)
            transform_channels(w, u, panel, l, c, least(neighbours, end - c));
}

/* Results. */

/* A' of 4 products. */
#define RESULT_1D(to, m0, m1, m2, m3) to[0] = (m0) + (m1) + (m2), to[1] = (m1) - (m2) - (m3)

/* y[2][2] of a tile from m[point][lane]. */
static inline void transform_result(vector_f32 y[2][2], const float *m, int64_t step) {
    vector_f32 rows[2][4], d[2];

    LH__UNROLL for (int j = 0; j < 4; j++) {
        vector_f32 column[4];

        LH__UNROLL for (int i = 0; i < 4; i++) column[i] = load(m + (i * 4 + j) * step);
        RESULT_1D(d, column[0], column[1], column[2], column[3]);
        rows[0][j] = d[0], rows[1][j] = d[1];
    }
    LH__UNROLL for (int i = 0; i < 2; i++) {
        RESULT_1D(d, rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        y[i][0] = d[0], y[i][1] = d[1];
    }
}

/* A panel's results of one part, whose first tile's products are at m[point][tile][PANEL]. */
static void put_results(const winograd *w, const part *at, int64_t panel, const float *m,
                        int64_t step, float *room) {
    const lh__strides *lie = &w->result;
    const int64_t width = w->to[1];
    const int64_t row = 2 * at->row, rows = least(2 * at->rows, w->to[0] - row);
    const int64_t lanes = least(PANEL, w->to_c - panel * PANEL), c = panel * PANEL;
    const int64_t first = at->image * lie->image + row * width * lie->position;

    for (int64_t l = 0; l < lanes; l += WIDTH) {
        const int64_t channels = least(WIDTH, lanes - l);
        const bool in_place = lie->position != 1 && channels == WIDTH;
        const int64_t next = in_place ? lie->position : WIDTH;
        const float *from = m + l;
        float *y = w->y + first + (c + l) * lie->channel, *squares = in_place ? y : room;
        float bias[WIDTH] = {0};

        for (int64_t i = 0; i < channels && w->bias; i++)
            bias[i] = w->bias[c + l + i];
        for (int64_t i = 0; i < rows; i += 2)
            for (int64_t j = 0; j < width; j += 2, from += PANEL) {
                vector_f32 square[2][2];
                float *to = squares + (i * width + j) * next;

                transform_result(square, from, step);
                store(to, square[0][0] + load(bias));
                if (j + 1 < width)
                    store(to + next, square[0][1] + load(bias));
                if (i + 1 < rows)
                    store(to + width * next, square[1][0] + load(bias));
                if (i + 1 < rows && j + 1 < width)
                    store(to + (width + 1) * next, square[1][1] + load(bias));
            }
        if (!in_place)
            lanes_to_image(y, lie, channels, room, WIDTH, rows * width);
    }
    run_after(w->after, lie, first, rows * width, c, lanes);
}

/* Elements between points: not a power of two, which would crowd one set of the cache. */
static int64_t point_step(int64_t tiles, int64_t row) {
    return tiles * row + WIDTH;
}

/* list[k] = k step. */
static void list_steps(int32_t *list, int64_t n, int64_t step) {
    for (int64_t k = 0; k < n; k++)
        list[k] = (int32_t)(k * step);
}

static void winograd_unit(void *arg, int64_t unit) {
    const winograd *w = arg;
    const source *s = &w->s;
    const int64_t from_c = s->channels, row = round_up(from_c, WIDTH);
    const int64_t v_step = point_step(s->tiles, row), m_step = point_step(s->tiles, PANEL);
    int32_t list[DEPTH];
    int64_t room, tiles;
    float *v = enter_room(&w->rooms, &room), *m = v + POINTS * v_step,
          *windows = m + POINTS * m_step;

    list_steps(list, DEPTH, 1);
    tiles = source_tiles(v, row, v_step, s, unit, 0, from_c, windows);
    for (int64_t panel = 0; panel < w->panels; panel++) {
        const int64_t lanes = least(PANEL, w->to_c - panel * PANEL);
        const float *u = w->u + panel * POINTS * from_c * PANEL;
        int64_t tile = 0, n;
        part at;

        for (int64_t point = 0; point < POINTS; point++, u += from_c * PANEL)
            for (int64_t c = 0; c < from_c; c += DEPTH)
                panel_rows(tiles, (lanes + WIDTH - 1) / WIDTH, least(DEPTH, from_c - c),
                           v + point * v_step + c, row, list, u + c * PANEL, PANEL,
                           m + point * m_step, PANEL, c > 0);
        n = parts_in(s, unit, &at);
        for (int64_t k = 0; k < n; k++, at.image++, tile += at.rows * s->across)
            put_results(w, &at, panel, m + tile * PANEL, m_step, windows);
    }
    leave_room(&w->rooms, room);
}

/* 3 x 3, stride 1, no dilation, two spatial axes, enough channels. */
static bool is_of_this_kind(const lh__conv *g) {
    bool is = g->groups == 1 && g->kernel[0] == 1 && g->large[0] == 1 && g->small[0] == 1 &&
              g->padding[0] == 0 && g->large_c >= LEAST_CHANNELS && g->small_c >= LEAST_CHANNELS &&
              g->batch > 0;

    for (int32_t d = 1; d < 3; d++)
        is = is && g->kernel[d] == 3 && g->stride[d] == 1 && g->dilation[d] == 1 &&
             g->padding[d] <= 2 && g->small[d] > 1 &&
             g->large[d] == g->small[d] + 2 - 2 * g->padding[d];
    return is && g->small[2] <= 1024 && g->large[2] <= 1024;
}

/* The source of the convolution: its large side, or its small one. */
static source source_of(const lh__kernel_call *call, const lh__conv *g, const lh__view *v,
                        bool small) {
    const int64_t *extent = small ? g->small : g->large;
    source s = {.of = {v->data, lh__strides_of(v), extent[1], extent[2]},
                .batch = g->batch,
                .channels = small ? g->small_c : g->large_c,
                .products = rounding_of(call)};

    for (int32_t d = 0; d < 2; d++)
        s.pad[d] = small ? 2 - g->padding[1 + d] : g->padding[1 + d];
    return s;
}

/* A unit for bfloat16 makes up for the products that are saved. */
bool ISA(winograd_takes)(const lh__kernel_call *call) {
    lh__conv g = lh__conv_of(call);

    return call->out->dtype == LH_F32 && call->pool && !lh__bf16_unit_for(rounding_of(call)) &&
           is_of_this_kind(&g);
}

bool ISA(winograd)(const lh__kernel_call *call) {
    const lh__conv g = lh__conv_of(call);
    const bool turned = call->op == LH_OP_CONV_TRANSPOSE;
    const int64_t from_c = turned ? g.small_c : g.large_c;
    winograd w = {.s = source_of(call, &g, call->in[0], turned),
                  .weight = call->in[1]->data,
                  .bias = call->n_in > 2 ? call->in[2]->data : NULL,
                  .y = call->out->data,
                  .result = lh__strides_of(call->out),
                  .to_c = turned ? g.large_c : g.small_c,
                  .to_step = turned ? TAPS : g.large_c * TAPS,
                  .from_step = turned ? g.large_c * TAPS : TAPS,
                  .turned = turned,
                  .after = call->after};
    int64_t room;

    for (int32_t d = 0; d < 2; d++)
        w.to[d] = turned ? g.large[1 + d] : g.small[1 + d];
    cut(&w.s, w.to, from_c);
    w.panels = (w.to_c + PANEL - 1) / PANEL;
    room =
        POINTS * (point_step(w.s.tiles, round_up(from_c, WIDTH)) + point_step(w.s.tiles, PANEL)) +
        window_size(&w.s);
    w.u = rooms_of(&w.rooms, call->pool, w.panels * POINTS * from_c * PANEL, room);
    if (!w.u)
        return false;
    lh__pool_run(call->pool, w.panels * ((from_c + WIDTH - 1) / WIDTH), transform_weight, &w);
    lh__pool_run(call->pool, w.s.units, winograd_unit, &w);
    return true;
}

/* The weight's gradient: a unit is a share of the runs of tiles with a block of large channels and
 * one of small channels. */
typedef struct weight_grad {
    source s, g; /* the large side; the gradient, on the small one */
    float *y, *sums;
    int64_t large_blocks, small_blocks, large_block, small_block; /* how many; channels of one */
    int64_t shares;
    rooms rooms;
} weight_grad;

/* A of 2 values. */
#define GRADIENT_1D(to, a, b) to[0] = (a), to[1] = (a) + (b), to[2] = (a) - (b), to[3] = -(b)

/* d[point][lane], points `step` apart, from the 2 x 2 values at `from`, rows `line`, columns
 * `column` apart. */
static inline void transform_gradient(float *d, int64_t step, const float *from, int64_t line,
                                      int64_t column) {
    vector_f32 rows[4][2], x[4];

    LH__UNROLL for (int j = 0; j < 2; j++) {
        GRADIENT_1D(x, load(from + j * column), load(from + line + j * column));
        LH__UNROLL for (int i = 0; i < 4; i++) rows[i][j] = x[i];
    }
    LH__UNROLL for (int i = 0; i < 4; i++) {
        GRADIENT_1D(x, rows[i][0], rows[i][1]);
        LH__UNROLL for (int j = 0; j < 4; j++) store(d + (i * 4 + j) * step, x[j]);
    }
}

/* d[point][tile][channel] of a run of the gradient. */
static void gradient_tiles(float *d, int64_t row, int64_t step, const source *s, int64_t run,
                           int64_t c0, int64_t channels, float *room) {
    const int64_t none[2] = {0};
    const tiling t = {d, room, row, step, c0, channels, 0, none};

    tiles_of(&t, s, run, transform_gradient);
}

/* sums[point][panel][large channel][lane] of a unit. */
static void weight_unit(void *arg, int64_t unit) {
    const weight_grad *w = arg;
    const int64_t blocks = w->large_blocks * w->small_blocks, share = unit / blocks;
    const int64_t l0 = unit % blocks / w->small_blocks * w->large_block;
    const int64_t s0 = unit % w->small_blocks * w->small_block;
    const int64_t large = least(w->large_block, w->s.channels - l0);
    const int64_t small = least(w->small_block, w->g.channels - s0);
    const int64_t v_step = point_step(w->s.tiles, w->large_block);
    const int64_t d_step = point_step(w->s.tiles, w->small_block);
    const int64_t first = share * w->s.units / w->shares,
                  end = (share + 1) * w->s.units / w->shares;
    int32_t list[MOST_TILES];
    int64_t room;
    float *v = enter_room(&w->rooms, &room), *d = v + POINTS * v_step;
    float *windows = d + POINTS * d_step;

    list_steps(list, w->s.tiles, w->large_block);
    for (int64_t run = first; run < end; run++) {
        float *sums = w->sums + unit * POINTS * w->large_block * w->small_block;
        int64_t tiles = source_tiles(v, w->large_block, v_step, &w->s, run, l0, large, windows);

        gradient_tiles(d, w->small_block, d_step, &w->g, run, s0, small, windows);
        for (int64_t point = 0; point < POINTS; point++)
            for (int64_t at = 0; at < w->small_block; at += PANEL, sums += w->large_block * PANEL)
                if (at < small)
                    panel_rows(large, (least(PANEL, small - at) + WIDTH - 1) / WIDTH, tiles,
                               v + point * v_step, 1, list, d + point * d_step + at, w->small_block,
                               sums, PANEL, run > first);
    }
    leave_room(&w->rooms, room);
}

/* G' of 4 sums. */
#define WEIGHT_1D(to, u0, u1, u2, u3)                                  \
    to[0] = (u0) + ((u1) + (u2)) * 0.5f, to[1] = ((u1) - (u2)) * 0.5f, \
    to[2] = ((u1) + (u2)) * 0.5f + (u3)

/* taps[TAPS][lane] from u[POINTS]. */
static inline void transform_sums(float *taps, const vector_f32 u[POINTS]) {
    vector_f32 rows[3][4], d[3];

    LH__UNROLL for (int j = 0; j < 4; j++) {
        WEIGHT_1D(d, u[j], u[4 + j], u[8 + j], u[12 + j]);
        LH__UNROLL for (int i = 0; i < 3; i++) rows[i][j] = d[i];
    }
    LH__UNROLL for (int i = 0; i < 3; i++) {
        WEIGHT_1D(d, rows[i][0], rows[i][1], rows[i][2], rows[i][3]);
        LH__UNROLL for (int j = 0; j < 3; j++) store(taps + (i * 3 + j) * WIDTH, d[j]);
    }
}

/* Adds up the shares: WIDTH small channels of a block with all of the block's large channels. */
static void weight_sum(void *arg, int64_t unit) {
    enum { RUN = 16 };
    const weight_grad *w = arg;
    const int64_t groups = w->small_block / WIDTH, block = unit / groups;
    const int64_t l0 = block / w->small_blocks * w->large_block;
    const int64_t at = unit % groups * WIDTH, s0 = block % w->small_blocks * w->small_block + at;
    const int64_t large = w->s.channels, small = w->g.channels;
    const int64_t channels = least(w->large_block, large - l0);
    const int64_t size = POINTS * w->large_block * w->small_block;
    const int64_t step = w->large_block * w->small_block;
    const int64_t shared = size * w->large_blocks * w->small_blocks;
    const float *from = w->sums + block * size + at / PANEL * w->large_block * PANEL + at % PANEL;
    float taps[RUN * TAPS * WIDTH];

    if (s0 >= small)
        return;
    for (int64_t c = 0; c < channels; c += RUN) {
        const int64_t n = least(RUN, channels - c);

        for (int64_t i = 0; i < n; i++) {
            vector_f32 u[POINTS];

            for (int p = 0; p < POINTS; p++) {
                const float *sum = from + p * step + (c + i) * PANEL;

                u[p] = load(sum);
                for (int64_t share = 1; share < w->shares; share++)
                    u[p] += load(sum + share * shared);
            }
            transform_sums(taps + i * TAPS * WIDTH, u);
        }
        lanes_to_planes(w->y + (s0 * large + l0 + c) * TAPS, large * TAPS, least(WIDTH, small - s0),
                        taps, WIDTH, n * TAPS);
    }
}

bool ISA(winograd_weight)(const lh__kernel_call *call) {
    const lh__conv g = lh__conv_of(call);
    weight_grad w = {.s = source_of(call, &g, call->in[1], false),
                     .g = source_of(call, &g, call->in[0], true),
                     .y = call->out->data};
    int64_t blocks, room;

    w.large_blocks = (g.large_c + BLOCK - 1) / BLOCK;
    w.large_block = round_up((g.large_c + w.large_blocks - 1) / w.large_blocks, WIDTH);
    w.large_blocks = (g.large_c + w.large_block - 1) / w.large_block;
    w.small_blocks = (g.small_c + BLOCK - 1) / BLOCK;
    w.small_block = round_up((g.small_c + w.small_blocks - 1) / w.small_blocks, PANEL);
    w.small_blocks = (g.small_c + w.small_block - 1) / w.small_block;
    blocks = w.large_blocks * w.small_blocks;
    cut(&w.s, g.small + 1, w.large_block > w.small_block ? w.large_block : w.small_block);
    cut(&w.g, g.small + 1, w.large_block > w.small_block ? w.large_block : w.small_block);
    w.shares = blocks >= UNITS ? 1 : least(UNITS / blocks, w.s.units);
    room = POINTS * (point_step(w.s.tiles, w.large_block) + point_step(w.s.tiles, w.small_block)) +
           window_size(&w.s);
    w.sums = rooms_of(&w.rooms, call->pool,
                      w.shares * blocks * POINTS * w.large_block * w.small_block, room);
    if (!w.sums)
        return false;
    lh__pool_run(call->pool, w.shares * blocks, weight_unit, &w);
    lh__pool_run(call->pool, blocks * (w.small_block / WIDTH), weight_sum, &w);
    return true;
}
