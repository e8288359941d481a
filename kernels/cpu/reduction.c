/* reduction.c - the cpu device's reductions over axes, and cumulative sums along one.
 *
 * Invariant: the order of additions depends on shape and strides alone. Axes are merged, then one
 * of two loops runs: rows, where the innermost reduced axis is walked into one output, or columns,
 * where neighbouring outputs are summed side by side. Sums of images whose channels are last have
 * the order that they have in planes. Integers go to the oracle.
 */
#include "kernels/cpu/isa.h"

enum {
    CHUNK = 4096,  /* elements summed in T before double takes over */
    COLUMNS = 256, /* outputs side by side */
    ROWS = 64,     /* rows summed in T before double takes over */
    TOGETHER = 8,  /* channels that are turned at once */
};

/* Some axes of a view, merged; axis 0 is the innermost. */
typedef struct axes {
    int64_t shape[LH_MAX_DIMS], stride[LH_MAX_DIMS], numel;
    int32_t ndim;
} axes;

/* A position in axes. */
typedef struct cursor {
    int64_t index[LH_MAX_DIMS], offset;
} cursor;

/* Lines along an axis: `outer` x `length` x `inner` contiguous elements. */
typedef struct lines {
    const void *x;
    void *y;
    int64_t outer, length, inner, blocks; /* blocks of COLUMNS lines side by side */
    bool backwards;
} lines;

typedef struct plan {
    uint32_t op;
    const void *x;
    void *y;
    axes kept, outer; /* what outputs are numbered by; what is reduced besides the row */
    int64_t row, row_stride;
    double start, scale;
} plan;

static axes merge(const lh__view *v) {
    axes a = {.numel = 1};

    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        a.numel *= v->shape[d];
        if (v->shape[d] == 1)
            continue;
        if (a.ndim > 0 && v->stride[d] == a.stride[a.ndim - 1] * a.shape[a.ndim - 1]) {
            a.shape[a.ndim - 1] *= v->shape[d];
            continue;
        }
        a.shape[a.ndim] = v->shape[d];
        a.stride[a.ndim++] = v->stride[d];
    }
    return a;
}

/* Takes the innermost axis out of `a`. */
static void take_row(axes *a, int64_t *row, int64_t *stride) {
    *row = a->ndim ? a->shape[0] : 1;
    *stride = a->ndim ? a->stride[0] : 1;
    if (a->ndim == 0)
        return;
    a->numel = 1;
    a->ndim--;
    for (int32_t d = 0; d < a->ndim; d++) {
        a->shape[d] = a->shape[d + 1];
        a->stride[d] = a->stride[d + 1];
        a->numel *= a->shape[d];
    }
}

static cursor cursor_at(const axes *a, int64_t i) {
    cursor c;

    c.offset = 0;
    for (int32_t d = 0; d < a->ndim; d++) {
        c.index[d] = d == a->ndim - 1 ? i : i % a->shape[d];
        c.offset += c.index[d] * a->stride[d];
        i = d == a->ndim - 1 ? 0 : i / a->shape[d];
    }
    return c;
}

static void cursor_next(const axes *a, cursor *c) {
    for (int32_t d = 0; d < a->ndim; d++) {
        c->offset += a->stride[d];
        if (++c->index[d] < a->shape[d])
            return;
        c->offset -= a->shape[d] * a->stride[d];
        c->index[d] = 0;
    }
}

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/reduction.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/reduction.inc"

static const struct {
    lh__range_fn *rows, *columns;
    lh__range_sum *part;
} loops[2] = {
    {reduce_rows_f32, reduce_columns_f32, sum_part_f32},
    {reduce_rows_f64, reduce_columns_f64, sum_part_f64},
};

/* Images with channels last: sums of channels over their positions, of each image or of all. */
typedef struct images {
    const float *x;
    float *y;
    int64_t n, channels, positions;
    bool each;
    double scale;
} images;

/* total[k] += the sum of channel k of n, at most TOGETHER, of an image. */
static void add_image(const images *p, const float *x, int64_t n, double *total) {
    float row[TOGETHER][CHUNK + 16]; /* the 16 keep rows out of one another's cache lines */
    double sum[TOGETHER] = {0};

    for (int64_t at = 0; at < p->positions; at += CHUNK) {
        const int64_t count = least(CHUNK, p->positions - at);

        for (int64_t i = 0; i < count; i++, x += p->channels)
            for (int64_t k = 0; k < n; k++)
                row[k][i] = x[k];
        for (int64_t k = 0; k < n; k++)
            sum[k] += sum_row_f32(row[k], 1, count);
    }
    for (int64_t k = 0; k < n; k++)
        total[k] += sum[k];
}

/* Units [begin, end) of TOGETHER channels, of one image or of all. */
static void sum_images(const void *arg, int64_t begin, int64_t end) {
    const images *p = arg;
    const int64_t groups = parts_of(p->channels, TOGETHER);

    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t first = unit / groups, c = unit % groups * TOGETHER;
        const int64_t n = least(TOGETHER, p->channels - c), last = p->each ? first + 1 : p->n;
        double total[TOGETHER] = {0};

        for (int64_t i = first; i < last; i++)
            add_image(p, p->x + i * p->positions * p->channels + c, n, total);
        for (int64_t k = 0; k < n; k++)
            p->y[first * p->channels + c + k] = (float)(total[k] * p->scale);
    }
}

/* SUM, MEAN and SUM_TO over all positions. */
uint32_t ISA(reduce_channels_last)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    const uint32_t positions = (1u << x->ndim) - 4, mask = lh__reduced_axes(call);

    return x->ndim >= 3 && x->dtype == LH_F32 && call->out->dtype == LH_F32 &&
           (call->op == LH_OP_SUM || call->op == LH_OP_MEAN || call->op == LH__OP_SUM_TO) &&
           (mask & ~1u) == positions && lh__view_numel(x) > x->shape[0] * x->shape[1];
}

static void reduce_images(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    images p = {.x = x->data,
                .y = call->out->data,
                .n = x->shape[0],
                .channels = x->shape[1],
                .positions = lh__view_numel(x) / (x->shape[0] * x->shape[1]),
                .each = !(lh__reduced_axes(call) & 1),
                .scale = 1};
    const int64_t units = parts_of(p.channels, TOGETHER) * (p.each ? p.n : 1);
    const int64_t work = p.positions * TOGETHER * (p.each ? 1 : p.n);

    if (call->op == LH_OP_MEAN)
        p.scale = 1 / (double)(p.positions * (p.each ? 1 : p.n));
    lh__for_ranges(call->pool, units, 1 + LH__TILE / work, sum_images, &p);
}

static void store(const lh__view *y, double x) {
    if (y->dtype == LH_F32)
        *(float *)y->data = (float)x;
    else
        *(double *)y->data = x;
}

void ISA(reduce)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *y = call->out;
    bool wide = x->dtype == LH_F64, sums = call->op != LH_OP_AMAX && call->op != LH_OP_AMIN;
    int64_t outputs = lh__view_numel(y), count;
    lh__view kept, inner;
    plan p;

    if ((x->dtype != LH_F32 && !wide) || y->dtype != x->dtype) {
        (sums ? lh__ref_sum : lh__ref_extreme)(call);
        return;
    }
    if (ISA(reduce_channels_last)(call) && !lh__view_is_contiguous(x) &&
        lh__view_is_channels_last(x)) {
        reduce_images(call);
        return;
    }
    lh__view_split(x, lh__reduced_axes(call), &kept, &inner);
    p.kept = merge(&kept);
    p.outer = merge(&inner);
    p.op = call->op;
    p.x = x->data;
    p.y = y->data;
    p.start = call->op == LH_OP_PROD ? 1 : sums ? 0 : call->op == LH_OP_AMAX ? -INFINITY : INFINITY;
    count = p.outer.numel;
    p.scale = call->op == LH_OP_MEAN ? 1 / (double)count : 1;
    if (p.kept.ndim > 0 && p.kept.stride[0] == 1 && p.outer.ndim > 0 && p.outer.stride[0] != 1) {
        int64_t blocks;

        take_row(&p.kept, &p.row, &p.row_stride);
        blocks = p.kept.numel * ((p.row + COLUMNS - 1) / COLUMNS);
        lh__for_ranges(call->pool, outputs ? blocks : 0, 1 + LH__TILE / (COLUMNS * (count + 1)),
                       loops[wide].columns, &p);
        return;
    }
    take_row(&p.outer, &p.row, &p.row_stride);
    if (outputs == 1 && p.start == 0 && p.outer.numel == 1)
        store(y, p.scale * lh__sum_ranges(call->pool, p.row, LH__TILE, loops[wide].part, &p));
    else
        lh__for_ranges(call->pool, outputs, 1 + LH__TILE / (count + 1), loops[wide].rows, &p);
}

void ISA(argmax)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    bool largest = call->op == LH_OP_ARGMAX;
    int64_t *y = call->out->data, row, stride, n = lh__view_numel(call->out);
    lh__view kept, inner;
    axes rows;
    cursor at;

    if (x->dtype != LH_F32 && x->dtype != LH_F64) {
        lh__ref_argmax(call);
        return;
    }
    lh__view_split(x, lh__reduced_axes(call), &kept, &inner);
    row = inner.shape[0], stride = inner.stride[0];
    rows = merge(&kept);
    at = cursor_at(&rows, 0);
    for (int64_t i = 0; i < n; i++) {
        y[i] = x->dtype == LH_F32
                   ? extreme_at_f32((const float *)x->data + at.offset, stride, row, largest)
                   : extreme_at_f64((const double *)x->data + at.offset, stride, row, largest);
        cursor_next(&rows, &at);
    }
}

void ISA(cumsum)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    int64_t axis = call->ints[0];
    lines l = {.x = x->data, .y = call->out->data, .outer = 1, .inner = 1};

    if ((x->dtype != LH_F32 && x->dtype != LH_F64) || !lh__view_is_contiguous(x)) {
        lh__ref_cumsum(call);
        return;
    }
    for (int64_t d = 0; d < x->ndim; d++)
        *(d < axis ? &l.outer : &l.inner) *= d == axis ? 1 : x->shape[d];
    l.length = x->shape[axis];
    l.blocks = (l.inner + COLUMNS - 1) / COLUMNS;
    l.backwards = call->n_ints > 1 && call->ints[1];
    lh__for_ranges(call->pool, l.outer * l.blocks,
                   1 + LH__TILE * l.blocks / (4 * (l.length * l.inner + 1)),
                   x->dtype == LH_F32 ? cumsum_range_f32 : cumsum_range_f64, &l);
}
