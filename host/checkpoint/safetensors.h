/* safetensors.h - a state as one file of the safetensors format, and back.
 *
 * The file: u64 little-endian length of the header; the header, JSON padded with spaces to 8 bytes;
 * the tensors' data without holes, the largest element size first so that each is aligned.
 * `__metadata__` holds "format":"lhost/1", "lhost.crc32": the CRC-32 of the whole file with its own
 * eight digits read as zeros, and "lhost": the state's `meta` as JSON text. Every other safetensors
 * reader sees plain named tensors.
 * https://github.com/huggingface/safetensors#format
 *
 * Invariant: what is read is what was written, or an error. Any change to a file of ours, one bit
 * included, is found by the checksum; a foreign file must keep every rule of the format.
 */
#ifndef LH_CHECKPOINT_SAFETENSORS_H
#define LH_CHECKPOINT_SAFETENSORS_H

#include "checkpoint/state.h"

/* A file's bytes in memory that grows and is used again. Starts zeroed. */
typedef struct lh__image {
    unsigned char *data;
    size_t size, capacity;
} lh__image;

void lh__image_free(lh__image *image);

/* Lays `s` out in the image, the checksum still missing: one pass of memcpy. No allocation that
 * grows with the data once the image is large enough. LH_EINVAL: a name that the format reserves.
 */
lh_status lh__safetensors_encode(const lh__state *s, lh__image *image, lh__error *e);

/* Enters the checksum; afterwards the image is the file. Reads all of it once (about 1 GB/s), so
 * not for the training thread. */
void lh__safetensors_seal(void *data, size_t size);

/* Makes a state whose tensors point into `data` (copies, where `data` has them misaligned), which
 * must outlive it. `name` is what messages call the file. LH_ECORRUPT: the bytes break the format
 * or the checksum; LH_EUNSUPPORTED: valid, but of a dtype, rank or version that lhost lacks. */
lh_status lh__safetensors_decode(const void *data, size_t size, const char *name, lh__state **out,
                                 lh__error *e);

/* The whole way to and from a file; the state that is read owns its memory. Writing is atomic and
 * durable as lh__file_write is. */
lh_status lh__safetensors_write(const char *path, const lh__state *s, lh__error *e);
lh_status lh__safetensors_read(const char *path, lh__state **out, lh__error *e);

#endif
