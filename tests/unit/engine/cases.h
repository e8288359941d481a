/* cases.h - calls of every differentiable operator, with the inputs to try them on; a family of
 * operators has its own file of rows, cases_FAMILY.inc.
 *
 * Invariant: test_gradients.c fails when a row of the catalogue has a gradient function that no
 * case here reaches.
 */
#ifndef LH_TESTS_ENGINE_CASES_H
#define LH_TESTS_ENGINE_CASES_H

#include "engine/catalogue.h"

/* Values that keep away from where a derivative jumps. */
typedef enum values_kind {
    ANY,      /* 0.1 < |x| < 2 */
    POSITIVE, /* 0.5 ... 2 */
    UNIT,     /* 0.1 ... 0.9 */
    INDEX,    /* I64, 0 ... limit - 1 */
    CONDITION, /* BOOL */
    SIGN,     /* -1 or 1, without a gradient */
    BUFFER    /* 0.5 ... 2, written to: plain in memory, without a gradient */
} values_kind;

typedef struct case_input {
    values_kind kind;
    int32_t ndim;
    int64_t shape[5];
    int64_t limit; /* of INDEX */
} case_input;

typedef struct op_case {
    uint32_t op;
    int32_t n_in, n_ints, n_reals;
    case_input in[LH__MAX_INPUTS];
    int64_t ints[LH__MAX_INTS];
    double reals[4];
} op_case;

extern const op_case cases[];
extern const int64_t case_count;

/* Input k of a case, made of `seed`: F64 or `dtype`, laid out plainly (0), with axes reversed in
 * memory (1), or with gaps (2). A leaf of the step. */
lh_tensor *case_input_new(lh__engine *e, const op_case *c, int32_t k, int32_t dtype, uint64_t seed,
                          int32_t layout);

/* Whether a gradient may flow to input k. */
int32_t case_has_gradient(const op_case *c, int32_t k);

/* The case's operator on these inputs. */
lh_tensor *case_call(lh__engine *e, const op_case *c, lh_tensor *const *in);

#endif
