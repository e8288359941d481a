/* idx.h - IDX files, the format of MNIST: big-endian 00 00 TYPE NDIM, NDIM sizes, then the values.
 *
 * Source: http://yann.lecun.com/exdb/mnist ("the IDX file format"). Invariant: what has been
 * accepted is exactly as long as its header says; anything else is an error naming the file.
 */
#ifndef LH_DATA_IDX_H
#define LH_DATA_IDX_H

#include "data/gzip.h"

/* The header, and where the values begin. */
typedef struct lh__idx {
    uint8_t type; /* LH__IDX_U8 ... */
    int32_t ndim; /* 1 to LH_MAX_DIMS */
    int64_t shape[LH_MAX_DIMS];
    uint64_t size;       /* bytes of the values */
    const uint8_t *data; /* big-endian values, inside what was parsed */
} lh__idx;

enum {
    LH__IDX_U8 = 0x08,
    LH__IDX_I8 = 0x09,
    LH__IDX_I16 = 0x0B,
    LH__IDX_I32 = 0x0C,
    LH__IDX_F32 = 0x0D,
    LH__IDX_F64 = 0x0E
};

/* Bytes of one value of a type; 0: no such type. */
size_t lh__idx_type_size(uint8_t type);

/* Parses a whole uncompressed file in memory. `name` is for messages. Copies nothing. */
lh_status lh__idx_parse(const void *bytes, size_t size, const char *name, lh__idx *out,
                        lh__error *e);

/* A file in memory: mapped when plain, inflated when gzip (told by its first bytes). */
typedef struct lh__idx_content {
    lh__idx idx;
    lh__blob blob; /* what idx points into */
} lh__idx_content;
lh_status lh__idx_read(const char *path, lh__idx_content *out, lh__error *e);
void lh__idx_release(lh__idx_content *c);

/* The same from the bytes of a gzip file; what lh__idx_read does with one. */
lh_status lh__idx_inflate(const void *bytes, size_t size, const char *name, lh__idx_content *out,
                          lh__error *e);

#endif
