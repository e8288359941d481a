/* index.c - the cpu device's copies, concatenation and selection of rows.
 *
 * Invariant: data moves in contiguous runs where the operands allow it; every other layout, dtype
 * and GATHER go to the oracle. An index outside its axis is never followed.
 */
#include "kernels/cpu/isa.h"

/* Rows of COPY: from one dtype to another, any stride. Floating point to integer is the oracle's:
 * what does not fit needs care. */
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

static lh__row_fn *const conversions[LH_BOOL + 1][LH_BOOL + 1] = {
    [LH_F32] = {[LH_F32] = f32_f32, [LH_F64] = f32_f64},
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
    return from <= LH_BOOL && to <= LH_BOOL ? conversions[from][to] : NULL;
}

void ISA(copy)(const lh__kernel_call *call) {
    lh__row_fn *fn = conversion(call->in[0]->dtype, call->out->dtype);

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

void ISA(slice_grad)(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *y = call->out;
    int64_t axis = call->ints[0], start = call->ints[1], step = call->ints[3];
    int64_t size = lh__dtype_size(y->dtype), outer = extent(y, 0, axis);
    int64_t inner = extent(y, axis + 1, y->ndim) * size, length = g->shape[axis];
    const char *from = g->data;

    if (!is_plain(call, 1)) {
        lh__ref_slice_grad(call);
        return;
    }
    if (lh__view_numel(y))
        memset(y->data, 0, (size_t)(lh__view_numel(y) * size));
    if (lh__view_numel(g) == 0)
        return;
    for (int64_t i = 0; i < outer; i++) {
        char *to = (char *)y->data + (i * y->shape[axis] + start) * inner;

        for (int64_t j = 0; j < (step == 1 ? 1 : length); j++) {
            int64_t run = step == 1 ? length * inner : inner;

            memcpy(to + j * step * inner, from, (size_t)run);
            from += run;
        }
    }
}

/* Rows of x that an index of one dimension chooses. */
typedef struct choice {
    const lh__view *index;
    int64_t outer, length, chosen, inner;
} choice;

static choice choice_of(const lh__view *x, const lh__view *index, int64_t axis) {
    return (choice){.index = index,
                    .outer = extent(x, 0, axis),
                    .length = x->shape[axis],
                    .chosen = index->shape[0],
                    .inner = extent(x, axis + 1, x->ndim)};
}

/* Row of x that chosen row (i, j) is, -1 when the index is out of range. */
static int64_t row_of(const choice *c, int64_t i, int64_t j) {
    int64_t at = lh__load_int(c->index, j * c->index->stride[0]);

    return at >= 0 && at < c->length ? i * c->length + at : -1;
}

void ISA(index_select)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    choice c = choice_of(x, call->in[1], call->ints[0]);
    int64_t run = c.inner * lh__dtype_size(x->dtype);
    char *y = call->out->data;

    if (!is_plain(call, 1) || run == 0) {
        lh__ref_index_select(call);
        return;
    }
    for (int64_t i = 0; i < c.outer; i++)
        for (int64_t j = 0; j < c.chosen; j++, y += run) {
            int64_t row = row_of(&c, i, j);
            lh__view hole = {.data = y, .dtype = x->dtype};

            if (row >= 0) {
                memcpy(y, (const char *)x->data + row * run, (size_t)run);
                continue;
            }
            for (int64_t l = 0; l < c.inner; l++)
                lh__store(&hole, l, lh__dtype_is_real(x->dtype) ? NAN : 0);
        }
}

#define ADD_ROW(T)                                                         \
    {                                                                      \
        const T *from = (const T *)g->data + (i * c.chosen + j) * c.inner; \
        T *to = (T *)y->data + row * c.inner;                              \
                                                                           \
        SIMD for (int64_t l = 0; l < c.inner; l++) {                       \
            to[l] += from[l];                                              \
        }                                                                  \
    }

void ISA(index_select_grad)(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *y = call->out;
    choice c = choice_of(y, call->in[1], call->ints[0]);

    if (!is_plain(call, 1) || (y->dtype != LH_F32 && y->dtype != LH_F64)) {
        lh__ref_index_select_grad(call);
        return;
    }
    if (lh__view_numel(y))
        memset(y->data, 0, (size_t)(lh__view_numel(y) * lh__dtype_size(y->dtype)));
    for (int64_t i = 0; i < c.outer; i++)
        for (int64_t j = 0; j < c.chosen; j++) {
            int64_t row = row_of(&c, i, j);

            if (row < 0)
                continue;
            if (y->dtype == LH_F32)
                ADD_ROW(float)
            else
                ADD_ROW(double)
        }
}
