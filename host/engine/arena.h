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

/* Under AddressSanitizer only blocks can be read and written, and there is a gap after each. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LH__ARENA_GUARDED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(LH__ARENA_GUARDED)
#include <sanitizer/asan_interface.h>
#define lh__arena_close(p, size) __asan_poison_memory_region(p, size)
#define lh__arena_open(p, size) __asan_unpoison_memory_region(p, size)
enum { LH__ARENA_GAP = 1 };
#else
#define lh__arena_close(p, size) ((void)0)
#define lh__arena_open(p, size) ((void)0)
enum { LH__ARENA_GAP = 0 };
#endif

typedef struct lh__chunk lh__chunk;

typedef struct lh__arena {
    lh__chunk *chunks; /* newest first */
    char *next, *end;  /* the free part of the newest */
    int64_t full;      /* bytes used in the older chunks */
    int64_t reserved;  /* bytes in all chunks */
    int64_t growths;   /* calls of malloc since the start */
} lh__arena;

/* `room` bytes, a multiple of 64, of a new chunk. */
void *lh__arena_alloc_slow(lh__arena *a, size_t room);

/* `size` bytes, not initialised; NULL when the system has no more memory. O(1). */
static inline void *lh__arena_alloc(lh__arena *a, size_t size) {
    size_t room = (size + 63 + (LH__ARENA_GAP || !size)) & ~(size_t)63;
    char *p = a->next;

    if (room > (size_t)(a->end - p))
        p = lh__arena_alloc_slow(a, room);
    else
        a->next = p + room;
    if (p)
        lh__arena_open(p, size);
    return p;
}

/* Drops everything. O(1) in the steady state, else O(chunks). */
void lh__arena_reset(lh__arena *a);
void lh__arena_free(lh__arena *a);
int64_t lh__arena_used(const lh__arena *a);

#endif
