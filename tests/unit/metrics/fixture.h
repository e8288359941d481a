/* fixture.h - meters, and batches to give them: rows [from, to) of arrays. */
#ifndef LH_TESTS_METRICS_FIXTURE_H
#define LH_TESTS_METRICS_FIXTURE_H

#include "metrics/meter.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static inline int64_t size_of(int32_t dtype) {
    return dtype == LH_F32 ? 4 : 8;
}

/* A contiguous array as meters get it. */
typedef struct array {
    const void *data;
    int32_t dtype, ndim;
    int64_t shape[4];
} array;

static inline lh__view rows(array a, int64_t from, int64_t to) {
    lh__view v = {.dtype = a.dtype, .ndim = a.ndim};
    int64_t row = size_of(a.dtype);

    for (int32_t d = 1; d < a.ndim; d++)
        row *= a.shape[d];
    v.data = (char *)a.data + from * row;
    memcpy(v.shape, a.shape, sizeof a.shape);
    v.shape[0] = to - from;
    return v;
}

#define METER(...) \
    new_meter(&(const lh_meter_options){LH_SIZED(lh_meter_options), .name = "m", __VA_ARGS__})

static inline lh_meter *new_meter(const lh_meter_options *o) {
    lh__error e = {0};
    lh_meter *m = lh__meter_new(o, "plugin.m", &e);

    cr_assert_not_null(m, "%s", e.text);
    return m;
}

/* Gives rows [0, n) in updates of `size` rows. target.data NULL: there is none. */
static inline void feed(lh_meter *m, array scores, array target, int64_t size) {
    lh__error e = {0};

    for (int64_t from = 0; from < scores.shape[0]; from += size) {
        int64_t to = from + size < scores.shape[0] ? from + size : scores.shape[0];
        lh__view x = rows(scores, from, to), y = {0};

        if (target.data)
            y = rows(target, from, to);
        cr_assert_eq(lh__meter_update(m, &x, target.data ? &y : NULL, &e), LH_OK, "%s", e.text);
    }
}

static inline lh__meter_value value_of(lh_meter *m) {
    lh__meter_value v;
    lh__error e = {0};

    cr_assert_eq(lh__meter_compute(m, &v, &e), LH_OK, "%s", e.text);
    return v;
}

/* Of one number. */
static inline double number(lh_meter *m) {
    lh__meter_value v = value_of(m);

    cr_assert_eq(v.dtype, LH_F64);
    cr_assert_eq(v.ndim, 0);
    return *(const double *)v.data;
}

/* Numbers in [0, 1), the same in every run (Marsaglia's xorshift). */
static inline double draw(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (double)(*seed >> 11) / 9007199254740992.0;
}

#endif
