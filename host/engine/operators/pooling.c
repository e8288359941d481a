/* pooling.c - pooling over windows, and resampling to given extents.
 *
 * Maxima are gathered at the indices of MAX_POOL_INDICES, so that their gradients, of any order,
 * are those of GATHER; averages over windows that divide unevenly and interpolations are products
 * with a small matrix for each axis.
 */
#include <math.h>

#include "engine/operators/rules.h"

#include "kernels/view.h"

enum { SPATIAL = 2 }; /* the first spatial axis */

static lh_status check_axes(const lh__check *c, int32_t ints_per_axis, int32_t more) {
    const lh__view *x = lh__in(c, 0);
    int32_t axes = x->ndim - SPATIAL;

    if (axes < 1 || axes > 3)
        return lh__reject(c, LH_ESHAPE, "x needs 3 to 5 axes, (n, channels, 1 to 3 spatial ones)");
    if (c->n_ints != axes * ints_per_axis + more)
        return lh__reject(c, LH_EINVAL, "%d integers given; %d spatial axes take %d", c->n_ints,
                          axes, axes * ints_per_axis + more);
    for (int32_t d = 0; d < axes; d++)
        if (x->shape[SPATIAL + d] < 1)
            return lh__reject(c, LH_ESHAPE, "spatial axis %d is empty", d);
    return LH_OK;
}

/* What a pooling operator does along one axis. */
typedef struct window {
    int64_t extent, kernel, stride, padding, dilation;
} window;

static window window_of(const lh__check *c, int32_t d) {
    int32_t axes = lh__in(c, 0)->ndim - SPATIAL, max = c->call->op != LH_OP_AVG_POOL;

    return (window){.extent = lh__in(c, 0)->shape[SPATIAL + d],
                    .kernel = c->ints[d],
                    .stride = c->ints[axes + d],
                    .padding = c->ints[2 * axes + d],
                    .dilation = max ? c->ints[3 * axes + d] : 1};
}

/* The last window of ceil_mode begins within x or the padding before it (PyTorch's rule). */
static int64_t windows_of(const window *w, int64_t ceil_mode) {
    int64_t room = w->extent + 2 * w->padding - w->dilation * (w->kernel - 1) - 1;
    int64_t n;

    if (room + (ceil_mode ? w->stride - 1 : 0) < 0)
        return 0;
    n = (room + (ceil_mode ? w->stride - 1 : 0)) / w->stride + 1;
    return ceil_mode && (n - 1) * w->stride >= w->extent + w->padding ? n - 1 : n;
}

static lh_status check_window(const lh__check *c, const window *w, int32_t d, int64_t n) {
    int64_t reach = (w->kernel - 1) * w->dilation + 1;

    if (n < 1)
        return lh__reject(c, LH_ESHAPE,
                          "the kernel reaches over %lld positions of spatial axis %d; x with its "
                          "padding has %lld",
                          (long long)reach, d, (long long)(w->extent + 2 * w->padding));
    /* Only windows that begin in the padding, and the last, can miss x. */
    for (int64_t o = 0; o < n; o = o * w->stride < w->padding || o + 1 == n ? o + 1 : n - 1) {
        int64_t at = o * w->stride - w->padding;
        int64_t skip = at < 0 ? (-at + w->dilation - 1) / w->dilation : 0;

        if (skip >= w->kernel || at + skip * w->dilation >= w->extent)
            return lh__reject(c, LH_ESHAPE,
                              "window %lld of spatial axis %d lies in the padding altogether: "
                              "lower the padding or the dilation",
                              (long long)o, d);
    }
    return LH_OK;
}

static lh_status shape_pool(lh__check *c) {
    int32_t max = c->call->op != LH_OP_AVG_POOL;
    lh_status status = check_axes(c, max ? 4 : 3, max ? 1 : 2);
    int32_t axes = lh__in(c, 0)->ndim - SPATIAL;

    if (status != LH_OK)
        return status;
    lh__set_shape(c, lh__in(c, 0)->ndim, lh__in(c, 0)->shape);
    for (int32_t d = 0; d < axes; d++) {
        window w = window_of(c, d);
        int64_t n;

        if (w.kernel < 1 || w.stride < 1 || w.dilation < 1 || w.kernel > INT32_MAX ||
            w.stride > INT32_MAX || w.dilation > INT32_MAX)
            return lh__reject(c, LH_EINVAL,
                              "kernel, stride and dilation have to be at least 1, below 2^31");
        if (w.padding < 0 || w.padding > w.kernel / 2)
            return lh__reject(
                c, LH_EINVAL,
                "padding %lld on spatial axis %d has to be 0 to half of the kernel, %lld",
                (long long)w.padding, d, (long long)w.kernel);
        n = windows_of(&w, c->ints[max ? 4 * axes : 3 * axes]);
        if ((status = check_window(c, &w, d, n)) != LH_OK)
            return status;
        c->out.shape[SPATIAL + d] = n;
    }
    return LH_OK;
}

/* (g) ints as AVG_POOL, then the shape of x */
static lh_status shape_avg_pool_grad(lh__check *c) {
    return lh__shape_from(c, 3 * (lh__in(c, 0)->ndim - SPATIAL) + 2);
}

/* The last integers, one for each spatial axis, are the extents asked for. */
static lh_status shape_resample(lh__check *c) {
    int32_t first = c->call->op == LH_OP_UPSAMPLE_LINEAR;
    lh_status status = check_axes(c, 1, first);

    if (status != LH_OK)
        return status;
    lh__set_shape(c, lh__in(c, 0)->ndim, lh__in(c, 0)->shape);
    for (int32_t d = first; d < c->n_ints; d++) {
        if (c->ints[d] < 1)
            return lh__reject(c, LH_EINVAL,
                              "an extent of %lld was asked for; it has to be 1 at "
                              "least",
                              (long long)c->ints[d]);
        c->out.shape[SPATIAL + d - first] = c->ints[d];
    }
    return LH_OK;
}

/* Maxima. */

/* The spatial axes as one. */
static lh_tensor *flat(lh__engine *e, lh_tensor *t) {
    int64_t shape[3] = {0, 0, 1};

    if (!t)
        return NULL;
    shape[0] = t->view.shape[0];
    shape[1] = t->view.shape[1];
    for (int32_t d = SPATIAL; d < t->view.ndim; d++)
        shape[2] *= t->view.shape[d];
    return reshaped(e, t, 3, shape);
}

static lh_tensor *compose_max_pool(lh__check *c) {
    lh__engine *e = c->e;
    const int64_t axis = 2;
    lh_tensor *at = op1_ints(e, LH_OP_MAX_POOL_INDICES, c->in[0], c->n_ints, c->ints);
    lh_tensor *in[] = {flat(e, c->in[0]), flat(e, at)};

    if (in[0] && in[1])
        in[1]->limit = in[0]->view.shape[axis];
    return reshaped(e, op(e, LH_OP_GATHER, 2, in, 1, &axis, 0, NULL), c->out.ndim, c->out.shape);
}

/* Averages. */

static lh_tensor *d_avg_pool(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *x = &n->in[i]->view;
    int64_t ints[LH__MAX_INTS];

    for (int32_t k = 0; k < n->n_ints; k++)
        ints[k] = n->ints[k];
    for (int32_t d = 0; d < x->ndim; d++)
        ints[n->n_ints + d] = x->shape[d];
    return op1_ints(e, LH__OP_AVG_POOL_GRAD, g, n->n_ints + x->ndim, ints);
}

static lh_tensor *d_avg_pool_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_ints(e, LH_OP_AVG_POOL, g, 3 * (g->view.ndim - SPATIAL) + 2, n->ints);
}

/* Adaptive windows: output o of n looks at [begin, end) of an axis of `extent`. */
static int64_t adaptive_begin(int64_t o, int64_t n, int64_t extent) {
    return o * extent / n;
}

static int64_t adaptive_end(int64_t o, int64_t n, int64_t extent) {
    return ((o + 1) * extent + n - 1) / n;
}

/* Whether every extent of x is a multiple of the one asked for. */
static int32_t divides(const lh__check *c) {
    for (int32_t d = SPATIAL; d < c->out.ndim; d++)
        if (lh__in(c, 0)->shape[d] % c->out.shape[d])
            return 0;
    return 1;
}

/* Zeros; the matrix that takes an axis of `extent` to n positions. F64: write, then cast. */
static lh_tensor *matrix_new(lh__engine *e, int64_t n, int64_t extent) {
    return lh__tensor_new(e, LH_F64, 2, (int64_t[]){n, extent}, NULL);
}

static lh_tensor *averaging_matrix(lh__engine *e, int64_t n, int64_t extent) {
    lh_tensor *m = matrix_new(e, n, extent);

    for (int64_t o = 0; m && o < n; o++) {
        int64_t begin = adaptive_begin(o, n, extent), end = adaptive_end(o, n, extent);

        for (int64_t i = begin; i < end; i++)
            ((double *)m->view.data)[o * extent + i] = 1.0 / (double)(end - begin);
    }
    return m;
}

/* Where position o of n lies between the positions of an axis of `extent` (torch's area_pixel). */
static lh_tensor *interpolation_matrix(lh__engine *e, int64_t n, int64_t extent, int64_t corners) {
    double scale = !corners ? (double)extent / (double)n
                   : n > 1  ? (double)(extent - 1) / (double)(n - 1)
                            : 0;
    lh_tensor *m = matrix_new(e, n, extent);

    for (int64_t o = 0; m && o < n; o++) {
        double at = corners ? (double)o * scale : fmax(((double)o + 0.5) * scale - 0.5, 0);
        int64_t before = (int64_t)at, after;
        double *row = (double *)m->view.data + o * extent;

        before = before < extent ? before : extent - 1;
        after = before + 1 < extent ? before + 1 : before;
        row[before] += 1 - (at - (double)before);
        row[after] += at - (double)before;
    }
    return m;
}

/* x with `axis` multiplied by m (n, extent). */
static lh_tensor *along_axis(lh__engine *e, lh_tensor *x, int32_t axis, lh_tensor *m) {
    int64_t before = 1, after = 1, shape[LH_MAX_DIMS];
    int32_t ndim;
    lh_tensor *t;

    if (!x || !m)
        return NULL;
    ndim = x->view.ndim;
    for (int32_t d = 0; d < ndim; d++) {
        shape[d] = d == axis ? m->view.shape[0] : x->view.shape[d];
        before *= d < axis ? x->view.shape[d] : 1;
        after *= d > axis ? x->view.shape[d] : 1;
    }
    m = cast_like(e, m, x);
    if (after == 1)
        t = op2(e, LH_OP_LINEAR, reshaped(e, x, 2, (int64_t[]){before, x->view.shape[axis]}), m);
    else
        t = op2(e, LH_OP_MATMUL, m,
                reshaped(e, x, 3, (int64_t[]){before, x->view.shape[axis], after}));
    return reshaped(e, t, ndim, shape);
}

static lh_tensor *compose_adaptive_avg_pool(lh__check *c) {
    int32_t axes = c->out.ndim - SPATIAL, all = 1;
    int64_t ints[LH__MAX_INTS] = {0};
    lh_tensor *y = c->in[0];

    for (int32_t d = 0; d < axes; d++)
        all &= c->ints[d] == 1;
    if (all)
        return op1_ints(c->e, LH_OP_MEAN, y, 1 + axes, (int64_t[]){1, 2, 3, 4});
    if (divides(c)) {
        for (int32_t d = 0; d < axes; d++)
            ints[d] = ints[axes + d] = lh__in(c, 0)->shape[SPATIAL + d] / c->ints[d];
        return op1_ints(c->e, LH_OP_AVG_POOL, y, 3 * axes + 2, ints);
    }
    for (int32_t d = 0; d < axes && y; d++)
        y = along_axis(c->e, y, SPATIAL + d,
                       averaging_matrix(c->e, c->ints[d], y->view.shape[SPATIAL + d]));
    return y;
}

static lh_tensor *compose_upsample_linear(lh__check *c) {
    lh_tensor *y = c->in[0];

    for (int32_t d = 0; d < c->out.ndim - SPATIAL && y; d++)
        y = along_axis(
            c->e, y, SPATIAL + d,
            interpolation_matrix(c->e, c->ints[1 + d], y->view.shape[SPATIAL + d], c->ints[0]));
    return y;
}

/* Selection. */

/* An index for INDEX_SELECT, to be written. */
static lh_tensor *index_new(lh__engine *e, int64_t n) {
    return lh__tensor_new(e, LH_I64, 1, &n, NULL);
}

/* The most that a window of n over an axis of `extent` = q n + r looks at: q, and 1 more when r is
 * not 0, and yet 1 more when some window begins and ends within a position. */
static int64_t longest_window(int64_t n, int64_t extent) {
    int64_t q = extent / n, r = extent % n, divisor = r, rest = n;

    if (r == 0)
        return q;
    while (rest) {
        int64_t next = divisor % rest;

        divisor = rest, rest = next;
    }
    return q + 1 + (r > divisor);
}

/* Windows of different lengths are made equally long by repeating their last element; the maximum
 * is where it was. */
static lh_tensor *compose_adaptive_max_pool(lh__check *c) {
    int32_t axes = c->out.ndim - SPATIAL, even = divides(c);
    int64_t ints[LH__MAX_INTS] = {0};
    lh_tensor *y = c->in[0];

    for (int32_t d = 0; d < axes && y; d++) {
        int64_t n = c->ints[d], extent = y->view.shape[SPATIAL + d];
        int64_t longest = longest_window(n, extent);
        lh_tensor *index;

        ints[d] = ints[axes + d] = longest;
        ints[3 * axes + d] = 1;
        if (even)
            continue;
        index = index_new(c->e, n * longest);
        for (int64_t i = 0; index && i < n * longest; i++) {
            int64_t at = adaptive_begin(i / longest, n, extent) + i % longest;
            int64_t last = adaptive_end(i / longest, n, extent) - 1;

            ((int64_t *)index->view.data)[i] = at < last ? at : last;
        }
        y = selected(c->e, y, SPATIAL + d, index);
    }
    return op1_ints(c->e, LH_OP_MAX_POOL, y, 4 * axes + 1, ints);
}

/* The position that PyTorch's "nearest" takes: computed in F32. */
static int64_t nearest(int64_t o, int64_t n, int64_t extent) {
    int64_t at = (int64_t)floorf((float)o * ((float)extent / (float)n));

    if (n == 2 * extent)
        return o / 2;
    return at < extent ? at : extent - 1;
}

static lh_tensor *compose_upsample_nearest(lh__check *c) {
    lh_tensor *y = c->in[0];

    for (int32_t d = 0; d < c->n_ints && y; d++) {
        int64_t n = c->ints[d], extent = y->view.shape[SPATIAL + d];
        lh_tensor *index;

        if (n == extent)
            continue;
        index = index_new(c->e, n);
        for (int64_t o = 0; index && o < n; o++)
            ((int64_t *)index->view.data)[o] = nearest(o, n, extent);
        y = selected(c->e, y, SPATIAL + d, index);
    }
    return y;
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_MAX_POOL, "max_pool", "x", {1, 1}, {5, 13}, {0, 0}, 0, LH__AS_IS,
     shape_pool, {0}, compose_max_pool},
    {LH_OP_MAX_POOL_INDICES, "max_pool_indices", "x", {1, 1}, {5, 13}, {0, 0}, 0, LH__POSITION,
     shape_pool, {0}, lh__compose_contiguous},
    {LH_OP_AVG_POOL, "avg_pool", "x", {1, 1}, {5, 11}, {0, 0}, 0, LH__REALS,
     shape_pool, {d_avg_pool}, lh__compose_contiguous},
    {LH_OP_ADAPTIVE_AVG_POOL, "adaptive_avg_pool", "x", {1, 1}, {1, 3}, {0, 0}, 0, LH__REALS,
     shape_resample, {0}, compose_adaptive_avg_pool},
    {LH_OP_ADAPTIVE_MAX_POOL, "adaptive_max_pool", "x", {1, 1}, {1, 3}, {0, 0}, 0, LH__AS_IS,
     shape_resample, {0}, compose_adaptive_max_pool},
    {LH_OP_UPSAMPLE_NEAREST, "upsample_nearest", "x", {1, 1}, {1, 3}, {0, 0}, 0, LH__AS_IS,
     shape_resample, {0}, compose_upsample_nearest},
    {LH_OP_UPSAMPLE_LINEAR, "upsample_linear", "x", {1, 1}, {2, 4}, {0, 0}, 0, LH__REALS,
     shape_resample, {0}, compose_upsample_linear},

    /* what gradients are made of */
    {LH__OP_AVG_POOL_GRAD, "avg_pool_grad", "g", {1, 1}, {8, 16}, {0, 0}, LH__LANDS, LH__REALS,
     shape_avg_pool_grad, {d_avg_pool_grad}, lh__compose_contiguous},
};
/* clang-format on */

const lh__family lh__pooling = {rows, sizeof rows / sizeof *rows};
