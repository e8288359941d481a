/* dataset_idx.c - datasets of IDX files, one file per field.
 *
 * Values are presented as the engine computes with them: bytes of images as they lie in the file,
 * everything else converted once, when the file is read.
 */
#include "data/dataset_idx.h"

#include "data/column.h"
#include "data/idx.h"
#include "data/root.h"

#include <endian.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct lh__idx_file {
    lh__idx_file *next;
    struct stat stat;        /* of the file when it was read: tells it apart */
    lh__idx_content content; /* released once converted */
    void *converted;         /* NULL: the values as they are */
    int64_t length;
    lh_field field;
};

/* One converter per type of the format: n big-endian values to what the engine computes with. */
#define CONVERTER(name, raw, swap, value, type)                 \
    static void name(const uint8_t *src, void *dst, size_t n) { \
        type *out = dst;                                        \
        for (size_t i = 0; i < n; i++) {                        \
            raw bits;                                           \
            memcpy(&bits, src + i * sizeof bits, sizeof bits);  \
            bits = swap(bits);                                  \
            value v;                                            \
            memcpy(&v, &bits, sizeof v);                        \
            out[i] = v;                                         \
        }                                                       \
    }
CONVERTER(from_u8, uint8_t, , uint8_t, int64_t)
CONVERTER(from_i8, uint8_t, , int8_t, int64_t)
CONVERTER(from_i16, uint16_t, be16toh, int16_t, int64_t)
CONVERTER(from_i32, uint32_t, be32toh, int32_t, int64_t)
CONVERTER(from_f32, uint32_t, be32toh, float, float)
CONVERTER(from_f64, uint64_t, be64toh, double, double)

static const struct {
    void (*convert)(const uint8_t *src, void *dst, size_t n);
    int32_t dtype;
    int32_t size;
} presentations[] = {
    [LH__IDX_U8] = {from_u8, LH_I64, 8},   [LH__IDX_I8] = {from_i8, LH_I64, 8},
    [LH__IDX_I16] = {from_i16, LH_I64, 8}, [LH__IDX_I32] = {from_i32, LH_I64, 8},
    [LH__IDX_F32] = {from_f32, LH_F32, 4}, [LH__IDX_F64] = {from_f64, LH_F64, 8},
};

static void file_free(lh__idx_file *f) {
    if (!f)
        return;
    lh__idx_release(&f->content);
    free(f->converted);
    free(f);
}

void lh__idx_files_free(lh__idx_file *first) {
    for (lh__idx_file *f = first, *next; f; f = next) {
        next = f->next;
        file_free(f);
    }
}

static lh_status convert(lh__idx_file *f, const char *path, lh__error *e) {
    const lh__idx *idx = &f->content.idx;
    size_t n = idx->size / lh__idx_type_size(idx->type);

    f->converted = calloc(n ? n : 1, (size_t)presentations[idx->type].size);
    if (!f->converted)
        return lh__fail(e, LH_ENOMEM, "%s: no memory for its %zu values", path, n);
    presentations[idx->type].convert(idx->data, f->converted, n);
    f->field.dtype = presentations[idx->type].dtype;
    lh__idx_release(&f->content);
    return LH_OK;
}

static lh__idx_file *file_read(const char *path, lh__error *e) {
    lh__idx_file *f = calloc(1, sizeof *f);
    const lh__idx *idx;

    if (!f) {
        lh__fail(e, LH_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    if (lh__idx_read(path, &f->content, e) != LH_OK)
        goto fail;
    idx = &f->content.idx;
    f->length = idx->shape[0];
    f->field = (lh_field){.struct_size = sizeof(lh_field), .dtype = LH_U8, .ndim = idx->ndim - 1};
    for (int32_t i = 1; i < idx->ndim; i++)
        f->field.shape[i - 1] = idx->shape[i];
    if ((idx->type != LH__IDX_U8 || idx->ndim == 1) && convert(f, path, e) != LH_OK)
        goto fail;
    return f;
fail:
    file_free(f);
    return NULL;
}

static int same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The content of a file, from `files` if it is there. */
static const lh__idx_file *file_open(lh__idx_file **files, const char *path, lh__error *e) {
    struct stat now = {0};
    lh__idx_file *f;

    if (stat(path, &now) == 0)
        for (f = *files; f; f = f->next)
            if (same_file(&f->stat, &now))
                return f;
    f = file_read(path, e);
    if (!f)
        return NULL;
    f->stat = now;
    f->next = *files;
    *files = f;
    return f;
}

lh_dataset *lh__dataset_idx(lh__datasets *all, const char *root, const char *const *paths,
                            int32_t n, lh__error *e) {
    lh__column columns[LH__MAX_FIELDS] = {0};
    char path[PATH_MAX], first[PATH_MAX] = "";
    int64_t length = 0;

    if (n < 1 || n > LH__MAX_FIELDS) {
        lh__fail(e, LH_EINVAL, "a dataset of %d IDX files; there must be 1 to %d", n,
                 LH__MAX_FIELDS);
        return NULL;
    }
    for (int32_t i = 0; i < n; i++) {
        const lh__idx_file *f;

        if (lh__data_find(root, paths[i], path, sizeof path, e) != LH_OK)
            return NULL;
        f = file_open(lh__datasets_files(all), path, e);
        if (!f)
            return NULL;
        if (i == 0) {
            length = f->length;
            memcpy(first, path, sizeof first);
        } else if (f->length != length) {
            lh__fail(e, LH_ECORRUPT,
                     "%s holds %" PRId64 " items, but %s holds %" PRId64
                     "; the files of one dataset must agree",
                     path, f->length, first, length);
            return NULL;
        }
        columns[i].field = f->field;
        columns[i].data = f->converted ? f->converted : f->content.idx.data;
    }
    return lh__dataset_columns(all, columns, n, length, NULL, "an IDX dataset", e);
}
