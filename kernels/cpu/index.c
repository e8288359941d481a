/* index.c - the cpu device's copies, concatenation and selection by index.
 *
 * Invariant: data moves in contiguous runs where the operands allow it; images with channels last
 * are gather.c's, every other layout and dtype the oracle's. An index outside
 * its axis is never followed. Sums by index are added up in the order of the index: threads share
 * out the elements that are added to.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

/* Halves, to the nearest, ties to even. */

static inline uint16_t bf16_of_float(float x) {
    uint32_t bits = lh__bits_of(x), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

    return (uint16_t)(x != x ? 0x7fc0 : rounded);
}

/* A half's bits, moved to a float's places, are 2^112 times too small. */
static inline float float_of_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7fff) << 13;
    uint32_t finite = lh__bits_of(lh__float_of(rest) * 0x1p112f);

    return lh__float_of(sign | (rest >= 0x0f800000 ? rest | 0x7f800000 : finite));
}

/* Subnormal halves are rounded by adding a number whose last bit is theirs. */
static inline uint16_t f16_of_float(float x) {
    uint32_t bits = lh__bits_of(x), sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
    uint32_t normal = (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    uint32_t small = lh__bits_of(lh__float_of(a) + 0.5f) - 0x3f000000;
    uint32_t value = a < 0x38800000 ? small : a < 0x47800000 ? normal : 0x7c00;

    return (uint16_t)(x != x ? 0x7e00 : sign | value);
}

/* Rows of COPY: from one dtype to another, any stride. Floating point to integer is the oracle's:
 * what does not fit needs care; so are I32, and F64 to halves, whose one rounding F32 would make
 * two. */
#define CONVERT(name, From, To, value)                                                   \
    static void name(void *out, const void *const *in, const int64_t *stride, int64_t n, \
                     const double *reals) {                                              \
        const From *p = in[0];                                                           \
        const int64_t s = stride[0];                                                     \
        To *y = out;                                                                     \
                                                                                         \
        (void)reals;                                                                     \
        if (s == 1) {                                                                    \
            SIMD for (int64_t i = 0; i < n; i++) {                                       \
                const From x = p[i];                                                     \
                y[i] = (To)(value);                                                      \
            }                                                                            \
        } else {                                                                         \
            SIMD for (int64_t i = 0; i < n; i++) {                                       \
                const From x = p[i * s];                                                 \
                y[i] = (To)(value);                                                      \
            }                                                                            \
        }                                                                                \
    }

CONVERT(f32_f32, float, float, x)
CONVERT(f32_f64, float, double, x)
CONVERT(f64_f32, double, float, x)
CONVERT(f64_f64, double, double, x)
CONVERT(i64_f32, int64_t, float, (double)x)
CONVERT(i64_f64, int64_t, double, x)
CONVERT(i64_i64, int64_t, int64_t, x)
CONVERT(u8_f32, uint8_t, float, x)
CONVERT(u8_f64, uint8_t, double, x)
CONVERT(u8_i64, uint8_t, int64_t, x)
CONVERT(u8_u8, uint8_t, uint8_t, x)
CONVERT(half_half, uint16_t, uint16_t, x)
CONVERT(f16_f32, uint16_t, float, float_of_f16(x))
CONVERT(f32_f16, float, uint16_t, f16_of_float(x))
CONVERT(bf16_f32, uint16_t, float, lh__float_of((uint32_t)x << 16))
CONVERT(f32_bf16, float, uint16_t, bf16_of_float(x))

static lh__row_fn *const conversions[LH_F16 + 1][LH_F16 + 1] = {
    [LH_F32] = {[LH_F32] = f32_f32, [LH_F64] = f32_f64, [LH_F16] = f32_f16, [LH_BF16] = f32_bf16},
    [LH_F16] = {[LH_F16] = half_half, [LH_F32] = f16_f32},
    [LH_BF16] = {[LH_BF16] = half_half, [LH_F32] = bf16_f32},
    [LH_F64] = {[LH_F32] = f64_f32, [LH_F64] = f64_f64},
    [LH_I64] = {[LH_F32] = i64_f32, [LH_F64] = i64_f64, [LH_I64] = i64_i64},
    [LH_U8] = {[LH_F32] = u8_f32, [LH_F64] = u8_f64, [LH_I64] = u8_i64, [LH_U8] = u8_u8},
    [LH_BOOL] = {[LH_F32] = u8_f32,
                 [LH_F64] = u8_f64,
                 [LH_I64] = u8_i64,
                 [LH_U8] = u8_u8,
                 [LH_BOOL] = u8_u8},
};

static lh__row_fn *conversion(int32_t from, int32_t to) {
    return from <= LH_F16 && to <= LH_F16 ? conversions[from][to] : NULL;
}

void ISA(copy)(const lh__kernel_call *call) {
    lh__row_fn *fn = conversion(call->in[0]->dtype, call->out->dtype);

    if (call->in[0]->dtype == call->out->dtype &&
        lh__copy_transposed(call->out->data, call->in[0], call->pool))
        return;
    if (fn)
        lh__walk_copy(call->out->data, call->out->dtype, call->in[0], fn, call->pool);
    else
        lh__ref_copy(call);
}

/* Product of the lengths of the axes in [first, last). */
static int64_t extent(const lh__view *v, int64_t first, int64_t last) {
    int64_t n = 1;

    for (int64_t d = first; d < last; d++)
        n *= v->shape[d];
    return n;
}

/* Whether inputs first, first + 1, ... are contiguous and of the output's dtype. */
static bool is_plain(const lh__kernel_call *call, int32_t n) {
    for (int32_t k = 0; k < n; k++)
        if (call->in[k]->dtype != call->out->dtype || !lh__view_is_contiguous(call->in[k]))
            return false;
    return true;
}

void ISA(concat)(const lh__kernel_call *call) {
    int64_t axis = call->ints[0], size = lh__dtype_size(call->out->dtype);
    int64_t outer = extent(call->out, 0, axis);
    char *y = call->out->data;

    if (!is_plain(call, call->n_in)) {
        lh__ref_concat(call);
        return;
    }
    for (int64_t i = 0; i < outer; i++)
        for (int32_t k = 0; k < call->n_in; k++) {
            const lh__view *x = call->in[k];
            int64_t run = extent(x, axis, x->ndim) * size;

            if (run)
                memcpy(y, (const char *)x->data + i * run, (size_t)run);
            y += run;
        }
}

/* Rows of an axis's elements of which some come from g; in bytes. */
typedef struct slices {
    const lh__view *prior; /* what g is added to, or NULL: 0 */
    const char *g;
    char *y;
    int64_t row, start, step, length, inner; /* inner: of one position */
    int32_t dtype;
} slices;

/* y, the prior's bytes or 0 before. */
static void put_part(const slices *s, char *y, const char *g, int64_t bytes) {
    if (!s->prior) {
        memcpy(y, g, (size_t)bytes);
    } else if (s->dtype == LH_F32) {
        float *to = (float *)y;
        const float *from = (const float *)g;

        SIMD for (int64_t i = 0; i < bytes / 4; i++) {
            to[i] += from[i];
        }
    } else {
        double *to = (double *)y;
        const double *from = (const double *)g;

        SIMD for (int64_t i = 0; i < bytes / 8; i++) {
            to[i] += from[i];
        }
    }
}

static void put_slices(const void *arg, int64_t begin, int64_t end) {
    const slices *s = arg;
    const int64_t whole = s->step == 1 ? s->length * s->inner : s->inner;

    for (int64_t i = begin; i < end; i++) {
        const char *g = s->g + i * s->length * s->inner;
        char *y = s->y + i * s->row;

        if (s->prior) {
            memcpy(y, (const char *)s->prior->data + i * s->row, (size_t)s->row);
        } else if (s->step == 1) {
            memset(y, 0, (size_t)(s->start * s->inner));
            memset(y + s->start * s->inner + whole, 0,
                   (size_t)(s->row - s->start * s->inner - whole));
        } else {
            memset(y, 0, (size_t)s->row);
        }
        for (int64_t j = 0; j < (s->step == 1 ? 1 : s->length); j++)
            put_part(s, y + (s->start + j * s->step) * s->inner, g + j * whole, whole);
    }
}

void ISA(slice_grad)(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *y = call->out;
    int64_t axis = call->ints[0], size = lh__dtype_size(y->dtype);
    slices s = {.prior = call->n_in > 1 ? call->in[1] : NULL,
                .g = g->data,
                .y = y->data,
                .start = call->ints[1],
                .step = call->ints[3],
                .length = g->shape[axis],
                .inner = extent(y, axis + 1, y->ndim) * size,
                .dtype = y->dtype};

    s.row = y->shape[axis] * s.inner;
    if (!is_plain(call, call->n_in) || (s.prior && y->dtype != LH_F32 && y->dtype != LH_F64))
        lh__ref_slice_grad(call);
    else if (s.row)
        lh__for_ranges(call->pool, extent(y, 0, axis), 1 + LH__TILE * size / s.row, put_slices, &s);
}

enum {
    BLOCK = 256,  /* neighbouring elements of a unit of work */
    PIECE = 4096, /* elements that what follows them gets at once */
};

static int64_t blocks_of(int64_t n) {
    return (n + BLOCK - 1) / BLOCK;
}

static void zero_range(const void *arg, int64_t begin, int64_t end) {
    memset((char *)((const lh__view *)arg)->data + begin, 0, (size_t)(end - begin));
}

static void zero(const lh__view *v, lh__pool *pool) {
    lh__for_ranges(pool, lh__view_numel(v) * lh__dtype_size(v->dtype), 16 * LH__TILE, zero_range,
                   v);
}

/* GATHER and GATHER_GRAD: rows of the index along its last axis, each with a line of x that its
 * elements come from. Rows that may share elements of x, `mid` of them, are of one unit. */
typedef struct picks {
    void *x, *y;
    const int64_t *index;
    lh__view lines; /* where in x row i of the index looks: lh__view_offset */
    int64_t rows, columns, mid, blocks;
    int64_t length, step, stride; /* of the axis; from column to column */
    const lh__after *after;
} picks;

/* The part of a unit: columns [from, to) of rows from `row` on. */
typedef struct span {
    int64_t row, from, to;
} span;

static span span_of(const picks *p, int64_t unit) {
    int64_t block = unit % p->blocks, from = block * BLOCK;

    return (span){.row = unit / p->blocks * p->mid,
                  .from = from,
                  .to = block == p->blocks - 1 ? p->columns : from + BLOCK};
}

static picks picks_of(const lh__view *x, const lh__view *y, const lh__view *index, int64_t axis) {
    int32_t last = x->ndim - 1;
    picks p = {.x = x->data, .y = y->data, .index = index->data};

    p.columns = index->shape[last];
    p.rows = extent(index, 0, last);
    p.mid = axis < last ? extent(index, axis, last) : 1;
    /* Within a line, neighbouring columns may look at the same element. */
    p.blocks = axis < last ? blocks_of(p.columns) : 1;
    p.length = x->shape[axis], p.step = x->stride[axis];
    p.stride = axis < last;
    p.lines = *x;
    p.lines.ndim = last;
    p.lines.stride[axis] = 0;
    for (int32_t d = 0; d < last; d++)
        p.lines.shape[d] = index->shape[d];
    return p;
}

/* Rows of x that an index of one dimension chooses. */
typedef struct choice {
    void *x, *y;
    const lh__view *index;
    int64_t outer, length, chosen, inner, run, blocks; /* run: bytes of a row */
    int64_t y_row;                                     /* elements from row to row of y */
    int32_t dtype;
} choice;

static choice choice_of(const lh__view *x, const lh__view *y, const lh__view *index, int64_t axis) {
    choice c = {.x = x->data,
                .y = y->data,
                .index = index,
                .outer = extent(x, 0, axis),
                .length = x->shape[axis],
                .chosen = index->shape[0],
                .inner = extent(x, axis + 1, x->ndim),
                .y_row = extent(x, axis + 1, x->ndim),
                .dtype = x->dtype};

    c.run = c.inner * lh__dtype_size(x->dtype);
    c.blocks = blocks_of(c.inner);
    return c;
}

/* Row of x that chosen row (i, j) is, -1 when the index is out of range. */
static int64_t row_of(const choice *c, int64_t i, int64_t j) {
    int64_t at = ((const int64_t *)c->index->data)[j * c->index->stride[0]];

    return at >= 0 && at < c->length ? i * c->length + at : -1;
}

#define T float
#define HOLE NAN
#define FN(name) name##_f32
#include "kernels/cpu/index.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/index.inc"
#undef T
#undef HOLE
#undef FN
#define T int64_t
#define HOLE 0
#define FN(name) name##_i64
#include "kernels/cpu/index.inc"

#undef T
#undef HOLE
#undef FN
/* Halves, which are copied but not added up here: the bits of a NaN of either kind. */
#define T uint16_t
#define HOLE 0x7fff
#define PICK_ONLY
#define FN(name) name##_16
#include "kernels/cpu/index.inc"

static lh__range_fn *of_dtype(int32_t dtype, lh__range_fn *f32, lh__range_fn *f64,
                              lh__range_fn *i64) {
    return dtype == LH_F32 ? f32 : dtype == LH_F64 ? f64 : dtype == LH_I64 ? i64 : NULL;
}

/* Whether each line of the result of GATHER_GRAD is of one row of the index. */
static bool has_lines(const lh__view *x, const lh__view *index, int64_t axis) {
    for (int32_t d = 0; d < x->ndim - 1; d++)
        if (index->shape[d] != x->shape[d])
            return false;
    return axis == x->ndim - 1;
}

static void run_picks(const lh__kernel_call *call, const picks *p, lh__range_fn *fn) {
    int64_t units = p->columns && p->rows ? p->rows / p->mid * p->blocks : 0;

    lh__for_ranges(call->pool, units, 1 + LH__TILE * p->blocks / (4 * (p->mid * p->columns + 1)),
                   fn, p);
}

void ISA(gather)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *index = call->in[1];
    bool half = lh__dtype_size(x->dtype) == 2;
    lh__range_fn *fn = half ? pick_16 : of_dtype(x->dtype, pick_f32, pick_f64, pick_i64);
    picks p;

    if (ISA(gathers_images)(call)) {
        ISA(gather_images)(call);
        return;
    }
    if (!fn || !is_plain(call, 1) || !lh__view_is_contiguous(index)) {
        lh__ref_gather(call);
        return;
    }
    p = picks_of(x, call->out, index, call->ints[0]);
    run_picks(call, &p, fn);
}

/* NULL: the oracle's. */
static lh__range_fn *put_of(const lh__kernel_call *call, lh__range_fn *f32, lh__range_fn *f64,
                            lh__range_fn *i64) {
    const bool is_ours = is_plain(call, 1) && lh__view_is_contiguous(call->in[1]);

    return is_ours ? of_dtype(call->out->dtype, f32, f64, i64) : NULL;
}

int32_t ISA(gather_grad_runs_after)(const lh__kernel_call *call) {
    return ISA(gathers_images)(call) ||
           (put_of(call, put_f32, put_f64, put_i64) && call->out->ndim > 0 &&
            has_lines(call->out, call->in[1], call->ints[0]));
}

void ISA(gather_grad)(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *index = call->in[1];
    picks p;

    if (ISA(gathers_images)(call)) {
        ISA(gather_images)(call);
        return;
    }
    if (!put_of(call, put_f32, put_f64, put_i64)) {
        lh__ref_gather_grad(call);
        return;
    }
    p = picks_of(call->out, g, index, call->ints[0]);
    if (has_lines(call->out, index, call->ints[0])) {
        p.after = call->after;
        lh__for_ranges(call->pool, p.rows, 1 + LH__TILE / (p.columns + p.length + 1),
                       put_of(call, put_lines_f32, put_lines_f64, put_lines_i64), &p);
        return;
    }
    zero(call->out, call->pool);
    run_picks(call, &p, put_of(call, put_f32, put_f64, put_i64));
}

static void copy_rows(const void *arg, int64_t begin, int64_t end) {
    const choice *c = arg;

    int64_t i = begin / c->chosen, j = begin % c->chosen;

    for (int64_t k = begin; k < end; k++, j++) {
        char *y = (char *)c->y + k * c->run;
        lh__view hole = {.data = y, .dtype = c->dtype};
        const char *x;
        int64_t row;

        if (j == c->chosen)
            i++, j = 0;
        row = row_of(c, i, j);
        x = (const char *)c->x + (row < 0 ? 0 : row) * c->run;
        if (row < 0)
            for (int64_t l = 0; l < c->inner; l++)
                lh__store(&hole, l, lh__dtype_is_real(c->dtype) ? NAN : 0);
        else if (c->run == sizeof(float)) /* one element: not worth a call of memcpy */
            memcpy(y, x, sizeof(float));
        else if (c->run == sizeof(double))
            memcpy(y, x, sizeof(double));
        else
            memcpy(y, x, (size_t)c->run);
    }
}

void ISA(index_select)(const lh__kernel_call *call) {
    choice c = choice_of(call->in[0], call->out, call->in[1], call->ints[0]);

    if (is_plain(call, 1) && c.run)
        lh__for_ranges(call->pool, c.outer * c.chosen, 1 + LH__TILE / c.inner, copy_rows, &c);
    else
        lh__ref_index_select(call);
}

void ISA(index_select_grad)(const lh__kernel_call *call) {
    const lh__view *g = call->in[0];
    choice c = choice_of(call->out, g, call->in[1], call->ints[0]);
    lh__range_fn *fn = of_dtype(g->dtype, add_rows_f32, add_rows_f64, add_rows_i64);
    const bool has_rows =
        g->dtype == call->out->dtype && g->ndim == 2 && call->ints[0] == 0 && g->stride[1] == 1;

    if (!fn || (!has_rows && !is_plain(call, 1))) {
        lh__ref_index_select_grad(call);
        return;
    }
    if (has_rows)
        c.y_row = g->stride[0];
    zero(call->out, call->pool);
    lh__for_ranges(call->pool, c.chosen ? c.outer * c.blocks : 0,
                   1 + LH__TILE * c.blocks / (c.chosen * c.inner + 1), fn, &c);
}
