/* products.c - how fast the cpu device multiplies matrices: against OpenBLAS and against what the
 * cores could do, all measured in this run, interleaved, the fastest of the rounds.
 *
 *     products [--bf16 | --bf16x3 | --f64] [NAME ...]      only the shapes whose name begins so
 *
 * The ceiling is a loop of multiply-adds (of products of bfloat16 for --bf16) between registers.
 */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "tests/bench/ceiling.h"
#include "tests/bench/timing.h"

enum { MOST_THREADS = 2, TURNS = 3, LEAST_ROUNDS = 2, MOST_ROUNDS = 100 };

/* Short rounds, so that some of them run undisturbed; the time for a shape and a number of threads.
 */
static const double ROUND_SECONDS = 2e-4, SECONDS = 0.04;

/* c = op(a) op(b): 'T' reads an operand transposed, as LINEAR reads its weight. */
typedef struct shape {
    const char *name;
    int64_t batches, m, n, k;
    char a, b;
} shape;

static const shape shapes[] = {
    {"mnist-1", 1, 64, 128, 784, 'N', 'T'},
    {"mnist-1-dw", 1, 128, 784, 64, 'T', 'N'},
    {"mnist-2", 1, 64, 256, 128, 'N', 'T'},
    {"mnist-2-dx", 1, 64, 128, 256, 'N', 'N'},
    {"mnist-2-dw", 1, 256, 128, 64, 'T', 'N'},
    {"mnist-3", 1, 64, 10, 256, 'N', 'T'},
    {"mnist-3-dx", 1, 64, 256, 10, 'N', 'N'},
    {"mnist-3-dw", 1, 10, 256, 64, 'T', 'N'},
    {"vae-1", 1, 64, 400, 784, 'N', 'T'},
    {"vae-out", 1, 64, 784, 400, 'N', 'T'},
    {"vae-dx", 1, 64, 784, 400, 'N', 'N'},
    {"vae-dw", 1, 400, 784, 64, 'T', 'N'},
    {"gpt-qkv", 1, 768, 384, 128, 'N', 'T'},
    {"gpt-up", 1, 768, 512, 128, 'N', 'T'},
    {"gpt-down", 1, 768, 128, 512, 'N', 'T'},
    {"gpt-down-dx", 1, 768, 512, 128, 'N', 'N'},
    {"gpt-down-dw", 1, 128, 512, 768, 'T', 'N'},
    {"gpt-head", 1, 768, 65, 128, 'N', 'T'},
    {"gpt-head-dw", 1, 65, 128, 768, 'T', 'N'},
    {"large-qkv", 1, 2048, 1152, 384, 'N', 'T'},
    {"large-up", 1, 2048, 1536, 384, 'N', 'T'},
    {"large-down", 1, 2048, 384, 1536, 'N', 'T'},
    {"large-dx", 1, 2048, 384, 1536, 'N', 'N'},
    {"large-dw", 1, 384, 1536, 2048, 'T', 'N'},
    {"lstm-step", 1, 32, 1024, 256, 'N', 'T'},
    {"lstm-x", 1, 1024, 1024, 64, 'N', 'T'},
    {"conv-1x1", 8, 64, 784, 256, 'N', 'N'},
    {"heads-qk", 48, 64, 64, 32, 'N', 'T'},
    {"heads-pv", 48, 64, 32, 64, 'N', 'N'},
    {"heads-long", 48, 256, 256, 64, 'N', 'T'},
    {"square-64", 1, 64, 64, 64, 'N', 'N'},
    {"square-256", 1, 256, 256, 256, 'N', 'N'},
    {"square-1024", 1, 1024, 1024, 1024, 'N', 'N'},
    {"square-2048", 1, 2048, 2048, 2048, 'N', 'N'},
    {"row", 1, 1, 1024, 1024, 'N', 'T'},
    {"column", 1, 1024, 1, 1024, 'N', 'N'},
};

typedef struct contest {
    const shape *s;
    lh__products products;
    int32_t dtype;
    void *a, *b, *c;
    lh__pool *pools[MOST_THREADS + 1]; /* by threads */
} contest;

static lh__view view(const contest *x, void *data, int64_t rows, int64_t columns, char transposed) {
    lh__view v = {.data = data,
                  .dtype = x->dtype,
                  .ndim = 3,
                  .shape = {x->s->batches, rows, columns},
                  .stride = {rows * columns, columns, 1}};

    if (transposed == 'T')
        v.stride[1] = 1, v.stride[2] = rows;
    return v;
}

static void multiply(const contest *x, int threads) {
    const shape *s = x->s;
    lh__view a = view(x, x->a, s->m, s->k, s->a), b = view(x, x->b, s->k, s->n, s->b);
    lh__view c = view(x, x->c, s->m, s->n, 'N');
    const lh__view *in[] = {&a, &b};
    lh__kernel_call call = {.op = LH_OP_MATMUL,
                            .n_in = 2,
                            .products = x->products,
                            .in = in,
                            .out = &c,
                            .pool = x->pools[threads]};

    lh__device_cpu()->kernels[LH_OP_MATMUL](&call);
}

static void multiply_blas(const contest *x, int threads) {
    const shape *s = x->s;
    CBLAS_TRANSPOSE a = s->a == 'T' ? CblasTrans : CblasNoTrans;
    CBLAS_TRANSPOSE b = s->b == 'T' ? CblasTrans : CblasNoTrans;
    int m = (int)s->m, n = (int)s->n, k = (int)s->k;
    int lda = s->a == 'T' ? m : k, ldb = s->b == 'T' ? k : n;

    openblas_set_num_threads(threads);
    for (int64_t i = 0; i < s->batches; i++)
        if (x->dtype == LH_F32)
            cblas_sgemm(CblasRowMajor, a, b, m, n, k, 1, (float *)x->a + i * m * k, lda,
                        (float *)x->b + i * k * n, ldb, 0, (float *)x->c + i * m * n, n);
        else
            cblas_dgemm(CblasRowMajor, a, b, m, n, k, 1, (double *)x->a + i * m * k, lda,
                        (double *)x->b + i * k * n, ldb, 0, (double *)x->c + i * m * n, n);
    openblas_set_num_threads(1);
}

/* Seconds of one product, the mean of a round of about ROUND_SECONDS. */
static double round_of(const contest *x, void (*fn)(const contest *, int), int threads) {
    double begin = 1e-6 * now_us(), end;
    int64_t n = 0;

    do {
        fn(x, threads);
        n++;
        end = 1e-6 * now_us();
    } while (end - begin < ROUND_SECONDS);
    return (end - begin) / (double)n;
}

/* The fastest round of a turn, or `best`. */
static double fastest(const contest *x, void (*fn)(const contest *, int), int threads,
                      double best) {
    double begin = 1e-6 * now_us();
    int rounds = 0;

    while (rounds < LEAST_ROUNDS || (rounds < MOST_ROUNDS && 1e-6 * now_us() - begin < SECONDS)) {
        double t = round_of(x, fn, threads);

        best = t < best ? t : best;
        rounds++;
    }
    return best;
}

static void *operand(int64_t n, int32_t dtype) {
    size_t size = ((size_t)(n * lh__dtype_size(dtype)) + 63) / 64 * 64;
    void *data = aligned_alloc(64, size);

    if (!data)
        exit(1);
    for (int64_t i = 0; i < n; i++)
        if (dtype == LH_F32)
            ((float *)data)[i] = (float)(i * 7919 % 1024) / 1024 - .5f;
        else
            ((double *)data)[i] = (double)(i * 7919 % 1024) / 1024 - .5;
    return data;
}

static void hold(contest *x, const shape *s, ceiling_kind kind) {
    double flops = 2. * (double)(s->batches * s->m * s->n * s->k);

    x->s = s;
    x->a = operand(s->batches * s->m * s->k, x->dtype);
    x->b = operand(s->batches * s->k * s->n, x->dtype);
    x->c = operand(s->batches * s->m * s->n, x->dtype);
    printf("%-12s %2d x %4d x %4d x %4d %c%c", s->name, (int)s->batches, (int)s->m, (int)s->n,
           (int)s->k, s->a, s->b);
    for (int threads = 1; threads <= MOST_THREADS; threads++) {
        double own = 1e9, blas = 1e9, ceiling = 0;

        /* Not in turns: each's threads would be asleep when its turn comes. */
        for (int turn = 0; turn < TURNS; turn++) {
            double most = measured_ceiling(kind, x->pools[threads]);

            ceiling = most > ceiling ? most : ceiling;
            own = fastest(x, multiply, threads, own);
            blas = fastest(x, multiply_blas, threads, blas);
        }
        printf(" |%9.1f us %7.1f GF/s %6.2f x %3.0f %% of %4.0f", own * 1e6, flops / own * 1e-9,
               blas / own, 100 * flops / own / ceiling, ceiling * 1e-9);
    }
    printf("\n");
    fflush(stdout);
    free(x->a), free(x->b), free(x->c);
}

static int is_named(const shape *s, int n, char **names) {
    for (int i = 0; i < n; i++)
        if (strncmp(s->name, names[i], strlen(names[i])) == 0)
            return 1;
    return n == 0;
}

int main(int argc, char **argv) {
    contest x = {.dtype = LH_F32};
    ceiling_kind kind = CEILING_F32;

    if (argc > 1 && strcmp(argv[1], "--bf16") == 0)
        x.products = LH__PRODUCTS_BF16, kind = CEILING_BF16, argc--, argv++;
    else if (argc > 1 && strcmp(argv[1], "--bf16x3") == 0)
        x.products = LH__PRODUCTS_BF16X3, kind = CEILING_BF16, argc--, argv++;
    else if (argc > 1 && strcmp(argv[1], "--f64") == 0)
        x.dtype = LH_F64, kind = CEILING_F64, argc--, argv++;
    if (!lh__device_cpu()) {
        fprintf(stderr, "products: OpenBLAS is not installed\n");
        return 1;
    }
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        x.pools[threads] = lh__pool_new(threads);
    printf(
        "batches x m x n x k | 1 thread | 2 threads: time, rate, times as fast as OpenBLAS (f%d), "
        "of the ceiling in GF/s (%s)\n",
        x.dtype == LH_F32 ? 32 : 64, ceiling_name(kind));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (is_named(&shapes[i], argc - 1, argv + 1))
            hold(&x, &shapes[i], kind);
    for (int threads = 1; threads <= MOST_THREADS; threads++)
        lh__pool_free(x.pools[threads]);
    return 0;
}
