/* normalization.c - the cpu device's normalization over channels and over rows, with its gradients.
 *
 * Invariant: operands of one real dtype that are contiguous or, over channels, have them last, with
 * the same bits; everything else goes to the oracle. Variances are taken in two passes. Work is cut
 * by channels, runs and rows, a sum only where double takes over: its parts are added in order.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

enum {
    CHUNK = 4096,      /* elements summed in T before double takes over */
    COLUMNS = 256,     /* channels side by side */
    FACTORS = 1024,    /* channels whose factors are known at once where they are neighbours */
    LINE = 16,         /* sums over channels that are last are cut into multiples of it, */
    SHARES = 4,        /* and into so many shares at least */
    AT_ONCE = 4,       /* positions of such channels added to the same sums at once */
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
    bool rms, is_last; /* is_last: x is (n, inner, channels) in memory, and so are g and y */
    const lh__after *after;
} norm;

/* Channels whose runs make up a stretch of memory worth reading in order. */
static int64_t side_by_side(const norm *p) {
    const int64_t n = CHUNK / p->inner;

    return n < 1 ? 1 : least(n, SIDE_BY_SIDE);
}

/* Positions [at, at + n) of n * inner, all of one image, whose summands are added next. */
typedef struct piece {
    int64_t at, n, unsettled; /* unsettled: positions summed in T since double took over last */
    bool settles;             /* double takes over after it */
} piece;

/* The piece after s, the first after zeros; false: there is none. */
static bool next_piece(const norm *p, piece *s) {
    int64_t left;

    s->at += s->n;
    if (s->at >= p->n * p->inner)
        return false;
    left = p->inner - s->at % p->inner;
    s->n = least(left, CHUNK);
    s->unsettled = (s->settles ? 0 : s->unsettled) + s->n;
    s->settles = s->unsettled + s->n > CHUNK || s->at + s->n == p->n * p->inner;
    return true;
}

/* Of groups of pieces, the last of each of which settles: how many there are, and the piece that
 * comes before one. */
static int64_t count_groups(const norm *p) {
    int64_t n = 0;

    if (p->inner <= CHUNK)
        return parts_of(p->n, CHUNK / p->inner);
    for (piece s = {0}; next_piece(p, &s);)
        n += s.settles;
    return n;
}

static piece before_group(const norm *p, int64_t group) {
    piece s = {0};

    if (p->inner <= CHUNK)
        s.at = group * (CHUNK / p->inner) * p->inner;
    else
        while (group > 0 && next_piece(p, &s))
            group -= s.settles;
    return s;
}

/* Sums over channels that are last, blocks of `width` of them: of each group in T, by lanes as runs
 * have them, then of all groups in double. */
typedef struct last_sums {
    const norm *p;
    summand kind; /* ALONG: the sums of g too */
    int64_t groups, width, blocks;
    const void *mean;
    void *lanes; /* T (groups, 1 or 2 sums, lanes, channels), made first; NULL: made when needed */
} last_sums;

#define T float
#define VECTOR vector_f32
#define FN(name) name##_f32
#include "kernels/cpu/normalization.inc"
#include "kernels/cpu/normalization_last.inc"
#undef T
#undef VECTOR
#undef FN
#define T double
#define VECTOR vector_f64
#define FN(name) name##_f64
#include "kernels/cpu/normalization.inc"
#include "kernels/cpu/normalization_last.inc"

static bool is_of_one_dtype(const lh__kernel_call *call) {
    const int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype)
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* Whether the operands in `last`, bit n_in being the output's, have their channels last and the
 * others are contiguous. */
static bool lies(const lh__kernel_call *call, uint32_t last) {
    for (int32_t k = 0; k <= call->n_in; k++) {
        const lh__view *v = k < call->n_in ? call->in[k] : call->out;

        if (!(last >> k & 1 ? lh__view_is_channels_last(v) : lh__view_is_contiguous(v)))
            return false;
    }
    return true;
}

static bool is_plain(const lh__kernel_call *call) {
    return is_of_one_dtype(call) && lies(call, 0);
}

/* Which input is the x of a call over channels; before it comes g. */
static int32_t x_of(const lh__kernel_call *call) {
    return call->op == LH__OP_CHANNEL_SUMS || call->op == LH__OP_CHANNEL_NORM_GRAD;
}

uint32_t ISA(channel_norm_channels_last)(const lh__kernel_call *call) {
    const bool gives_y = call->op == LH__OP_CHANNEL_NORM || call->op == LH__OP_CHANNEL_NORM_GRAD;
    const lh__view *x = call->in[x_of(call)];
    int64_t inner = 1;

    for (int32_t d = 2; d < x->ndim; d++)
        inner *= x->shape[d];
    if (x->ndim < 3 || x->shape[0] < 1 || inner <= 1 || x->shape[1] <= 1 || !is_of_one_dtype(call))
        return 0;
    return (x_of(call) ? 3u : 1u) | (gives_y ? 1u << call->n_in : 0);
}

static bool is_last(const lh__kernel_call *call) {
    const uint32_t last = ISA(channel_norm_channels_last)(call);

    return last && lies(call, last);
}

/* Input k's data, or NULL. */
static const void *data_of(const lh__kernel_call *call, int32_t k) {
    return k < call->n_in ? call->in[k]->data : NULL;
}

static norm channels_of(const lh__kernel_call *call) {
    const lh__view *x = call->in[x_of(call)];
    norm p = {.x = x->data, .y = call->out->data, .n = x->shape[0], .channels = x->shape[1]};

    p.inner = 1;
    for (int32_t d = 2; d < x->ndim; d++)
        p.inner *= x->shape[d];
    p.count = (double)(p.n * p.inner);
    if (p.channels == 1)
        p.inner *= p.n, p.n = 1;
    p.eps = call->n_reals ? call->reals[0] : 0;
    p.after = call->after;
    p.is_last = is_last(call);
    return p;
}

/* Runs `runs` on channels, `columns` on blocks of them where they are neighbours. */
static void over_channels(const lh__kernel_call *call, const norm *p, lh__range_fn *runs,
                          lh__range_fn *columns) {
    const int64_t blocks = parts_of(p->channels, COLUMNS);
    const int64_t grain = 1 + LH__TILE / (p->n * p->inner + 1);

    if (p->inner > 1)
        lh__for_ranges(call->pool, p->channels, grain > side_by_side(p) ? grain : side_by_side(p),
                       runs, p);
    else
        lh__for_ranges(call->pool, blocks, 1 + LH__TILE / (p->n * COLUMNS + 1), columns, p);
}

/* Sums over channels that are last, put into y. */
static void over_last(const lh__kernel_call *call, const norm *p, summand kind) {
    const bool wide = call->out->dtype == LH_F64;
    last_sums s = {.p = p, .kind = kind, .groups = count_groups(p)};
    int64_t units, size, room;

    s.mean = kind == SQUARE ? p->y : p->moments;
    s.width = round_up(parts_of(p->channels * s.groups, SHARES), LINE);
    s.width = least(s.width, SIDE_BY_SIDE);
    s.blocks = parts_of(p->channels, s.width);
    units = s.groups * s.blocks;
    size = p->n * p->inner * p->channels / units;
    room = s.groups * (kind == ALONG ? 2 : 1) * LH__VECTOR_BYTES * p->channels;
    if (s.groups > 1 && (s.lanes = lh__pool_scratch(call->pool, (size_t)room)))
        lh__for_ranges(call->pool, units, 1 + LH__TILE / size,
                       wide ? group_sums_f64 : group_sums_f32, &s);
    size = s.lanes ? room / s.blocks : size * s.groups;
    lh__for_ranges(call->pool, s.blocks, 1 + LH__TILE / size,
                   wide ? block_sums_f64 : block_sums_f32, &s);
}

/* Runs `apply_runs` or, where channels are neighbours, `apply_rows`. */
static void apply(const lh__kernel_call *call, const norm *p) {
    const bool wide = call->out->dtype == LH_F64;

    if (p->inner > 1 && !p->is_last)
        lh__for_ranges(call->pool, p->n * p->channels, 1 + LH__TILE / (p->inner + 1),
                       wide ? apply_runs_f64 : apply_runs_f32, p);
    else
        lh__for_ranges(call->pool, p->n * p->inner, ROWS + LH__TILE / (p->channels + 1),
                       wide ? apply_rows_f64 : apply_rows_f32, p);
}

void ISA(channel_moments)(const lh__kernel_call *call) {
    bool wide = call->out->dtype == LH_F64;
    norm p = channels_of(call);

    if (p.is_last) {
        over_last(call, &p, PLAIN);
        over_last(call, &p, SQUARE);
    } else if (is_plain(call))
        over_channels(call, &p, wide ? run_moments_f64 : run_moments_f32,
                      wide ? column_moments_f64 : column_moments_f32);
    else
        lh__ref_channel_moments(call);
}

void ISA(channel_norm)(const lh__kernel_call *call) {
    norm p = channels_of(call);

    p.moments = call->in[1]->data;
    p.weight = data_of(call, 2);
    p.bias = data_of(call, 3);
    if (is_plain(call) || p.is_last)
        apply(call, &p);
    else
        lh__ref_channel_norm(call);
}

int32_t ISA(channel_norm_runs_after)(const lh__kernel_call *call) {
    return is_plain(call) || is_last(call);
}

void ISA(channel_sums)(const lh__kernel_call *call) {
    bool wide = call->out->dtype == LH_F64;
    norm p = channels_of(call);

    p.g = call->in[0]->data;
    p.moments = call->in[2]->data;
    if (p.is_last)
        over_last(call, &p, ALONG);
    else if (is_plain(call))
        over_channels(call, &p, wide ? run_sums_f64 : run_sums_f32,
                      wide ? column_grad_sums_f64 : column_grad_sums_f32);
    else
        lh__ref_channel_sums(call);
}

void ISA(channel_norm_grad)(const lh__kernel_call *call) {
    norm p = channels_of(call);

    p.g = call->in[0]->data;
    p.moments = call->in[2]->data;
    p.sums = call->in[3]->data;
    p.weight = data_of(call, 4);
    if (is_plain(call) || p.is_last)
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
