/* dtypes.c - promotion: BOOL < U8 < I32 < I64 < F16, BF16 < F32 < F64; F16 with BF16 gives F32.
 *
 * Invariant: inputs of mixed dtypes meet their kernel cast to one, by recorded casts, so that a
 * gradient always has the dtype of its input.
 */
#include "engine/state.h"
#include "kernels/view.h"

/* Rank in the order of promotion. */
static const int8_t rank_of[] = {
    [LH_BOOL] = 1, [LH_U8] = 2,   [LH_I32] = 3, [LH_I64] = 4,
    [LH_F16] = 5,  [LH_BF16] = 5, [LH_F32] = 6, [LH_F64] = 7,
};

/* The lowest dtype that both can become. */
static int32_t join(int32_t a, int32_t b) {
    if (rank_of[a] == rank_of[b])
        return a == b ? a : LH_F32;
    return rank_of[a] > rank_of[b] ? a : b;
}

/* Casts input i to `dtype`. */
static lh_status cast(lh__check *c, int32_t i, int32_t dtype) {
    const int64_t ints[] = {dtype};
    lh_op_call call = {.op = LH_OP_CAST,
                       .n_inputs = 1,
                       .n_ints = 1,
                       .line = c->call->line,
                       .file = c->call->file,
                       .inputs = &c->in[i],
                       .ints = ints};
    lh_tensor *t;

    if (c->in[i]->view.dtype == dtype)
        return LH_OK;
    t = lh__op(c->e, &call);
    if (!t)
        return LH_ENOMEM; /* recorded */
    c->in[i] = t;
    return LH_OK;
}

/* Casts inputs [first, last) to the highest of their dtypes, at least `least`. */
static lh_status promote(lh__check *c, int32_t first, int32_t last, int32_t least) {
    int32_t common = least;
    lh_status status;

    for (int32_t i = first; i < last; i++)
        common = join(common, c->in[i]->view.dtype);
    for (int32_t i = first; i < last; i++)
        if (c->in[i]->view.dtype != common && (status = cast(c, i, common)) != LH_OK)
            return status;
    c->out.dtype = common;
    return LH_OK;
}

static lh_status promote_real(lh__check *c, int32_t first, int32_t last) {
    int32_t any_real = 0;

    for (int32_t i = first; i < last; i++)
        any_real |= lh__dtype_is_real(c->in[i]->view.dtype);
    return promote(c, first, last, any_real ? LH_BOOL : c->e->options.dtype);
}

/* The last input becomes I64. */
static lh_status index_input(lh__check *c) {
    int32_t i = c->n_in - 1, dtype = c->in[i]->view.dtype;

    if (dtype != LH_I64 && dtype != LH_U8 && dtype != LH_I32)
        return lh__reject(c, LH_EDTYPE, "the last operand has to be int64, not %s; cast it",
                          lh__dtype_name(dtype));
    return cast(c, i, LH_I64);
}

/* Reals, but for the second input where it holds integers. */
static lh_status promote_target(lh__check *c) {
    lh_tensor *target = c->in[1];
    lh_status status;

    if (lh__dtype_is_real(target->view.dtype))
        return promote_real(c, 0, c->n_in);
    c->in[1] = c->in[0];
    status = promote_real(c, 0, c->n_in);
    c->in[1] = target;
    return status == LH_OK ? cast(c, 1, LH_I64) : status;
}

static lh_status given(lh__check *c) {
    int64_t dtype = c->call->ints[0] ? c->call->ints[0] : c->e->options.dtype;

    if (dtype < LH_F32 || dtype > LH_I32)
        return lh__reject(c, LH_EDTYPE,
                          "%lld is no dtype; use LH_F32, LH_F64, LH_BF16, LH_F16, LH_I64, LH_I32, "
                          "LH_U8 or LH_BOOL",
                          (long long)dtype);
    if (c->row->dtype == LH__GIVEN_REAL && !lh__dtype_is_real((int32_t)dtype))
        return lh__reject(c, LH_EDTYPE,
                          "%s can't be asked for; only real dtypes, LH_F32 or another",
                          lh__dtype_name((int32_t)dtype));
    c->out.dtype = (int32_t)dtype;
    return LH_OK;
}

lh_status lh__check_dtypes(lh__check *c) {
    lh_status status = LH_OK;

    switch (c->row->dtype) {
    case LH__AS_IS:
        c->out.dtype = c->in[0]->view.dtype;
        return LH_OK;
    case LH__NUMBERS:
        status = promote(c, 0, c->n_in, LH_BOOL);
        return status == LH_OK && c->out.dtype == LH_BOOL ? promote(c, 0, c->n_in, LH_I64) : status;
    case LH__REALS:
        return promote_real(c, 0, c->n_in);
    case LH__COMPARE:
        status = promote(c, 0, c->n_in, LH_BOOL);
        c->out.dtype = LH_BOOL;
        return status;
    case LH__CHOOSE:
        if (c->in[0]->view.dtype != LH_BOOL)
            return lh__reject(c, LH_EDTYPE, "the condition has to be bool; compare or cast it");
        return promote(c, 1, c->n_in, LH_BOOL);
    case LH__REAL_INDEX:
        status = promote_real(c, 0, c->n_in - 1);
        return status == LH_OK ? index_input(c) : status;
    case LH__TARGET:
        return promote_target(c);
    case LH__ANY_INDEX:
        c->out.dtype = c->in[0]->view.dtype;
        return index_input(c);
    case LH__COUNT:
        return promote(c, 0, c->n_in, lh__dtype_is_real(c->in[0]->view.dtype) ? LH_BOOL : LH_I64);
    case LH__POSITION:
        c->out.dtype = LH_I64;
        return LH_OK;
    case LH__HITS:
        c->out.dtype = LH_F32;
        return index_input(c);
    case LH__GIVEN:
    case LH__GIVEN_REAL:
        return given(c);
    }
    return LH_OK;
}
