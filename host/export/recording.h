/* recording.h - the operators of a forward pass as a graph, which exporter plugins write.
 *
 * lh__record_begin watches the engine; every call until lh__record_end becomes a node. Recordings
 * of several batch sizes are then made one, in which the numbers that come from the size are known.
 * Invariant: a value's number is smaller than that of whatever is computed from it; values and
 * nodes that the output doesn't need are left out.
 */
#ifndef LH_EXPORT_RECORDING_H
#define LH_EXPORT_RECORDING_H

#include "engine/engine.h"

#include <lhost/draft/exporter.h>

typedef struct lh__recording lh__recording;

/* Begins; `x`, of a batch of `batch` samples, is the graph's input. `maps` is the exporter's. NULL:
 * out of memory. */
lh__recording *lh__record_begin(lh__engine *e, lh_tensor *x, int64_t batch,
                                int32_t (*maps)(uint32_t op));

/* Ends; `y` is the graph's output. Call before the engine's step ends. */
lh_status lh__record_end(lh__recording *r, lh_tensor *y, lh__error *err);

/* Finds how the numbers of `r` depend on the batch, by comparison with another recording of the
 * same forward pass: exactly once, before any lh__record_check. An error names the operator that
 * isn't the same, apart from integers, or depends on the batch in another way than base + per_batch
 * * batch. */
lh_status lh__record_relate(lh__recording *r, const lh__recording *other, lh__error *err);

/* Whether what lh__record_relate found holds for a recording of yet another batch size. */
lh_status lh__record_check(const lh__recording *r, const lh__recording *other, lh__error *err);

/* The graph; its name and producer are left to the caller. Lives with the recording. */
lh_draft_graph lh__record_graph(const lh__recording *r);

void lh__record_free(lh__recording *r); /* NULL allowed */

/* For batch.c. */
struct lh__recording {
    lh__engine *engine;
    lh__watcher watcher;
    lh__error error; /* what went wrong while watching */
    int32_t (*maps)(uint32_t op);
    int64_t batch;

    lh_draft_value *values;
    lh_draft_node *nodes;
    const lh_tensor **tensors; /* what value i was while the step lasted */
    void **owned;              /* memory that the values and nodes point to */
    int32_t n_values, n_nodes, n_owned, output;
};

#endif
