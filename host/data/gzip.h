/* gzip.h - inflating gzip data in memory (RFC 1952).
 *
 * Invariant: content is handed out only if every member's length and checksum are right and nothing
 * follows the last one.
 */
#ifndef LH_DATA_GZIP_H
#define LH_DATA_GZIP_H

#include "engine/error.h"

#include <stddef.h>

/* Memory from mmap, zeroed before use; `reserved` bytes, of which `size` hold content. */
typedef struct lh__blob {
    void *memory;
    size_t size, reserved;
} lh__blob;

/* 1 if the bytes begin as gzip does. */
int lh__is_gzip(const void *bytes, size_t size);

/* Inflates all members; `name` is what messages call the data. One pass, into memory of the size
 * that the data itself names; data of several members may take further passes. Release with
 * lh__blob_free. LH_ECORRUPT, LH_ENOMEM. */
lh_status lh__gunzip(const void *bytes, size_t size, const char *name, lh__blob *out, lh__error *e);

/* Maps a file for reading. LH_ENOTFOUND, LH_EIO; LH_ECORRUPT: empty or no file. */
lh_status lh__map_file(const char *path, lh__blob *out, lh__error *e);
void lh__blob_free(lh__blob *b);

#endif
