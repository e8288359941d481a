/* loader.c - the threads and the slots behind loader.h.
 *
 * Every batch is made in one of a fixed number of slots:
 *
 *     FREE --claim--> FILLING --filled--> READY --next--> HELD --release--> FREE
 *
 * Batches are claimed in order, each in pieces: a fetch thread, or the trainer where there is none
 * and nobody helps, claims a whole batch; idle compute threads claim a few items at a time, and the
 * trainer, when it comes too early, the pieces that are left. Whichever batch the trainer waits for
 * has been claimed before all later ones, and waiting always ends. lh__loader_begin starts another
 * pass; a slot that is being filled for an earlier pass goes back to FREE when the pieces under way
 * are done. One mutex guards all of this, held for a few instructions per piece.
 */
#include "data/loader.h"

#include "data/permutation.h"
#include "helper/helper.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORKERS = 256, MAX_PREFETCH = 4096, ALIGNMENT = 64 };

/* Bytes: of a batch that is not worth a thread where all cores compute; of the items that a compute
 * thread fetches at a time, about a microsecond's work. */
enum { CHEAP_BATCH = 1 << 20, PIECE = 1 << 14 };

enum slot_state { FREE, FILLING, READY, HELD };

typedef struct slot {
    lh__batch batch; /* first: lh__loader_release casts back */
    enum slot_state state;
    uint64_t pass;            /* that it was claimed for */
    int64_t next, done, goal; /* items: the next to claim, fetched, to be fetched */
    int64_t failed_at;        /* the first item of the piece that `status` is of */
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
    int32_t n_workers, n_slots, is_helped;
    int64_t piece; /* items that are claimed at a time */
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
    slot *open;                  /* the batch with pieces left to claim, or NULL */
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

/* Who fetches. What is cheap is not worth a thread: its batches come from another core's cache. But
 * compute threads other than the trainer's have idle moments, and help with it. */
static void choose_workers(lh__loader *l, size_t batch_bytes, int32_t compute_threads) {
    int32_t n = cores(), is_cheap = l->dataset->in_memory && batch_bytes < CHEAP_BATCH;
    int64_t item_bytes = (int64_t)batch_bytes / slot_items(l);

    l->n_workers = l->options.num_workers;
    if (l->n_workers < 0) {
        if (n == 1 || is_cheap)
            l->n_workers = 0;
        else if (l->dataset->in_memory)
            l->n_workers = 1;
        else
            l->n_workers = n / 2 < 8 ? n / 2 : 8;
    }
    l->is_helped = l->n_workers == 0 && is_cheap && item_bytes <= PIECE && compute_threads > 1 &&
                   compute_threads <= n;
    l->piece = l->is_helped ? PIECE / (item_bytes > 0 ? item_bytes : 1) : l->options.batch_size;
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
    int32_t ahead = l->options.prefetch ? l->options.prefetch : l->is_helped ? 4 : 2 * l->n_workers;
    uint8_t *at;
    size_t total;

    l->n_slots = LH__BATCHES_HELD + (l->n_workers || l->is_helped ? ahead : 0);
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
                           int32_t compute_threads, lh__error *e) {
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
    choose_workers(l, bytes, compute_threads);
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

int32_t lh__loader_is_helped(const lh__loader *l) {
    return l->is_helped;
}

/* Filling. */

/* A piece of work: `n` items of a batch from item `from` on. */
typedef struct piece {
    slot *slot; /* NULL: there is no work */
    int64_t from, n;
    lh__permutation order;
} piece;

/* Takes a free slot for the next batch, or NULL if there is none or all batches are claimed. The
 * lock is held. */
static slot *claim_batch(lh__loader *l) {
    int64_t first = l->claimed * l->options.batch_size, left = l->dataset->length - first;

    if (l->claimed >= l->end)
        return NULL;
    for (int32_t i = 0; i < l->n_slots; i++) {
        slot *s = &l->slots[i];
        lh__batch *b = &s->batch;

        if (s->state != FREE)
            continue;
        s->state = FILLING;
        s->pass = l->pass;
        s->status = LH_OK;
        s->error.code = LH_OK;
        b->index = l->claimed++;
        b->size = left < l->options.batch_size ? left : l->options.batch_size;
        for (int32_t f = 0; f < b->n_fields; f++)
            b->fields[f].shape[0] = b->size;
        s->next = s->done = 0;
        s->goal = b->size;
        return s;
    }
    return NULL;
}

/* The lock is held. */
static piece claim(lh__loader *l) {
    slot *s = l->open ? l->open : claim_batch(l);
    piece p = {s, 0, 0, l->order};

    if (!s)
        return p;
    p.from = s->next;
    p.n = s->goal - s->next < l->piece ? s->goal - s->next : l->piece;
    s->next += p.n;
    l->open = s->next < s->goal ? s : NULL;
    return p;
}

/* Fetches a piece. The lock is not held. */
static lh_status fetch(const lh__loader *l, const piece *p, lh__error *e) {
    const lh__batch *b = &p->slot->batch;
    int64_t first = b->index * l->options.batch_size + p->from;
    int64_t *indices = p->slot->indices + p->from;
    void *at[LH__MAX_FIELDS];

    for (int64_t i = 0; i < p->n; i++)
        indices[i] =
            l->options.shuffle ? (int64_t)lh__permute(&p->order, (uint64_t)(first + i)) : first + i;
    for (int32_t f = 0; f < b->n_fields; f++)
        at[f] = (uint8_t *)b->data[f] + (size_t)p->from * lh__field_size(&l->dataset->fields[f]);
    return l->dataset->kind->gather(l->dataset, indices, p->n, at, e);
}

/* Counts a piece as done; the error of a batch is that of its first piece with one. The lock is
 * held. */
static void finish(lh__loader *l, const piece *p, lh_status status, const lh__error *e) {
    slot *s = p->slot;

    if (status != LH_OK && (s->status == LH_OK || p->from < s->failed_at)) {
        s->status = status;
        s->error = *e;
        s->failed_at = p->from;
        lh__error_prefix(&s->error, "batch %" PRId64, s->batch.index);
    }
    s->done += p->n;
    if (s->done < s->goal)
        return;
    s->state = s->pass == l->pass ? READY : FREE;
    if (l->waiting && (s->state == FREE || s->batch.index == l->taken))
        pthread_cond_signal(&l->ready);
}

/* A piece from the claim to the end. The lock is held before and after; 0: there is no work. */
static int work(lh__loader *l, lh__lane *lane) {
    piece p = claim(l);
    lh__error e = {0};
    lh_status status;
    int64_t began;

    if (!p.slot)
        return 0;
    pthread_mutex_unlock(&l->lock);
    began = lh__span_begin(lane);
    status = fetch(l, &p, &e);
    lh__span_end(lane, LH__SPAN_WORK, NULL, "batch", began);
    pthread_mutex_lock(&l->lock);
    finish(l, &p, status, &e);
    return 1;
}

static void *worker(void *arg) {
    const fetcher *me = arg;
    lh__loader *l = me->loader;

    lh__helper_begins();
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (work(l, me->lane))
            continue;
        l->asleep++;
        pthread_cond_wait(&l->work, &l->lock);
        l->asleep--;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Whoever holds the lock will be here again soon. */
int32_t lh__loader_help(lh__loader *l) {
    int32_t did = 0;

    if (!l->is_helped || pthread_mutex_trylock(&l->lock) != 0)
        return 0;
    did = l->pass > 0 && work(l, NULL);
    pthread_mutex_unlock(&l->lock);
    return did;
}

/* Starts the threads that aren't running yet. */
static lh_status start_threads(lh__loader *l, lh__error *e) {
    while (l->n_threads < l->n_workers) {
        fetcher *f = &l->fetchers[l->n_threads];
        char name[48];
        int rc;

        snprintf(name, sizeof name, "Fetch thread %d of loader %u", (int)l->n_threads, l->id);
        *f = (fetcher){.loader = l, .lane = lh__profile_lane(l->profile, name)};
        rc = lh__helper_start(&f->thread, "lhost-fetch", worker, f);
        if (rc)
            return lh__fail(e, LH_ENOMEM, "a loader: fetch thread %d of %d can't start: %s",
                            l->n_threads + 1, l->n_workers, strerror(rc));
        l->n_threads++;
    }
    return LH_OK;
}

/* Handing out. */

lh_status lh__loader_begin(lh__loader *l, uint64_t epoch, int64_t first, int64_t limit,
                           lh__error *e) {
    lh__philox_key key = {.seed = l->seed, .stream = LH__STREAM_SHUFFLE + l->id, .step = epoch};

    if (first < 0)
        return lh__fail(e, LH_EINVAL, "a loader can't begin at batch %" PRId64, first);
    pthread_mutex_lock(&l->lock);
    l->pass++;
    l->open = NULL;
    for (int32_t i = 0; i < l->n_slots; i++) {
        slot *s = &l->slots[i];

        if (s->state == FILLING)
            s->goal = s->next; /* no more pieces of it */
        if (s->state == READY || (s->state == FILLING && s->done == s->goal))
            s->state = FREE;
    }
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

/* Without fetch threads: does what is left of the batch, or waits for the last pieces of others. */
static void fetch_now(lh__loader *l) {
    if (work(l, NULL))
        return;
    pthread_mutex_unlock(&l->lock);
    sched_yield();
    pthread_mutex_lock(&l->lock);
}

/* Waits for the batch that is due; the lock is held. NULL: too many are held. */
static slot *await(lh__loader *l) {
    int held;
    slot *s;

    while (!(s = find_ready(l, &held)) && held < LH__BATCHES_HELD) {
        if (l->n_workers == 0) {
            fetch_now(l);
            continue;
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
