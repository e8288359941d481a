/* operands.h - random operands of every layout, and the comparison of the cpu device with the
 * oracle: every instruction set of this machine, every number of threads.
 *
 * Storage lasts until the test's process ends.
 */
#ifndef LH_TESTS_KERNELS_OPERANDS_H
#define LH_TESTS_KERNELS_OPERANDS_H

#include "kernels/cpu/variants.h"
#include "kernels/view.h"

/* How an operand lies in memory. */
enum { CONTIGUOUS, TRANSPOSED, STEPPED, BROADCAST, LAYOUTS };

/* A repeatable stream of numbers. */
uint64_t draw(void);
int64_t draw_below(int64_t n);
double draw_real(double lo, double hi);
void draw_shape(int32_t ndim, int64_t shape[LH_MAX_DIMS], bool may_be_empty);

/* A view of random elements: reals in [-3, 3], integers in [-9, 9] (U8: [0, 9]), BOOL 0 or 1.
 * BROADCAST repeats one axis, STEPPED takes every second element of a larger one. */
lh__view operand(int32_t dtype, int32_t ndim, const int64_t *shape, int layout);

/* Contiguous: 0-d holding x, or one dimension of integers in [lo, hi). */
lh__view scalar(int32_t dtype, double x);
lh__view indices(int64_t n, int64_t lo, int64_t hi);

/* Element number i in row-major order, and its opposite. */
double at(const lh__view *v, int64_t i);
void put(const lh__view *v, int64_t i, double x);

/* A call and how near to the oracle's its result must be: |got - want| is at most
 * ulps * epsilon * (|want| + size); 0: the same bits. */
typedef struct trial {
    lh__kernel_call call;
    const lh__view *in[8];
    lh__view out;
    int64_t ints[LH_MAX_DIMS + 8];
    double reals[2], ulps, size;
} trial;

/* A call of op whose output has the given dtype and shape. Inputs go to t.in. */
trial trial_of(uint32_t op, int32_t n_in, int32_t dtype, int32_t ndim, const int64_t *shape);

/* Runs the trial on the oracle and on the cpu device (all variants; no pool and pools of 1, 2 and
 * 3 threads) and asserts that they agree, that threads change no bit, and that the output is
 * written whole and nothing beside it. */
void expect_agreement(trial *t, const char *what);

/* The same trial with something to run after the results, where the cpu device says that it does:
 * it sees every element once, and final, and no bit changes. */
void expect_after(trial *t, const char *what);

/* The same trial with the channels of operands last, in every way that the cpu device says it may
 * (kernel.h): no bit changes, threads change none, and what runs after sees every element once, and
 * final. Returns in how many ways, of all variants together. */
int expect_channels_last(trial *t, const char *what);

/* Runs the trial on one device into a fresh output. */
lh__view run_trial(trial *t, const lh__device *device, lh__pool *pool);

#endif
