/* stream.h - the calls of kernels that have been made and not run yet: the key of a plan.
 *
 * Where an engine defers, an operator that passed its checks goes into the stream instead of
 * running. Its result is a value: a number, and an address that nothing lies at, so that views of
 * it can be made as of any tensor. What a call needs beyond its operands' addresses and its real
 * numbers is a few words; operands that have an address, and reals, are kept beside the words.
 * Invariant: two streams of equal words are the same computation on other memory and with other
 * reals. A value is pending until the stream has run; then it is where `data` says, or dropped.
 * Nothing is allocated once the arrays are as long as a step needs.
 *
 * A call: op | n_in << 16 | n_ints << 32 | n_reals << 40 | is_random << 48, then the operands, the
 * output last, the integers, and of a random one phase << 32 | ordinal. An operand: 1 + value (0:
 * it has an address) | dtype << 32 | ndim << 40 | is_strided << 48 | has_offset << 49, then the
 * shape, the strides and the offset in bytes within the value. After the last call one word per 64
 * values: the bits of those that are kept.
 */
#ifndef LH_ENGINE_PLAN_STREAM_H
#define LH_ENGINE_PLAN_STREAM_H

#include "kernels/kernel.h"

enum { LH__PENDING, LH__DONE, LH__DROPPED };

typedef struct lh__value {
    char *address; /* where views of it say that they lie while it is pending */
    char *data;    /* where it lies once it is done */
    int64_t bytes;
    uint8_t state;
    uint8_t is_held;  /* somebody will look at it after the step's names have ended */
    uint8_t is_named; /* the author has it in a variable */
} lh__value;

/* Where the author made a call. */
typedef struct lh__place {
    const char *file; /* NULL: nobody's */
    int32_t line, reserved;
} lh__place;

/* An array that grows: items of one size. */
typedef struct lh__array {
    void *items;
    int64_t n, room;
} lh__array;

typedef struct lh__stream {
    lh__array words;  /* int64_t */
    lh__array memory; /* void *: of the operands that have an address, in order of occurrence */
    lh__array reals;  /* double, in order */
    lh__array places; /* lh__place, one a call */
    lh__array values; /* lh__value, of the whole step */
    int64_t first;    /* the first value of the calls that are in the stream */
    int64_t unnamed;  /* the values below are named by nobody any more */
    int64_t derived;  /* no backward pass will read the values below */
    char *next_address;
    int32_t failed; /* there was no memory for a call: it can't be run */
} lh__stream;

void lh__stream_free(lh__stream *s);

/* A step begins: no values. */
void lh__stream_reset(lh__stream *s);

/* A new pending value of `bytes` bytes; its number, or -1: no memory. Amortized O(1). */
int32_t lh__stream_value(lh__stream *s, int64_t bytes);

static inline lh__value *lh__value_at(const lh__stream *s, int32_t value) {
    return (lh__value *)s->values.items + value;
}

static inline int64_t lh__stream_calls(const lh__stream *s) {
    return s->places.n;
}

/* Appends a call. values[i]: the number of the value that input i lies in, the output's last; -1:
 * it has an address. 0: no memory. O(operands). */
int32_t lh__stream_call(lh__stream *s, const lh__kernel_call *k, const int32_t *values,
                        int32_t is_random, lh__place place);

/* Appends the bits of the values that are kept: those for which `keeps` is set, of each value from
 * `first` on. */
int32_t lh__stream_close(lh__stream *s, const uint8_t *keeps);

#endif
