/* channels_window.h - how convolutions with channels side by side are cut, and the window of the
 * source that a unit of work sees: its channels are neighbours.
 *
 * Invariant: cuts depend on shapes alone. For sources that are compiled once for each instruction
 * set.
 */
#ifndef LH_KERNELS_CPU_CHANNELS_WINDOW_H
#define LH_KERNELS_CPU_CHANNELS_WINDOW_H

#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/sweep.h"

enum {
    DEPTH = 128,      /* of a sum */
    WINDOW = 1 << 17, /* elements of the source in a unit */
    POSITIONS = 512,  /* of the destination in a unit, but at least a row */
    MOST_TAPS = 64,   /* of a kernel */
};

/* A unit is a run of whole images, or some rows of one. */
typedef struct cuts {
    int64_t images, rows, bands, units; /* rows count positions j */
    int64_t window_rows, columns;       /* of one image in a unit: source positions */
    int64_t positions;                  /* of the destination, in a unit */
} cuts;

/* Elements of a position, at most so many positions. */
static inline cuts cut(const sweep *s, int64_t elements, int64_t most) {
    cuts c = {.columns = (s->count[2] - 1) * s->step[2] + s->reach[2] + 1};
    const int64_t row = s->spread[1] * s->to[2], height = s->count[1];
    int64_t rows = least(most / row, (WINDOW / (c.columns * elements) - s->reach[1]) / s->step[1]);

    rows = rows < 1 ? 1 : rows;
    c.bands = rows >= height ? 1 : (height + rows - 1) / rows;
    c.rows = (height + c.bands - 1) / c.bands;
    c.bands = (height + c.rows - 1) / c.rows;
    c.window_rows = (c.rows - 1) * s->step[1] + s->reach[1] + 1;
    c.images = c.bands > 1
                   ? 1
                   : least(most / (height * row), WINDOW / (c.window_rows * c.columns * elements));
    c.images = c.images < 1 ? 1 : least(c.images, s->g.batch);
    c.units = (s->g.batch + c.images - 1) / c.images * c.bands;
    c.positions = c.images * c.rows * row;
    return c;
}

static inline int64_t window_size(const cuts *c, int64_t elements) {
    return round_up(c->images * c->window_rows * c->columns * elements, WIDTH);
}

/* The images and rows j of unit `unit`. */
typedef struct part {
    int64_t image, images, row, rows;
} part;

static inline part part_of(const sweep *s, const cuts *c, int64_t unit) {
    const int64_t image = unit / c->bands * c->images, row = unit % c->bands * c->rows;

    return (part){image, least(c->images, s->g.batch - image), row,
                  least(c->rows, s->count[1] - row)};
}

/* Elements from position to position of a window: whole registers, or a single channel. */
static inline int64_t elements_of(int64_t channels) {
    return channels == 1 ? 1 : round_up(channels, WIDTH);
}

/* x[row][column]: a window of a single plane. */
static inline void copy_window(float *x, const float *plane, int64_t height, int64_t width,
                               const window *w) {
    const int64_t first = w->left > 0 ? w->left : 0;
    const int64_t n = least(w->left + w->columns, width) - first;

    for (int64_t row = 0; row < w->rows && n > 0; row++)
        if (w->top + row >= 0 && w->top + row < height)
            memcpy(x + row * w->columns + first - w->left, plane + (w->top + row) * width + first,
                   (size_t)n * sizeof *x);
}

/* x[image][row][column][channel]: the window of a part, channels [c0, c0 + n), positions
 * `elements` apart. */
static void fill_window(float *x, const float *data, const sweep *s, const cuts *c, const part *at,
                        int64_t elements, int64_t c0, int64_t n) {
    const images source = {data, s->source, s->from[1], s->from[2]};
    const window w = {at->row * s->step[1] + s->low[1], s->low[2], c->window_rows, c->columns};
    const int64_t size = c->window_rows * c->columns * elements;

    if (has_border(&source, &w))
        memset(x, 0, (size_t)(at->images * size) * sizeof *x);
    for (int64_t i = 0; i < at->images; i++, x += size)
        if (elements == 1)
            copy_window(x, data + (at->image + i) * s->source.image + c0 * s->source.channel,
                        s->from[1], s->from[2], &w);
        else
            image_to_lanes(x, elements, &source, at->image + i, c0, n, &w);
    lh__round_f32(x - at->images * size, at->images * size, s->products, 0);
}

/* The unit for elements that are pairs; NULL: none, or operands are not in bfloat16, or there is
 * but one of the `channels`. */
static inline const lh__bf16_unit *unit_of_pairs(lh__products products, int64_t channels) {
    const lh__bf16_unit *unit = lh__bf16_unit_for(products);

    return unit && unit->panels && channels > 1 ? unit : NULL;
}

#endif
