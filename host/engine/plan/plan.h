/* plan.h - how a stream of calls is run: planned once, then replayed.
 *
 * What is planned: calls whose results nobody needs are left out; an elementwise call joins the
 * call that makes its operand, to be computed while that is in cache (a chain), and what only the
 * chain reads is never stored; every other result has a place in one block of memory, which it
 * gives back after its last use; what lies between convolutions has its channels last; kernels'
 * calls are filled in. What varies from step to step -
 * addresses of parameters and batches, real numbers, the step of random numbers - is put in at each
 * run. Where a kernel has several ways to the same bits, the plan's first runs take them in turn,
 * and the others the one that was the fastest.
 *
 * Invariants: a run has the same bits as the calls made one by one. Calls keep their order but for
 * those that join an earlier one; these read only results (never memory that a call in between may
 * have written to), and write only to their own. A run allocates nothing.
 */
#ifndef LH_ENGINE_PLAN_PLAN_H
#define LH_ENGINE_PLAN_PLAN_H

#include "engine/arena.h"
#include "engine/error.h"
#include "engine/plan/stream.h"
#include "profile/lane.h"

typedef struct lh__plan lh__plan;

/* Which of a call's ways is the fastest, found out by taking them in turn. */
typedef struct lh__trial {
    int32_t ways, runs;             /* ways: 0: there is nothing to find out, or not any more */
    int64_t fastest[LH__MOST_WAYS]; /* nanoseconds */
} lh__trial;

/* One launch: a kernel's call with what follows it, or a chain alone. */
typedef struct lh__launch {
    lh__kernel *kernel; /* NULL: a chain alone */
    lh__kernel_call call;
    lh__chain chain; /* n 0: nothing follows */
    lh__trial trial;
    int32_t first;    /* the call's number in the stream; of a chain alone its first */
    const char *name; /* of that call's operator */
} lh__launch;

/* An operand whose address depends on the block. */
typedef struct lh__slot {
    lh__view *view;
    int64_t offset;
} lh__slot;

struct lh__plan {
    const lh__device *device;
    lh__arena arena; /* all of the following */
    int64_t *words;  /* the key, a copy */
    int64_t n_words;
    uint64_t hash, used; /* used: when it last ran, in runs of the cache */

    lh__launch *launches;
    int64_t n_launches;
    lh__view **memory; /* per operand with an address: the view that takes it, or NULL */
    int64_t n_memory;
    lh__slot *slots;
    int64_t n_slots;
    double *reals;
    int64_t n_reals;
    lh__kernel_call **random; /* the calls that draw numbers */
    int64_t n_random;
    int64_t *offsets; /* per value: its place in the block; -1: none, it isn't stored */
    int64_t n_values;
    int64_t bytes; /* of the block */
    char *block;   /* which the slots are filled in for */

    /* For people. */
    lh__place *places; /* per call */
    int32_t n_calls, n_dropped, n_joined;
    int64_t stored; /* bytes of all results, each in a place of its own */
};

/* A plan for the stream, which is closed. NULL: no memory. O(calls log calls). */
lh__plan *lh__plan_new(const lh__stream *s, const lh__device *device, lh__pool *pool,
                       lh__products products, uint64_t seed);
void lh__plan_free(lh__plan *p);

/* memory.c: a place for each value; lives[i] is the first and the last launch at which value i has
 * to be there, first < 0: it needs none. Sets offsets; returns the bytes of the block. */
typedef struct lh__life {
    int32_t first, last;
    int64_t bytes;
} lh__life;
int64_t lh__plan_memory(const lh__life *lives, int64_t n, int64_t *offsets, lh__arena *scratch);

/* layout.c: a call that makes or reads a value. */
typedef struct lh__use {
    int32_t value, like; /* like: a value that has to lie as this one does; -1: none */
    uint8_t may, gains;  /* whether its channels may be last; whether the call gains by it */
    int64_t images, channels;
} lh__use;

/* Sets last[i] to whether value i, a user of which gains by it, has its channels last. 0: no
 * memory. */
int32_t lh__plan_layouts(const lh__use *uses, int64_t n_uses, int32_t n_values, uint8_t *last,
                         lh__arena *scratch);

/* Runs the plan for the stream that it was made for, or one of equal words, in `block`, of p->bytes
 * bytes. `step`: of random numbers. Launches go into `lane`, which may be NULL. */
void lh__plan_run(lh__plan *p, const lh__stream *s, char *block, uint64_t step, lh__lane *lane);

/* The plans that were used last. Zeroed: empty. */
enum { LH__PLANS = 32 };
typedef struct lh__plans {
    lh__plan *plans[LH__PLANS];
    uint64_t runs, made, replayed;
} lh__plans;

/* The plan whose key the stream's words are, or NULL. O(words). */
lh__plan *lh__plans_find(lh__plans *c, const lh__stream *s);

/* Adds a plan, in the place of the one that was not used for longest where there is no room. */
void lh__plans_add(lh__plans *c, lh__plan *p);
void lh__plans_free(lh__plans *c);

/* explain.c: what the plan does and what it saves, as text for a person, a line at a time. */
void lh__plan_explain(const lh__plan *p, void (*line)(void *user, const char *text), void *user);

#endif
