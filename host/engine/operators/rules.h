/* rules.h - what the families of operators share: how calls are checked, how formulas are written.
 *
 * A family is a file of this room: the shape rules, gradients and compositions of related
 * operators, and their rows. Invariant: after a shape rule has passed, the kernel can run without
 * looking: axes exist, extents fit, indices and targets are in range.
 */
#ifndef LH_ENGINE_OPERATORS_RULES_H
#define LH_ENGINE_OPERATORS_RULES_H

#include "engine/catalogue.h"
#include "engine/operators/formula.h"

/* Input i of the call. */
static inline const lh__view *lh__in(const lh__check *c, int32_t i) {
    return &c->in[i]->view;
}

/* Set the shape of the result; LH_OK. */
lh_status lh__set_shape(lh__check *c, int32_t ndim, const int64_t *shape);
lh_status lh__set_scalar(lh__check *c);

/* Makes *axis, of a tensor with ndim axes, non-negative. */
lh_status lh__fix_axis(const lh__check *c, int64_t *axis, int32_t ndim);

/* Broadcasts the shape of v into that of c->out. */
lh_status lh__broadcast_into(lh__check *c, const lh__view *v);

/* Every element of input k, I64, is within [0, limit). O(elements). */
lh_status lh__check_range(const lh__check *c, int32_t k, int64_t limit, const char *what);

/* Whether a tensor holds numbers from 0 to 1, or NaN, whatever it was made of. */
int32_t lh__is_probability(const lh_tensor *t);

/* The result has the shape that the call's integers from `first` on give. */
lh_status lh__shape_from(lh__check *c, int32_t first);

/* Rules for whole rows. */
lh__shape_rule lh__shape_broadcast; /* NumPy's broadcasting of all inputs */
lh__shape_rule lh__shape_same;      /* of the first input */
lh__shape_rule lh__shape_second;    /* of the second input */
lh__shape_rule lh__shape_axis;      /* same; ints axis */
lh__shape_rule lh__shape_tail;      /* the ints after the row's least number of them */
lh__shape_rule lh__shape_view;      /* a view of the first input */

lh__compose lh__compose_contiguous; /* to the kernel, with contiguous operands */

/* LINEAR of rows selected from a table: see lookup.c. NULL without an error: it isn't. */
lh__compose lh__compose_lookup;

/* The same call, whose integer `which` names an axis, along the last axis of contiguous operands of
 * one shape; NULL where it is such a call. The result has as many axes. */
lh_tensor *lh__compose_lines(lh__check *c, int32_t which);

lh__gradient lh__d_identity; /* g */
lh__gradient lh__d_same;     /* to g, of what multiplies each of its elements: the same call on g */
lh__gradient lh__d_zero;     /* of what a result doesn't change with, piecewise */

#endif
