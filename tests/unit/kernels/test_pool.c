/* test_pool.c - every tile runs exactly once, on any number of threads, round after round; threads
 * can have cores of their own. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "kernels/idle.h"

enum { MOST_TILES = 257 };

typedef struct tally {
    atomic_int runs[MOST_TILES];
    int64_t plain; /* written by tile 0 alone, read by the caller after the job */
} tally;

static void count(void *arg, int64_t tile) {
    tally *t = arg;

    atomic_fetch_add_explicit(&t->runs[tile], 1, memory_order_relaxed);
    if (tile == 0)
        t->plain++;
}

static void rounds(lh__pool *pool, int n) {
    static const int64_t tiles[] = {0, 1, 2, 3, 17, MOST_TILES};
    static tally t;

    for (int round = 0; round < n; round++) {
        int64_t k = tiles[round % 6];

        for (int i = 0; i < MOST_TILES; i++)
            atomic_store_explicit(&t.runs[i], 0, memory_order_relaxed);
        t.plain = 0;
        lh__pool_run(pool, k, count, &t);
        cr_assert_eq(t.plain, k > 0);
        for (int i = 0; i < MOST_TILES; i++)
            cr_assert_eq(atomic_load_explicit(&t.runs[i], memory_order_relaxed), i < k);
    }
}

Test(pool, runs_every_tile_once) {
    for (int threads = 1; threads <= 4; threads++) {
        lh__pool *pool = lh__pool_new(threads);

        cr_assert_not_null(pool);
        cr_assert_eq(lh__pool_threads(pool), threads);
        rounds(pool, 600);
        lh__pool_free(pool);
    }
}

Test(pool, works_after_its_threads_fell_asleep) {
    lh__pool *pool = lh__pool_new(3);

    for (int i = 0; i < 20; i++) {
        usleep(2000);
        rounds(pool, 6);
    }
    lh__pool_free(pool);
}

Test(pool, no_pool_runs_on_the_caller) {
    rounds(NULL, 12);
    cr_assert_eq(lh__pool_threads(NULL), 1);
}

static atomic_int left, done;

static int piece(void *arg) {
    if (atomic_fetch_sub(&left, 1) <= 0) {
        atomic_store(&left, 0);
        return 0;
    }
    atomic_fetch_add(&done, 1);
    return 1;
}

/* Idle work gets done between jobs, all of these run as ever, and none is done once it is off. */
Test(pool, idle_threads_have_other_work) {
    lh__pool *pool = lh__pool_new(2);
    int before;

    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) { /* it would take time from the caller */
        lh__pool_free(pool);
        return;
    }
    lh__pool_idle(pool, piece, NULL);
    atomic_store(&left, 100000);
    for (int i = 0; i < 5000 && atomic_load(&done) < 100000; i++) {
        rounds(pool, 6);
        usleep(200);
    }
    cr_assert_eq(atomic_load(&done), 100000);
    lh__pool_idle(pool, NULL, NULL);
    before = atomic_load(&done);
    atomic_store(&left, 100000);
    rounds(pool, 60);
    cr_assert_eq(atomic_load(&done), before);
    lh__pool_free(pool);
    lh__pool_idle(NULL, piece, NULL);
}

typedef struct meeting {
    atomic_int present, cores[CPU_SETSIZE];
    int expected;
} meeting;

/* Waits for the others, so that each tile is on a thread of its own; counts them on their cores. */
static void meet(void *arg, int64_t tile) {
    meeting *m = arg;
    cpu_set_t mine;
    char deep[LH__TILE_STACK - 4096];
    volatile char *reached = deep;

    (void)tile;
    reached[0] = 1; /* a tile may go so deep */
    atomic_fetch_add(&m->present, 1);
    while (atomic_load(&m->present) < m->expected)
        sched_yield();
    cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &mine))
            atomic_fetch_add(&m->cores[core], 1);
}

Test(pool, pinned_threads_have_a_core_each) {
    static meeting m;
    cpu_set_t before, after;
    lh__pool *pool;

    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    m.expected = CPU_COUNT(&before);
    pool = lh__pool_new(m.expected);
    cr_assert_eq(lh__pool_pin(pool), 0);
    lh__pool_run(pool, m.expected, meet, &m);
    for (int core = 0; core < CPU_SETSIZE; core++)
        cr_expect_eq(atomic_load(&m.cores[core]), !!CPU_ISSET(core, &before));
    rounds(pool, 60);
    lh__pool_free(pool);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_expect(CPU_EQUAL(&before, &after));
}

Test(pool, more_threads_than_cores_cannot_be_pinned) {
    cpu_set_t cores;
    lh__pool *pool;

    cr_assert_eq(sched_getaffinity(0, sizeof cores, &cores), 0);
    pool = lh__pool_new(CPU_COUNT(&cores) + 1);
    cr_expect_eq(lh__pool_pin(pool), -1);
    rounds(pool, 6);
    lh__pool_free(pool);
}

Test(pool, starts_and_stops) {
    for (int i = 0; i < 100; i++)
        lh__pool_free(lh__pool_new(1 + i % 4));
    lh__pool_free(NULL);
}
