/* root.h - where data files are, and how they get there.
 *
 * Invariant: a file that carries its final name is complete; when it was fetched, its checksum has
 * been verified.
 */
#ifndef LH_DATA_ROOT_H
#define LH_DATA_ROOT_H

#include "engine/error.h"

/* The data root: `option` (--data.root) if not NULL or empty, else $LHOST_DATA_DIR, else "data". */
const char *lh__data_root(const char *option);

/* Finds a file: root/path, else root/path.gz; an absolute path stands for itself. Writes where it
 * is to out[size]. LH_ENOTFOUND: the message says where it was looked for. */
lh_status lh__data_find(const char *root, const char *path, char *out, size_t size, lh__error *e);

/* Tells how far a download has come; total 0: not known. */
typedef void lh__fetch_progress(void *user, const char *path, int64_t done, int64_t total);

typedef struct lh__fetch {
    const char *root, *path; /* as in lh__data_find */
    const char *const *urls; /* http or https, tried in turn */
    int32_t n_urls;
    const char *sha256; /* 64 hex digits, of the decompressed content; NULL: not checked */
    lh__fetch_progress *progress; /* may be NULL */
    void *user;
} lh__fetch;

/* Makes sure that the file is there and is the right one: if it is, does nothing; else downloads
 * it beside its final name, verifies and renames it (path.gz if the content is gzip). That a file
 * has been verified is noted in $XDG_CACHE_HOME/lhost/verified (~/.cache), with size and time of
 * change, so that it costs nothing the next time. A file of that name with another content is an
 * error, never overwritten. The error of a failure says what to put where. */
lh_status lh__data_fetch(const lh__fetch *f, lh__error *e);

/* Downloads `url` to `path`, replacing it; download.c. LH_EUNSUPPORTED: built without libcurl, or
 * it isn't installed. */
lh_status lh__download(const char *url, const char *path, const lh__fetch *f, lh__error *e);

#endif
