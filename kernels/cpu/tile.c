/* tile.c - see tile.h. */
#include "kernels/cpu/tile.h"

typedef struct ranges {
    int64_t n, size;
    lh__range_fn *fn;
    lh__range_sum *sum;
    double *sums;
    const void *arg;
} ranges;

static void run_range(void *arg, int64_t tile) {
    const ranges *r = arg;
    int64_t begin = tile * r->size, end = begin + r->size < r->n ? begin + r->size : r->n;

    if (r->fn)
        r->fn(r->arg, begin, end);
    else
        r->sums[tile] = r->sum(r->arg, begin, end);
}

void lh__for_ranges(lh__pool *pool, int64_t n, int64_t grain, lh__range_fn *fn, const void *arg) {
    ranges r = {.n = n, .size = grain, .fn = fn, .arg = arg};

    if (n <= grain * 2) {
        if (n > 0)
            fn(arg, 0, n);
        return;
    }
    lh__pool_run(pool, (n + grain - 1) / grain, run_range, &r);
}

double lh__sum_ranges(lh__pool *pool, int64_t n, int64_t grain, lh__range_sum *fn,
                      const void *arg) {
    double sums[LH__SUM_TILES], total = 0;
    int64_t smallest = parts_of(n, LH__SUM_TILES), tiles;
    ranges r = {
        .n = n, .size = smallest > grain ? smallest : grain, .sum = fn, .sums = sums, .arg = arg};

    if (n <= 0)
        return 0;
    if (n <= grain)
        return fn(arg, 0, n);
    tiles = (n + r.size - 1) / r.size;
    lh__pool_run(pool, tiles, run_range, &r);
    for (int64_t i = 0; i < tiles; i++)
        total += sums[i];
    return total;
}

/* A call with its axes merged; axis 0 is the innermost. Strides count elements. */
typedef struct walk {
    lh__row_fn *fn;
    const double *reals;
    char *out;
    const char *in[LH__MAX_OPERANDS];
    int64_t out_size, in_size[LH__MAX_OPERANDS]; /* of an element, in bytes */
    int64_t shape[LH_MAX_DIMS], stride[LH_MAX_DIMS][LH__MAX_OPERANDS], numel;
    int32_t n_in, ndim;
} walk;

/* Whether axis d of the inputs continues the walk's outermost axis. */
static bool continues(const walk *w, const lh__view *const *in, int32_t d) {
    int32_t top = w->ndim - 1;

    for (int32_t k = 0; k < w->n_in; k++)
        if (in[k]->stride[d] != w->stride[top][k] * w->shape[top])
            return false;
    return true;
}

/* The axes of `shape`, the innermost first; the channels are that where they are last. */
static void plan(walk *w, const int64_t *shape, int32_t ndim, bool channels_last,
                 const lh__view *const *in) {
    w->numel = 1;
    w->ndim = 0;
    for (int32_t i = ndim - 1; i >= 0; i--) {
        const int32_t d = !channels_last ? i : i == ndim - 1 ? 1 : i > 0 ? i + 1 : 0;

        w->numel *= shape[d];
        if (shape[d] == 1)
            continue;
        if (w->ndim > 0 && continues(w, in, d)) {
            w->shape[w->ndim - 1] *= shape[d];
            continue;
        }
        w->shape[w->ndim] = shape[d];
        for (int32_t k = 0; k < w->n_in; k++)
            w->stride[w->ndim][k] = in[k]->stride[d];
        w->ndim++;
    }
    if (w->ndim == 0) { /* one element */
        w->shape[0] = 1;
        for (int32_t k = 0; k < w->n_in; k++)
            w->stride[0][k] = 1;
        w->ndim = 1;
    }
    for (int32_t k = 0; k < w->n_in; k++) {
        w->in[k] = in[k]->data;
        w->in_size[k] = lh__dtype_size(in[k]->dtype);
    }
}

static void walk_range(const void *arg, int64_t begin, int64_t end) {
    const walk *w = arg;
    int64_t index[LH_MAX_DIMS], rest = begin;
    const char *in[LH__MAX_OPERANDS];

    for (int32_t k = 0; k < w->n_in; k++)
        in[k] = w->in[k];
    for (int32_t d = 0; d < w->ndim; d++) {
        index[d] = d == w->ndim - 1 ? rest : rest % w->shape[d];
        rest /= w->shape[d];
        for (int32_t k = 0; k < w->n_in; k++)
            in[k] += index[d] * w->stride[d][k] * w->in_size[k];
    }
    while (begin < end) {
        int64_t n = w->shape[0] - index[0];
        int32_t d = 0;

        n = n < end - begin ? n : end - begin;
        w->fn(w->out + begin * w->out_size, (const void *const *)in, w->stride[0], n, w->reals);
        begin += n;
        if (begin == end)
            return;
        /* On to the next row: the end of an axis goes back to its start and moves the next. */
        for (int32_t k = 0; k < w->n_in; k++)
            in[k] += n * w->stride[0][k] * w->in_size[k];
        for (index[0] += n; index[d] == w->shape[d]; index[++d]++) {
            index[d] = 0;
            for (int32_t k = 0; k < w->n_in; k++)
                in[k] += (w->stride[d + 1][k] - w->shape[d] * w->stride[d][k]) * w->in_size[k];
        }
    }
}

static walk walk_of(const lh__kernel_call *call, lh__row_fn *fn) {
    walk w;

    w.fn = fn;
    w.reals = call->reals;
    w.out = call->out->data;
    w.out_size = lh__dtype_size(call->out->dtype);
    w.n_in = call->n_in;
    plan(&w, call->out->shape, call->out->ndim, !lh__view_is_contiguous(call->out), call->in);
    return w;
}

void lh__walk(const lh__kernel_call *call, lh__row_fn *fn) {
    const walk w = walk_of(call, fn);

    lh__for_ranges(call->pool, w.numel, LH__TILE, walk_range, &w);
}

void lh__walk_part(const lh__kernel_call *call, lh__row_fn *fn, const void *const *in, void *out,
                   int64_t begin, int64_t end) {
    walk w = walk_of(call, fn);

    for (int32_t k = 0; k < w.n_in; k++)
        w.in[k] = in[k];
    w.out = out;
    walk_range(&w, begin, end);
}

void lh__walk_copy(void *out, int32_t out_dtype, const lh__view *in, lh__row_fn *fn,
                   lh__pool *pool) {
    walk w;

    w.fn = fn;
    w.reals = NULL;
    w.out = out;
    w.out_size = lh__dtype_size(out_dtype);
    w.n_in = 1;
    plan(&w, in->shape, in->ndim, false, &in);
    lh__for_ranges(pool, w.numel, LH__TILE, walk_range, &w);
}
