/* gather.c - GATHER and GATHER_GRAD along the positions of images (n, channels, positions), some of
 * which have their channels last, as max pooling makes them.
 *
 * Invariant: an index outside its axis is never followed; sums are added up in the order of the
 * index.
 */
#include "kernels/cpu/isa.h"

enum {
    TOGETHER = 8,   /* planes side by side */
    POSITIONS = 64, /* of an image's index that are a unit of work */
};

/* x is what the index looks into, y has its shape. A unit is a block of an image's channels,
 * and of the index a run of positions. */
typedef struct images {
    float *x, *y;
    const int64_t *index;
    lh__strides in_x, in_y, in_index;
    int64_t channels, length, chosen; /* positions of x; of the index */
    int64_t block, blocks, run, runs;
    const lh__after *after;
} images;

/* Which of the call's operands is x, and which y. */
static const lh__view *looked_into(const lh__kernel_call *call) {
    return call->op == LH_OP_GATHER ? call->in[0] : call->out;
}

static const lh__view *looked_up(const lh__kernel_call *call) {
    return call->op == LH_OP_GATHER ? call->out : call->in[0];
}

/* x and the index lie alike, y by itself. */
uint32_t ISA(gather_channels_last)(const lh__kernel_call *call, uint32_t *free) {
    const lh__view *x = looked_into(call), *y = looked_up(call), *index = call->in[1];

    if (call->ints[0] != 2 || x->ndim != 3 || x->dtype != LH_F32 || y->dtype != LH_F32 ||
        index->shape[0] != x->shape[0] || index->shape[1] != x->shape[1] || x->shape[1] < 2 ||
        x->shape[2] < 2)
        return 0;
    *free = call->op == LH_OP_GATHER ? 4 : 1;
    return 7;
}

bool ISA(gathers_images)(const lh__kernel_call *call) {
    const lh__view *x = looked_into(call), *y = looked_up(call), *index = call->in[1];
    const bool planes = lh__view_is_contiguous(x), y_planes = lh__view_is_contiguous(y);
    uint32_t free;

    return ISA(gather_channels_last)(call, &free) && !(planes && y_planes) &&
           (planes ? lh__view_is_contiguous(index)
                   : lh__view_is_channels_last(x) && lh__view_is_channels_last(index)) &&
           (y_planes || lh__view_is_channels_last(y));
}

/* The images of one unit. */
static images unit_of(const images *p, int64_t unit) {
    const int64_t j = unit % p->runs * p->run, c = unit / p->runs % p->blocks * p->block;
    const int64_t i = unit / p->runs / p->blocks;
    images u = *p;

    u.x += i * p->in_x.image + c * p->in_x.channel;
    u.y += i * p->in_y.image + c * p->in_y.channel + j * p->in_y.position;
    u.index += i * p->in_index.image + c * p->in_index.channel + j * p->in_index.position;
    u.channels = least(p->block, p->channels - c);
    u.chosen = least(p->run, p->chosen - j);
    return u;
}

/* One position of the index: y = x where it says. Channels of x and the index lie `step` apart. */
static inline void pick_position(const images *p, int64_t j, int64_t step, int64_t index_step,
                                 int64_t y_step) {
    const int64_t *index = p->index + j * p->in_index.position;
    float *y = p->y + j * p->in_y.position;

    for (int64_t c = 0; c < p->channels; c++) {
        const int64_t at = index[c * index_step];

        y[c * y_step] =
            (uint64_t)at < (uint64_t)p->length ? p->x[at * p->in_x.position + c * step] : NAN;
    }
}

/* x += y where it says. */
static inline void put_position(const images *p, int64_t j, int64_t step, int64_t index_step,
                                int64_t y_step) {
    const int64_t *index = p->index + j * p->in_index.position;
    const float *y = p->y + j * p->in_y.position;

    for (int64_t c = 0; c < p->channels; c++) {
        const int64_t at = index[c * index_step];

        if ((uint64_t)at < (uint64_t)p->length)
            p->x[at * p->in_x.position + c * step] += y[c * y_step];
    }
}

static void pick_images(const void *arg, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) {
        const images u = unit_of(arg, unit);

        for (int64_t j = 0; j < u.chosen; j++)
            if (u.in_x.channel == 1 && u.in_y.channel == 1)
                pick_position(&u, j, 1, 1, 1);
            else
                pick_position(&u, j, u.in_x.channel, u.in_index.channel, u.in_y.channel);
    }
}

/* What a unit adds to is one piece of memory: planes, or a whole image. */
static void put_images(const void *arg, int64_t begin, int64_t end) {
    const images *p = arg;

    for (int64_t unit = begin; unit < end; unit++) {
        const images u = unit_of(p, unit);
        const int64_t n = u.channels * u.length;

        memset(u.x, 0, (size_t)n * sizeof *u.x);
        for (int64_t j = 0; j < u.chosen; j++)
            if (u.in_x.channel == 1 && u.in_y.channel == 1)
                put_position(&u, j, 1, 1, 1);
            else
                put_position(&u, j, u.in_x.channel, u.in_index.channel, u.in_y.channel);
        if (u.after)
            u.after->run(u.after, u.x - p->x, n);
    }
}

static images images_of(const lh__kernel_call *call) {
    const lh__view *x = looked_into(call), *y = looked_up(call), *index = call->in[1];
    const bool grad = call->op == LH__OP_GATHER_GRAD;
    images p = {.x = x->data,
                .y = y->data,
                .index = index->data,
                .in_x = lh__strides_of(x),
                .in_y = lh__strides_of(y),
                .in_index = lh__strides_of(index),
                .channels = x->shape[1],
                .length = x->shape[2],
                .chosen = index->shape[2],
                .after = call->after};

    p.block = p.in_x.channel == 1 ? p.channels : TOGETHER;
    p.blocks = parts_of(p.channels, p.block);
    p.run = grad ? p.chosen : POSITIONS;
    p.runs = grad ? 1 : parts_of(p.chosen, POSITIONS);
    return p;
}

void ISA(gather_images)(const lh__kernel_call *call) {
    const images p = images_of(call);

    lh__for_ranges(call->pool, looked_into(call)->shape[0] * p.blocks * p.runs,
                   1 + LH__TILE / (p.block * (p.run + p.length)),
                   call->op == LH_OP_GATHER ? pick_images : put_images, &p);
}
