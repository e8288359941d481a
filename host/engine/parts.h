/* parts.h - gradients that arrive in parts.
 *
 * A tensor that is taken apart by slices gets its gradient slice by slice. Parts wait until all
 * have arrived; then they are put together at once: by nothing but a view where they lie in memory
 * as the whole does. Invariant: parts of one gradient are disjoint and lie along one axis.
 */
#ifndef LH_ENGINE_PARTS_H
#define LH_ENGINE_PARTS_H

#include "engine/engine.h"

/* The elements [begin, end) along an axis. */
typedef struct lh__part {
    lh_tensor *g;
    int64_t begin, end;
    struct lh__part *next; /* begins at this one's end or behind it */
} lh__part;

struct lh__parts {
    lh__part *first;
    int64_t axis;
};

/* `arrived`, NULL or in parts, with the gradient g of the elements [begin, end) of x along the
 * axis. NULL without an error: it can't be added as a part. O(parts). */
lh_tensor *lh__part_added(lh__engine *e, lh_tensor *arrived, const lh_tensor *x, int64_t axis,
                          int64_t begin, int64_t end, lh_tensor *g);

/* The gradient with a place in memory; g itself where it isn't in parts. */
lh_tensor *lh__whole(lh__engine *e, lh_tensor *g);

#endif
