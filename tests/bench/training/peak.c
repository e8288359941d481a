/* peak.c - what the processor can do at most on so many threads, of float32 and of products of
 * bfloat16 tiles or pairs (../ceiling.h); and what the best product of matrices reaches of it:
 * SIDE x SIDE by SIDE x SIDE, of the cpu device or OpenBLAS.
 *
 *     peak THREADS        prints {"32": {"peak": GFLOPS, "product": GFLOPS}, "bf16-mixed": {...}};
 *                         peak null: it has no such unit
 *
 * A multiply-add counts as two operations. The best of many short runs counts.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "tests/bench/ceiling.h"
#include "tests/bench/timing.h"

enum { SIDE = 1024, TURNS = 20 };

typedef struct matrices {
    float *a, *b, *c;
} matrices;

static void multiply(const matrices *x, lh__products products, lh__pool *pool) {
    const lh__view a = {
        .data = x->a, .dtype = LH_F32, .ndim = 2, .shape = {SIDE, SIDE}, .stride = {SIDE, 1}};
    lh__view b = a, c = a;
    const lh__view *in[] = {&a, &b};
    lh__kernel_call call = {
        .op = LH_OP_MATMUL, .n_in = 2, .products = products, .in = in, .out = &c, .pool = pool};

    b.data = x->b, c.data = x->c;
    lh__device_cpu()->kernels[LH_OP_MATMUL](&call);
}

static void multiply_blas(const matrices *x, int threads) {
    openblas_set_num_threads(threads);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, x->a, SIDE, x->b,
                SIDE, 0, x->c, SIDE);
    openblas_set_num_threads(1);
}

/* Operations per second of the fastest product. */
static double product_rate(const matrices *x, lh__products products, lh__pool *pool) {
    double best = 1e9;

    for (int turn = 0; turn < 2 * TURNS; turn++) {
        const double begin = now_us();
        double taken;

        if (turn < TURNS)
            multiply(x, products, pool);
        else
            multiply_blas(x, lh__pool_threads(pool));
        taken = 1e-6 * (now_us() - begin);
        best = taken < best ? taken : best;
    }
    return 2. * SIDE * SIDE * SIDE / best;
}

static void print_rates(const char *name, ceiling_kind kind, lh__products products,
                        const matrices *x, lh__pool *pool) {
    const int has_unit =
        kind == CEILING_F32 || strcmp(ceiling_name(kind), ceiling_name(CEILING_F32)) != 0;
    const double peak = has_unit ? measured_ceiling(kind, pool) : 0;

    printf("\"%s\": {\"peak\": ", name);
    if (peak > 0)
        printf("%.1f", 1e-9 * peak);
    else
        printf("null");
    printf(", \"product\": %.1f}", 1e-9 * product_rate(x, products, pool));
}

static float *matrix(void) {
    float *x = aligned_alloc(64, SIDE * SIDE * sizeof *x);

    for (int64_t i = 0; x && i < SIDE * SIDE; i++)
        x[i] = (float)(i * 7919 % 1024) / 1024 - .5f;
    return x;
}

int main(int argc, char **argv) {
    const int threads = argc == 2 ? atoi(argv[1]) : 0;
    lh__pool *pool = threads > 0 ? lh__pool_new(threads) : NULL;
    const matrices x = {matrix(), matrix(), matrix()};

    if (threads <= 0) {
        fprintf(stderr, "usage: peak THREADS\n");
        return 2;
    }
    if (!pool || !x.a || !x.b || !x.c || !lh__device_cpu()) {
        fprintf(stderr, "peak: no threads, no memory or no OpenBLAS\n");
        return 1;
    }
    printf("{");
    print_rates("32", CEILING_F32, LH__PRODUCTS_F32, &x, pool);
    printf(", ");
    print_rates("bf16-mixed", CEILING_BF16, LH__PRODUCTS_BF16, &x, pool);
    printf("}\n");
    free(x.a), free(x.b), free(x.c);
    lh__pool_free(pool);
    return 0;
}
