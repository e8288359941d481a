/* helper.h - threads that work beside training: they fetch batches, write checkpoints and logs.
 *
 * Invariant: a helper gives way to the threads that compute. It is woken without pushing one of
 * them from its core, and where cores are short it gets a small share, until the training thread
 * waits for it and leaves its core to it.
 */
#ifndef LH_HELPER_HELPER_H
#define LH_HELPER_HELPER_H

#include <pthread.h>

/* Starts a helper, named `name` (15 characters at most), with all signals blocked: they are the
 * main thread's. Returns 0, or the error of pthread_create. */
int lh__helper_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg);

/* First in `run`: the thread gives way from now on. */
void lh__helper_begins(void);

#endif
