/* lanes.h - channels side by side in a register, and products of such registers, in F32.
 *
 * Convolutions compute on groups of WIDTH channels, one to a lane; memory holds a channel as a
 * plane, which is turned, or the channels of a position side by side. For sources that are compiled
 * once for each instruction set.
 */
#ifndef LH_KERNELS_CPU_LANES_H
#define LH_KERNELS_CPU_LANES_H

#include <stdatomic.h>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/panel.h"
#include "kernels/cpu/vector.h"
#include "kernels/view.h"

enum {
    WIDTH = LH__VECTOR_BYTES / 4,
    PANEL = PANEL_VECTORS * WIDTH, /* lanes that one product computes */
    AHEAD = 64,                    /* elements of a plane that are fetched before they are turned */
};

static inline vector_f32 load(const float *from) {
    return *(const vector_f32 *)from;
}

static inline void store(float *to, vector_f32 x) {
    *(vector_f32 *)to = x;
}

/* x[i] lane j becomes x[j] lane i; each pass of perfect shuffles moves one bit of a lane's number
 * into the register's. */
static inline __attribute__((always_inline)) void turn(vector_f32 x[WIDTH]) {
    vector_f32 y[WIDTH];

    LH__UNROLL for (int pass = 1; pass < WIDTH; pass *= 2) {
        LH__UNROLL for (int i = 0; i < WIDTH / 2; i++) {
            y[2 * i] = LH__LOW_F32(x[i], x[i + WIDTH / 2]);
            y[2 * i + 1] = LH__HIGH_F32(x[i], x[i + WIDTH / 2]);
        }
        LH__UNROLL for (int i = 0; i < WIDTH; i++) x[i] = y[i];
    }
}

#if defined(__FMA__)
#define MULTIPLY_ADD(sum, x, y) __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(x), "v"(y))
#else
#define MULTIPLY_ADD(sum, x, y) sum = LH__FMA_F32(x, y, sum)
#endif
#define BROADCAST(address) (*(address) - (vector_f32){0})
#define FN(name) name##_f32
#include "kernels/cpu/panel.inc"
#undef FN
#undef BROADCAST
#undef MULTIPLY_ADD

/* panel.h's product for any number of rows. */
static inline void panel_list(const lh__panel_fns *fns, int64_t rows, int64_t vectors, int64_t n,
                              const float *const *row, const int32_t *at, const float *b,
                              int64_t b_step, float *const *c, bool adds) {
    for (int64_t i = 0; i < rows; i += PANEL_ROWS) {
        int64_t tall = rows - i < PANEL_ROWS ? rows - i : PANEL_ROWS;

        (*fns)[tall - 1][vectors - 1](n, row + i, at, b, b_step, c + i, adds);
    }
}

/* For rows of a and c that lie a_row and c_row apart. */
static inline void panel_rows(int64_t rows, int64_t vectors, int64_t n, const float *a,
                              int64_t a_row, const int32_t *at, const float *b, int64_t b_step,
                              float *c, int64_t c_row, bool adds) {
    for (int64_t i = 0; i < rows; i += PANEL_ROWS) {
        int64_t tall = rows - i < PANEL_ROWS ? rows - i : PANEL_ROWS;
        const float *row[PANEL_ROWS];
        float *to[PANEL_ROWS];

        for (int64_t r = 0; r < tall; r++)
            row[r] = a + (i + r) * a_row, to[r] = c + (i + r) * c_row;
        panels_f32[tall - 1][vectors - 1](n, row, at, b, b_step, to, adds);
    }
}

/* Planes of `height` x `width` of up to WIDTH channels, `size` elements apart. */
typedef struct planes {
    const float *data;
    int64_t channels, size, height, width;
} planes;

/* x[i] lane l = lane[l][i], i < n <= WIDTH. */
static inline __attribute__((always_inline)) void
load_turned(vector_f32 x[WIDTH], const float *const *lane, int64_t at, int64_t n) {
#ifdef __AVX512F__
    const __mmask16 mask = (__mmask16)((1u << n) - 1);

    LH__UNROLL for (int i = 0; i < WIDTH; i++) x[i] =
        (vector_f32)_mm512_maskz_loadu_ps(mask, lane[i] + at);
    turn(x);
#else
    if (n == WIDTH) {
        LH__UNROLL for (int i = 0; i < WIDTH; i++) x[i] = load(lane[i] + at);
        turn(x);
    } else {
        for (int64_t i = 0; i < n; i++)
            for (int l = 0; l < WIDTH; l++)
                ((float *)&x[i])[l] = lane[l][at + i];
    }
#endif
}

/* A window of `rows` x `columns` positions that begins at position (top, left) of planes. */
typedef struct window {
    int64_t top, left, rows, columns;
} window;

/* to[row][column][lane], positions `step` apart; positions outside the planes are left alone. Lanes
 * beyond the channels repeat the last one. */
static void planes_to_lanes(float *to, int64_t step, const planes *p, const window *w) {
    const int64_t first = w->top > 0 ? w->top : 0, line = w->columns * step;
    const int64_t last = w->top + w->rows < p->height ? w->top + w->rows : p->height;
    const int64_t end = last * p->width, right = w->left + w->columns;
    const float *lane[WIDTH];
    float *row = to + (first - w->top) * line - w->left * step; /* where column 0 would be */

    for (int64_t i = 0; i < WIDTH; i++)
        lane[i] = p->data + (i < p->channels ? i : p->channels - 1) * p->size;
    for (int64_t at = first * p->width, column = 0; at < end; at += WIDTH) {
        const int64_t n = end - at < WIDTH ? end - at : WIDTH;
        vector_f32 x[WIDTH];

        for (int64_t i = 0; i < WIDTH; i++)
            __builtin_prefetch(lane[i] + at + AHEAD);
        load_turned(x, lane, at, n);
        if (column >= w->left && column + WIDTH <= right && column + WIDTH <= p->width &&
            n == WIDTH) {
            LH__UNROLL for (int64_t i = 0; i < WIDTH; i++) store(row + (column + i) * step, x[i]);
            column += WIDTH;
            if (column == p->width)
                column = 0, row += line;
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            if (column >= w->left && column < right)
                store(row + column * step, x[i]);
            if (++column == p->width)
                column = 0, row += line;
        }
    }
}

/* Images of `height` x `width`. */
typedef struct images {
    const float *data;
    lh__strides lie;
    int64_t height, width;
} images;

/* Whether a window goes beyond an image: what is there has to be zero before. */
static inline bool has_border(const images *of, const window *w) {
    return w->left < 0 || w->left + w->columns > of->width || w->top < 0 ||
           w->top + w->rows > of->height;
}

/* `count` positions of n channels that are neighbours. */
static inline void copy_row(float *to, int64_t step, const float *from, int64_t position, int64_t n,
                            int64_t count) {
    if (n == step && n == position)
        memcpy(to, from, (size_t)(count > 0 ? count * n : 0) * sizeof *to);
    else
        for (int64_t j = 0; j < count; j++, to += step, from += position) {
            int64_t c = 0;

            for (; c + WIDTH <= n; c += WIDTH)
                store(to + c, load(from + c));
            for (; c < n; c++)
                to[c] = from[c];
        }
}

/* to[row][column][channel]: the window w of image `image`, channels [c, c + n), positions `step`
 * apart; those outside the image are left alone. */
static void image_to_lanes(float *to, int64_t step, const images *of, int64_t image, int64_t c,
                           int64_t n, const window *w) {
    const lh__strides *lie = &of->lie;
    const float *from = of->data + image * lie->image + c * lie->channel;
    const int64_t top = w->top > 0 ? w->top : 0, left = w->left > 0 ? w->left : 0;
    const int64_t bottom = w->top + w->rows < of->height ? w->top + w->rows : of->height;
    const int64_t right = w->left + w->columns < of->width ? w->left + w->columns : of->width;

    for (int64_t k = 0; k < n && lie->position == 1; k += WIDTH) {
        const planes p = {from + k * lie->channel, n - k < WIDTH ? n - k : WIDTH, lie->channel,
                          of->height, of->width};

        planes_to_lanes(to + k, step, &p, w);
    }
    for (int64_t i = top; i < bottom && lie->position != 1; i++)
        copy_row(to + ((i - w->top) * w->columns + left - w->left) * step, step,
                 from + (i * of->width + left) * lie->position, lie->position, n, right - left);
}

/* n elements of each of `channels` planes, `size` elements apart, from n positions of lanes, `step`
 * apart. */
static void lanes_to_planes(float *to, int64_t size, int64_t channels, const float *from,
                            int64_t step, int64_t n) {
    for (int64_t at = 0; at < n; at += WIDTH) {
        const int64_t here = n - at < WIDTH ? n - at : WIDTH;

#ifdef __AVX512F__
        const __mmask16 mask = (__mmask16)((1u << here) - 1);
        vector_f32 x[WIDTH];

        LH__UNROLL for (int i = 0; i < WIDTH; i++) x[i] =
            load(from + (at + (i < here ? i : here - 1)) * step);
        turn(x);
        for (int64_t i = 0; i < channels; i++)
            _mm512_mask_storeu_ps(to + i * size + at, mask, (__m512)x[i]);
#else
        for (int64_t l = 0; l < channels; l++)
            for (int64_t i = 0; i < here; i++)
                to[l * size + at + i] = from[(at + i) * step + l];
#endif
    }
}

/* n positions of `channels` channels from as many of lanes, `step` apart. */
static inline void lanes_to_image(float *to, const lh__strides *lie, int64_t channels,
                                  const float *from, int64_t step, int64_t n) {
    if (lie->position == 1)
        for (int64_t c = 0; c < channels; c += WIDTH)
            lanes_to_planes(to + c * lie->channel, lie->channel,
                            channels - c < WIDTH ? channels - c : WIDTH, from + c, step, n);
    else
        for (int64_t i = 0; i < n; i++, to += lie->position, from += step)
            memcpy(to, from, (size_t)channels * sizeof *to);
}

/* Tells what is final: `n` positions of an image from element `begin` on, of channels [c, c +
 * channels). With channels last nothing is told until the last of them, then all of them are. */
static inline void run_after(const lh__after *after, const lh__strides *lie, int64_t begin,
                             int64_t n, int64_t c, int64_t channels) {
    const int64_t plane = lie->channel, all = lie->position;

    if (!after || (all != 1 && c + channels < all))
        return;
    if (all != 1)
        after->run(after, begin, n * all);
    else if (n == plane)
        after->run(after, begin + c * plane, n * channels);
    else
        for (int64_t k = c; k < c + channels; k++)
            after->run(after, begin + k * plane, n);
}

/* Memory of one thread at a time: at least as many rooms as the pool has threads. */
typedef struct rooms {
    float *data;
    atomic_flag *taken;
    int64_t n, size; /* size of each, in elements */
} rooms;

static inline float *enter_room(const rooms *r, int64_t *number) {
    int64_t i = 0;

    while (atomic_flag_test_and_set_explicit(&r->taken[i], memory_order_acquire))
        i = (i + 1) % r->n;
    *number = i;
    return r->data + i * r->size;
}

static inline void leave_room(const rooms *r, int64_t number) {
    atomic_flag_clear_explicit(&r->taken[number], memory_order_release);
}

/* Rooms for the pool's threads at the end of `shared` elements that the threads share. NULL when
 * there is no memory, else what they share. */
static inline float *rooms_of(rooms *r, lh__pool *pool, int64_t shared, int64_t size) {
    const int64_t flags = 64; /* elements: room for as many flags */
    float *data;

    r->n = lh__pool_threads(pool) < flags ? lh__pool_threads(pool) : flags;
    r->size = round_up(size, 16);
    shared = round_up(shared, 16);
    data = lh__pool_scratch(pool, (size_t)(shared + flags * 16 + r->n * r->size) * sizeof *data);
    if (!data || r->n < lh__pool_threads(pool))
        return NULL;
    r->taken = (atomic_flag *)(data + shared);
    r->data = data + shared + flags * 16;
    for (int64_t i = 0; i < r->n; i++)
        atomic_flag_clear(&r->taken[i]);
    return data;
}

#endif
