/* reduction.c - the cpu device's reductions over axes, and cumulative sums along one.
 *
 * Invariant: the order of additions depends on shape and strides alone. Axes are merged, then one
 * of two loops runs: rows, where the innermost reduced axis is walked into one output, or columns,
 * where neighbouring outputs are summed side by side. Integers go to the oracle.
 */
#include "kernels/cpu/isa.h"

enum {
    CHUNK = 4096,  /* elements summed in T before double takes over */
    COLUMNS = 256, /* outputs side by side */
    ROWS = 64,     /* rows summed in T before double takes over */
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
