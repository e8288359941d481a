/* peak.c - what the processor can do at most: fused multiply-adds in float32, and products of
 * bfloat16 tiles (AMX, tdpbf16ps), all operands in registers, on so many threads at once.
 *
 *     peak THREADS        prints {"32": GFLOPS, "bf16-mixed": GFLOPS}; null: it has no such unit
 *
 * A multiply-add counts as two operations. The best of a few short runs counts.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_THREADS = 256,
    RUNS = 5,
    ROUND = 20000 /* calls of the unit between looks at the clock */
};
static const double RUN_SECONDS = 0.03;

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Runs a unit for a round; returns the operations done, or 0 where there is no such unit. */
typedef double unit_round(void);

#if defined __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ACCUMULATORS = 12 }; /* latency times throughput of a multiply-add is at most 10 */

/* The loop of a round; `add` keeps the result alive. */
#define FMA_ROUND(name, isa, vector, zero, set1, fmadd, lanes, add) \
    __attribute__((target(isa))) static double name(void) {         \
        vector sum[ACCUMULATORS], a = set1(0.5f), b = set1(0.25f);  \
        volatile float keep;                                        \
                                                                    \
        for (int i = 0; i < ACCUMULATORS; i++)                      \
            sum[i] = zero();                                        \
        for (int r = 0; r < ROUND; r++) {                           \
            __asm__ volatile("" : "+x"(a), "+x"(b));                \
            for (int i = 0; i < ACCUMULATORS; i++)                  \
                sum[i] = fmadd(a, b, sum[i]);                       \
        }                                                           \
        for (int i = 1; i < ACCUMULATORS; i++)                      \
            sum[0] = add(sum[0], sum[i]);                           \
        keep = ((float *)&sum[0])[0];                               \
        (void)keep;                                                 \
        return 2.0 * lanes * ACCUMULATORS * ROUND;                  \
    }

FMA_ROUND(fma_round_256, "avx2,fma", __m256, _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps, 8,
          _mm256_add_ps)
FMA_ROUND(fma_round_512, "avx512f", __m512, _mm512_setzero_ps, _mm512_set1_ps, _mm512_fmadd_ps, 16,
          _mm512_add_ps)

static double f32_round(void) {
    if (__builtin_cpu_supports("avx512f"))
        return fma_round_512();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? fma_round_256() : 0;
}

/* Bits 22 and 24 of EDX of leaf 7; Linux gives the tiles to those who ask. */
static int has_amx_bf16(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_DATA = 18 };
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 22 & 1 && d >> 24 & 1 &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

/* Six tiles of 16 x 16 sums, each of 16 x 32 by 32 x 16 products. */
__attribute__((target("amx-tile,amx-bf16"))) static double tile_round(void) {
    static const struct {
        unsigned char palette, start_row, reserved[14];
        unsigned short row_bytes[16];
        unsigned char rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int r = 0; r < ROUND / 6; r++) {
        _tile_dpbf16ps(0, 6, 7);
        _tile_dpbf16ps(1, 6, 7);
        _tile_dpbf16ps(2, 6, 7);
        _tile_dpbf16ps(3, 6, 7);
        _tile_dpbf16ps(4, 6, 7);
        _tile_dpbf16ps(5, 6, 7);
    }
    _tile_release();
    return 2.0 * 16 * 16 * 32 * 6 * (ROUND / 6);
}

static double bf16_round(void) {
    return has_amx_bf16() ? tile_round() : 0;
}
#else
static double f32_round(void) {
    return 0;
}

static double bf16_round(void) {
    return 0;
}
#endif

struct job {
    unit_round *round;
    pthread_barrier_t *together;
    double rate; /* operations per second */
};

static void *work(void *argument) {
    struct job *job = argument;
    double start, time, done = 0;

    job->round(); /* warm */
    pthread_barrier_wait(job->together);
    start = now();
    do {
        done += job->round();
        time = now() - start;
    } while (done > 0 && time < RUN_SECONDS);
    job->rate = done / time;
    return NULL;
}

/* Operations per second of all threads together; 0 where there is no such unit. */
static double rate(unit_round *round, int threads) {
    pthread_t thread[MAX_THREADS];
    struct job jobs[MAX_THREADS];
    pthread_barrier_t together;
    double sum = 0;

    pthread_barrier_init(&together, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        jobs[i] = (struct job){round, &together, 0};
        if (pthread_create(&thread[i], NULL, work, &jobs[i]) != 0) {
            fprintf(stderr, "peak: cannot start a thread\n");
            exit(1);
        }
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        sum += jobs[i].rate;
    }
    pthread_barrier_destroy(&together);
    return sum;
}

static void print_best(const char *name, unit_round *round, int threads) {
    double best = 0;

    for (int i = 0; i < RUNS; i++) {
        double r = rate(round, threads);
        best = r > best ? r : best;
    }
    if (best > 0)
        printf("\"%s\": %.1f", name, 1e-9 * best);
    else
        printf("\"%s\": null", name);
}

int main(int argc, char **argv) {
    int threads = argc == 2 ? atoi(argv[1]) : 0;

    if (threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: peak THREADS (1 to %d)\n", MAX_THREADS);
        return 2;
    }
    printf("{");
    print_best("32", f32_round, threads);
    printf(", ");
    print_best("bf16-mixed", bf16_round, threads);
    printf("}\n");
    return 0;
}
