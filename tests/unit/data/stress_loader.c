/* stress_loader.c - the loader under pressure: threads, helpers, epochs given up, errors, early
 * frees.
 *
 * A program without Criterion, whose memory arena ThreadSanitizer's address space leaves no room
 * for; run it in a build with -Db_sanitize=thread. It checks every batch as well.
 */
#include "data/loader.h"
#include "kernels/philox.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 157, ROUNDS = 300, WIDTH = 512 }; /* WIDTH: of items in memory, fetched 4 at a time */

static const lh__philox_key key = {.seed = 2024};

/* Item i is the number i; item 100 is broken. */
static lh_status get_item(void *user, int64_t index, void *const *fields) {
    *(int64_t *)fields[0] = index;
    return index == 100 ? LH_EIO : LH_OK;
}

static void check(int ok, const char *what, int round) {
    if (ok)
        return;
    fprintf(stderr, "round %d: %s\n", round, what);
    exit(1);
}

/* Reads some batches of an epoch, holding up to two; every one must be what the calm loader has. */
static void read_epoch(lh__loader *l, lh__loader *calm, const uint32_t *w, int round) {
    size_t size;
    int64_t first = w[0] % 5, left = w[1] % 40;
    lh__batch *b, *want, *kept = NULL;
    lh__error e = {0};

    check(lh__loader_begin(l, w[2], first, -1, &e) == LH_OK, e.text, round);
    check(lh__loader_begin(calm, w[2], first, -1, &e) == LH_OK, e.text, round);
    while (left-- > 0) {
        lh_status status = lh__loader_next(l, &b, NULL);

        check(lh__loader_next(calm, &want, NULL) == status, "another status", round);
        check(!b == !want, "another end", round);
        if (!b && status == LH_OK)
            break;
        if (!b)
            continue;
        check(b->size == want->size && b->index == want->index, "another batch", round);
        size = lh__field_size(&b->fields[0]); /* of all its items */
        check(!memcmp(b->data[0], want->data[0], size), "other items", round);
        lh__loader_release(calm, want);
        if (kept)
            lh__loader_release(l, kept);
        kept = b;
    }
    if (kept)
        lh__loader_release(l, kept);
}

static atomic_int is_over;

static void *help(void *loader) {
    while (!atomic_load(&is_over))
        if (!lh__loader_help(loader))
            sched_yield();
    return NULL;
}

static lh_dataset *in_memory(lh__datasets *all) {
    static int64_t numbers[N][WIDTH];
    const lh__array array = {LH_I64, 2, {N, WIDTH}, numbers};

    for (int64_t i = 0; i < N * WIDTH; i++)
        numbers[i / WIDTH][i % WIDTH] = i;
    return lh__dataset_arrays(all, &array, 1, NULL);
}

int main(void) {
    static const lh_field field = {LH_SIZED(lh_field), .dtype = LH_I64};
    lh_dataset_desc desc = {LH_SIZED(lh_dataset_desc), 1, &field, N, get_item, NULL};
    lh__datasets *all = lh__datasets_new();
    lh_dataset *read[2] = {lh__dataset_custom(all, &desc, NULL), in_memory(all)};

    for (int round = 0; round < ROUNDS; round++) {
        const int is_helped = round % 2;
        lh_loader_options o = {LH_SIZED(lh_loader_options), .shuffle = 1,
                               .dataset = read[is_helped]};
        pthread_t helpers[2];
        lh__loader *l, *calm;
        uint32_t w[4];

        lh__philox(key, (uint64_t)round, w);
        o.batch_size = 1 + w[0] % 9;
        calm = lh__loader_new(&o, 7, 0, 0, NULL);
        o.num_workers = is_helped ? 0 : (int32_t)(1 + w[1] % 4);
        o.prefetch = (int32_t)(w[2] % 6);
        l = lh__loader_new(&o, 7, 0, 2, NULL);
        check(l && calm, "not made", round);
        atomic_store(&is_over, 0);
        for (int i = 0; i < 2 * is_helped; i++)
            check(pthread_create(&helpers[i], NULL, help, l) == 0, "no helper", round);
        for (uint64_t i = 0; i < w[3] % 8; i++) {
            uint32_t v[4];

            lh__philox(key, (uint64_t)(round + 1) << 32 | i, v);
            read_epoch(l, calm, v, round);
        }
        atomic_store(&is_over, 1);
        for (int i = 0; i < 2 * is_helped; i++)
            pthread_join(helpers[i], NULL);
        lh__loader_free(l);
        lh__loader_free(calm);
    }
    lh__datasets_free(all);
    return 0;
}
