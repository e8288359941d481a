/* host_data.c - datasets, loaders and batches, as plugins call them. */
#include "data/root.h"
#include "trainer/host_table.h"

#include <stdlib.h>
#include <string.h>

#define DATASETS(c) (lh__of(c)->trainer->datasets)
#define ERROR(c) (&lh__of(c)->error)
#define ROOT(c) (lh__data_root(lh__of(c)->trainer->config->data_root))

static lh_dataset *dataset(lh_ctx *c, const lh_dataset_desc *d) {
    return lh__dataset_custom(DATASETS(c), d, ERROR(c));
}

static lh_dataset *dataset_idx(lh_ctx *c, const char *const *paths, int32_t n) {
    return lh__dataset_idx(DATASETS(c), ROOT(c), paths, n, ERROR(c));
}

/* The arrays are read out, since a tensor may be a view. */
static lh_dataset *dataset_tensors(lh_ctx *c, lh_tensor *const *tensors, int32_t n) {
    lh__array arrays[LH__MAX_FIELDS] = {{0}};
    void *copies[LH__MAX_FIELDS] = {NULL};
    lh_dataset *d = NULL;
    int32_t k = 0;

    if (n < 1 || n > LH__MAX_FIELDS) {
        lh__fail(ERROR(c), LH_EINVAL, "lh_dataset_tensors: %d fields; 1 to %d are possible", (int)n,
                 (int)LH__MAX_FIELDS);
        return NULL;
    }
    for (; k < n; k++) {
        const lh__view *v = tensors[k] ? &tensors[k]->view : NULL;
        uint64_t size = v ? (uint64_t)(lh__view_numel(v) * lh__dtype_size(v->dtype)) : 0;

        if (!v || !(copies[k] = malloc(size ? size : 1)))
            goto done;
        if (lh__tensor_read(LH__ENGINE(c), tensors[k], copies[k], size) != LH_OK)
            goto done;
        arrays[k] = (lh__array){.dtype = v->dtype, .ndim = v->ndim, .data = copies[k]};
        memcpy(arrays[k].shape, v->shape, sizeof arrays[k].shape);
    }
    d = lh__dataset_arrays(DATASETS(c), arrays, n, ERROR(c));
done:
    for (k = 0; k < n; k++)
        free(copies[k]);
    return d;
}

static lh_dataset *subset(lh_ctx *c, lh_dataset *d, const int64_t *indices, int64_t n) {
    return d ? lh__dataset_subset(DATASETS(c), d, indices, n, ERROR(c)) : NULL;
}

static lh_status random_split(lh_ctx *c, lh_dataset *d, const int64_t *lengths, int32_t n,
                              int64_t seed, lh_dataset **out) {
    return d ? lh__dataset_split(DATASETS(c), d, lengths, n, (uint64_t)seed, out, ERROR(c))
             : LH_EINVAL;
}

static lh_dataset *normalize(lh_ctx *c, lh_dataset *d, int32_t field, double scale, double mean,
                             double std) {
    return d ? lh__dataset_normalize(DATASETS(c), d, field, scale, mean, std, ERROR(c)) : NULL;
}

static int64_t dataset_length(lh_ctx *c, const lh_dataset *d) {
    return d ? d->length : 0;
}

static lh_status loader(lh_ctx *c, const lh_loader_options *options) {
    lh_loader_options o;

    if (lh__of(c)->error.code != LH_OK)
        return lh__of(c)->error.code;
    lh__known(&o, sizeof o, options);
    return lh__add_loader(lh__of(c)->trainer, &o, ERROR(c));
}

static lh_tensor *batch_get(lh_ctx *c, const lh_batch *b, int32_t field) {
    if (field >= 0 && field < b->n_fields)
        return b->fields[field];
    lh__fail(ERROR(c), LH_EINVAL, "lh_batch_get: field %d of a batch that has %d", (int)field,
             (int)b->n_fields);
    return NULL;
}

static lh_status batch_set(lh_ctx *c, lh_batch *b, int32_t field, lh_tensor *t) {
    if (!t)
        return LH_EINVAL;
    if (field < 0 || field >= b->n_fields)
        return lh__fail(ERROR(c), LH_EINVAL, "lh_batch_set: field %d of a batch that has %d",
                        (int)field, (int)b->n_fields);
    b->fields[field] = t;
    return LH_OK;
}

static int64_t batch_size(lh_ctx *c, const lh_batch *b) {
    return b->size;
}

static int32_t batch_fields(lh_ctx *c, const lh_batch *b) {
    return b->n_fields;
}

/* A download can't be had on every machine: that is for the plugin to decide about. Any other
 * defect, such as a file with another content, is an error. */
static lh_status fetch(lh_ctx *c, const char *path, const char *const *urls, int32_t n_urls,
                       const char *sha256) {
    lh__error e = {0};
    const lh__fetch f = {
        .root = ROOT(c), .path = path, .urls = urls, .n_urls = n_urls, .sha256 = sha256};
    lh_status status = lh__data_fetch(&f, &e);

    if (status == LH_OK)
        return LH_OK;
    if (status != LH_ENOTFOUND && status != LH_EUNSUPPORTED && status != LH_EIO)
        return lh__fail(ERROR(c), status, "%s", e.text);
    lh__say(lh__of(c)->trainer, LH_INFO, "%s", e.text);
    return LH_ENOTFOUND;
}

void lh__host_data(lh_host *h) {
    h->dataset = dataset;
    h->dataset_idx = dataset_idx;
    h->dataset_tensors = dataset_tensors;
    h->subset = subset;
    h->random_split = random_split;
    h->normalize = normalize;
    h->dataset_length = dataset_length;
    h->loader = loader;
    h->batch_get = batch_get;
    h->batch_set = batch_set;
    h->batch_size = batch_size;
    h->batch_fields = batch_fields;
    h->fetch = fetch;
}
