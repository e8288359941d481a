/* tile.h - how the cpu device cuts work, and walks strided operands.
 *
 * Invariant: cuts depend on sizes alone, never on the number of threads, and sums are added up in
 * the order of their tiles.
 */
#ifndef LH_KERNELS_CPU_TILE_H
#define LH_KERNELS_CPU_TILE_H

#include "kernels/view.h"

enum {
    LH__TILE = 16384,     /* elements of a tile of cheap arithmetic: 64 kB of F32 */
    LH__SUM_TILES = 256,  /* at most so many partial sums */
    LH__MAX_OPERANDS = 3, /* inputs of an elementwise operator */
};

static inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* How many parts of `size` cover n. */
static inline int64_t parts_of(int64_t n, int64_t size) {
    return (n + size - 1) / size;
}

static inline int64_t round_up(int64_t n, int64_t to) {
    return parts_of(n, to) * to;
}

/* Runs fn on ranges of at least `grain` units that cover [0, n). */
typedef void lh__range_fn(const void *arg, int64_t begin, int64_t end);
void lh__for_ranges(lh__pool *pool, int64_t n, int64_t grain, lh__range_fn *fn, const void *arg);

/* The sum of fn over such ranges, added up in order. */
typedef double lh__range_sum(const void *arg, int64_t begin, int64_t end);
double lh__sum_ranges(lh__pool *pool, int64_t n, int64_t grain, lh__range_sum *fn, const void *arg);

/* One row of an elementwise operator: out[i] = f(in[k][i * stride[k]]), i < n. */
typedef void lh__row_fn(void *out, const void *const *in, const int64_t *stride, int64_t n,
                        const double *reals);

/* Applies fn to the rows of a call: adjacent axes are merged where all operands allow it, so that
 * contiguous and row-broadcast operands give long rows. */
void lh__walk(const lh__kernel_call *call, lh__row_fn *fn);

/* The same for the elements [begin, end) alone, on the caller's thread; the operands and the output
 * lie where `in` and `out` say instead of where their views do. */
void lh__walk_part(const lh__kernel_call *call, lh__row_fn *fn, const void *const *in, void *out,
                   int64_t begin, int64_t end);

/* The same for one input, written to contiguous memory at `out`. */
void lh__walk_copy(void *out, int32_t out_dtype, const lh__view *in, lh__row_fn *fn,
                   lh__pool *pool);

/* Copies `in` to contiguous memory of the same dtype; false, and nothing done, where the view isn't
 * one of transposed matrices that gain by it. */
bool lh__copy_transposed(void *out, const lh__view *in, lh__pool *pool);

lh__kernel lh__cpu_argsort;

#endif
