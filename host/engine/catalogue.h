/* catalogue.h - one row per operator: what it is called with, what comes out, how it is derived.
 *
 * Invariant: everything that the engine knows of an operator is in its row; a kernel sees only
 * calls that passed the row's rules. A new operator is a code in ops.h, a row in a family's file
 * (engine/operators) and a kernel per device, or a composition of other operators.
 */
#ifndef LH_ENGINE_CATALOGUE_H
#define LH_ENGINE_CATALOGUE_H

#include "engine/engine.h"

enum { LH__MAX_INTS = 24, LH__MAX_INPUTS = 6, LH__ANY = -1 };

typedef struct lh__row lh__row;

/* What the tape keeps of a call. */
struct lh__node {
    const lh__row *row;
    lh__node *older; /* the node recorded before */
    lh_tensor *out;
    lh_tensor **in;
    uint8_t *needs; /* per input: a gradient flows to it */
    const int64_t *ints;
    const double *reals;
    int32_t n_in, n_ints, n_reals;
    int32_t spent;     /* a backward without retain_graph went through it */
    lh_tensor **joint; /* what the gradients to its inputs share, while one walk is at it */
    const char *file;
    int32_t line;
    lh__philox_key key;
    uint64_t writes; /* the engine's at that time */
};

/* A call on its way through the rules. */
typedef struct lh__check {
    lh__engine *e;
    const lh_op_call *call;
    const lh__row *row;
    lh_tensor **in; /* the call's inputs, cast as the dtype rule says */
    int32_t n_in, n_ints;
    int64_t ints[LH__MAX_INTS]; /* axes made non-negative, -1 of a reshape resolved */
    lh__view out;               /* what the rules find */
    int32_t is_view;            /* out.data and out.stride are set: no kernel */
    int32_t value;              /* lh_tensor.value of the result */
} lh__check;

/* Sets c->out.ndim and c->out.shape, or rejects the call. */
typedef lh_status lh__shape_rule(lh__check *c);

/* Gradient to input `i` of `n`, given `g`, that to its output; NULL on an error. Has the shape and
 * the dtype of the input. Made of operators. */
typedef lh_tensor *lh__gradient(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g);

/* What the inputs are cast to, and what the output then is. */
typedef enum lh__dtype_rule {
    LH__AS_IS,      /* any dtype, output the same */
    LH__NUMBERS,    /* promoted to one dtype, BOOL to I64 */
    LH__REALS,      /* promoted to one real dtype */
    LH__COMPARE,    /* promoted to one dtype; output BOOL */
    LH__CHOOSE,     /* BOOL condition, the others promoted to one dtype */
    LH__REAL_INDEX, /* one real dtype, the last input an index */
    LH__TARGET,     /* one real dtype, but input 1 an index if it has integers */
    LH__ANY_INDEX,  /* any dtype, the last input an index */
    LH__COUNT,      /* integers to I64 */
    LH__POSITION,   /* any dtype, output I64 */
    LH__HITS,       /* any dtype and an index, output F32 */
    LH__GIVEN,      /* output: ints[0] */
    LH__GIVEN_REAL  /* output: ints[0], which has to be real */
} lh__dtype_rule;

enum {
    LH__RANDOM = 1,     /* its key is a new one */
    LH__REPLAYS = 2,    /* its key is that of the node being derived */
    LH__TRAIN_ONLY = 4, /* the identity in evaluation mode */
    LH__COPIES = 8,     /* computed by the kernel of LH__OP_COPY */
    LH__LANDS = 16,     /* may be written where e->landing says */
    LH__LEAF = 32,      /* the result requires a gradient and has no history */
    LH__SHORTCUT = 64,  /* input 1 is rows selected from input 2, in views; its gradient goes to
                           input 2 without it */
    LH__PARTS = 128     /* its gradients take g in parts, too (parts.h) */
};

/* Computes the result of a checked call with other operators, whose gradients then make up its own.
 * NULL without an error recorded: this call goes to the row's kernel, with the inputs that it then
 * has. */
typedef lh_tensor *lh__compose(lh__check *c);

typedef struct lh__count {
    int8_t min, max; /* LH__ANY: no maximum */
} lh__count;

struct lh__row {
    uint32_t op;
    const char *name;
    const char *inputs; /* their names, for messages: "x weight bias" */
    lh__count in, ints, reals;
    uint8_t flags;
    lh__dtype_rule dtype;
    lh__shape_rule *shape;
    lh__gradient *gradient[LH__MAX_INPUTS]; /* per input; of any number of inputs: the first */
    lh__compose *compose;                   /* instead of a kernel, or NULL */
};

/* Related operators: a file of engine/operators. */
typedef struct lh__family {
    const lh__row *rows;
    int64_t count;
} lh__family;

/* The row of an operator, or NULL. O(operators). */
const lh__row *lh__row_of(uint32_t op);

/* "linear"; of what has no row the kernel's own name. O(operators). */
const char *lh__op_name(uint32_t op);

/* All rows by their operators' numbers, LH__OP_LIMIT of them, NULL where there is none. */
void lh__rows_fill(const lh__row **rows);

/* The gradient function of an input, or NULL. */
lh__gradient *lh__row_gradient(const lh__row *row, int32_t input);

/* Finds c->out.dtype, replaces inputs that have to be cast. */
lh_status lh__check_dtypes(lh__check *c);

/* Records "file:line: name(x float32 (2, 3), ...): " and the text; in a backward pass the operator
 * is the one being derived. Returns `code`. */
lh_status lh__reject(const lh__check *c, lh_status code, const char *fmt, ...) LH_PRINTF(3, 4);

const char *lh__dtype_name(int32_t dtype); /* "float32" */

/* "(2, 3)" in `text`, which it returns. */
enum { LH__SHAPE_TEXT = 200 };
char *lh__shape_text(int32_t ndim, const int64_t *shape, char text[LH__SHAPE_TEXT]);

#endif
