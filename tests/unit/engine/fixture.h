/* fixture.h - an engine to test, and short ways to call it. */
#ifndef LH_TESTS_ENGINE_FIXTURE_H
#define LH_TESTS_ENGINE_FIXTURE_H

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "engine/params.h"
#include "tests/lists.h"

static inline lh__engine *new_engine(const char *device, int32_t dtype, int32_t threads) {
    lh__error err = {0};
    lh__engine *e = lh__engine_new(
        &(lh__engine_options){.device = device, .threads = threads, .dtype = dtype, .seed = 42},
        &err);

    cr_assert_not_null(e, "%s", err.text);
    lh__step_begin(e, LH__PHASE_TRAIN, 0);
    return e;
}

/* One operator, called from "mnist.c:31". */
static inline lh_tensor *call(lh__engine *e, uint32_t op, int32_t n_in, lh_tensor *const *in,
                              int32_t n_ints, const int64_t *ints, int32_t n_reals,
                              const double *reals) {
    return lh__op(e, &(lh_op_call){.struct_size = sizeof(lh_op_call),
                                   .op = op,
                                   .n_inputs = n_in,
                                   .n_ints = n_ints,
                                   .n_reals = n_reals,
                                   .line = 31,
                                   .file = "mnist.c",
                                   .inputs = in,
                                   .ints = ints,
                                   .reals = reals});
}

static inline lh_tensor *full(lh__engine *e, int32_t dtype, double value, int32_t ndim,
                              const int64_t *shape) {
    int64_t ints[1 + LH_MAX_DIMS] = {dtype};

    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = shape[d];
    return call(e, LH_OP_FULL, NONE, 1 + ndim, ints, 1, &value);
}

/* A step whose memory holds NaNs, so that an element which an operator leaves out shows. */
static inline void begin_dirty_step(lh__engine *e, uint64_t step) {
    lh__step_begin(e, LH__PHASE_TRAIN, step);
    full(e, LH_F64, NAN, 1, (int64_t[]){1 << 16});
    lh__step_begin(e, LH__PHASE_TRAIN, step);
}

/* All elements as doubles, row-major, at most `room`. Returns how many. */
static inline int64_t values(lh__engine *e, const lh_tensor *t, double *out, int64_t room) {
    int64_t n = lh__view_numel(&t->view);
    int32_t was = lh__set_grad_enabled(e, 0);
    lh_tensor *in = (lh_tensor *)t;
    lh_tensor *real = call(e, LH_OP_CAST, 1, &in, INTS(LH_F64), NONE);

    cr_assert_leq(n, room);
    cr_assert_not_null(real);
    cr_assert_eq(lh__tensor_read(e, real, out, (uint64_t)n * sizeof *out), LH_OK);
    lh__set_grad_enabled(e, was);
    return n;
}

#endif
