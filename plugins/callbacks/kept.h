/* kept.h - the checkpoints that a callback had written and not removed, with their scores.
 *
 * Files are written and removed later than asked for, so what exists is known from this list, not
 * from the disk. Memory is the host's and lives with the run.
 */
#ifndef LHOST_PLUGINS_KEPT_H
#define LHOST_PLUGINS_KEPT_H

#include <lhost/lhost.h>

struct kept_file {
    const char *path; /* lives with the run */
    double score;
    int32_t is_gone; /* its removal was asked for */
};

struct kept {
    struct kept_file *files; /* in order of writing */
    int32_t n, capacity;
};

/* A copy that lives with the run; "" when there is no memory, which is on record then. */
const char *kept_text(lh_ctx *c, const char *text);

/* Adds a file; an entry of the same path is gone. */
lh_status kept_add(lh_ctx *c, struct kept *k, const char *path, double score);

void kept_forget(struct kept *k, const char *path);

/* 1: it is kept, 0: it is gone, -1: not known here. */
int kept_has(const struct kept *k, const char *path);

/* How many are kept. O(files), like the other look-ups. */
int64_t kept_count(const struct kept *k);

/* The best, or the worst, by LH_MODE_MIN or LH_MODE_MAX; the oldest among equals; NULL: none. */
const struct kept_file *kept_best(const struct kept *k, int mode);
const struct kept_file *kept_worst(const struct kept *k, int mode);

#endif
