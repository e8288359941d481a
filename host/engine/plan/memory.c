/* memory.c - places in one block for values that come and go.
 *
 * Invariant: two values that are there at one launch do not overlap. Best fit among the holes, in
 * the order of launches; a hole that nothing fits in grows at the end of the block. O(n holes).
 */
#include <stdlib.h>

#include "engine/plan/plan.h"

enum { ALIGNMENT = 64 };

typedef struct hole {
    int64_t begin, end;
} hole;

typedef struct space {
    hole *holes; /* by place, none touching another */
    int64_t n, top;
} space;

/* A value by its number, with the launch that it is sorted by. */
typedef struct event {
    int32_t launch, value;
} event;

static int by_launch(const void *a, const void *b) {
    const event *x = a, *y = b;

    return x->launch != y->launch ? (x->launch > y->launch) - (x->launch < y->launch)
                                  : (x->value > y->value) - (x->value < y->value);
}

static int64_t rounded(int64_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void remove_hole(space *s, int64_t i) {
    s->n--;
    for (; i < s->n; i++)
        s->holes[i] = s->holes[i + 1];
}

static int64_t take(space *s, int64_t bytes) {
    int64_t best = -1, at;

    for (int64_t i = 0; i < s->n; i++) {
        int64_t room = s->holes[i].end - s->holes[i].begin;

        if (room >= bytes && (best < 0 || room < s->holes[best].end - s->holes[best].begin))
            best = i;
    }
    if (best < 0 && s->n > 0 && s->holes[s->n - 1].end == s->top) {
        best = s->n - 1;
        s->top = s->holes[best].end = s->holes[best].begin + bytes;
    }
    if (best < 0) {
        s->top += bytes;
        return s->top - bytes;
    }
    at = s->holes[best].begin;
    s->holes[best].begin += bytes;
    if (s->holes[best].begin == s->holes[best].end)
        remove_hole(s, best);
    return at;
}

static void give(space *s, int64_t begin, int64_t end) {
    int64_t i = 0;

    if (begin == end)
        return;
    while (i < s->n && s->holes[i].end < begin)
        i++;
    if (i < s->n && s->holes[i].end == begin) {
        s->holes[i].end = end;
        if (i + 1 < s->n && s->holes[i + 1].begin == end) {
            s->holes[i].end = s->holes[i + 1].end;
            remove_hole(s, i + 1);
        }
        return;
    }
    if (i < s->n && s->holes[i].begin == end) {
        s->holes[i].begin = begin;
        return;
    }
    for (int64_t k = s->n++; k > i; k--)
        s->holes[k] = s->holes[k - 1];
    s->holes[i] = (hole){begin, end};
}

int64_t lh__plan_memory(const lh__life *lives, int64_t n, int64_t *offsets, lh__arena *scratch) {
    size_t size = (size_t)(n + 1);
    event *come = lh__arena_alloc(scratch, size * sizeof *come);
    event *go = lh__arena_alloc(scratch, size * sizeof *go);
    space s = {.holes = lh__arena_alloc(scratch, size * sizeof(hole))};
    int64_t count = 0, gone = 0;

    if (!come || !go || !s.holes)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        offsets[i] = -1;
        if (lives[i].first < 0)
            continue;
        come[count] = (event){lives[i].first, (int32_t)i};
        go[count++] = (event){lives[i].last, (int32_t)i};
    }
    qsort(come, (size_t)count, sizeof *come, by_launch);
    qsort(go, (size_t)count, sizeof *go, by_launch);
    for (int64_t i = 0; i < count; i++) {
        for (; gone < count && go[gone].launch < come[i].launch; gone++) {
            int32_t v = go[gone].value;

            give(&s, offsets[v], offsets[v] + rounded(lives[v].bytes));
        }
        offsets[come[i].value] = take(&s, rounded(lives[come[i].value].bytes));
    }
    return s.top;
}
