/* optimizers.c - the cpu device's Adam pass and sum of squares, f32: time, and bytes a second as a
 * part of what a pass over as many arrays reaches that does nothing but add them up. One line for
 * each number of parameters.
 *
 *     optimizers [--threads N]
 *
 * `in cache`: the same arrays pass after pass. Bytes of Adam: four arrays read, three written.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/update.h"
#include "kernels/view.h"
#include "tests/bench/timing.h"

enum { ARRAYS = 4, WRITTEN = 3, TILE = 16384, ROUNDS = 30 };

typedef float vector __attribute__((vector_size(64), aligned(64), may_alias));

typedef struct pass {
    float *x[ARRAYS]; /* parameters, exp_avg, exp_avg_sq, gradients */
    int64_t n;
} pass;

__attribute__((target_clones("avx512f", "avx2", "default"))) static void
add_up(const pass *p, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 16) {
        const vector sum = *(vector *)(p->x[0] + i) + *(vector *)(p->x[1] + i) +
                           *(vector *)(p->x[2] + i) + *(vector *)(p->x[3] + i);

        for (int k = 0; k < WRITTEN; k++)
            *(vector *)(p->x[k] + i) = sum;
    }
}

static void add_up_tile(void *arg, int64_t tile) {
    const pass *p = arg;
    int64_t begin = tile * TILE;

    add_up(p, begin, begin + TILE < p->n ? begin + TILE : p->n);
}

/* The fastest of the rounds: the bare pass, Adam, the sum of squares. */
static void measure(const pass *p, lh__pool *pool, double best[3]) {
    const lh_optimizer_options options = {
        .kind = LH_ADAM, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    lh__kernel *const *kernels = lh__device_cpu()->kernels;
    const lh__view param = lh__line(LH_F32, p->x[0], p->n), grad = lh__line(LH_F32, p->x[3], p->n);
    const lh__view *x[] = {&grad};
    int64_t steps = 0;
    double sum = 0, squares;
    const lh__view total = {.data = &squares, .dtype = LH_F64};
    const lh__kernel_call norm = {
        .op = LH__OP_SQUARES, .n_in = 1, .in = x, .out = &total, .pool = pool};
    lh__update_call u;

    lh__update_write(&u, &options, 1, 0, &param, pool);
    u.inputs[LH__UPDATE_GRAD] = grad;
    u.inputs[LH__UPDATE_STATE1] = lh__line(LH_F32, p->x[1], p->n);
    u.inputs[LH__UPDATE_STATE2] = lh__line(LH_F32, p->x[2], p->n);
    u.inputs[LH__UPDATE_STEPS] = lh__line(LH_I64, &steps, 1);
    best[0] = best[1] = best[2] = INFINITY;
    for (int64_t round = 1; round <= ROUNDS; round++) {
        double times[4];

        for (int k = 0; k < ARRAYS; k++) /* numbers that neither grow nor become subnormal */
            for (int64_t i = 0; i < p->n; i++)
                p->x[k][i] = 1e-3f * (float)(i % 97 + 1);
        for (int k = 0; k < 3; k++)
            kernels[LH__OP_UPDATE](&u.call);
        times[0] = now_us();
        kernels[LH__OP_UPDATE](&u.call);
        times[1] = now_us();
        kernels[LH__OP_SQUARES](&norm);
        sum += squares;
        times[2] = now_us();
        lh__pool_run(pool, (p->n + TILE - 1) / TILE, add_up_tile, (void *)(uintptr_t)p);
        times[3] = now_us();
        best[0] = fmin(best[0], times[3] - times[2]);
        best[1] = fmin(best[1], times[1] - times[0]);
        best[2] = fmin(best[2], times[2] - times[1]);
    }
    if (!(sum > 0)) /* so that it is computed */
        best[2] = NAN;
}

int main(int argc, char **argv) {
    static const int64_t sizes[] = {16384, 136074, 1 << 20, 1 << 23};
    int threads = argc > 2 && strcmp(argv[1], "--threads") == 0 ? atoi(argv[2]) : 1;
    lh__pool *pool = lh__pool_new(threads);

    if (!lh__device_cpu() || !pool) {
        fprintf(stderr, "optimizers: no cpu device\n");
        return 1;
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        pass p = {.n = sizes[s]};
        double best[3];

        for (int k = 0; k < ARRAYS; k++)
            if (!(p.x[k] = aligned_alloc(4096, (size_t)(p.n * 4 / 4096 + 2) * 4096)))
                return 1;
        measure(&p, pool, best);
        printf("%8ld parameters: Adam %9.1f us, %5.1f GB/s, %.2f of a bare pass; "
               "sum of squares %8.1f us, %5.1f GB/s\n",
               (long)p.n, best[1], 28e-3 * (double)p.n / best[1], best[0] / best[1], best[2],
               4e-3 * (double)p.n / best[2]);
        for (int k = 0; k < ARRAYS; k++)
            free(p.x[k]);
    }
    lh__pool_free(pool);
    return 0;
}
