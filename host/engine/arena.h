/* arena.h - memory of one step: a bump allocator that is emptied at once.
 *
 * Invariants: every block is aligned to 64 bytes; what fitted in one step fits in the next without
 * a call of malloc. When a step needed more than the first chunk, the next reset merges the chunks
 * into one.
 */
#ifndef LH_ENGINE_ARENA_H
#define LH_ENGINE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct lh__chunk lh__chunk;

typedef struct lh__arena {
    lh__chunk *chunks; /* newest first */
    char *next, *end;  /* the free part of the newest */
    int64_t full;      /* bytes used in the older chunks */
    int64_t reserved;  /* bytes in all chunks */
    int64_t growths;   /* calls of malloc since the start */
} lh__arena;

/* `size` bytes, not initialised; NULL when the system has no more memory. O(1). */
void *lh__arena_alloc_slow(lh__arena *a, size_t size);
static inline void *lh__arena_alloc(lh__arena *a, size_t size) {
    char *p = a->next;

    size = (size + 63 + !size) & ~(size_t)63;
    if (size > (size_t)(a->end - p))
        return lh__arena_alloc_slow(a, size);
    a->next = p + size;
    return p;
}

/* Drops everything. O(1) in the steady state, else O(chunks). */
void lh__arena_reset(lh__arena *a);
void lh__arena_free(lh__arena *a);
int64_t lh__arena_used(const lh__arena *a);

#endif
