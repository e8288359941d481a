/* pool.c - the thread pool of pool.h.
 *
 * Invariant: a tile of a job is claimed by taking it off `left`, a range of tiles, with a
 * compare-and-swap, and `done` counts the tiles that ended. A range that isn't empty means that a
 * job is open; the caller opens the next one only when `done` has reached `tiles`, so whoever holds
 * a claim may read the job. A thread that wakes too late finds nothing left and is not waited for.
 *
 * The caller claims from the front and the workers from the back: with two threads the parts of
 * tensors that jobs share mostly stay in one core's cache.
 */
#include "kernels/pool.h"

#include "kernels/idle.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define SPIN_NS 200000 /* how long an idle worker looks for work before it sleeps */
/* Kernels keep up to 0.6 MB of a tile's work on the stack; a sanitizer makes several times that of
 * it. Whatever the limit of the shell says; memory is taken only where it is touched. */
#define STACK_BYTES ((size_t)8 << 20)
#define CACHE_LINE 64

struct lh__pool {
    _Alignas(CACHE_LINE) atomic_uint_fast64_t left; /* end << 32 | begin */
    _Alignas(CACHE_LINE) atomic_int_fast64_t done;
    _Alignas(CACHE_LINE) atomic_int sleepers;
    _Alignas(CACHE_LINE) atomic_int idlers; /* threads at idle work */
    _Atomic(lh__idle_fn *) idle;            /* NULL: there is none */
    void *idle_arg;
    atomic_bool stop;
    atomic_int caller_core;
    lh__tile_fn *fn; /* the open job */
    void *arg;
    int64_t first;         /* tile, of those in `left` */
    pthread_mutex_t mutex; /* of sleeping only; guards wakes */
    uint64_t wakes;
    pthread_cond_t wake;
    int threads, started;
    bool spin; /* there is a core for every thread */
    atomic_bool pinned;
    cpu_set_t cores;
    void *scratch;
    size_t scratch_bytes;
    pthread_t workers[];
};

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t begin_of(uint64_t range) {
    return range & UINT32_MAX;
}

static uint64_t end_of(uint64_t range) {
    return range >> 32;
}

/* Runs tiles of the open job until none is left. */
static void take_tiles(lh__pool *p, bool from_front) {
    const uint64_t first = 1, last = first << 32;
    uint_fast64_t left = atomic_load_explicit(&p->left, memory_order_acquire);

    while (begin_of(left) < end_of(left)) {
        uint64_t rest = from_front ? left + first : left - last;

        if (!atomic_compare_exchange_weak_explicit(&p->left, &left, rest, memory_order_acq_rel,
                                                   memory_order_acquire))
            continue;
        p->fn(p->arg, p->first + (int64_t)(from_front ? begin_of(left) : end_of(left) - 1));
        atomic_fetch_add_explicit(&p->done, 1, memory_order_release);
        left = atomic_load_explicit(&p->left, memory_order_acquire);
    }
}

static bool has_news(lh__pool *p) {
    uint64_t left = atomic_load(&p->left);

    return begin_of(left) < end_of(left) || atomic_load(&p->stop);
}

/* Does a piece of idle work. Counted in before it looks what there is: see lh__pool_idle. */
static bool idle_piece(lh__pool *p) {
    lh__idle_fn *fn;
    bool did;

    if (!atomic_load_explicit(&p->idle, memory_order_relaxed))
        return false;
    atomic_fetch_add(&p->idlers, 1);
    fn = atomic_load(&p->idle);
    did = fn && fn(p->idle_arg);
    atomic_fetch_sub(&p->idlers, 1);
    return did;
}

/* Looks for news, for SPIN_NS after the last piece of idle work. */
static bool spin_for_news(lh__pool *p) {
    int64_t end = now_ns() + SPIN_NS;

    do {
        for (int i = 0; i < 64; i++) {
            if (has_news(p))
                return true;
            relax();
        }
        while (idle_piece(p)) {
            if (has_news(p))
                return true;
            end = now_ns() + SPIN_NS;
        }
    } while (now_ns() < end);
    return false;
}

/* Returns once woken, even when the job is done by then: another one is likely to follow soon, and
 * whoever went back to sleep would be late for it too. */
static void sleep_for_news(lh__pool *p) {
    uint64_t seen;

    pthread_mutex_lock(&p->mutex);
    seen = p->wakes;
    atomic_fetch_add(&p->sleepers, 1); /* before the check: see wake_sleepers */
    while (p->wakes == seen && !has_news(p))
        pthread_cond_wait(&p->wake, &p->mutex);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->mutex);
}

/* After the news was stored. Both sides store, then load, sequentially consistent: either the
 * sleeper sees the news or this sees the sleeper. */
static void wake_sleepers(lh__pool *p) {
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->mutex);
    p->wakes++;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->mutex);
}

/* A thread woken by the caller tends to be put on the caller's core, where it would wait: the
 * caller does not sleep. It moves away. */
static void leave_callers_core(lh__pool *p) {
    int core = atomic_load_explicit(&p->caller_core, memory_order_relaxed);
    cpu_set_t others = p->cores;

    if (!p->spin || core < 0 || atomic_load_explicit(&p->pinned, memory_order_relaxed) ||
        sched_getcpu() != core)
        return;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) > 0)
        pthread_setaffinity_np(pthread_self(), sizeof others, &others);
}

static void *worker(void *arg) {
    lh__pool *p = arg;

    while (!atomic_load(&p->stop)) {
        if (!(p->spin && spin_for_news(p)))
            sleep_for_news(p);
        leave_callers_core(p);
        take_tiles(p, false);
    }
    return NULL;
}

/* As many workers as can be had, of those that are wanted. */
static void start_workers(lh__pool *p) {
    pthread_attr_t attr;

    if (pthread_attr_init(&attr) != 0)
        return;
    if (pthread_attr_setstacksize(&attr, STACK_BYTES) == 0)
        while (p->started < p->threads - 1 &&
               pthread_create(&p->workers[p->started], &attr, worker, p) == 0)
            p->started++;
    pthread_attr_destroy(&attr);
}

lh__pool *lh__pool_new(int threads) {
    size_t size = sizeof(lh__pool) + (size_t)(threads > 0 ? threads : 1) * sizeof(pthread_t);
    lh__pool *p = aligned_alloc(CACHE_LINE, (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

    if (!p)
        return NULL;
    atomic_init(&p->left, 0);
    atomic_init(&p->done, 0);
    atomic_init(&p->sleepers, 0);
    atomic_init(&p->idlers, 0);
    atomic_init(&p->idle, NULL);
    atomic_init(&p->stop, false);
    atomic_init(&p->caller_core, -1);
    atomic_init(&p->pinned, false);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->threads = threads > 0 ? threads : 1;
    p->started = 0;
    p->wakes = 0;
    p->scratch = NULL;
    p->scratch_bytes = 0;
    CPU_ZERO(&p->cores);
    p->spin =
        sched_getaffinity(0, sizeof p->cores, &p->cores) == 0 && p->threads <= CPU_COUNT(&p->cores);
    start_workers(p);
    if (p->started < p->threads - 1) {
        lh__pool_free(p);
        return NULL;
    }
    return p;
}

static int bind(pthread_t thread, const cpu_set_t *cores) {
    return pthread_setaffinity_np(thread, sizeof *cores, cores) == 0 ? 0 : -1;
}

int lh__pool_pin(lh__pool *p) {
    int rc = 0, thread = 0;

    if (!p->spin)
        return -1;
    atomic_store(&p->pinned, true);
    for (int core = 0; thread < p->threads; core++) {
        cpu_set_t one;

        if (!CPU_ISSET(core, &p->cores))
            continue;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        rc |= bind(thread == 0 ? pthread_self() : p->workers[thread - 1], &one);
        thread++;
    }
    return rc;
}

void lh__pool_free(lh__pool *p) {
    if (!p)
        return;
    atomic_store(&p->stop, true);
    wake_sleepers(p);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->workers[i], NULL);
    if (atomic_load(&p->pinned))
        bind(pthread_self(), &p->cores);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->mutex);
    free(p->scratch);
    free(p);
}

int lh__pool_threads(const lh__pool *p) {
    return p ? p->threads : 1;
}

/* Waits for the tiles that workers still hold; gives the core away when that takes long. */
static void await_tiles(lh__pool *p, int64_t tiles) {
    for (int i = 0; atomic_load_explicit(&p->done, memory_order_acquire) < tiles; i++) {
        if (i < 4096)
            relax();
        else
            sched_yield();
    }
}

/* Tiles [first, first + tiles), of which `left` can hold the number. */
static void run_job(lh__pool *p, int64_t first, int64_t tiles) {
    p->first = first;
    atomic_store_explicit(&p->caller_core, sched_getcpu(), memory_order_relaxed);
    atomic_store_explicit(&p->done, 0, memory_order_relaxed);
    atomic_store(&p->left, (uint64_t)tiles << 32); /* opens the job */
    wake_sleepers(p);
    take_tiles(p, true);
    await_tiles(p, tiles);
}

void lh__pool_run(lh__pool *p, int64_t tiles, lh__tile_fn *fn, void *arg) {
    if (!p || p->threads == 1 || tiles <= 1) {
        for (int64_t i = 0; i < tiles; i++)
            fn(arg, i);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    for (int64_t first = 0; first < tiles; first += UINT32_MAX)
        run_job(p, first, tiles - first < UINT32_MAX ? tiles - first : UINT32_MAX);
}

void *lh__pool_scratch(lh__pool *p, size_t bytes) {
    size_t whole = (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

    if (!p || whole < bytes)
        return NULL;
    if (whole > p->scratch_bytes) {
        free(p->scratch);
        p->scratch = aligned_alloc(CACHE_LINE, whole);
        p->scratch_bytes = p->scratch ? whole : 0;
    }
    return p->scratch;
}

void lh__pool_idle(lh__pool *p, lh__idle_fn *fn, void *arg) {
    if (!p || !p->spin)
        return;
    atomic_store(&p->idle, NULL);
    for (int i = 0; atomic_load(&p->idlers) > 0; i++) {
        if (i < 4096)
            relax();
        else
            sched_yield();
    }
    p->idle_arg = arg;
    atomic_store(&p->idle, fn);
}
