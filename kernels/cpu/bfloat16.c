/* bfloat16.c - see bfloat16.h. Compiled for AMX and AVX512-BF16; where a machine has neither, only
 * lh__bf16_units is called.
 *
 * Operands lie as AMX takes them: in tiles of 16 rows of 64 bytes. Those of rows are 16 items of 32
 * bfloat16 along k, those of columns 16 pairs along k of 16 items. A step is two tiles of each
 * side, to 32 x 32 sums. AVX512-BF16 multiplies a pair of a row with a row of pairs of the columns.
 */
#include "kernels/cpu/bfloat16.h"

#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/cpu/vector.h"

enum {
    SIDE = 16, /* rows of a tile, and its columns of 4 bytes */
    TILE_BYTES = SIDE * 64,
    STRIP = LH__BF16_STRIP,
    STEP = LH__BF16_STEP,
    DEPTH_STEPS = 16, /* a columns' strip so deep stays in the first cache while rows pass */
    PASS = 16,        /* strips of rows that pass */
    PAIRS_ROWS = 8,   /* by two registers of columns: 16 sums, 2 of columns, 1 of rows, of 32 */
    GEMM_STRIPS = 4,  /* of each side, laid out on the stack */
    PERMISSION_REQUEST = 0x1023,
    TILE_DATA = 18,
};

/* What the processor has, and the kernel lets this process use. */
static void ask(bool *has_tiles, bool *has_pairs) {
    uint32_t eax = 7, ebx, ecx = 0, edx;

    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    *has_tiles = (edx >> 24 & 1) && (edx >> 22 & 1); /* AMX-TILE, AMX-BF16 */
    eax = 7, ecx = 1;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    *has_pairs = (eax >> 5 & 1) && /* AVX512-BF16 */
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512vl");
    *has_tiles =
        *has_tiles && *has_pairs && syscall(SYS_arch_prctl, PERMISSION_REQUEST, TILE_DATA) == 0;
}

/* Tiles that hold each number once, or its two parts. */
static int64_t halves_of(lh__products products) {
    return products == LH__PRODUCTS_BF16X3 ? 2 : 1;
}

/* The first `n` of 16 numbers `stride` apart, else 0. */
static inline __m512 load(const float *x, int64_t n, int64_t stride) {
    _Alignas(64) float y[SIDE] = {0};

    if (n <= 0)
        return _mm512_setzero_ps();
    if (stride == 1)
        return n >= SIDE ? _mm512_loadu_ps(x)
                         : _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), x);
    for (int64_t i = 0; i < n && i < SIDE; i++)
        y[i] = x[i * stride];
    return _mm512_load_ps(y);
}

/* What rounding takes away. */
static inline __m512 rest(__m512 x) {
    __m256i high = (__m256i)_mm512_cvtneps_pbh(x);

    return x - _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

static inline __m512i narrow(__m512 low, __m512 high, int part) {
    if (part == 1)
        low = rest(low), high = rest(high);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Pairs of a number of either half. */
static inline __m512i interleave(__m512i x) {
    static const _Alignas(64)
        uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                              8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

    return _mm512_permutexvar_epi16(_mm512_load_si512(order), x);
}

/* A square of 16 x 16 numbers of 4 bytes; perfect shuffles, as in gemm.inc. */
static inline void transpose(vector_f32 x[SIDE]) {
    vector_f32 y[SIDE];

    LH__UNROLL for (int pass = 0; pass < 4; pass++) {
        LH__UNROLL for (int i = 0; i < SIDE / 2; i++) {
            y[2 * i] = LH__LOW_F32(x[i], x[i + SIDE / 2]);
            y[2 * i + 1] = LH__HIGH_F32(x[i], x[i + SIDE / 2]);
        }
        LH__UNROLL for (int i = 0; i < SIDE; i++) {
            x[i] = y[i];
        }
    }
}

/* The rows of a tile whose numbers all exist: items of neighbours along k, or, in pairs, two rows
 * of neighbouring items. */
static inline __attribute__((always_inline)) void read_tile(vector_f32 x[SIDE], const float *from,
                                                            int64_t stride, bool pairs, int part) {
    LH__UNROLL for (int64_t i = 0; i < SIDE; i++) {
        const float *low = from + (pairs ? 2 * i : i) * stride;
        __m512i y =
            narrow(_mm512_loadu_ps(low), _mm512_loadu_ps(pairs ? low + stride : low + SIDE), part);

        x[i] = (vector_f32)(pairs ? interleave(y) : y);
    }
}

/* The same where n items and `depth` summands exist, or neither's neighbours are. */
static void read_part(vector_f32 x[SIDE], const lh__bf16_side *s, const float *from, int64_t n,
                      int64_t depth, bool pairs, int part) {
    for (int64_t i = 0; i < SIDE; i++) {
        const float *at = from + (pairs ? 2 * i * s->step : i * s->row);

        if (pairs)
            x[i] = (vector_f32)interleave(narrow(load(at, 2 * i < depth ? n : 0, 1),
                                                 load(at + s->step, 2 * i + 1 < depth ? n : 0, 1),
                                                 part));
        else
            x[i] = (vector_f32)narrow(load(at, i < n ? depth : 0, s->step),
                                      load(at + SIDE * s->step, i < n ? depth - SIDE : 0, s->step),
                                      part);
    }
}

/* One tile of a side: items [first, first + 16), summands [k0, k0 + 32), of which n and depth
 * exist; `turned`: as columns. */
static void lay_tile(char *to, const lh__bf16_side *s, int64_t first, int64_t n, int64_t k0,
                     int64_t depth, bool turned, int part) {
    const float *from = s->data + first * s->row + k0 * s->step;
    const bool pairs = s->row == 1 && s->step != 1; /* neighbours are items */
    vector_f32 x[SIDE];

    if (n < SIDE || depth < STEP || (!pairs && s->step != 1))
        read_part(x, s, from, n, depth, pairs, part);
    else if (part == 0 && pairs)
        read_tile(x, from, s->step, true, 0);
    else if (part == 0)
        read_tile(x, from, s->row, false, 0);
    else
        read_tile(x, from, pairs ? s->step : s->row, pairs, part);
    if (pairs != turned)
        transpose(x);
    LH__UNROLL for (int64_t i = 0; i < SIDE; i++) {
        _mm512_store_ps((float *)(to + 64 * i), (__m512)x[i]);
    }
}

/* Steps [step, step_end) of the strip from item `first` on: for each step and part two tiles. */
static void lay_strip(char *to, const lh__bf16_side *s, int64_t first, int64_t k, int64_t step,
                      int64_t step_end, bool turned, lh__products products) {
    for (; step < step_end; step++)
        for (int part = 0; part < halves_of(products); part++)
            for (int64_t i = first; i < first + STRIP; i += SIDE, to += TILE_BYTES)
                lay_tile(to, s, i, s->n - i, step * STEP, k - step * STEP, turned, part);
}

typedef struct configuration {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} configuration;

/* All eight tiles whole. Not on the stack: some compilers take the instruction to read 8 bytes of
 * it, and drop the rest. */
static const configuration whole_tiles = {.palette = 1,
                                          .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                          .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

/* Adds the products of two tiles of rows (the first alone if not `both`) and two of columns to
 * tiles 0 to 3. */
static inline void add_tiles(const char *rows, const char *columns, bool both) {
    _tile_loadd(6, columns, 64);
    _tile_loadd(4, rows, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, columns + TILE_BYTES, 64);
    _tile_dpbf16ps(1, 4, 7);
    if (!both)
        return;
    _tile_loadd(5, rows + TILE_BYTES, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

static void begin_tiles(void) {
    _tile_loadconfig(&whole_tiles);
}

static void end_tiles(void) {
    _tile_release();
}

static void multiply_tiles(const char *rows, const char *columns, const lh__bf16_run *run, float *c,
                           int64_t c_row, bool adds) {
    const size_t pitch = (size_t)c_row * sizeof(float);
    const bool both = run->rows > SIDE;
    float *low = c + SIDE * c_row;

    if (adds) {
        _tile_loadd(0, c, pitch);
        _tile_loadd(1, c + SIDE, pitch);
    } else {
        _tile_zero(0);
        _tile_zero(1);
    }
    if (adds && both) {
        _tile_loadd(2, low, pitch);
        _tile_loadd(3, low + SIDE, pitch);
    } else {
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t k = 0; k < run->steps; k++, rows += run->step, columns += run->step)
        for (int i = 0; i < run->products; i++)
            add_tiles(rows + run->row_part[i], columns + run->column_part[i], both);
    _tile_stored(0, c, pitch);
    _tile_stored(1, c + SIDE, pitch);
    if (!both)
        return;
    _tile_stored(2, low, pitch);
    _tile_stored(3, low + SIDE, pitch);
}

/* Two neighbours along k. */
typedef int pair __attribute__((may_alias));

/* Adds the products of PAIRS_ROWS rows of one tile and two tiles of columns to sums. */
static inline __attribute__((always_inline)) void add_pairs(__m512 left[PAIRS_ROWS],
                                                            __m512 right[PAIRS_ROWS],
                                                            const char *rows, const char *columns) {
    for (int64_t k = 0; k < SIDE; k++, rows += 4, columns += 64) {
        const __m512bh l = (__m512bh)_mm512_load_si512(columns);
        const __m512bh r = (__m512bh)_mm512_load_si512(columns + TILE_BYTES);

        LH__UNROLL for (int64_t i = 0; i < PAIRS_ROWS; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32(*(const pair *)(rows + 64 * i));

            left[i] = _mm512_dpbf16_ps(left[i], x, l);
            right[i] = _mm512_dpbf16_ps(right[i], x, r);
        }
    }
}

/* The small products first, while the sums are small. */
static void multiply_pairs(const char *rows, const char *columns, const lh__bf16_run *run, float *c,
                           int64_t c_row, bool adds) {
    for (int64_t i = 0; i < run->rows; i += PAIRS_ROWS, c += PAIRS_ROWS * c_row) {
        __m512 left[PAIRS_ROWS], right[PAIRS_ROWS];

        LH__UNROLL for (int64_t r = 0; r < PAIRS_ROWS; r++) {
            left[r] = right[r] = _mm512_setzero_ps();
        }
        for (int p = (int)run->products - 1; p >= 0; p--) {
            const char *x = rows + 64 * i + run->row_part[p], *y = columns + run->column_part[p];

            for (int64_t k = 0; k < run->steps; k++, x += run->step, y += run->step)
                add_pairs(left, right, x, y);
        }
        LH__UNROLL for (int64_t r = 0; r < PAIRS_ROWS; r++) {
            if (adds) {
                left[r] += _mm512_loadu_ps(c + r * c_row);
                right[r] += _mm512_loadu_ps(c + r * c_row + SIDE);
            }
            _mm512_storeu_ps(c + r * c_row, left[r]);
            _mm512_storeu_ps(c + r * c_row + SIDE, right[r]);
        }
    }
}

#define MULTIPLY_ADD(sum, x, y) __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))
#define BROADCAST(address) ((vector_f32)_mm512_set1_epi32(*(const pair *)(address)))
#define FN(name) name##_pairs
#include "kernels/cpu/panel.inc"
#undef FN
#undef BROADCAST
#undef MULTIPLY_ADD

static void narrow_run(void *to, int64_t n_to, const float *from, int64_t n) {
    for (int64_t i = 0; i < 2 * n_to; i += SIDE) {
        const int64_t left = least(2 * n_to - i, SIDE);

        _mm256_mask_storeu_epi16((uint16_t *)to + i, (__mmask16)((1u << left) - 1),
                                 (__m256i)_mm512_cvtneps_pbh(load(from + i, n - i, 1)));
    }
}

static void pair_runs(void *to, const float *from, const float *next, int64_t n) {
    for (int64_t i = 0; i < n; i += SIDE)
        _mm512_storeu_si512((pair *)to + i, interleave(narrow(_mm512_loadu_ps(from + i),
                                                              _mm512_loadu_ps(next + i), 0)));
}

static void do_nothing(void) {
}

int lh__bf16_units(const lh__bf16_unit *out[2]) {
    static const lh__bf16_unit tiles = {.name = "AMX",
                                        .begin = begin_tiles,
                                        .multiply = multiply_tiles,
                                        .end = end_tiles,
                                        .narrow = narrow_run,
                                        .pair = pair_runs};
    static const lh__bf16_unit pairs = {.name = "AVX512-BF16",
                                        .begin = do_nothing,
                                        .multiply = multiply_pairs,
                                        .end = do_nothing,
                                        .narrow = narrow_run,
                                        .pair = pair_runs,
                                        .panels = &panels_pairs};
    bool has_tiles, has_pairs;
    int n = 0;

    ask(&has_tiles, &has_pairs);
    if (has_tiles)
        out[n++] = &tiles;
    if (has_pairs)
        out[n++] = &pairs;
    return n;
}

static const lh__bf16_unit *unit;

static void choose(void) {
    const lh__bf16_unit *units[2];

    unit = lh__bf16_units(units) > 0 ? units[0] : NULL;
}

const lh__bf16_unit *lh__bf16_unit_here(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, choose);
    return unit;
}

lh__bf16_run lh__bf16_run_of(lh__products products, bool flipped, int64_t steps) {
    const int64_t part = 2 * TILE_BYTES;
    lh__bf16_run run = {
        .steps = steps, .step = halves_of(products) * part, .products = 1, .rows = STRIP};

    if (products == LH__PRODUCTS_BF16X3) {
        run.products = 3;
        run.row_part[flipped ? 1 : 2] = part;
        run.column_part[flipped ? 2 : 1] = part;
    }
    return run;
}

/* c[i][j] = x[i][j], i < rows, j < columns; flipped: c[j][i]. */
static void put(float *c, int64_t c_row, const float *x, int64_t rows, int64_t columns,
                bool flipped) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            c[flipped ? j * c_row + i : i * c_row + j] = x[i * STRIP + j];
}

static void get(float *x, const float *c, int64_t c_row, int64_t rows, int64_t columns,
                bool flipped) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            x[i * STRIP + j] = c[flipped ? j * c_row + i : i * c_row + j];
}

/* A whole square of 32 x 32, transposed. */
static void put_turned(float *c, int64_t c_row, const float *x) {
    for (int64_t i = 0; i < STRIP; i += SIDE)
        for (int64_t j = 0; j < STRIP; j += SIDE) {
            vector_f32 y[SIDE];

            LH__UNROLL for (int64_t r = 0; r < SIDE; r++) {
                y[r] = *(const vector_f32 *)(x + (i + r) * STRIP + j);
            }
            transpose(y);
            LH__UNROLL for (int64_t r = 0; r < SIDE; r++) {
                *(vector_f32 *)(c + (j + r) * c_row + i) = y[r];
            }
        }
}

lh__bf16_product lh__bf16_product_of(const lh__gemm *g) {
    const lh__bf16_side a = {g->a, g->m, g->a_row, g->a_column};
    const lh__bf16_side b = {g->b, g->n, g->b_column, g->b_row};
    const int64_t steps = (g->k + STEP - 1) / STEP;
    /* What is transposed: a pair of operands' elements, an element of c. */
    const int64_t a_pairs = a.row == 1 && a.step != 1, b_pairs = b.row == 1 && b.step != 1;
    const int64_t straight = a_pairs * g->m * g->k + !b_pairs * g->n * g->k;
    const int64_t turned = !a_pairs * g->m * g->k + b_pairs * g->n * g->k + 2 * g->m * g->n;
    lh__bf16_product p = {.g = g,
                          .unit = lh__bf16_unit_here(),
                          .rows = a,
                          .columns = b,
                          .flipped = turned < straight};

    if (p.flipped)
        p.rows = b, p.columns = a;
    p.row_strips = (p.rows.n + STRIP - 1) / STRIP;
    p.column_strips = (p.columns.n + STRIP - 1) / STRIP;
    p.strip_bytes = steps * 2 * TILE_BYTES * halves_of(g->products);
    return p;
}

size_t lh__bf16_room(const lh__bf16_product *p) {
    return (size_t)((p->row_strips + p->column_strips) * p->strip_bytes);
}

void lh__bf16_lay_out(const lh__bf16_product *p, int64_t i) {
    const bool is_column = i >= p->row_strips;
    const lh__gemm *g = p->g;

    lay_strip(p->laid + i * p->strip_bytes, is_column ? &p->columns : &p->rows,
              (is_column ? i - p->row_strips : i) * STRIP, g->k, 0, (g->k + STEP - 1) / STEP,
              is_column, g->products);
}

/* A square of results where the tiles put it: in c, or in `room` if it is not whole or flipped. */
typedef struct square {
    float *c, *sums;
    int64_t sums_row, rows, columns;
} square;

static square square_of(const lh__bf16_product *p, int64_t i, int64_t j, float *room) {
    const lh__gemm *g = p->g;
    square s = {.rows = least(STRIP, p->rows.n - i * STRIP),
                .columns = least(STRIP, p->columns.n - j * STRIP)};

    s.c = (float *)g->c +
          (p->flipped ? j * STRIP * g->c_row + i * STRIP : i * STRIP * g->c_row + j * STRIP);
    s.sums = s.c, s.sums_row = g->c_row;
    if (p->flipped || s.rows < STRIP || s.columns < STRIP)
        s.sums = room, s.sums_row = STRIP;
    return s;
}

/* Row strips [i, i_end), at most PASS, by column strip j. */
static void pass_rows(const lh__bf16_product *p, const char *rows, const char *columns, int64_t i,
                      int64_t i_end, int64_t j) {
    _Alignas(64) float room[PASS][STRIP * STRIP];
    const lh__gemm *g = p->g;
    const int64_t steps = (g->k + STEP - 1) / STEP;
    square s[PASS];

    for (int64_t r = 0; r < i_end - i; r++) {
        s[r] = square_of(p, i + r, j, room[r]);
        if (g->adds && s[r].sums != s[r].c)
            get(room[r], s[r].c, g->c_row, s[r].rows, s[r].columns, p->flipped);
    }
    for (int64_t k = 0; k < steps; k += DEPTH_STEPS) {
        const lh__bf16_run run =
            lh__bf16_run_of(g->products, p->flipped, least(steps - k, DEPTH_STEPS));

        for (int64_t r = 0; r < i_end - i; r++)
            p->unit->multiply(rows + r * p->strip_bytes + k * run.step, columns + k * run.step,
                              &run, s[r].sums, s[r].sums_row, g->adds || k > 0);
    }
    for (int64_t r = 0; r < i_end - i; r++)
        if (s[r].sums != s[r].c && p->flipped && s[r].rows == STRIP && s[r].columns == STRIP)
            put_turned(s[r].c, g->c_row, room[r]);
        else if (s[r].sums != s[r].c)
            put(s[r].c, g->c_row, room[r], s[r].rows, s[r].columns, p->flipped);
}

void lh__bf16_multiply(const lh__bf16_product *p, int64_t i, int64_t i_end, int64_t j,
                       int64_t j_end) {
    const char *columns = p->laid + p->row_strips * p->strip_bytes;

    p->unit->begin();
    for (; i < i_end; i += PASS)
        for (int64_t at = j; at < j_end; at++)
            pass_rows(p, p->laid + i * p->strip_bytes, columns + at * p->strip_bytes, i,
                      least(i + PASS, i_end), at);
    p->unit->end();
}

/* Blocks of c, and of k, whose operands fit the stack. */
void lh__bf16_gemm(const lh__gemm *g) {
    _Alignas(64) char laid[2 * GEMM_STRIPS * DEPTH_STEPS * 2 * TILE_BYTES];
    const int64_t side = GEMM_STRIPS * STRIP;
    const int64_t depth = DEPTH_STEPS * STEP / halves_of(g->products);

    for (int64_t i = 0; i < g->m; i += side)
        for (int64_t j = 0; j < g->n; j += side)
            for (int64_t k = 0; k < g->k; k += depth) {
                lh__gemm part = *g;
                lh__bf16_product p;

                part.m = least(side, g->m - i), part.n = least(side, g->n - j);
                part.k = least(depth, g->k - k);
                part.a = (const float *)g->a + i * g->a_row + k * g->a_column;
                part.b = (const float *)g->b + j * g->b_column + k * g->b_row;
                part.c = (float *)g->c + i * g->c_row + j;
                part.adds = g->adds || k > 0;
                p = lh__bf16_product_of(&part);
                p.laid = laid;
                for (int64_t s = 0; s < p.row_strips + p.column_strips; s++)
                    lh__bf16_lay_out(&p, s);
                lh__bf16_multiply(&p, 0, p.row_strips, 0, p.column_strips);
            }
}

void lh__bf16_lay_columns(char *to, const lh__bf16_side *s, int64_t k) {
    lay_strip(to, s, 0, k, 0, (k + STEP - 1) / STEP, true, LH__PRODUCTS_BF16);
}

void lh__bf16_lay_rows(char *to, const lh__bf16_side *s, int64_t k) {
    lay_strip(to, s, 0, k, 0, (k + STEP - 1) / STEP, false, LH__PRODUCTS_BF16);
}

void lh__bf16_lay_step(char *to, const lh__bf16_side *s, int64_t depth) {
    for (int64_t i = 0; i < s->n; i++, to += 64) {
        const float *from = s->data + i * s->row;

        if (depth >= STEP)
            _mm512_store_si512(to, narrow(_mm512_loadu_ps(from), _mm512_loadu_ps(from + SIDE), 0));
        else
            _mm512_store_si512(to,
                               narrow(load(from, depth, 1), load(from + SIDE, depth - SIDE, 1), 0));
    }
}
