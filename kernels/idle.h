/* idle.h - what the pool's threads do while there is nothing to compute.
 *
 * Invariant: idle work runs only on threads of the pool that look for a job and find none, a piece
 * at a time, so that a job waits for no more than a piece. A pool of one thread, or of more than
 * there are cores, does none.
 */
#ifndef LH_KERNELS_IDLE_H
#define LH_KERNELS_IDLE_H

#include "kernels/pool.h"

/* A piece of work, of a microsecond or so. 0: there is none now. Several threads at once. */
typedef int lh__idle_fn(void *arg);

/* Sets the idle work; NULL: none. When it returns, what was set before is running nowhere. Between
 * jobs, by the thread that calls lh__pool_run. */
void lh__pool_idle(lh__pool *pool, lh__idle_fn *fn, void *arg);

#endif
