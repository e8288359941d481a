/* strategy.h (draft) - how several ranks train one model.
 *
 * Drafts may change in any release: a plugin of a draft kind works with the host it was built for.
 * Every function is collective [all-ranks] unless tagged: all ranks call it in the same order.
 */
#ifndef LHOST_DRAFT_STRATEGY_H
#define LHOST_DRAFT_STRATEGY_H

#include "../host.h"

LH_EXTERN_C_BEGIN

#define LH_DRAFT_STRATEGY_REVISION 1

typedef struct lh_draft_strategy {
    uint32_t struct_size, state_size;
    uint32_t revision; /* LH_DRAFT_STRATEGY_REVISION */
    uint32_t reserved;

    /* Joins the group described by the environment; sets this process's place in it. Blocks until
     * all ranks are there, at most `timeout` seconds. */
    lh_status (*init)(lh_ctx *c, void *self, double timeout, int32_t *rank, int32_t *world_size);
    lh_status (*barrier)(lh_ctx *c, void *self);
    lh_status (*broadcast)(lh_ctx *c, void *self, void *data, uint64_t size, int32_t root);
    /* In place over n elements; reduce is LH_MEAN ... LH_MAX. `start` may return before it is done;
     * `wait` waits for all that were started. */
    lh_status (*all_reduce_start)(lh_ctx *c, void *self, void *data, int64_t n, int32_t dtype,
                                  uint32_t reduce);
    lh_status (*wait)(lh_ctx *c, void *self);
    /* `size` bytes from each rank, in rank order. */
    lh_status (*all_gather)(lh_ctx *c, void *self, const void *mine, void *all, uint64_t size);
    void (*abort)(lh_ctx *c, void *self); /* [any] gives up at once, wakes the other ranks */
    lh_status (*teardown)(lh_ctx *c, void *self);
} lh_draft_strategy;

LH_EXTERN_C_END
#endif
