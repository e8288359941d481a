/* dataset.h - what can be read by index: files, arrays, a plugin's own items, and views of these.
 *
 * Invariants: a dataset never changes once made, so any number of threads may read it at once; it
 * belongs to a lh__datasets and lives until that is freed. Making one is [trainer]; every function
 * that makes one returns NULL and records the reason in `e` when it can't.
 */
#ifndef LH_DATA_DATASET_H
#define LH_DATA_DATASET_H

#include "engine/error.h"

#include <lhost/types.h>

enum { LH__MAX_FIELDS = 16 };

/* How a kind of dataset reads. */
typedef struct lh__dataset_kind {
    /* Writes items indices[0..n) one behind the other to fields[i], for each field. A NULL in
     * `fields` leaves that field out, which only fields that `at` knows allow. Indices are in
     * range. Any thread; allocates nothing; O(bytes written). */
    lh_status (*gather)(const lh_dataset *d, const int64_t *indices, int64_t n, void *const *fields,
                        lh__error *e);
    /* Where field `field` of item `index` lies in memory, or NULL if it is made at reading: for
     * all items of a field, or for none. May be NULL. */
    const void *(*at)(const lh_dataset *d, int32_t field, int64_t index);
    void (*destroy)(lh_dataset *d); /* frees the memory of `d` and what it owns */
} lh__dataset_kind;

/* The head of every kind's own struct. */
struct lh_dataset {
    const lh__dataset_kind *kind;
    int64_t length;
    int32_t n_fields;
    int32_t in_memory; /* 1: reading is copying or scaling, without a plugin's code */
    lh_field fields[LH__MAX_FIELDS];
    lh_dataset *next; /* in its owner */
};

/* The owner of a run's datasets. */
typedef struct lh__datasets lh__datasets;
lh__datasets *lh__datasets_new(void); /* NULL: out of memory */
void lh__datasets_free(lh__datasets *all);

/* IDX files, one per field, plain or gzip; `root` and `paths` as in lh__data_find. The lengths of
 * all files must agree. Bytes are U8 fields, but a one-dimensional file of bytes holds labels: an
 * I64 scalar per item. Wider integers become I64, floats F32 and F64. A file that is opened again
 * is not read again. */
lh_dataset *lh__dataset_idx(lh__datasets *all, const char *root, const char *const *paths,
                            int32_t n, lh__error *e);

/* Arrays whose first dimension counts the items; copied. */
typedef struct lh__array {
    int32_t dtype, ndim;
    int64_t shape[LH_MAX_DIMS];
    const void *data; /* contiguous */
} lh__array;
lh_dataset *lh__dataset_arrays(lh__datasets *all, const lh__array *arrays, int32_t n, lh__error *e);

/* A plugin's own: desc->get_item is called by the loader's threads, several at once. */
lh_dataset *lh__dataset_custom(lh__datasets *all, const lh_dataset_desc *desc, lh__error *e);

/* Items `indices` of `d`, in that order; copied. */
lh_dataset *lh__dataset_subset(lh__datasets *all, const lh_dataset *d, const int64_t *indices,
                               int64_t n, lh__error *e);

/* Parts of `d` of the given lengths, which must add up to its own, out[0..n), their items drawn
 * without replacement by a permutation that depends on `seed` and the length of `d` alone. */
lh_status lh__dataset_split(lh__datasets *all, const lh_dataset *d, const int64_t *lengths,
                            int32_t n, uint64_t seed, lh_dataset **out, lh__error *e);

/* `d` with field `field`, of U8 or F32, turned into F32: (x * scale - mean) / std. Computed in f32
 * with the reciprocal of std. */
lh_dataset *lh__dataset_normalize(lh__datasets *all, const lh_dataset *d, int32_t field,
                                  double scale, double mean, double std, lh__error *e);

/* The bytes of one item's field. The shape has been checked when the dataset was made. */
size_t lh__field_size(const lh_field *f);

/* Reads items indices[0..n) into fields[i], each of at least n * lh__field_size bytes. Fails with
 * LH_EINVAL if an index is out of range. Any thread. */
lh_status lh__dataset_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                             void *const *fields, lh__error *e);

/* For the kinds. */

/* Asks for an item of `size` bytes that will be read LH__ITEMS_AHEAD items later. Shuffled items
 * come from main memory, and waiting for each would take longer than reading it; of long ones
 * the beginning is enough. */
enum { LH__ITEMS_AHEAD = 4 };
static inline void lh__prefetch(const void *item, size_t size) {
    for (size_t i = 0; i < size && i < 2048; i += 64)
        __builtin_prefetch((const char *)item + i);
}

/* Copies `count` fields after checking them: dtype known, 0 to LH_MAX_DIMS - 1 dimensions of at
 * least 1, a size that fits; `what` begins the message. Sets n_fields. */
lh_status lh__dataset_set_fields(lh_dataset *d, const lh_field *fields, int32_t count,
                                 const char *what, lh__error *e);
/* Gives `d` to its owner and returns it. */
lh_dataset *lh__datasets_add(lh__datasets *all, lh_dataset *d);

/* A file's content, kept by the owner so that it is read once. */
typedef struct lh__idx_file lh__idx_file;
lh__idx_file **lh__datasets_files(lh__datasets *all);

#endif
