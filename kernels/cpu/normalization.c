/* normalization.c - the cpu device's normalization over channels and over rows, with its gradients.
 *
 * Invariant: contiguous operands of one real dtype; everything else goes to the oracle. Variances
 * are taken in two passes. Work is cut by channels, runs and rows, a sum never.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

enum {
    CHUNK = 4096,      /* elements summed in T before double takes over */
    COLUMNS = 256,     /* channels side by side */
    SIDE_BY_SIDE = 64, /* at most, channels of short runs whose sums are taken at once */
    ROWS = 64,         /* rows summed in T before double takes over */
    PIECE = 2048,      /* elements of rows that what follows them gets at once */
    PARTS = 4,         /* registers that a sum of runs is spread over */
};

/* What is summed: x, (x - mean)^2, g (x - mean). */
typedef enum summand { PLAIN, SQUARE, ALONG } summand;

/* x (n, channels, inner), or n rows of `channels` columns. NULL: not given. */
typedef struct norm {
    const void *g, *x, *moments, *sums, *weight, *bias;
    void *y;
    int64_t n, channels, inner, parts;
    double count, eps; /* count: elements of a channel */
    bool rms;
    const lh__after *after;
} norm;

/* Channels whose runs make up a stretch of memory worth reading in order. */
static int64_t side_by_side(const norm *p) {
    const int64_t n = CHUNK / p->inner;

    return n < 1 ? 1 : n < SIDE_BY_SIDE ? n : SIDE_BY_SIDE;
}

#define T float
#define VECTOR vector_f32
#define FN(name) name##_f32
#include "kernels/cpu/normalization.inc"
#undef T
#undef VECTOR
#undef FN
#define T double
#define VECTOR vector_f64
#define FN(name) name##_f64
#include "kernels/cpu/normalization.inc"

static bool is_plain(const lh__kernel_call *call) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype || !lh__view_is_contiguous(call->in[k]))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* Input k's data, or NULL. */
static const void *data_of(const lh__kernel_call *call, int32_t k) {
    return k < call->n_in ? call->in[k]->data : NULL;
}

static norm channels_of(const lh__kernel_call *call, const lh__view *x) {
    norm p = {.x = x->data, .y = call->out->data, .n = x->shape[0], .channels = x->shape[1]};

    p.inner = 1;
    for (int32_t d = 2; d < x->ndim; d++)
        p.inner *= x->shape[d];
    p.count = (double)(p.n * p.inner);
    if (p.channels == 1)
        p.inner *= p.n, p.n = 1;
    p.eps = call->n_reals ? call->reals[0] : 0;
    p.after = call->after;
    return p;
}

/* Runs `runs` on channels, `columns` on blocks of them where they are neighbours. */
static void over_channels(const lh__kernel_call *call, const norm *p, lh__range_fn *runs,
                          lh__range_fn *columns) {
    int64_t blocks = (p->channels + COLUMNS - 1) / COLUMNS, grain;

    grain = 1 + LH__TILE / (p->n * p->inner + 1);
    if (p->inner > 1)
        lh__for_ranges(call->pool, p->channels, grain > side_by_side(p) ? grain : side_by_side(p),
                       runs, p);
    else
        lh__for_ranges(call->pool, blocks, 1 + LH__TILE / (p->n * COLUMNS + 1), columns, p);
}

/* Runs `apply_runs` or, where channels are neighbours, `apply_rows`. */
static void apply(const lh__kernel_call *call, const norm *p) {
    bool wide = call->out->dtype == LH_F64;

    if (p->inner > 1)
        lh__for_ranges(call->pool, p->n * p->channels, 1 + LH__TILE / (p->inner + 1),
                       wide ? apply_runs_f64 : apply_runs_f32, p);
    else
        lh__for_ranges(call->pool, p->n, ROWS + LH__TILE / (p->channels + 1),
                       wide ? apply_rows_f64 : apply_rows_f32, p);
}

void ISA(channel_moments)(const lh__kernel_call *call) {
    bool wide = call->out->dtype == LH_F64;
    norm p = channels_of(call, call->in[0]);

    if (is_plain(call))
        over_channels(call, &p, wide ? run_moments_f64 : run_moments_f32,
                      wide ? column_moments_f64 : column_moments_f32);
    else
        lh__ref_channel_moments(call);
}

void ISA(channel_norm)(const lh__kernel_call *call) {
    norm p = channels_of(call, call->in[0]);

    p.moments = call->in[1]->data;
    p.weight = data_of(call, 2);
    p.bias = data_of(call, 3);
    if (is_plain(call))
        apply(call, &p);
    else
        lh__ref_channel_norm(call);
}

int32_t ISA(channel_norm_runs_after)(const lh__kernel_call *call) {
    return is_plain(call);
}

uint32_t ISA(channel_norm_channels_last)(const lh__kernel_call *call) {
    return 0;
}

void ISA(channel_sums)(const lh__kernel_call *call) {
    bool wide = call->out->dtype == LH_F64;
    norm p = channels_of(call, call->in[1]);

    p.g = call->in[0]->data;
    p.moments = call->in[2]->data;
    if (is_plain(call))
        over_channels(call, &p, wide ? run_sums_f64 : run_sums_f32,
                      wide ? column_grad_sums_f64 : column_grad_sums_f32);
    else
        lh__ref_channel_sums(call);
}

void ISA(channel_norm_grad)(const lh__kernel_call *call) {
    norm p = channels_of(call, call->in[1]);

    p.g = call->in[0]->data;
    p.moments = call->in[2]->data;
    p.sums = call->in[3]->data;
    p.weight = data_of(call, 4);
    if (is_plain(call))
        apply(call, &p);
    else
        lh__ref_channel_norm_grad(call);
}

/* The last axes of x as columns. */
static norm rows_of(const lh__kernel_call *call, const lh__view *x) {
    norm p = {.x = x->data, .y = call->out->data, .channels = 1, .eps = call->reals[0]};

    for (int32_t d = x->ndim - (int32_t)call->ints[0]; d < x->ndim; d++)
        p.channels *= x->shape[d];
    p.n = p.channels ? lh__view_numel(x) / p.channels : 0;
    return p;
}

/* Rows a few at a time, so that what follows finds them in cache. */
typedef struct rows {
    norm p;
    lh__range_fn *fn;
    const lh__after *after;
} rows;

static void run_rows(const void *arg, int64_t begin, int64_t end) {
    const rows *r = arg;
    const int64_t columns = r->p.channels, step = r->after ? 1 + PIECE / (columns + 1) : end;

    for (int64_t to; begin < end; begin = to) {
        to = end - begin < step ? end : begin + step;
        r->fn(&r->p, begin, to);
        if (r->after)
            r->after->run(r->after, begin * columns, (to - begin) * columns);
    }
}

static void over_rows(const lh__kernel_call *call, const norm *p, lh__range_fn *f32,
                      lh__range_fn *f64) {
    const rows r = {*p, call->out->dtype == LH_F64 ? f64 : f32, call->after};

    lh__for_ranges(call->pool, p->n, 1 + LH__TILE / (2 * p->channels + 1), run_rows, &r);
}

int32_t ISA(layer_norm_runs_after)(const lh__kernel_call *call) {
    return is_plain(call);
}

void ISA(layer_norm)(const lh__kernel_call *call) {
    norm p = rows_of(call, call->in[0]);

    p.weight = data_of(call, 1);
    p.bias = data_of(call, 2);
    p.rms = call->op == LH_OP_RMS_NORM;
    if (is_plain(call))
        over_rows(call, &p, norm_rows_f32, norm_rows_f64);
    else
        lh__ref_layer_norm(call);
}

void ISA(layer_norm_grad)(const lh__kernel_call *call) {
    norm p = rows_of(call, call->in[1]);

    p.g = call->in[0]->data;
    p.weight = data_of(call, 2);
    p.rms = call->op == LH__OP_RMS_NORM_GRAD;
    if (is_plain(call))
        over_rows(call, &p, grad_rows_f32, grad_rows_f64);
    else
        lh__ref_layer_norm_grad(call);
}

void ISA(row_sums)(const lh__kernel_call *call) {
    norm p = rows_of(call, call->in[1]);

    p.g = call->in[0]->data;
    p.parts = call->out->shape[0];
    p.rms = call->ints[1] != 0;
    if (is_plain(call) && p.channels > 0)
        lh__for_ranges(call->pool, p.parts, 1,
                       call->out->dtype == LH_F64 ? part_sums_f64 : part_sums_f32, &p);
    else
        lh__ref_row_sums(call);
}
