/* file.h - files that are whole or not there.
 *
 * Invariant: at every moment, also when the process is killed or, lh__file_put excepted, the
 * machine loses power, `path` is either what it was before the call or the complete new content. A
 * call that returned LH_OK, lh__file_put excepted, has made its result durable. Messages name the
 * path, the system's reason and what to do.
 */
#ifndef LH_CHECKPOINT_FILE_H
#define LH_CHECKPOINT_FILE_H

#include "engine/error.h"

/* Replaces or makes `path`. Missing folders are made. The content goes to `.NAME.tmp.PID.N` in the
 * same folder, then fsync, rename, fsync of the folder; the temporary is gone after a failure, and
 * those of killed processes with the next write into the folder. If only the last step fails the
 * new content is in place, but not known to survive a power cut. */
lh_status lh__file_write(const char *path, const void *data, size_t size, lh__error *e);

/* The same without waiting for the disk: for what a run can be without after a power cut. */
lh_status lh__file_put(const char *path, const void *data, size_t size, lh__error *e);

/* Makes `to` a copy of `from`, with the same promise. Constant memory. */
lh_status lh__file_copy(const char *from, const char *to, lh__error *e);

/* Removes the file; one that is gone already is no error. */
lh_status lh__file_remove(const char *path, lh__error *e);

/* Reads the whole file into *data, 64-byte aligned, which the caller frees. LH_ENOTFOUND: no such
 * file. */
lh_status lh__file_read(const char *path, void **data, size_t *size, lh__error *e);

#endif
