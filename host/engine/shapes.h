/* shapes.h - the shape rules that the catalogue's rows name. */
#ifndef LH_ENGINE_SHAPES_H
#define LH_ENGINE_SHAPES_H

#include "engine/catalogue.h"

lh__shape_rule lh__shape_broadcast; /* NumPy's broadcasting of all inputs */
lh__shape_rule lh__shape_same;      /* of the first input */
lh__shape_rule lh__shape_second;    /* of the second input */
lh__shape_rule lh__shape_clamp;     /* same; lo <= hi */
lh__shape_rule lh__shape_dropout;   /* same; 0 <= p <= 1 */
lh__shape_rule lh__shape_axis;      /* same; ints axis */
lh__shape_rule lh__shape_reduce;    /* ints keepdim, axes */
lh__shape_rule lh__shape_extreme;   /* reduce, not over nothing */
lh__shape_rule lh__shape_argmax;    /* ints axis[, keepdim] */
lh__shape_rule lh__shape_view, lh__shape_reshape, lh__shape_permute, lh__shape_expand;
lh__shape_rule lh__shape_slice, lh__shape_contiguous; /* views of the first input where possible */
lh__shape_rule lh__shape_concat, lh__shape_gather, lh__shape_index_select;
lh__shape_rule lh__shape_matmul, lh__shape_linear;
lh__shape_rule lh__shape_classes; /* (n, classes), (n): scalar */
lh__shape_rule lh__shape_pair;    /* two of one shape: scalar */
lh__shape_rule lh__shape_fill;    /* ints dtype, shape */
lh__shape_rule lh__shape_from_ints, lh__shape_from_ints_1, lh__shape_from_ints_4;

#endif
