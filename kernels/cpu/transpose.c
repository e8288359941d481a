/* transpose.c - copies of views whose columns lie where rows should: matrices turned around.
 *
 * Row by row such a copy takes one element from each line of the cache that it touches. Where the
 * columns lie a large power of two apart the lines fall on few of the cache's sets and push each
 * other out before the next row. There it goes by square tiles through a buffer: every line is read
 * once and written once. Elsewhere the next rows find the lines still there, and tiles gain
 * nothing.
 */
#include <string.h>

#include "kernels/cpu/tile.h"

enum { SIDE = 16, LEAST = 8 }; /* of a tile; axes below LEAST aren't worth it */
enum { FAR = 1024 };           /* bytes: columns a multiple of this apart share 4 of 64 sets */

/* `to` and `from` have the axes around the matrix, as they lie in the output and in the input. */
typedef struct transpose {
    lh__view to, from;
    int64_t rows, columns;      /* of the output's matrix */
    int64_t out_row, in_column; /* strides; the output's columns and the input's rows have 1 */
    int64_t row_tiles, size;
} transpose;

#define COPY_TILE(name, T)                                                                     \
    static void name(const transpose *t, char *out, const char *in, int64_t rows, int64_t n) { \
        T tile[SIDE][SIDE], *y = (T *)out;                                                     \
        const T *x = (const T *)in;                                                            \
                                                                                               \
        for (int64_t j = 0; j < n; j++)                                                        \
            for (int64_t i = 0; i < rows; i++)                                                 \
                tile[i][j] = x[j * t->in_column + i];                                          \
        for (int64_t i = 0; i < rows; i++)                                                     \
            memcpy(y + i * t->out_row, tile[i], (size_t)n * sizeof(T));                        \
    }
COPY_TILE(copy_4, uint32_t)
COPY_TILE(copy_8, uint64_t)

/* Units [begin, end): SIDE rows of one matrix. */
static void copy_rows(const void *arg, int64_t begin, int64_t end) {
    const transpose *t = arg;

    for (int64_t unit = begin; unit < end; unit++) {
        int64_t matrix = unit / t->row_tiles, row = unit % t->row_tiles * SIDE;
        int64_t rows = t->rows - row < SIDE ? t->rows - row : SIDE;
        char *out =
            (char *)t->to.data + (lh__view_offset(&t->to, matrix) + row * t->out_row) * t->size;
        const char *in =
            (const char *)t->from.data + (lh__view_offset(&t->from, matrix) + row) * t->size;

        for (int64_t j = 0; j < t->columns; j += SIDE) {
            int64_t n = t->columns - j < SIDE ? t->columns - j : SIDE;

            (t->size == 4 ? copy_4 : copy_8)(t, out + j * t->size, in + j * t->in_column * t->size,
                                             rows, n);
        }
    }
}

/* The view without axes of length 1, neighbours merged where they can be. */
static lh__view merged(const lh__view *v) {
    lh__view m = {.data = v->data, .dtype = v->dtype};

    for (int32_t d = 0; d < v->ndim; d++) {
        int32_t top = m.ndim - 1;

        if (v->shape[d] == 1)
            continue;
        if (top >= 0 && m.stride[top] == v->shape[d] * v->stride[d]) {
            m.shape[top] *= v->shape[d];
            m.stride[top] = v->stride[d];
            continue;
        }
        m.shape[m.ndim] = v->shape[d];
        m.stride[m.ndim++] = v->stride[d];
    }
    return m;
}

static void drop_axis(lh__view *v, int32_t d) {
    for (v->ndim--; d < v->ndim; d++) {
        v->shape[d] = v->shape[d + 1];
        v->stride[d] = v->stride[d + 1];
    }
}

bool lh__copy_transposed(void *out, const lh__view *in, lh__pool *pool) {
    transpose t = {.from = merged(in), .size = lh__dtype_size(in->dtype)};
    int32_t last = t.from.ndim - 1, row = 0;
    int64_t n = 1, outer = 1;

    while (row < last && t.from.stride[row] != 1)
        row++;
    if (row >= last || t.from.shape[row] < LEAST || t.from.shape[last] < LEAST ||
        t.from.stride[last] * t.size % FAR != 0 || (t.size != 4 && t.size != 8))
        return false;
    t.to = t.from;
    t.to.data = out;
    for (int32_t d = last; d >= 0; d--) {
        t.to.stride[d] = n;
        n *= t.to.shape[d];
    }
    t.rows = t.from.shape[row], t.columns = t.from.shape[last];
    t.out_row = t.to.stride[row], t.in_column = t.from.stride[last];
    t.row_tiles = (t.rows + SIDE - 1) / SIDE;
    drop_axis(&t.from, last), drop_axis(&t.to, last);
    drop_axis(&t.from, row), drop_axis(&t.to, row);
    for (int32_t d = 0; d < t.to.ndim; d++)
        outer *= t.to.shape[d];
    lh__for_ranges(pool, n ? outer * t.row_tiles : 0, 1 + LH__TILE / (SIDE * t.columns + 1),
                   copy_rows, &t);
    return true;
}
