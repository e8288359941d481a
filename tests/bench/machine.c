/* machine.c - see machine.h. */
#include "machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { SUMS = 16, TURNS = 400000, LEAST_TILE = 32 * 1024 };

double now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* TURNS times SUMS multiply-adds of vectors whose sums do not wait for one another. The result
 * keeps them from being left out. */
#ifdef __x86_64__
__attribute__((target("avx512f"))) static float fma_512(void) {
    __m512 sum[SUMS], x = _mm512_set1_ps(0.5f), y = _mm512_set1_ps(0.25f);

    for (int i = 0; i < SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (int turn = 0; turn < TURNS; turn++) {
        _Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) sum[i] =
            _mm512_fmadd_ps(sum[i], x, y);
        __asm__ volatile("" : "+v"(x));
    }
    for (int i = 1; i < SUMS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_reduce_add_ps(sum[0]);
}

__attribute__((target("avx2,fma"))) static float fma_256(void) {
    __m256 sum[SUMS - 4], x = _mm256_set1_ps(0.5f), y = _mm256_set1_ps(0.25f);

    for (int i = 0; i < SUMS - 4; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (int turn = 0; turn < TURNS; turn++) {
        _Pragma("GCC unroll 12") for (int i = 0; i < SUMS - 4; i++) sum[i] =
            _mm256_fmadd_ps(sum[i], x, y);
        __asm__ volatile("" : "+x"(x));
    }
    for (int i = 1; i < SUMS - 4; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return _mm256_cvtss_f32(sum[0]);
}
#endif

static float fma_4(void) {
    typedef float four __attribute__((vector_size(16)));
    four sum[8] = {{1}}, x = {0.5f, 0.5f, 0.5f, 0.5f};

    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < 8; i++)
            sum[i] = sum[i] * x + x;
    for (int i = 1; i < 8; i++)
        sum[0] += sum[i];
    return sum[0][0];
}

typedef struct peak {
    float (*fma)(void);
    volatile float kept;
} peak;

static void run_peak(void *arg, int64_t tile) {
    peak *p = arg;
    float x = p->fma();

    if (x < 0)
        p->kept = x;
}

double machine_gflops(lh__pool *pool) {
    peak p = {.fma = fma_4};
    double lanes = 4 * 8, best = 0;
    int threads = lh__pool_threads(pool);

#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        p.fma = fma_512, lanes = 16 * SUMS;
    else if (__builtin_cpu_supports("fma"))
        p.fma = fma_256, lanes = 8 * (SUMS - 4);
#endif
    for (int round = 0; round < 5; round++) {
        double start = now_us(), rate;

        lh__pool_run(pool, threads, run_peak, &p);
        rate = 2e-3 * lanes * TURNS * threads / (now_us() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

enum { MOST_STREAMS = 8 };

typedef struct stream {
    float *x[MOST_STREAMS];
    int64_t n, tile;
    int streams, written;
} stream;

static void run_stream(void *arg, int64_t tile) {
    const stream *s = arg;
    int64_t begin = tile * s->tile, end = begin + s->tile < s->n ? begin + s->tile : s->n;

    for (int64_t i = begin; i < end; i += 16) {
        typedef float sixteen __attribute__((vector_size(64), aligned(64), may_alias));
        sixteen sum = *(const sixteen *)(s->x[0] + i);

        for (int k = 1; k < s->streams; k++)
            sum += *(const sixteen *)(s->x[k] + i);
        for (int k = 0; k < s->written; k++)
            *(sixteen *)(s->x[k] + i) = sum;
    }
}

double machine_bandwidth(lh__pool *pool, int64_t bytes, int streams, int written, int rounds) {
    stream s = {.n = bytes / 64 * 16, .streams = streams, .written = written};
    double best = 0;
    char *block = aligned_alloc(4096, (size_t)((bytes + 4095 + 4096) / 4096 * 4096 * streams));

    if (!block)
        return 0;
    memset(block, 0, (size_t)((bytes + 4095 + 4096) / 4096 * 4096 * streams));
    for (int k = 0; k < streams; k++)
        s.x[k] = (float *)(block + (bytes + 4095 + 4096) / 4096 * 4096 * k);
    s.tile = LEAST_TILE;
    for (int round = 0; round < rounds; round++) {
        double start = now_us(), rate;

        lh__pool_run(pool, (s.n + s.tile - 1) / s.tile, run_stream, &s);
        rate = 1e-3 * (double)bytes * (streams + written) / (now_us() - start);
        best = rate > best ? rate : best;
    }
    free(block);
    return best;
}
