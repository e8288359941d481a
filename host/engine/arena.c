/* arena.c - the bump allocator of arena.h. */
#include "engine/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { FIRST_CHUNK = 1 << 20, HEADER = 64, HUGE_PAGE = 2 << 20 };

struct lh__chunk {
    lh__chunk *older;
    size_t size; /* header included */
};

/* Asks for pages of 2 MiB: a step goes over its memory again and again. */
static void ask_for_huge_pages(void *p, size_t size) {
    const size_t before = -(uintptr_t)p % HUGE_PAGE;

    if (size >= before + HUGE_PAGE)
        madvise((char *)p + before, size - before, MADV_HUGEPAGE);
}

static int open_chunk(lh__arena *a, size_t size) {
    lh__chunk *chunk = aligned_alloc(64, size);

    if (!chunk)
        return 0;
    ask_for_huge_pages(chunk, size);
    chunk->older = a->chunks;
    chunk->size = size;
    a->chunks = chunk;
    a->next = (char *)chunk + HEADER;
    a->end = (char *)chunk + size;
    lh__arena_close(a->next, size - HEADER);
    a->reserved += (int64_t)size;
    a->growths++;
    return 1;
}

int64_t lh__arena_used(const lh__arena *a) {
    return a->full + (a->chunks ? a->next - (char *)a->chunks - HEADER : 0);
}

void *lh__arena_alloc_slow(lh__arena *a, size_t size) {
    int64_t used = lh__arena_used(a);
    size_t chunk = a->reserved > FIRST_CHUNK ? (size_t)a->reserved : FIRST_CHUNK;
    void *p;

    if (size > SIZE_MAX / 4)
        return NULL;
    if (chunk < size + HEADER)
        chunk = size + HEADER;
    /* When doubling is too much to ask for, exactly what is needed may still be there. */
    if (!open_chunk(a, chunk) && !open_chunk(a, size + HEADER))
        return NULL;
    a->full = used;
    p = a->next;
    a->next += size;
    return p;
}

void lh__arena_reset(lh__arena *a) {
    size_t total = (size_t)a->reserved;

    if (!a->chunks)
        return;
    a->full = 0;
    if (!a->chunks->older) {
        a->next = (char *)a->chunks + HEADER;
        lh__arena_close(a->next, a->chunks->size - HEADER);
        return;
    }
    /* Without memory for the merged chunk the arena begins anew with none. */
    total = (size_t)lh__arena_used(a) + HEADER > total ? (size_t)lh__arena_used(a) + HEADER : total;
    while (a->chunks) {
        lh__chunk *older = a->chunks->older;

        free(a->chunks);
        a->chunks = older;
    }
    a->next = a->end = NULL;
    a->reserved = 0;
    open_chunk(a, total);
}

void lh__arena_free(lh__arena *a) {
    while (a->chunks) {
        lh__chunk *older = a->chunks->older;

        free(a->chunks);
        a->chunks = older;
    }
    *a = (lh__arena){0};
}
