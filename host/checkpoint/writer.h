/* writer.h - checkpoints written off the training thread.
 *
 * Invariants: jobs run one at a time, in the order in which they were given. After a write that
 * failed, removals and copies are dropped until a later save has succeeded, so an old checkpoint is
 * never deleted while the new one is not durable. An error is kept until it is read.
 *
 * All functions but the callback belong to one thread. [trainer]
 */
#ifndef LH_CHECKPOINT_WRITER_H
#define LH_CHECKPOINT_WRITER_H

#include "checkpoint/state.h"
#include "profile/profile.h"

typedef struct lh__writer lh__writer;

/* Called on the writer's thread after each save, durable (LH_OK) or failed. It must not call the
 * writer. `path` lives until it returns. */
typedef void lh__writer_done(void *user, const char *path, lh_status status);

/* Starts the thread. `done` may be NULL. NULL on failure. */
lh__writer *lh__writer_new(lh__writer_done *done, void *user, lh__error *e);

/* Every job from now on is a span of `lane`, which becomes the writer's thread's. */
void lh__writer_profile(lh__writer *w, lh__lane *lane);

/* Takes a snapshot of `s`, which may change as soon as this returns, and has it written to `path`.
 * Costs one copy of the tensors; two snapshots are kept, so a third save waits until the first is
 * on disk. Memory of earlier snapshots is used again. On failure nothing was queued. */
lh_status lh__writer_save(lh__writer *w, const lh__state *s, const char *path, lh__error *e);

/* Have a file removed, or `from` copied to `to`, once all earlier jobs are done. */
lh_status lh__writer_remove(lh__writer *w, const char *path, lh__error *e);
lh_status lh__writer_copy(lh__writer *w, const char *from, const char *to, lh__error *e);

/* The first error of the jobs done so far, which it takes away, or LH_OK. Never waits for a job. */
lh_status lh__writer_error(lh__writer *w, lh__error *e);

/* Waits until every job is done, then is lh__writer_error. */
lh_status lh__writer_drain(lh__writer *w, lh__error *e);

/* Finishes every job and stops the thread. Drain first to learn of errors. NULL is allowed. */
void lh__writer_free(lh__writer *w);

#endif
