/* pool.h - the one pool of compute threads of a process.
 *
 * Invariant: work is cut into tiles by its shape alone, never by the number of threads, so results
 * do not depend on it. Threads spin briefly after a job, then sleep.
 */
#ifndef LH_KERNELS_POOL_H
#define LH_KERNELS_POOL_H

#include <stddef.h>
#include <stdint.h>

/* What a tile may use of its thread's stack: the largest, a block of a matrix product in float64,
 * takes half of it. The workers' stacks have room for much more; the caller sees to its own. */
enum { LH__TILE_STACK = 1 << 20 };

typedef struct lh__pool lh__pool;
typedef void lh__tile_fn(void *arg, int64_t tile);

/* A pool of `threads` (at least 1, the caller counted in). NULL when threads cannot be made. They
 * have the floating-point environment that the caller has now. */
lh__pool *lh__pool_new(int threads);
void lh__pool_free(lh__pool *pool);

/* Binds each thread to a core of its own, of those that the caller could use when the pool was
 * made: the calling thread, which has to be the one that runs jobs, to the first. Before the first
 * job. 0, or -1 when there are fewer cores than threads. lh__pool_free, on the same thread, gives
 * it its cores back. */
int lh__pool_pin(lh__pool *pool);
int lh__pool_threads(const lh__pool *pool);

/* Calls fn(arg, tile) once for each tile in [0, tiles), in any order, on any thread of the pool;
 * returns when all are done. pool NULL or tiles 1: on the caller. Not reentrant: one caller at a
 * time, and fn must not call it. No allocation. */
void lh__pool_run(lh__pool *pool, int64_t tiles, lh__tile_fn *fn, void *arg);

/* Memory of at least `bytes`, aligned to 64, for what the tiles of one job hand to the next: the
 * pool's, not cleared, valid until the next call. It grows when asked for more than ever before,
 * else nothing is allocated. NULL when pool is NULL or there is no memory. */
void *lh__pool_scratch(lh__pool *pool, size_t bytes);

#endif
