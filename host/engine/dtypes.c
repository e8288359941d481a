/* dtypes.c - promotion: BOOL < U8 < I64 < F32 < F64.
 *
 * Invariant: inputs of mixed dtypes meet their kernel cast to one, by recorded casts, so that a
 * gradient always has the dtype of its input.
 */
#include "engine/state.h"

/* Rank in the order of promotion; 0: storage only. */
static const int8_t rank_of[] = {
    [LH_BOOL] = 1, [LH_U8] = 2, [LH_I64] = 3, [LH_F32] = 4, [LH_F64] = 5, [LH_I32] = 0,
};

static int is_real(int32_t dtype) {
    return dtype == LH_F32 || dtype == LH_F64;
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

    for (int32_t i = first; i < last; i++) {
        int32_t dtype = c->in[i]->view.dtype;

        if (!rank_of[dtype])
            return lh__reject(c, LH_EDTYPE, "%s is for storage only; cast it first",
                              lh__dtype_name(dtype));
        if (rank_of[dtype] > rank_of[common])
            common = dtype;
    }
    for (int32_t i = first; i < last; i++)
        if (c->in[i]->view.dtype != common && (status = cast(c, i, common)) != LH_OK)
            return status;
    c->out.dtype = common;
    return LH_OK;
}

static lh_status promote_real(lh__check *c, int32_t first, int32_t last) {
    int32_t any_real = 0;

    for (int32_t i = first; i < last; i++)
        any_real |= is_real(c->in[i]->view.dtype);
    return promote(c, first, last, any_real ? LH_F32 : c->e->options.dtype);
}

/* The last input becomes I64. */
static lh_status index_input(lh__check *c) {
    int32_t i = c->n_in - 1, dtype = c->in[i]->view.dtype;

    if (dtype != LH_I64 && dtype != LH_U8 && dtype != LH_I32)
        return lh__reject(c, LH_EDTYPE, "the last operand has to be int64, not %s; cast it",
                          lh__dtype_name(dtype));
    return cast(c, i, LH_I64);
}

static lh_status given(lh__check *c) {
    int64_t dtype = c->call->ints[0] ? c->call->ints[0] : c->e->options.dtype;

    if (dtype < LH_F32 || dtype > LH_I32)
        return lh__reject(c, LH_EDTYPE,
                          "%lld is no dtype; use LH_F32, LH_F64, LH_I64, LH_U8 or "
                          "LH_BOOL",
                          (long long)dtype);
    if (c->row->dtype == LH__GIVEN_REAL && !is_real((int32_t)dtype))
        return lh__reject(c, LH_EDTYPE, "%s can't be asked for; use LH_F32 or LH_F64",
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
    case LH__ANY_INDEX:
        c->out.dtype = c->in[0]->view.dtype;
        return index_input(c);
    case LH__COUNT:
        return promote(c, 0, c->n_in, is_real(c->in[0]->view.dtype) ? LH_F32 : LH_I64);
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
