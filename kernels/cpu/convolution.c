/* convolution.c - the cpu device's convolutions: products of matrices that are never laid out.
 *
 * A tile of the source, with its padding, is copied to the stack so that the values a tap reads for
 * consecutive positions are consecutive too; what im2col would copy out for every tap is then only
 * an offset. All three operators come down to the one inner loop of convolution.inc, whose operands
 * are rows at given offsets.
 *
 * Invariants: tiles depend on shapes alone, sums run in the order of channels, taps, positions; the
 * weight's gradient is summed in at most SHARES runs of images, added up in order. Other dtypes,
 * and kernels too large for a tile, go to the oracle.
 */
#include "kernels/cpu/channels.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/sweep.h"
#include "kernels/cpu/vector.h"
#include "kernels/cpu/winograd.h"

enum {
    SCRATCH = 160 * 1024,   /* bytes of a tile on the stack */
    SUMMANDS = 1024,        /* of a product before it goes to memory */
    SHARES = 16,            /* partial sums of the weight's gradient */
    SHARED_BYTES = 1 << 24, /* all of them together, when there are several */
    RANGE_WORK = 1 << 19,   /* multiply-adds worth a visit to the pool */
    MOST_VECTORS = 3,       /* of columns of the inner loop */
#ifdef __AVX512F__
    MOST_ROWS = 8, /* of the inner loop: 24 sums and 3 columns in 32 registers */
#else
    MOST_ROWS = 4, /* 12 sums and 3 columns in 16 registers */
#endif
};

/* How a convolution is cut. The tile holds a channel's source as one part for each remainder of a
 * division by `step`, so that neighbours in j are neighbours in memory. */
typedef struct plan {
    sweep s;
    const void *x, *weight, *bias;
    void *y;
    const lh__after *after;
    int64_t cut[3], tiles[3];    /* positions j of a tile; how many tiles */
    int64_t parts[3], extent[3]; /* of a channel in a tile; of one part */
    int64_t plane;               /* elements of a channel in a tile */
    int64_t block;               /* channels of a tile */
    int64_t units, grain;        /* images x groups x tiles; how many a thread takes at once */
} plan;

/* Lengths of a tile and its parts. */
static void measure(plan *p) {
    p->plane = 1;
    for (int32_t d = 0; d < 3; d++) {
        p->parts[d] = least(p->s.step[d], p->s.reach[d] + 1);
        p->extent[d] = p->cut[d] + p->s.reach[d] / p->s.step[d];
        p->plane *= p->parts[d] * p->extent[d];
    }
}

/* Halves the tile until the channels of one product fit. False when not even one position does. */
static bool choose_tile(plan *p, int64_t room) {
    int64_t least_rows[3] = {1, 4, 64};

    p->block = p->s.g.taps < SUMMANDS ? least(p->s.from_c, SUMMANDS / p->s.g.taps) : 1;
    p->block = p->block ? p->block : 1;
    for (int32_t d = 0; d < 3; d++)
        p->cut[d] = p->s.count[d];
    for (measure(p); p->plane * p->block > room; measure(p)) {
        int32_t d = 0;

        while (d < 3 && p->cut[d] <= least_rows[d])
            d++;
        if (d < 3)
            p->cut[d] = (p->cut[d] + 1) / 2;
        else if (p->block > 1)
            p->block = (p->block + 1) / 2;
        else if (least_rows[1] > 1 || least_rows[2] > 1)
            least_rows[1] = least_rows[2] = 1;
        else
            return false;
    }
    return true;
}

static bool plan_fits(plan *p, int64_t size) {
    int64_t work;

    if (!choose_tile(p, SCRATCH / size))
        return false;
    p->units = p->s.g.batch * p->s.g.groups;
    for (int32_t d = 0; d < 3; d++) {
        p->tiles[d] = p->s.count[d] ? (p->s.count[d] + p->cut[d] - 1) / p->cut[d] : 0;
        p->units *= p->tiles[d];
    }
    work = lh__volume(p->cut) * p->s.to_c * p->s.from_c * p->s.g.taps;
    p->grain = work ? (RANGE_WORK + work - 1) / work : 1;
    return true;
}

static plan plan_of(const lh__kernel_call *call) {
    return (plan){.s = sweep_of(call),
                  .x = call->in[0]->data,
                  .weight = call->in[1]->data,
                  .bias = call->n_in > 2 ? call->in[2]->data : NULL,
                  .y = call->out->data,
                  .after = call->after};
}

/* Where in the tile, from a position on, the value of tap k is for destinations first + ...;
 * -1: the tap doesn't meet them. */
static int64_t tap_offset(const plan *p, const int64_t first[3], int64_t k) {
    int64_t offset[3], at = 0;

    if (!meets(&p->s, first, k, offset))
        return -1;
    for (int32_t d = 0; d < 3; d++)
        at = at * p->parts[d] + offset[d] % p->s.step[d];
    for (int32_t d = 0; d < 3; d++)
        at = at * p->extent[d] + offset[d] / p->s.step[d];
    return at;
}

/* The offsets of a product's summands: channels [c0, c0 + channels) with the taps [t0, t1) that
 * meet `first`. Returns how many. */
static int64_t list_summands(const plan *p, const int64_t first[3], int64_t c0, int64_t channels,
                             int64_t t0, int64_t t1, int32_t *a, int32_t *b) {
    int64_t n = 0, taps;

    for (int64_t t = t0; t < t1; t++) {
        int64_t at = tap_offset(p, first, t);

        if (at < 0)
            continue;
        a[n] = (int32_t)(c0 * p->s.column + t);
        b[n++] = (int32_t)at;
    }
    taps = n;
    for (int64_t c = 1; c < channels; c++)
        for (int64_t t = 0; t < taps; t++, n++) {
            a[n] = a[n - taps] + (int32_t)p->s.column;
            b[n] = b[n - taps] + (int32_t)p->plane;
        }
    return taps ? n : 0;
}

/* Tells that the results of a tile at positions j are final, of a group's channels from `channel`
 * on, counted over all images: in runs as long as they come. */
static void run_after_box(const plan *p, int64_t channel, const int64_t j[3]) {
    const int64_t *to = p->s.to;
    int64_t begin[3], n[3], channels = p->s.to_c, planes, rows;

    for (int32_t d = 0; d < 3; d++) {
        begin[d] = j[d] * p->s.spread[d];
        n[d] = least(p->cut[d] * p->s.spread[d], to[d] - begin[d]);
    }
    rows = n[2] == to[2] ? 1 : n[1];
    planes = rows == 1 && n[1] == to[1] ? 1 : n[0];
    if (planes == 1 && n[0] == to[0]) {
        p->after->run(p->after, channel * lh__volume(to), channels * lh__volume(to));
        return;
    }
    for (int64_t c = channel; c < channel + channels; c++)
        for (int64_t a = 0; a < planes; a++)
            for (int64_t b = 0; b < rows; b++)
                p->after->run(p->after,
                              ((c * to[0] + begin[0] + a) * to[1] + begin[1] + b) * to[2] +
                                  begin[2],
                              lh__volume(n) / planes / rows);
}

/* The part of a weight's gradient that one thread computes at a time: a run of images, a group,
 * some of its small channels (lanes), large channels. */
typedef struct weight_plan {
    lh__conv g;
    const void *small, *large;
    void *weight, *partial;
    int64_t shares, lane_blocks, channel_blocks;
    int64_t lanes;            /* of a block, in whole vectors */
    int64_t block;            /* large channels of a block */
    int64_t together;         /* of those, in a tile at once */
    int64_t cut[3], tiles[3]; /* small positions of a tile; how many tiles */
    int64_t extent[3], plane; /* of a large channel in a tile */
    int64_t summands;         /* of one weight's rows: large_c taps */
    lh__products products;
} weight_plan;

static void measure_weight(weight_plan *w) {
    const lh__conv *g = &w->g;

    for (int32_t d = 0; d < 3; d++)
        w->extent[d] = (w->cut[d] - 1) * g->stride[d] + (g->kernel[d] - 1) * g->dilation[d] + 1;
    w->plane = lh__volume(w->extent);
}

static bool choose_weight_tile(weight_plan *w, int64_t room) {
    const lh__conv *g = &w->g;

    w->together = w->block;
    for (int32_t d = 0; d < 3; d++)
        w->cut[d] = g->small[d];
    for (measure_weight(w);; measure_weight(w)) {
        int64_t positions = lh__volume(w->cut);
        int32_t d = 0;

        if (positions <= SUMMANDS && positions * w->lanes + w->plane * w->together <= room)
            break;
        while (d < 2 && w->cut[d] == 1)
            d++;
        if (w->together > 8 && positions <= SUMMANDS / 2)
            w->together = (w->together + 1) / 2;
        else if (w->cut[d] > 1)
            w->cut[d] = (w->cut[d] + 1) / 2;
        else if (w->together > 1)
            w->together = (w->together + 1) / 2;
        else
            return false;
    }
    for (int32_t d = 0; d < 3; d++)
        w->tiles[d] = (g->small[d] + w->cut[d] - 1) / w->cut[d];
    return true;
}

/* False: the oracle's. */
static bool weight_plan_fits(weight_plan *w, int64_t size) {
    const lh__conv *g = &w->g;
    int64_t width = LH__VECTOR_BYTES / size, vectors = (g->small_c + width - 1) / width, total;

    w->summands = g->large_c * g->taps;
    w->lane_blocks = (vectors + MOST_VECTORS - 1) / MOST_VECTORS;
    if (g->batch == 0 || w->lane_blocks == 0 || w->summands == 0 || lh__volume(g->small) == 0)
        return false;
    w->lanes = (vectors + w->lane_blocks - 1) / w->lane_blocks * width;
    w->lane_blocks = (g->small_c + w->lanes - 1) / w->lanes;
    total = g->groups * w->lane_blocks * w->lanes * w->summands;
    w->shares = least(least(g->batch, SHARES), SHARED_BYTES / size / total);
    w->shares = w->shares ? w->shares : 1;
    /* As few blocks of channels as keep some threads busy: each transposes the gradient anew. */
    w->channel_blocks = 1;
    while (w->shares * g->groups * w->lane_blocks * w->channel_blocks < SHARES &&
           g->large_c / w->channel_blocks >= 16)
        w->channel_blocks *= 2;
    w->block = (g->large_c + w->channel_blocks - 1) / w->channel_blocks;
    w->channel_blocks = (g->large_c + w->block - 1) / w->block;
    return choose_weight_tile(w, SCRATCH / size);
}

#define T float
#define VECTOR vector_f32
#define FMA LH__FMA_F32
#define FN(name) name##_f32
#include "kernels/cpu/convolution.inc"
#undef T
#undef VECTOR
#undef FMA
#undef FN
#define T double
#define VECTOR vector_f64
#define FMA LH__FMA_F64
#define FN(name) name##_f64
#include "kernels/cpu/convolution.inc"

/* Where the kernel covers all of the large side there is one position, and the call is a product of
 * matrices: (images, small channels), (images, the rest), (small channels, the rest). */
typedef struct product {
    lh__view small, large, weight;
    const lh__view *in[2];
    lh__kernel_call call;
} product;

static lh__view matrix(const lh__view *v, int64_t rows, int64_t columns, bool turned) {
    return (lh__view){.data = v->data,
                      .dtype = v->dtype,
                      .ndim = 2,
                      .shape = {turned ? columns : rows, turned ? rows : columns},
                      .stride = {turned ? 1 : columns, turned ? columns : 1}};
}

/* False: it isn't one. */
static bool as_product(const lh__kernel_call *call, product *p) {
    const lh__conv g = lh__conv_of(call);
    const int64_t rest = g.large_c * g.taps;

    for (int32_t d = 0; d < 3; d++)
        if (g.small[d] != 1 || g.padding[d] != 0 || g.dilation[d] != 1 || g.large[d] != g.kernel[d])
            return false;
    if (g.groups != 1 || call->n_in > 2)
        return false;
    p->call = *call;
    p->call.op = LH_OP_MATMUL;
    p->call.n_ints = p->call.n_reals = 0;
    p->call.in = p->in;
    if (call->op == LH_OP_CONV) {
        p->large = matrix(call->in[0], g.batch, rest, false);
        p->weight = matrix(call->in[1], g.small_c, rest, true);
        p->small = matrix(call->out, g.batch, g.small_c, false);
        p->in[0] = &p->large, p->in[1] = &p->weight, p->call.out = &p->small;
    } else if (call->op == LH_OP_CONV_TRANSPOSE) {
        p->small = matrix(call->in[0], g.batch, g.small_c, false);
        p->weight = matrix(call->in[1], g.small_c, rest, false);
        p->large = matrix(call->out, g.batch, rest, false);
        p->in[0] = &p->small, p->in[1] = &p->weight, p->call.out = &p->large;
    } else {
        p->small = matrix(call->in[0], g.batch, g.small_c, true);
        p->large = matrix(call->in[1], g.batch, rest, false);
        p->weight = matrix(call->out, g.small_c, rest, false);
        p->in[0] = &p->small, p->in[1] = &p->large, p->call.out = &p->weight;
    }
    return true;
}

/* Operands of one dtype that there is a loop for, with offsets that fit 32 bits. */
static bool is_real(const lh__kernel_call *call) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype || (k == 1 && lh__view_numel(call->in[k]) > INT32_MAX))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* Whether the operands lie as the loop wants them: contiguous, or those of `last` (bits, the output
 * is n_in) with channels last. */
static bool lies_so(const lh__kernel_call *call, uint32_t last) {
    for (int32_t k = 0; k <= call->n_in; k++) {
        const lh__view *v = k < call->n_in ? call->in[k] : call->out;

        if (!lh__view_is_contiguous(v) && !(last >> k & 1 && lh__view_is_channels_last(v)))
            return false;
    }
    return true;
}

static bool is_plain(const lh__kernel_call *call) {
    return is_real(call) && lies_so(call, 0);
}

/* The images whose channels fill a register: source and result, or the two that the weight's
 * gradient is of. */
uint32_t ISA(conv_channels_last)(const lh__kernel_call *call) {
    const bool of_weight = call->op == LH__OP_CONV_WEIGHT_GRAD;
    const lh__view *other = of_weight ? call->in[1] : call->out;
    const int64_t least_channels = LH__VECTOR_BYTES / 4;
    uint32_t last = 0;
    product as;

    if (!is_real(call) || as_product(call, &as) ||
        !(ISA(winograd_takes)(call) || ISA(channels_take)(call)))
        return 0;
    if (call->in[0]->shape[1] >= least_channels)
        last |= 1;
    if (other->shape[1] >= least_channels)
        last |= 1u << (of_weight ? 1 : call->n_in);
    return last;
}

/* Whether loops over lanes may take the call, with images that lie either way. */
static bool may_take_lanes(const lh__kernel_call *call) {
    product as;

    return is_real(call) && lies_so(call, ISA(conv_channels_last)(call)) && !as_product(call, &as);
}

/* The weight, which is read where it lies, as products take it. False: no memory. */
static bool round_weight(const lh__kernel_call *call, plan *p) {
    const int64_t n = lh__view_numel(call->in[1]);
    float *rounded;

    if (p->s.products == LH__PRODUCTS_F32)
        return true;
    rounded = lh__pool_scratch(call->pool, (size_t)n * sizeof *rounded);
    if (!rounded)
        return false;
    memcpy(rounded, p->weight, (size_t)n * sizeof *rounded);
    lh__round_f32(rounded, n, p->s.products, 0);
    p->weight = rounded;
    return true;
}

void ISA(conv)(const lh__kernel_call *call) {
    int64_t size = lh__dtype_size(call->out->dtype);
    product as;
    plan p;

    if (may_take_lanes(call) && ((ISA(winograd_takes)(call) && ISA(winograd)(call)) ||
                                 (ISA(channels_take)(call) && ISA(channels_conv)(call))))
        return;
    if (is_plain(call)) {
        if (as_product(call, &as)) {
            ISA(matmul)(&as.call);
            return;
        }
        p = plan_of(call);
        if (round_weight(call, &p) && plan_fits(&p, size)) {
            lh__pool_run(call->pool, (p.units + p.grain - 1) / p.grain,
                         size == 4 ? conv_range_f32 : conv_range_f64, &p);
            return;
        }
    }
    if (call->op == LH_OP_CONV)
        lh__ref_conv(call);
    else
        lh__ref_conv_transpose(call);
    if (call->after)
        call->after->run(call->after, 0, lh__view_numel(call->out));
}

const char *ISA(conv_way)(const lh__kernel_call *call) {
    product as;

    if (may_take_lanes(call) && ISA(winograd_takes)(call))
        return "Winograd";
    if (may_take_lanes(call) && ISA(channels_take)(call))
        return "channels";
    if (!is_plain(call))
        return "reference";
    return as_product(call, &as) ? ISA(matmul_way)(&as.call) : "tiles";
}

int32_t ISA(conv_runs_after)(const lh__kernel_call *call) {
    product as;
    plan p;

    if (!is_plain(call))
        return 0;
    if (as_product(call, &as))
        return ISA(matmul_runs_after)(&as.call);
    p = plan_of(call);
    return plan_fits(&p, lh__dtype_size(call->out->dtype));
}

void ISA(conv_weight_grad)(const lh__kernel_call *call) {
    int64_t size = lh__dtype_size(call->out->dtype), regions;
    weight_plan w = {
        .small = call->in[0]->data, .large = call->in[1]->data, .weight = call->out->data};
    product as;

    if (may_take_lanes(call) && ((ISA(winograd_takes)(call) && ISA(winograd_weight)(call)) ||
                                 (ISA(channels_take)(call) && ISA(channels_weight)(call))))
        return;
    w.g = lh__conv_of(call);
    w.products = rounding_of(call);
    if (is_plain(call) && as_product(call, &as)) {
        ISA(matmul)(&as.call);
        return;
    }
    if (is_plain(call) && weight_plan_fits(&w, size)) {
        regions = w.g.groups * w.lane_blocks;
        w.partial = lh__pool_scratch(call->pool,
                                     (size_t)(w.shares * regions * w.lanes * w.summands * size));
        if (w.partial) {
            lh__pool_run(call->pool, w.shares * regions * w.channel_blocks,
                         size == 4 ? weight_unit_f32 : weight_unit_f64, &w);
            lh__pool_run(call->pool, regions, size == 4 ? weight_sum_f32 : weight_sum_f64, &w);
            return;
        }
    }
    lh__ref_conv_weight_grad(call);
}
