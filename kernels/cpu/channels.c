/* channels.c - convolutions with channels side by side: WIDTH of them fill a register.
 *
 * The source is turned so that a position's channels are neighbours (window), or copied where they
 * are, the weight so that those of the destination are. A result is then a sum over taps and
 * channels of one number of the window by a register of the weight, and what im2col would copy out
 * is a list of offsets, the same for every position. In bfloat16 elements may be pairs of channels.
 *
 * Invariants: what a unit of work does depends on shapes alone, and so does the order of its sums;
 * at most DEPTH products are added before the sum goes to memory.
 *
 * Next, for tests/bench/versus's resnet18 in bfloat16, whose products run at the processor's peak
 * for two thirds of a step: a source could be rounded to pairs as it is turned, instead of in a
 * pass of its own; and a source with channels last and nothing around it could be read in place.
 */
#include "kernels/cpu/channels.h"

#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/channels_window.h"

enum {
    TAP_COST = 8,          /* products that reading and writing a sum is worth */
    LEAST_CHANNELS = 12,   /* of the destination: fewer don't fill a register */
    MOST_PANELS = 1 << 26, /* elements of the turned weight */
};

/* A pass of the convolution: the destinations first + spread j, and the taps that meet them. */
typedef struct pass {
    int64_t first[2], taps, slot; /* how many taps; of the first of them */
} pass;

typedef struct convolution {
    sweep s;
    cuts c;
    const float *x, *weight, *bias;
    float *y, *panels; /* [panel][slot][summand][lane] */
    float *turned;     /* the same of channels, if summands are pairs */
    const lh__after *after;
    const lh__panel_fns *products;
    const lh__bf16_unit *pairs; /* NULL: summands are channels, else pairs of them */
    int64_t summands;           /* of a tap */
    int64_t channels, elements; /* room for those of a position of the window: numbers, summands */
    int64_t n_panels, passes;
    pass pass[MOST_TAPS + 1];   /* those with taps; the rest is in none */
    int64_t tap[MOST_TAPS];     /* of a slot */
    int64_t tap_row[MOST_TAPS]; /* the source row that it reads, from `low` on */
    int64_t tap_column[MOST_TAPS];
    int32_t *list; /* offsets in the window: [slot][summand] */
    rooms rooms;
    bool begins;  /* results begin with the bias, or 0, in memory */
    bool by_taps; /* see gains_by_taps */
} convolution;

/* The slots of pass p whose source row is inside for row j of the destination. */
static void inside(const convolution *k, const pass *p, int64_t j, int64_t *slot, int64_t *taps) {
    const sweep *s = &k->s;
    const int64_t top = j * s->step[1] + s->low[1];

    *taps = 0;
    for (int64_t t = p->slot; t < p->slot + p->taps; t++)
        if (top + k->tap_row[t] >= 0 && top + k->tap_row[t] < s->from[1] && (*taps)++ == 0)
            *slot = t;
}

/* Sorts the taps by the pass they belong to, and lists where they read. */
static void list_taps(convolution *k) {
    const sweep *s = &k->s;
    int64_t slot = 0, passes = lh__volume(s->spread);

    for (int64_t i = 0; i < passes; i++) {
        int64_t first[3], offset[3], before = slot;

        lh__split3(s->spread, i, first);
        for (int64_t t = 0; t < s->g.taps; t++)
            if (meets(s, first, t, offset)) {
                for (int64_t c = 0; c < k->summands; c++)
                    k->list[slot * k->summands + c] =
                        (int32_t)((offset[1] * k->c.columns + offset[2]) * k->elements + c);
                k->tap_row[slot] = offset[1];
                k->tap_column[slot] = offset[2];
                k->tap[slot++] = t;
            }
        if (slot > before)
            k->pass[k->passes++] = (pass){{first[1], first[2]}, slot - before, before};
    }
    k->begins = k->bias || k->passes < passes;
    for (int64_t i = 0; i < k->passes && !k->begins; i++)
        for (int64_t j = 0; j < s->count[1]; j++) {
            int64_t first, taps;

            inside(k, &k->pass[i], j, &first, &taps);
            k->begins |= taps == 0;
        }
}

/* `channels` from channels of the weight from c0 on, as lanes [l, l + WIDTH) of a panel: those that
 * are neighbours in memory. */
static void turn_channels(const convolution *k, float *to, int64_t panel, int64_t l, int64_t c0,
                          int64_t channels) {
    const sweep *s = &k->s;
    const int64_t taps = s->g.taps, first = panel * PANEL + l;
    const planes p = {k->weight + first * s->row + c0 * s->column, least(WIDTH, s->to_c - first),
                      s->row, 1, channels * taps};
    const window all = {0, 0, 1, channels * taps};
    float turned[MOST_TAPS * WIDTH * WIDTH];

    planes_to_lanes(turned, WIDTH, &p, &all);
    lh__round_f32(turned, channels * taps * WIDTH, s->products, 0);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t slot = 0; slot < taps; slot++)
            store(to + (slot * s->from_c + c0 + c) * PANEL + l,
                  load(turned + (c * taps + k->tap[slot]) * WIDTH));
}

/* One panel of the weight, from channels [unit % blocks ...). */
static void turn_weight(void *arg, int64_t unit) {
    const convolution *k = arg;
    const sweep *s = &k->s;
    const int64_t blocks = (s->from_c + WIDTH - 1) / WIDTH, panel = unit / blocks;
    const int64_t begin = unit % blocks * WIDTH, end = least(begin + WIDTH, s->from_c);
    const int64_t neighbours = s->column == s->g.taps ? WIDTH : 1;
    float *to = (k->pairs ? k->turned : k->panels) + panel * s->g.taps * s->from_c * PANEL;

    for (int64_t c = begin; c < end; c += neighbours)
        for (int64_t l = 0; l < least(PANEL, s->to_c - panel * PANEL); l += WIDTH)
            turn_channels(k, to, panel, l, c, least(neighbours, end - c));
}

/* The turned weight of one slot in one panel, in pairs of channels. */
static void pair_weight(void *arg, int64_t unit) {
    static const float zeros[PANEL];
    const convolution *k = arg;
    const int64_t channels = k->s.from_c;
    const float *from = k->turned + unit * channels * PANEL;
    float *to = k->panels + unit * k->summands * PANEL;

    for (int64_t c = 0; c < channels; c += 2, from += 2 * PANEL, to += PANEL)
        k->pairs->pair(to, from, c + 1 < channels ? from + PANEL : zeros, PANEL);
}

/* Destinations of a pass that meet the same taps, those of the slots [slot, slot + taps). */
typedef struct stripe {
    int64_t row, rows, slot, taps; /* row: of the pass's, in the unit */
    int64_t column, columns;
} stripe;

/* Destinations of a pass on an axis. */
static int64_t positions_of(const sweep *s, const pass *p, int32_t axis) {
    return (s->to[axis] - p->first[axis - 1] + s->spread[axis] - 1) / s->spread[axis];
}

/* The stripe of pass p that begins at row `row` of the unit's `rows`: whole rows that meet the same
 * rows of taps. Others read nothing but padding there. */
static stripe stripe_of(const convolution *k, const part *at, const pass *p, int64_t row,
                        int64_t rows) {
    stripe run = {.row = row, .rows = 1, .columns = positions_of(&k->s, p, 2)};
    int64_t slot = 0, taps;

    inside(k, p, at->row + row, &run.slot, &run.taps);
    for (; row + run.rows < rows; run.rows++) {
        inside(k, p, at->row + row + run.rows, &slot, &taps);
        if (taps != run.taps || slot != run.slot)
            break;
    }
    return run;
}

/* The `*n` positions from `*first` on, of `count`, whose source, `offset` after theirs, is one of
 * `extent`. */
static void clip(int64_t count, int64_t step, int64_t offset, int64_t extent, int64_t *first,
                 int64_t *n) {
    const int64_t end = offset < extent ? (extent - offset + step - 1) / step : 0;

    *first = offset < 0 ? (step - 1 - offset) / step : 0;
    *n = least(count, end) > *first ? least(count, end) - *first : 0;
}

/* The stripe of a single tap, of pass p and `rows` of its rows from `top` on: no padding. */
static stripe stripe_of_tap(const convolution *k, const pass *p, int64_t slot, int64_t top,
                            int64_t rows) {
    const sweep *s = &k->s;
    stripe run = {.slot = slot, .taps = 1};

    clip(rows, s->step[1], top * s->step[1] + s->low[1] + k->tap_row[slot], s->from[1], &run.row,
         &run.rows);
    clip(positions_of(s, p, 2), s->step[2], s->low[2] + k->tap_column[slot], s->from[2],
         &run.column, &run.columns);
    return run;
}

/* Whether padding makes up so many of the products by stripes that single taps are worth going to
 * memory more often. */
static bool gains_by_taps(const convolution *k) {
    const part all = {.rows = k->s.count[1]};
    int64_t by_stripes = 0, by_taps = 0;

    for (const pass *p = k->pass; p < k->pass + k->passes; p++) {
        const int64_t rows = positions_of(&k->s, p, 1);
        stripe run;

        for (int64_t i = 0; i < rows; i += run.rows) {
            run = stripe_of(k, &all, p, i, rows);
            by_stripes += run.rows * run.columns * run.taps;
        }
        for (int64_t slot = p->slot; slot < p->slot + p->taps; slot++) {
            run = stripe_of_tap(k, p, slot, 0, rows);
            by_taps += run.rows * run.columns;
        }
    }
    return by_taps * (k->summands + TAP_COST) < by_stripes * k->summands;
}

/* Where each position's source and results are. Returns how many positions. */
static int64_t list_rows(const convolution *k, const part *at, const pass *p, const stripe *run,
                         const float *x, float *results, const float **row, float **to) {
    const sweep *s = &k->s;
    const int64_t height = least(at->rows * s->spread[1], s->to[1] - at->row * s->spread[1]);
    int64_t n = 0;

    for (int64_t image = 0; image < at->images; image++)
        for (int64_t i = run->row; i < run->row + run->rows; i++) {
            const float *line =
                x + (image * k->c.window_rows + i * s->step[1]) * k->c.columns * k->elements;
            float *result =
                results + (image * height + p->first[0] + i * s->spread[1]) * s->to[2] * PANEL;

            line += run->column * s->step[2] * k->elements;
            result += (p->first[1] + run->column * s->spread[2]) * PANEL;
            for (int64_t j = 0; j < run->columns; j++, n++) {
                row[n] = line, to[n] = result;
                line += s->step[2] * k->elements, result += s->spread[2] * PANEL;
            }
        }
    return n;
}

/* All products of a stripe with one panel. */
static void add_stripe(const convolution *k, const part *at, const pass *p, const stripe *run,
                       const float *x, float *results, int64_t panel, const float **row,
                       float **to) {
    const sweep *s = &k->s;
    const int64_t vectors = (least(PANEL, s->to_c - panel * PANEL) + WIDTH - 1) / WIDTH;
    const int64_t positions = list_rows(k, at, p, run, x, results, row, to);
    const int64_t first = run->slot * k->summands, n = run->taps * k->summands;
    const float *weight = k->panels + (panel * s->g.taps * k->summands + first) * PANEL;

    for (int64_t j = 0; j < n; j += DEPTH)
        panel_list(k->products, positions, vectors, least(DEPTH, n - j), row, k->list + first + j,
                   weight + j * PANEL, PANEL, to, k->begins || j > 0);
}

/* All products of a pass with one panel. */
static void add_pass(const convolution *k, const part *at, const pass *p, const float *x,
                     float *results, int64_t panel, const float **row, float **to) {
    const sweep *s = &k->s;
    const int64_t height = least(at->rows * s->spread[1], s->to[1] - at->row * s->spread[1]);
    const int64_t rows = (height - p->first[0] + s->spread[1] - 1) / s->spread[1];
    stripe run;

    for (int64_t slot = p->slot; k->by_taps && slot < p->slot + p->taps; slot++) {
        run = stripe_of_tap(k, p, slot, at->row, rows);
        add_stripe(k, at, p, &run, x, results, panel, row, to);
    }
    for (int64_t i = 0; !k->by_taps && i < rows; i += run.rows) {
        run = stripe_of(k, at, p, i, rows);
        add_stripe(k, at, p, &run, x, results, panel, row, to);
    }
}

/* Results before the first product. */
static void begin_results(const convolution *k, int64_t panel, int64_t lanes, float *results,
                          int64_t positions) {
    float bias[PANEL] = {0};

    for (int64_t l = 0; l < lanes && k->bias; l++)
        bias[l] = k->bias[panel * PANEL + l];
    for (int64_t i = 0; i < positions; i++)
        for (int64_t l = 0; l < PANEL; l += WIDTH)
            store(results + i * PANEL + l, load(bias + l));
}

static void put_results(const convolution *k, const part *at, int64_t panel, int64_t lanes,
                        const float *results) {
    const sweep *s = &k->s;
    const lh__strides *lie = &s->result;
    const int64_t top = at->row * s->spread[1], c = panel * PANEL;
    const int64_t n = least(at->rows * s->spread[1], s->to[1] - top) * s->to[2];

    for (int64_t i = 0; i < at->images; i++, results += n * PANEL) {
        const int64_t begin = (at->image + i) * lie->image + top * s->to[2] * lie->position;

        lanes_to_image(k->y + begin + c * lie->channel, lie, lanes, results, PANEL, n);
        run_after(k->after, lie, begin, n, c, lanes);
    }
}

/* The window of a part: at x, or behind the numbers there, in pairs. */
static float *take_window(const convolution *k, const part *at, float *x) {
    const int64_t positions = at->images * k->c.window_rows * k->c.columns;
    const int64_t together = k->channels == k->s.from_c ? positions : 1;
    float *pairs = x + window_size(&k->c, k->channels);

    fill_window(x, k->x, &k->s, &k->c, at, k->channels, 0, k->s.from_c);
    if (!k->pairs)
        return x;
    for (int64_t i = 0; i < positions; i += together)
        k->pairs->narrow(pairs + i * k->elements, together * k->elements, x + i * k->channels,
                         together * k->s.from_c);
    return pairs;
}

static void convolution_unit(void *arg, int64_t unit) {
    const convolution *k = arg;
    const sweep *s = &k->s;
    const part at = part_of(s, &k->c, unit);
    int64_t room;
    float *begin = enter_room(&k->rooms, &room), *x = take_window(k, &at, begin);
    float *results = x + window_size(&k->c, k->elements);
    const float **row = (const float **)(results + k->c.positions * PANEL);
    float **to = (float **)(row + k->c.positions);

    for (int64_t panel = 0; panel < k->n_panels; panel++) {
        const int64_t lanes = least(PANEL, s->to_c - panel * PANEL);

        if (k->begins)
            begin_results(k, panel, lanes, results, k->c.positions);
        for (const pass *p = k->pass; p < k->pass + k->passes; p++)
            add_pass(k, &at, p, x, results, panel, row, to);
        put_results(k, &at, panel, lanes, results);
    }
    leave_room(&k->rooms, room);
}

#ifdef LH__HAS_BF16
#include "kernels/cpu/channels_bf16.inc"
#else
static bool tiled_convolution(const lh__kernel_call *call, const convolution *k) {
    return false;
}
#endif

bool ISA(channels_take)(const lh__kernel_call *call) {
    const lh__conv g = lh__conv_of(call);
    const int64_t to_c = call->op == LH_OP_CONV_TRANSPOSE ? g.large_c : g.small_c;
    const int64_t from_c = call->op == LH_OP_CONV_TRANSPOSE ? g.small_c : g.large_c;

    return call->out->dtype == LH_F32 && call->pool && g.groups == 1 && g.kernel[0] == 1 &&
           g.large[0] == 1 && g.padding[0] == 0 && g.taps <= MOST_TAPS && to_c >= LEAST_CHANNELS &&
           from_c * g.taps >= LEAST_CHANNELS && g.batch > 0 && lh__volume(g.small) > 0 &&
           lh__volume(g.large) > 0 && g.large[2] <= 4096 && g.small[2] <= 4096 &&
           to_c * from_c * g.taps <= MOST_PANELS && g.dilation[1] <= 64 && g.dilation[2] <= 64 &&
           g.padding[1] <= 64 && g.padding[2] <= 64 && g.stride[1] <= 64 && g.stride[2] <= 64;
}

bool ISA(channels_conv)(const lh__kernel_call *call) {
    convolution k = {.s = sweep_of(call),
                     .x = call->in[0]->data,
                     .weight = call->in[1]->data,
                     .bias = call->n_in > 2 ? call->in[2]->data : NULL,
                     .y = call->out->data,
                     .after = call->after,
                     .products = &panels_f32};
    const sweep *s = &k.s;
    int64_t list, panels, turned = 0, slots;

    k.n_panels = (s->to_c + PANEL - 1) / PANEL;
    if (tiled_convolution(call, &k))
        return true;
    k.channels = elements_of(s->from_c);
    k.elements = k.channels, k.summands = s->from_c;
    k.c = cut(s, k.channels, POSITIONS);
    slots = k.n_panels * s->g.taps;
    k.pairs = unit_of_pairs(s->products, s->from_c);
    if (k.pairs) {
        k.products = k.pairs->panels;
        k.elements = k.summands = (s->from_c + 1) / 2;
        k.s.products = LH__PRODUCTS_F32; /* pairing rounds */
        turned = slots * s->from_c * PANEL;
    }
    panels = slots * k.summands * PANEL, list = s->g.taps * k.summands;
    /* Two pointers of a position are four elements. */
    k.panels = rooms_of(&k.rooms, call->pool, panels + turned + list,
                        (k.pairs ? window_size(&k.c, k.channels) : 0) +
                            window_size(&k.c, k.elements) + k.c.positions * (PANEL + 4));
    if (!k.panels)
        return false;
    k.turned = k.panels + panels;
    k.list = (int32_t *)(k.turned + turned);
    list_taps(&k);
    k.by_taps = gains_by_taps(&k);
    k.begins |= k.by_taps;
    lh__pool_run(call->pool, k.n_panels * ((s->from_c + WIDTH - 1) / WIDTH), turn_weight, &k);
    if (k.pairs)
        lh__pool_run(call->pool, slots, pair_weight, &k);
    lh__pool_run(call->pool, k.c.units, convolution_unit, &k);
    return true;
}
