/* order.c - the cpu device's sorting of F32 along the last axis.
 *
 * Invariant: as the oracle's. An element's order and its position fit into one word of the output
 * each: sorting these words in place sorts stably, without other memory. Other dtypes, strides and
 * TOPK go to the oracle.
 */
#include <string.h>

#include "kernels/cpu/tile.h"
#include "kernels/ref/ref.h"

enum { FEW = 32, BUCKETS = 256 };

typedef struct sorting {
    const float *x;
    uint64_t *y;
    int64_t length;
    uint32_t flip; /* all ones: descending */
} sorting;

/* A number that is in the order of x: -0 is 0, a NaN is larger than all. */
static uint32_t rank_of(float x) {
    uint32_t bits;

    if (x != x)
        return UINT32_MAX;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static void insertion_sort(uint64_t *v, int64_t n) {
    for (int64_t i = 1; i < n; i++) {
        uint64_t x = v[i];
        int64_t j = i;

        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

/* In place, by the byte at `shift` and then by those below it (McIlroy, Bostic, McIlroy,
 * "Engineering radix sort", 1993). The words differ. */
static void flag_sort(uint64_t *v, int64_t n, int32_t shift) {
    int64_t next[BUCKETS], end[BUCKETS] = {0}, at = 0;

    if (n <= FEW) {
        insertion_sort(v, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        end[v[i] >> shift & 255]++;
    for (int32_t b = 0; b < BUCKETS; b++) {
        next[b] = at;
        end[b] = at += end[b];
    }
    for (uint64_t b = 0; b < BUCKETS; b++)
        while (next[b] < end[b]) {
            uint64_t x = v[next[b]];

            for (uint64_t to; (to = x >> shift & 255) != b;) {
                uint64_t *place = &v[next[to]++], other = *place;

                *place = x;
                x = other;
            }
            v[next[b]++] = x;
        }
    for (int32_t b = 0; shift > 0 && b < BUCKETS; b++) {
        int64_t begin = b ? end[b - 1] : 0;

        if (end[b] - begin > 1)
            flag_sort(v + begin, end[b] - begin, shift - 8);
    }
}

static void sort_lines(const void *arg, int64_t begin, int64_t end) {
    const sorting *s = arg;

    for (int64_t line = begin; line < end; line++) {
        const float *x = s->x + line * s->length;
        uint64_t *y = s->y + line * s->length;

        for (int64_t i = 0; i < s->length; i++)
            y[i] = (uint64_t)(rank_of(x[i]) ^ s->flip) << 32 | (uint64_t)i;
        flag_sort(y, s->length, 56);
        for (int64_t i = 0; i < s->length; i++)
            y[i] &= UINT32_MAX;
    }
}

void lh__cpu_argsort(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    int64_t length = x->shape[call->ints[0]];
    sorting s = {.x = x->data, .y = call->out->data, .length = length};

    if (x->dtype != LH_F32 || call->ints[0] != x->ndim - 1 || !lh__view_is_contiguous(x) ||
        length > UINT32_MAX) {
        lh__ref_order(call);
        return;
    }
    s.flip = call->n_ints > 1 && call->ints[1] ? UINT32_MAX : 0;
    lh__for_ranges(call->pool, length ? lh__view_numel(x) / length : 0,
                   1 + LH__TILE / (16 * (length + 1)), sort_lines, &s);
}
