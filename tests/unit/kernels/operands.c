/* operands.c - see operands.h. */
#include "operands.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"

enum { GUARD = 64, POOLS = 4 };

static uint64_t state = 1;

/* splitmix64. */
uint64_t draw(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

int64_t draw_below(int64_t n) {
    return (int64_t)(draw() % (uint64_t)n);
}

double draw_real(double lo, double hi) {
    return lo + (hi - lo) * (double)(draw() >> 11) * 0x1p-53;
}

void draw_shape(int32_t ndim, int64_t shape[LH_MAX_DIMS], bool may_be_empty) {
    static const int64_t sizes[] = {1, 2, 3, 7, 17, 33, 0};

    for (int32_t d = 0; d < ndim; d++)
        shape[d] = sizes[draw_below(may_be_empty && draw_below(8) == 0 ? 7 : 6)];
}

double at(const lh__view *v, int64_t i) {
    return lh__load(v, lh__view_offset(v, i));
}

void put(const lh__view *v, int64_t i, double x) {
    lh__store(v, lh__view_offset(v, i), x);
}

static double draw_element(int32_t dtype) {
    switch (dtype) {
    case LH_BOOL:
        return (double)draw_below(2);
    case LH_U8:
        return (double)draw_below(10);
    case LH_I64:
    case LH_I32:
        return (double)draw_below(19) - 9;
    default:
        return draw_real(-3, 3);
    }
}

/* In front of every element buffer, so that all of them stay reachable until the process ends. */
typedef struct block {
    _Alignas(64) struct block *previous;
    struct block *next;
} block;

static block list = {.previous = &list, .next = &list};

static void *storage(int64_t elements, int32_t dtype) {
    size_t size = sizeof(block) + (size_t)(elements * lh__dtype_size(dtype)) + GUARD;
    block *b = aligned_alloc(64, (size + 63) / 64 * 64);

    cr_assert_not_null(b);
    b->previous = &list;
    b->next = list.next;
    list.next->previous = b;
    list.next = b;
    return b + 1;
}

static void release(void *data) {
    block *b = (block *)data - 1;

    b->previous->next = b->next;
    b->next->previous = b->previous;
    free(b);
}

static void set_strides(lh__view *v) {
    int64_t n = 1;

    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        v->stride[d] = n;
        n *= v->shape[d];
    }
}

lh__view operand(int32_t dtype, int32_t ndim, const int64_t *shape, int layout) {
    lh__view v = {.dtype = dtype, .ndim = ndim};
    int32_t special = ndim ? (int32_t)draw_below(ndim) : 0;
    int64_t n;

    memcpy(v.shape, shape, (size_t)ndim * sizeof *shape);
    if (ndim > 0 && layout == STEPPED)
        v.shape[special] *= 2;
    if (ndim > 0 && layout == BROADCAST && v.shape[special] > 0)
        v.shape[special] = 1;
    if (ndim > 1 && layout == TRANSPOSED) {
        v.shape[0] = shape[ndim - 1];
        v.shape[ndim - 1] = shape[0];
    }
    set_strides(&v);
    n = lh__view_numel(&v);
    v.data = storage(n, dtype);
    for (int64_t i = 0; i < n; i++)
        lh__store(&v, i, draw_element(dtype));
    memcpy(v.shape, shape, (size_t)ndim * sizeof *shape);
    if (ndim > 0 && layout == STEPPED)
        v.stride[special] *= 2;
    if (ndim > 0 && layout == BROADCAST)
        v.stride[special] = 0;
    if (ndim > 1 && layout == TRANSPOSED) {
        int64_t first = v.stride[0];

        v.stride[0] = v.stride[ndim - 1];
        v.stride[ndim - 1] = first;
    }
    return v;
}

lh__view scalar(int32_t dtype, double x) {
    lh__view v = {.dtype = dtype, .data = storage(1, dtype)};

    lh__store(&v, 0, x);
    return v;
}

lh__view indices(int64_t n, int64_t lo, int64_t hi) {
    lh__view v = {.dtype = LH_I64, .ndim = 1, .shape = {n}, .stride = {1}};

    v.data = storage(n, LH_I64);
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)v.data)[i] = lo + draw_below(hi - lo);
    return v;
}

trial trial_of(uint32_t op, int32_t n_in, int32_t dtype, int32_t ndim, const int64_t *shape) {
    trial t = {.call = {.op = op, .n_in = n_in, .key = {7, 3, 11}}};

    t.out.dtype = dtype;
    t.out.ndim = ndim;
    memcpy(t.out.shape, shape, (size_t)ndim * sizeof *shape);
    set_strides(&t.out);
    return t;
}

lh__view run_trial(trial *t, const lh__device *device, lh__pool *pool) {
    int64_t n = lh__view_numel(&t->out), size = n * lh__dtype_size(t->out.dtype);
    lh__view out = t->out;
    lh__kernel_call call = t->call;

    out.data = storage(n, out.dtype);
    memset(out.data, 0xA5, (size_t)size + GUARD);
    call.in = t->in;
    call.out = &out;
    call.ints = t->ints;
    call.reals = t->reals;
    call.pool = pool;
    cr_assert_not_null(device->kernels[call.op], "operator %u has no kernel", call.op);
    device->kernels[call.op](&call);
    for (int i = 0; i < GUARD; i++)
        cr_assert_eq(((uint8_t *)out.data)[size + i], 0xA5, "operator %u writes past the end",
                     call.op);
    return out;
}

static double epsilon(int32_t dtype) {
    return dtype == LH_F32 ? FLT_EPSILON : dtype == LH_F64 ? DBL_EPSILON : 0;
}

static void compare(const trial *t, const lh__view *got, const lh__view *want, const char *isa,
                    const char *what) {
    for (int64_t i = 0, n = lh__view_numel(want); i < n; i++) {
        double g = lh__load(got, i), w = lh__load(want, i);
        double allowed = t->ulps * epsilon(want->dtype) * (fabs(w) + t->size);

        if (g == w || (isnan(g) && isnan(w)))
            continue;
        cr_assert(fabs(g - w) <= allowed, "%s, operator %u, %s: element %ld is %.17g, not %.17g",
                  what, t->call.op, isa, (long)i, g, w);
    }
}

static lh__pool *pool_of(int threads) {
    static lh__pool *pools[POOLS];

    if (threads > 0 && !pools[threads])
        cr_assert_not_null(pools[threads] = lh__pool_new(threads));
    return pools[threads];
}

void expect_agreement(trial *t, const char *what) {
    lh__view want = run_trial(t, lh__device_ref(), NULL);
    size_t size = (size_t)(lh__view_numel(&want) * lh__dtype_size(want.dtype));
    lh__variant variants[3];
    int n;

    n = lh__cpu_variants(variants);
    for (int i = 0; i < n; i++) {
        lh__view alone = run_trial(t, variants[i].device, NULL);
        lh__view first = run_trial(t, variants[i].device, pool_of(1));

        compare(t, &alone, &want, variants[i].isa, what);
        compare(t, &first, &want, variants[i].isa, what);
        release(alone.data);
        for (int threads = 2; threads < POOLS; threads++) {
            lh__view again = run_trial(t, variants[i].device, pool_of(threads));

            cr_assert(memcmp(first.data, again.data, size) == 0,
                      "%s, operator %u, %s: %d threads change the result", what, t->call.op,
                      variants[i].isa, threads);
            release(again.data);
        }
        release(first.data);
    }
    release(want.data);
}

/* Counts how often each element was named, and keeps what it was. */
typedef struct witness {
    lh__after after;
    const char *y;
    char *seen;
    int64_t size;
    atomic_int *times;
} witness;

static void see(const lh__after *self, int64_t begin, int64_t n) {
    const witness *w = (const witness *)self;

    memcpy(w->seen + begin * w->size, w->y + begin * w->size, (size_t)(n * w->size));
    for (int64_t i = begin; i < begin + n; i++)
        atomic_fetch_add(&w->times[i], 1);
}

static void witness_device(trial *t, const lh__device *device, lh__pool *pool, const char *what) {
    lh__view plain = run_trial(t, device, pool), y = plain;
    const int64_t n = lh__view_numel(&plain), size = lh__dtype_size(plain.dtype);
    lh__kernel_call call = t->call;
    witness w = {.after = {see}, .size = size};

    y.data = storage(n, plain.dtype);
    w.y = y.data, w.seen = storage(n, plain.dtype);
    w.times = calloc((size_t)n + 1, sizeof *w.times);
    call.in = t->in, call.out = &y, call.ints = t->ints, call.reals = t->reals, call.pool = pool;
    call.after = &w.after;
    if (device->runs_after && device->runs_after(&call)) {
        device->kernels[call.op](&call);
        for (int64_t i = 0; i < n; i++)
            cr_assert_eq(w.times[i], 1, "%s, operator %u: element %ld was named %d times", what,
                         call.op, (long)i, w.times[i]);
        cr_assert_eq(memcmp(w.seen, plain.data, (size_t)(n * size)), 0,
                     "%s, operator %u: what runs after sees other results", what, call.op);
    }
    free(w.times);
    release(w.seen);
    release(y.data);
    release(plain.data);
}

void expect_after(trial *t, const char *what) {
    lh__variant variants[3];
    const int n = lh__cpu_variants(variants);

    for (int i = 0; i < n; i++)
        witness_device(t, variants[i].device, pool_of(3), what);
}

/* A copy of v whose channels are last. */
static lh__view turned(const lh__view *v) {
    lh__view to = *v;

    to.data = storage(lh__view_numel(v), v->dtype);
    lh__view_put_channels_last(&to);
    for (int64_t i = 0; i < lh__view_numel(v); i++)
        put(&to, i, at(v, i));
    return to;
}

static void expect_turned(trial *t, const lh__device *device, uint32_t which, const char *what) {
    trial last = *t;
    lh__view want = run_trial(t, device, pool_of(1)), in[8];

    for (int32_t k = 0; k < t->call.n_in; k++) {
        in[k] = which >> k & 1 ? turned(t->in[k]) : *t->in[k];
        last.in[k] = &in[k];
    }
    if (which >> t->call.n_in & 1)
        lh__view_put_channels_last(&last.out);
    for (int threads = 1; threads < POOLS; threads++) {
        lh__view got = run_trial(&last, device, pool_of(threads));

        for (int64_t i = 0; i < lh__view_numel(&want); i++) {
            const double g = at(&got, i), w = at(&want, i);

            cr_assert(memcmp(&g, &w, sizeof g) == 0,
                      "%s, operator %u, operands %x, %d threads: element %ld is %.17g, not %.17g",
                      what, t->call.op, which, threads, (long)i, g, w);
        }
        release(got.data);
    }
    witness_device(&last, device, pool_of(3), what);
    for (int32_t k = 0; k < t->call.n_in; k++)
        if (which >> k & 1)
            release(in[k].data);
    release(want.data);
}

int expect_channels_last(trial *t, const char *what) {
    lh__variant variants[3];
    const int n = lh__cpu_variants(variants);
    int ways = 0;

    for (int i = 0; i < n; i++) {
        lh__kernel_call call = t->call;
        uint32_t may, independent, which;

        call.in = t->in, call.out = &t->out, call.ints = t->ints, call.reals = t->reals;
        call.pool = pool_of(1);
        may = variants[i].device->channels_last(&call, &independent);
        which = independent;
        do { /* every set of those that may by themselves, with the others or without */
            if (may & ~independent)
                expect_turned(t, variants[i].device, which | (may & ~independent), what), ways++;
            if (which)
                expect_turned(t, variants[i].device, which, what), ways++;
            which = (which - 1) & independent;
        } while (which != independent);
    }
    return ways;
}
