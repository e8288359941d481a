/* data.h - datasets and loaders, for authors.
 *
 * A dataset is a number of items, each a tuple of fields of fixed dtype and shape; a loader
 * collates items into batches, whose fields have the batch as first axis. Datasets are made in
 * setup or in the dataloader hooks and live with the run. [trainer]
 */
#ifndef LHOST_DATA_H
#define LHOST_DATA_H

#include "host.h"

LH_EXTERN_C_BEGIN

/* One IDX file per field, plain or gzipped: images stay U8, a file of one dimension (labels)
 * becomes an I64 scalar. All must hold the same number of items. lh_dataset *d = lh_dataset_idx(c,
 * "mnist/train-images-idx3-ubyte", "mnist/train-..."); */
#define lh_dataset_idx(c, ...)                                      \
    (c)->host->dataset_idx((c), (const char *const[]){__VA_ARGS__}, \
                           (int32_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

/* A copy of tensors that share their first axis, one field each. */
#define lh_dataset_tensors(c, ...)              \
    (c)->host->dataset_tensors(                 \
        (c), (lh_tensor *const[]){__VA_ARGS__}, \
        (int32_t)(sizeof((lh_tensor *const[]){__VA_ARGS__}) / sizeof(lh_tensor *)))

/* A dataset that the plugin reads itself, item by item, on fetch threads:
 *     lh_dataset_map(c, .length = 1000, .get_item = item, .user = data, .n_fields = 2,
 *                    .fields = (const lh_field[]){LH_FIELD(LH_F32, 2, 28, 28),
 *                                                 LH_FIELD(LH_I64, 0, 0)}); */
#define lh_dataset_map(c, ...) \
    (c)->host->dataset((c), &(const lh_dataset_desc){LH_SIZED(lh_dataset_desc), __VA_ARGS__})
#define LH_FIELD(dtype_, ndim_, ...)                                                 \
    {                                                                                \
        LH_SIZED(lh_field), .dtype = dtype_, .ndim = ndim_, .shape = { __VA_ARGS__ } \
    }

/* The items at `indices`, copied. */
static inline lh_dataset *lh_subset(lh_ctx *c, lh_dataset *d, const int64_t *indices, int64_t n) {
    return c->host->subset(c, d, indices, n);
}

/* Disjoint random parts; lengths add up to the dataset's. The same seed gives the same parts. */
static inline lh_status lh_random_split(lh_ctx *c, lh_dataset *d, const int64_t *lengths, int32_t n,
                                        int64_t seed, lh_dataset **out) {
    return c->host->random_split(c, d, lengths, n, seed, out);
}

/* Field `field` as F32: (x * scale - mean) / std. torchvision's ToTensor and Normalize of a byte
 * image are scale 1/255 and its mean and std. */
static inline lh_dataset *lh_normalize(lh_ctx *c, lh_dataset *d, int32_t field, double scale,
                                       double mean, double std) {
    return c->host->normalize(c, d, field, scale, mean, std);
}

static inline int64_t lh_dataset_length(lh_ctx *c, const lh_dataset *d) {
    return c->host->dataset_length(c, d);
}

/* Adds a loader to the stage whose *_dataloader hook is running; several are numbered in order.
 *     return lh_loader(c, .dataset = d, .batch_size = 64, .shuffle = 1, .num_workers = 2); */
#define lh_loader(c, ...)                                                          \
    (c)->host->loader((c), &(const lh_loader_options){LH_SIZED(lh_loader_options), \
                                                      .num_workers = -1, __VA_ARGS__})

/* Field `field` of a batch, shape (batch, ...). */
static inline lh_tensor *lh_batch_get(lh_ctx *c, const lh_batch *b, int32_t field) {
    return c->host->batch_get(c, b, field);
}

static inline int64_t lh_batch_size(lh_ctx *c, const lh_batch *b) {
    return c->host->batch_size(c, b);
}

/* In transfer hooks and tbptt_split_batch: replaces a field of the batch. */
static inline lh_status lh_batch_set(lh_ctx *c, lh_batch *b, int32_t field, lh_tensor *t) {
    return c->host->batch_set(c, b, field, t);
}

/* In prepare_data: makes sure that the file is in the data root, downloading it if it can. The
 * SHA-256 is that of the decompressed content. LH_ENOTFOUND, unrecorded, when it cannot be had. */
#define lh_fetch(c, path, sha256, ...)                                                       \
    (c)->host->fetch((c), (path), (const char *const[]){__VA_ARGS__},                        \
                     (int32_t)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)), \
                     (sha256))

LH_EXTERN_C_END
#endif
