/* ceiling.c - see ceiling.h. */
#include "tests/bench/ceiling.h"
#include "tests/bench/timing.h"

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 60, TURNS = 20000, SUMS = 12 };

#ifdef __x86_64__
#include <immintrin.h>

/* Turns of independent multiply-adds, as many as cover their latency and fit 16 registers with x;
 * s[i] = s[i] x + x keeps all of them alive. */
#define EACH_SUM(_) _(0) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8) _(9) _(10) _(11)
/* Keeps the compiler from seeing that all of them are equal. */
#define START(i) __asm__ volatile("" : "+v"(s##i));
#define KEEP(i) __asm__ volatile("" ::"v"(s##i));
#define LOOP(name, isa, type, set, multiply_add)                             \
    __attribute__((target(isa))) static void name(void) {                    \
        type x = set(.5);                                                    \
        type s0 = x, s1 = x, s2 = x, s3 = x, s4 = x, s5 = x, s6 = x, s7 = x; \
        type s8 = x, s9 = x, s10 = x, s11 = x;                               \
                                                                             \
        EACH_SUM(START)                                                      \
        for (int k = 0; k < TURNS; k++) {                                    \
            EACH_SUM(multiply_add)                                           \
            __asm__ volatile("" : "+v"(x));                                  \
        }                                                                    \
        EACH_SUM(KEEP)                                                       \
    }
#define F32_V4(i) s##i = _mm512_fmadd_ps(s##i, x, x);
#define F64_V4(i) s##i = _mm512_fmadd_pd(s##i, x, x);
#define F32_V3(i) s##i = _mm256_fmadd_ps(s##i, x, x);
#define F64_V3(i) s##i = _mm256_fmadd_pd(s##i, x, x);
LOOP(f32_v4, "avx512f", __m512, _mm512_set1_ps, F32_V4)
LOOP(f64_v4, "avx512f", __m512d, _mm512_set1_pd, F64_V4)
LOOP(f32_v3, "avx2,fma", __m256, _mm256_set1_ps, F32_V3)
LOOP(f64_v3, "avx2,fma", __m256d, _mm256_set1_pd, F64_V3)
#define BF16_PAIRS(i) s##i = _mm512_dpbf16_ps(s##i, (__m512bh)x, (__m512bh)x);
LOOP(bf16_pairs, "avx512f,avx512bf16", __m512, _mm512_set1_ps, BF16_PAIRS)

typedef struct tiles {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} tiles;

__attribute__((target("amx-tile,amx-bf16"))) static void bf16_tiles(void) {
    static const uint8_t zeros[1024];
    static const tiles whole = {.palette = 1,
                                .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

    _tile_loadconfig(&whole);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, zeros, 64);
    _tile_loadd(5, zeros, 64);
    _tile_loadd(6, zeros, 64);
    _tile_loadd(7, zeros, 64);
    for (int k = 0; k < TURNS / 4; k++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
}

static int has_pairs(void) {
    uint32_t eax, ebx, ecx, edx;

    __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(1));
    return (eax >> 5 & 1) && __builtin_cpu_supports("avx512f");
}

static int has_tiles(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    uint32_t eax, ebx, ecx, edx;

    __asm__ volatile("cpuid" : "=a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx) : "a"(7), "c"(0));
    return (edx >> 22 & 1) && (edx >> 24 & 1) &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

typedef struct loop {
    const char *name;
    void (*run)(void);
    double operations; /* of one run */
} loop;

static loop loop_of(ceiling_kind kind) {
#ifdef __x86_64__
    const double f32 = 2. * TURNS * SUMS, tile = 2. * 16 * 16 * 32 * TURNS / 4 * 4;

    if (kind == CEILING_BF16 && has_tiles())
        return (loop){"bf16 tiles", bf16_tiles, tile};
    if (kind == CEILING_BF16 && has_pairs())
        return (loop){"bf16 pairs", bf16_pairs, f32 * 32};
    if (__builtin_cpu_supports("avx512f"))
        return kind == CEILING_F64 ? (loop){"AVX-512 f64", f64_v4, f32 * 8}
                                   : (loop){"AVX-512 f32", f32_v4, f32 * 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return kind == CEILING_F64 ? (loop){"AVX2 f64", f64_v3, f32 * 4}
                                   : (loop){"AVX2 f32", f32_v3, f32 * 8};
#endif
    return (loop){"an unknown machine", NULL, 0};
}

const char *ceiling_name(ceiling_kind kind) {
    return loop_of(kind).name;
}

static void run_loop(void *arg, int64_t tile) {
    ((const loop *)arg)->run();
}

double measured_ceiling(ceiling_kind kind, lh__pool *pool) {
    loop l = loop_of(kind);
    int threads = lh__pool_threads(pool);
    double best = 1e9;

    if (!l.run)
        return 0;
    for (int round = 0; round < ROUNDS; round++) {
        double begin = 1e-6 * now_us(), taken;

        lh__pool_run(pool, threads, run_loop, &l);
        taken = 1e-6 * now_us() - begin;
        best = taken < best ? taken : best;
    }
    return threads * l.operations / best;
}
