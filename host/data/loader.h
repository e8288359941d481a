/* loader.h - batches of a dataset, fetched ahead by threads of its own.
 *
 * Invariants: which items make up batch k of an epoch, their order and their bits depend on the
 * seed, the loader's id and the epoch alone: not on the number of threads, on time, or on where
 * reading began. Everything is allocated when the loader is made or first begun; threads live
 * until it is freed. All functions but lh__loader_help are [trainer].
 */
#ifndef LH_DATA_LOADER_H
#define LH_DATA_LOADER_H

#include "data/dataset.h"
#include "profile/profile.h"

typedef struct lh__loader lh__loader;

/* A collated batch, from lh__loader_next until lh__loader_release. */
typedef struct lh__batch {
    int64_t index; /* within the epoch, from 0 */
    int64_t size;  /* items: the first dimension of every field */
    int32_t n_fields;
    int32_t reserved;
    lh_field fields[LH__MAX_FIELDS]; /* shape (size, item's shape...) */
    void *data[LH__MAX_FIELDS];      /* 64-byte aligned, contiguous; the holder may write to it */
    const int64_t *indices;          /* of its items in the dataset */
} lh__batch;

/* How many batches may be held at once. */
enum { LH__BATCHES_HELD = 2 };

/* A loader as lh_loader_options describes it; batch_size must be decided (not 0), num_workers -1
 * is decided here: none for a dataset in memory whose batches are below 1 MiB, or on a single core
 * (handing over would cost more than it hides); else one thread, or for a plugin's items half
 * of the cores, 8 at most. prefetch and pin_memory mean nothing without threads and on the CPU.
 * Where there are no threads and batches are as cheap as that, the idle ones of the run's
 * `compute_threads` (0: unknown) may fetch them with lh__loader_help.
 * NULL and the reason in `e`: batch size below 1, empty dataset, no batch left by drop_last,
 * absurd numbers of threads or batches ahead, out of memory. `id` tells the run's loaders apart. */
lh__loader *lh__loader_new(const lh_loader_options *options, uint64_t seed, uint32_t id,
                           int32_t compute_threads, lh__error *e);

/* Stops the threads, waiting for a fetch under way, and frees the loader and its batches. */
void lh__loader_free(lh__loader *l);

/* Every batch that a thread fetches is a span of a lane of its own. Before the first begin. */
void lh__loader_profile(lh__loader *l, lh__profile *p);

int64_t lh__loader_batches(const lh__loader *l); /* in an epoch */
int32_t lh__loader_workers(const lh__loader *l); /* threads decided upon */

/* Fetches a few items ahead, about a microsecond's work; 0: there is nothing to do, or it isn't
 * wanted (lh__loader_is_helped). Any thread, several at once, from lh__loader_new to _free. */
int32_t lh__loader_help(lh__loader *l);
int32_t lh__loader_is_helped(const lh__loader *l);

/* The next batch will be number `first` of epoch `epoch`; the epoch ends before batch `limit` (-1,
 * or more than there are: where the data ends). Whatever was fetched before is dropped, batches
 * being held excepted. Threads start fetching at once, so begin the next epoch as soon as the last
 * batch of this one has been taken. Fails if a thread can't be started or `first` is negative. */
lh_status lh__loader_begin(lh__loader *l, uint64_t epoch, int64_t first, int64_t limit,
                           lh__error *e);

/* The next batch, or NULL in *out when the epoch is over. A dataset's error comes with the batch
 * it belongs to; the call after it goes on behind that batch. LH_ESTATE: LH__BATCHES_HELD are held
 * already, or nothing was begun. Waits if the batch isn't there yet. */
lh_status lh__loader_next(lh__loader *l, lh__batch **out, lh__error *e);

/* Gives the batch's memory back. */
void lh__loader_release(lh__loader *l, lh__batch *b);

#endif
