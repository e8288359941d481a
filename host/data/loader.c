/* loader.c - the threads and the slots behind loader.h.
 *
 * Every batch is made in one of a fixed number of slots:
 *
 *     FREE --claim--> FILLING --filled--> READY --next--> HELD --release--> FREE
 *
 * Batches are claimed in order, each as a whole by one thread, so whichever batch the trainer
 * waits for has been claimed before all later ones, and waiting always ends. lh__loader_begin
 * starts another pass; a slot that is being filled for an earlier pass goes back to FREE when it
 * is done. One mutex guards all of this, held for a few instructions per batch.
 */
#include "data/loader.h"

#include "data/permutation.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORKERS = 256, MAX_PREFETCH = 4096, CHEAP_BATCH = 1 << 20, ALIGNMENT = 64 };

enum slot_state { FREE, FILLING, READY, HELD };

typedef struct slot {
    lh__batch batch; /* first: lh__loader_release casts back */
    enum slot_state state;
    uint64_t pass; /* that it was claimed for */
    lh_status status;
    lh__error error;
    int64_t *indices;
} slot;

/* A thread that fetches. */
typedef struct fetcher {
    pthread_t thread;
    lh__loader *loader;
    lh__lane *lane;
} fetcher;

struct lh__loader {
    const lh_dataset *dataset;
    lh_loader_options options;
    uint64_t seed;
    uint32_t id;
    int64_t batches; /* in an epoch */
    int32_t n_workers, n_slots;
    slot *slots;
    void *memory; /* the fields of all slots */
    int64_t *indices;
    fetcher *fetchers;
    int32_t n_threads; /* started */
    lh__profile *profile;

    pthread_mutex_t lock; /* guards everything below, and the slots' states */
    pthread_cond_t work;  /* a slot is free and a batch left, or it is time to stop */
    pthread_cond_t ready; /* a batch is ready, or a slot has become free */
    uint64_t pass;
    lh__permutation order;
    int64_t claimed, taken, end; /* batches: the next to claim, the next to hand out, the limit */
    int32_t asleep;              /* threads waiting for work */
    int32_t waiting;             /* 1: the trainer waits */
    int32_t stop;
};

/* Making. */

static int32_t cores(void) {
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static size_t aligned(size_t size) {
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static int64_t slot_items(const lh__loader *l) {
    return l->options.batch_size < l->dataset->length ? l->options.batch_size : l->dataset->length;
}

/* The bytes of a slot's fields; LH_ENOMEM if no machine has as many. */
static lh_status slot_bytes(const lh__loader *l, size_t *bytes, lh__error *e) {
    *bytes = 0;
    for (int32_t f = 0; f < l->dataset->n_fields; f++) {
        size_t size;

        if (__builtin_mul_overflow(lh__field_size(&l->dataset->fields[f]), (size_t)slot_items(l),
                                   &size) ||
            size > INT64_MAX / (MAX_PREFETCH * 2) ||
            __builtin_add_overflow(*bytes, aligned(size), bytes))
            return lh__fail(e, LH_ENOMEM,
                            "a loader: batches of %" PRId64 " items do not fit into memory",
                            slot_items(l));
    }
    return LH_OK;
}

static int32_t choose_workers(const lh__loader *l, size_t batch_bytes) {
    int32_t n = cores();

    if (n == 1 || (l->dataset->in_memory && batch_bytes < CHEAP_BATCH))
        return 0;
    if (l->dataset->in_memory)
        return 1;
    return n / 2 < 8 ? n / 2 : 8;
}

static lh_status check_options(const lh_loader_options *o, lh__error *e) {
    if (!o->dataset)
        return lh__fail(e, LH_EINVAL, "a loader: `dataset` is missing");
    if (o->batch_size < 1)
        return lh__fail(e, LH_EINVAL, "a loader: batch_size is %" PRId64 ", it must be at least 1",
                        o->batch_size);
    if (o->dataset->length == 0)
        return lh__fail(e, LH_EINVAL, "a loader: the dataset is empty");
    if (o->drop_last && o->batch_size > o->dataset->length)
        return lh__fail(e, LH_EINVAL,
                        "a loader: drop_last leaves no batch: batch_size is %" PRId64
                        ", the dataset holds %" PRId64 " items",
                        o->batch_size, o->dataset->length);
    if (o->num_workers < -1 || o->num_workers > MAX_WORKERS)
        return lh__fail(
            e, LH_EINVAL,
            "a loader: num_workers is %d; it may be 0 to %d, or -1 for the host's choice",
            o->num_workers, MAX_WORKERS);
    if (o->prefetch < 0 || o->prefetch > MAX_PREFETCH)
        return lh__fail(
            e, LH_EINVAL,
            "a loader: prefetch is %d; it may be 1 to %d batches, or 0 for two per thread",
            o->prefetch, MAX_PREFETCH);
    return LH_OK;
}

static lh_status make_slots(lh__loader *l, size_t bytes, lh__error *e) {
    const lh_dataset *d = l->dataset;
    int64_t items = slot_items(l);
    int32_t ahead = l->options.prefetch ? l->options.prefetch : 2 * l->n_workers;
    uint8_t *at;
    size_t total;

    l->n_slots = LH__BATCHES_HELD + (l->n_workers ? ahead : 0);
    l->slots = calloc((size_t)l->n_slots, sizeof *l->slots);
    l->indices = calloc((size_t)l->n_slots * (size_t)items, sizeof *l->indices);
    l->fetchers = calloc((size_t)l->n_workers + 1, sizeof *l->fetchers);
    if (!__builtin_mul_overflow(bytes, (size_t)l->n_slots, &total))
        l->memory = aligned_alloc(ALIGNMENT, total);
    if (!l->slots || !l->indices || !l->fetchers || !l->memory)
        return lh__fail(e, LH_ENOMEM,
                        "a loader: no memory for %d batches of %zu bytes; lower batch_size or "
                        "prefetch",
                        l->n_slots, bytes);
    at = l->memory;
    for (int32_t i = 0; i < l->n_slots; i++) {
        lh__batch *b = &l->slots[i].batch;

        l->slots[i].indices = l->indices + i * items;
        b->indices = l->slots[i].indices;
        b->n_fields = d->n_fields;
        for (int32_t f = 0; f < d->n_fields; f++) {
            b->fields[f] = d->fields[f];
            b->fields[f].ndim++;
            memcpy(b->fields[f].shape + 1, d->fields[f].shape,
                   (size_t)d->fields[f].ndim * sizeof *d->fields[f].shape);
            b->data[f] = at;
            at += aligned(lh__field_size(&d->fields[f]) * (size_t)items);
        }
    }
    return LH_OK;
}

lh__loader *lh__loader_new(const lh_loader_options *options, uint64_t seed, uint32_t id,
                           lh__error *e) {
    int64_t n, size;
    size_t bytes;
    lh__loader *l;

    if (check_options(options, e) != LH_OK)
        return NULL;
    l = calloc(1, sizeof *l);
    if (!l) {
        lh__fail(e, LH_ENOMEM, "a loader: out of memory");
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    l->options = *options;
    l->dataset = options->dataset;
    l->seed = seed;
    l->id = id;
    n = l->dataset->length;
    size = options->batch_size;
    l->batches = n / size + (!options->drop_last && n % size != 0);
    if (slot_bytes(l, &bytes, e) != LH_OK)
        goto fail;
    l->n_workers = options->num_workers;
    if (l->n_workers < 0)
        l->n_workers = choose_workers(l, bytes);
    if (make_slots(l, bytes, e) != LH_OK)
        goto fail;
    return l;
fail:
    lh__loader_free(l);
    return NULL;
}

void lh__loader_free(lh__loader *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = 1;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int32_t i = 0; i < l->n_threads; i++)
        pthread_join(l->fetchers[i].thread, NULL);
    pthread_cond_destroy(&l->ready);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    free(l->fetchers);
    free(l->memory);
    free(l->indices);
    free(l->slots);
    free(l);
}

void lh__loader_profile(lh__loader *l, lh__profile *p) {
    l->profile = p;
}

int64_t lh__loader_batches(const lh__loader *l) {
    return l->batches;
}

int32_t lh__loader_workers(const lh__loader *l) {
    return l->n_workers;
}

/* Filling. */

/* Takes a free slot for the next batch, or NULL if there is none or all batches are claimed. The
 * lock is held. */
static slot *claim(lh__loader *l) {
    if (l->claimed >= l->end)
        return NULL;
    for (int32_t i = 0; i < l->n_slots; i++)
        if (l->slots[i].state == FREE) {
            l->slots[i].state = FILLING;
            l->slots[i].pass = l->pass;
            l->slots[i].batch.index = l->claimed++;
            return &l->slots[i];
        }
    return NULL;
}

/* Collates a claimed batch. The lock is not held; `order` is the caller's copy. */
static void fill(const lh__loader *l, const lh__permutation *order, slot *s) {
    lh__batch *b = &s->batch;
    int64_t first = b->index * l->options.batch_size, left = l->dataset->length - first;

    b->size = left < l->options.batch_size ? left : l->options.batch_size;
    for (int64_t i = 0; i < b->size; i++)
        s->indices[i] =
            l->options.shuffle ? (int64_t)lh__permute(order, (uint64_t)(first + i)) : first + i;
    for (int32_t f = 0; f < b->n_fields; f++)
        b->fields[f].shape[0] = b->size;
    s->error.code = LH_OK;
    s->status = l->dataset->kind->gather(l->dataset, s->indices, b->size, b->data, &s->error);
    if (s->status != LH_OK)
        lh__error_prefix(&s->error, "batch %" PRId64, b->index);
}

static void *worker(void *arg) {
    const fetcher *me = arg;
    lh__loader *l = me->loader;

    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        slot *s = claim(l);
        lh__permutation order = l->order;
        int64_t began;

        if (!s) {
            l->asleep++;
            pthread_cond_wait(&l->work, &l->lock);
            l->asleep--;
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        began = lh__span_begin(me->lane);
        fill(l, &order, s);
        lh__span_end(me->lane, LH__SPAN_WORK, NULL, "batch", began);
        pthread_mutex_lock(&l->lock);
        s->state = s->pass == l->pass ? READY : FREE;
        if (l->waiting && (s->state == FREE || s->batch.index == l->taken))
            pthread_cond_signal(&l->ready);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Starts the threads that aren't running yet; signals stay with the other threads. */
static lh_status start_threads(lh__loader *l, lh__error *e) {
    lh_status status = LH_OK;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (status == LH_OK && l->n_threads < l->n_workers) {
        fetcher *f = &l->fetchers[l->n_threads];
        char name[48];
        int rc;

        snprintf(name, sizeof name, "Fetch thread %d of loader %u", l->n_threads, l->id);
        *f = (fetcher){.loader = l, .lane = lh__profile_lane(l->profile, name)};
        rc = pthread_create(&f->thread, NULL, worker, f);

        if (rc)
            status = lh__fail(e, LH_ENOMEM, "a loader: fetch thread %d of %d can't start: %s",
                              l->n_threads + 1, l->n_workers, strerror(rc));
        else
            pthread_setname_np(f->thread, "lhost-fetch"), l->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* Handing out. */

lh_status lh__loader_begin(lh__loader *l, uint64_t epoch, int64_t first, int64_t limit,
                           lh__error *e) {
    lh__philox_key key = {.seed = l->seed, .stream = LH__STREAM_SHUFFLE + l->id, .step = epoch};

    if (first < 0)
        return lh__fail(e, LH_EINVAL, "a loader can't begin at batch %" PRId64, first);
    pthread_mutex_lock(&l->lock);
    l->pass++;
    for (int32_t i = 0; i < l->n_slots; i++)
        if (l->slots[i].state == READY)
            l->slots[i].state = FREE;
    l->order = lh__permutation_of((uint64_t)l->dataset->length, key);
    l->claimed = l->taken = first;
    l->end = limit < 0 || limit > l->batches ? l->batches : limit;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return start_threads(l, e);
}

/* The slot of the batch to be handed out, or NULL if it isn't ready. The lock is held. */
static slot *find_ready(lh__loader *l, int *held) {
    slot *found = NULL;

    *held = 0;
    for (int32_t i = 0; i < l->n_slots; i++) {
        slot *s = &l->slots[i];

        *held += s->state == HELD;
        if (s->state == READY && s->batch.index == l->taken)
            found = s;
    }
    return found;
}

/* Waits for the batch that is due; the lock is held. NULL: too many are held. */
static slot *await(lh__loader *l) {
    int held;
    slot *s;

    while (!(s = find_ready(l, &held)) && held < LH__BATCHES_HELD) {
        if (l->n_workers == 0) {
            s = claim(l);
            fill(l, &l->order, s);
            return s;
        }
        if (l->asleep)
            pthread_cond_broadcast(&l->work);
        l->waiting = 1;
        pthread_cond_wait(&l->ready, &l->lock);
        l->waiting = 0;
    }
    return held < LH__BATCHES_HELD ? s : NULL;
}

lh_status lh__loader_next(lh__loader *l, lh__batch **out, lh__error *e) {
    lh_status status = LH_OK;
    slot *s;

    *out = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->pass == 0) {
        status = lh__fail(e, LH_ESTATE, "a loader: no epoch has begun");
    } else if (l->taken < l->end) {
        s = await(l);
        if (!s) {
            status =
                lh__fail(e, LH_ESTATE, "a loader: %d batches are held already, release one first",
                         LH__BATCHES_HELD);
        } else if (s->status != LH_OK) {
            status = lh__fail(e, s->status, "%s", s->error.text);
            s->state = FREE;
            l->taken++;
        } else {
            s->state = HELD;
            l->taken++;
            *out = &s->batch;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

/* Sleeping threads are woken when half of the slots are free, not for every one: waking costs more
 * than a small batch. */
void lh__loader_release(lh__loader *l, lh__batch *b) {
    int32_t free_slots = 0;

    pthread_mutex_lock(&l->lock);
    ((slot *)b)->state = FREE;
    for (int32_t i = 0; i < l->n_slots; i++)
        free_slots += l->slots[i].state == FREE;
    if (l->asleep && l->claimed < l->end && free_slots * 2 >= l->n_slots)
        pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}
