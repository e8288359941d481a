/* elementwise.c - the cpu device's elementwise operators.
 *
 * Invariant: operands of one real dtype are walked in rows, whose loops vectorise for contiguous
 * and row-broadcast operands; mixed dtypes, and most of integers, go to the oracle.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

static inline float clamped_f32(float x, float lo, float hi) {
    float low = x < lo ? lo : x;

    return low > hi ? hi : low;
}

static inline double clamped_f64(double x, double lo, double hi) {
    double low = x < lo ? lo : x;

    return low > hi ? hi : low;
}

#define WRAP(a, op, b) ((a)op(b))
#define T float
#define FN(name) name##_f32
#include "kernels/cpu/elementwise.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/elementwise.inc"
#undef T
#undef FN
#undef WRAP
#define WRAP(a, op, b) ((int64_t)((uint64_t)(a)op(uint64_t)(b)))
#define T int64_t
#define INTEGER
#define FN(name) name##_i64
#include "kernels/cpu/elementwise.inc"

#define BOTH(name) \
    { name##_f32, name##_f64 }

static lh__row_fn *const rows[LH__OP_LIMIT][2] = {
    [LH_OP_ADD] = BOTH(add),
    [LH_OP_SUB] = BOTH(sub),
    [LH_OP_MUL] = BOTH(mul),
    [LH_OP_DIV] = BOTH(div),
    [LH_OP_POW] = BOTH(power),
    [LH_OP_MAXIMUM] = BOTH(maximum),
    [LH_OP_MINIMUM] = BOTH(minimum),
    [LH_OP_EQ] = BOTH(eq),
    [LH_OP_NE] = BOTH(ne),
    [LH_OP_LT] = BOTH(lt),
    [LH_OP_LE] = BOTH(le),
    [LH_OP_GT] = BOTH(gt),
    [LH_OP_GE] = BOTH(ge),
    [LH_OP_WHERE] = BOTH(where),
    [LH_OP_ADD_SCALAR] = BOTH(add_scalar),
    [LH_OP_MUL_SCALAR] = BOTH(mul_scalar),
    [LH_OP_POW_SCALAR] = BOTH(pow_scalar),
    [LH_OP_NEG] = BOTH(neg),
    [LH_OP_EXP] = BOTH(exponential),
    [LH_OP_LOG] = BOTH(logarithm),
    [LH_OP_SQRT] = BOTH(root),
    [LH_OP_SQUARE] = BOTH(square),
    [LH_OP_ABS] = BOTH(absolute),
    [LH_OP_RELU] = BOTH(relu),
    [LH_OP_SIGMOID] = BOTH(logistic),
    [LH_OP_TANH] = BOTH(tangent),
    [LH_OP_CLAMP] = BOTH(clamp),
    [LH_OP_GELU] = BOTH(gelu),
    [LH_OP_SILU] = BOTH(silu),
    [LH_OP_LEAKY_RELU] = BOTH(leaky_relu),
    [LH_OP_ELU] = BOTH(elu),
    [LH_OP_SOFTPLUS] = BOTH(softplus),
    [LH_OP_SIN] = BOTH(sine),
    [LH_OP_COS] = BOTH(cosine),
    [LH_OP_RSQRT] = BOTH(rsqrt),
    [LH_OP_ERF] = BOTH(error_function),
    [LH_OP_SIGN] = BOTH(sign),
    [LH_OP_FLOOR] = BOTH(floored),
    [LH__OP_RELU_GRAD] = BOTH(relu_grad),
    [LH__OP_SIGMOID_GRAD] = BOTH(sigmoid_grad),
    [LH__OP_TANH_GRAD] = BOTH(tanh_grad),
    [LH__OP_ABS_GRAD] = BOTH(abs_grad),
    [LH__OP_CLAMP_GRAD] = BOTH(clamp_grad),
    [LH__OP_ADD_INTO] = BOTH(add),
    [LH__OP_GELU_GRAD] = BOTH(gelu_grad),
    [LH__OP_SILU_GRAD] = BOTH(silu_grad),
    [LH__OP_LEAKY_RELU_GRAD] = BOTH(leaky_relu_grad),
    [LH__OP_ELU_GRAD] = BOTH(elu_grad),
    [LH__OP_SOFTPLUS_GRAD] = BOTH(softplus_grad),
};

static lh__row_fn *const integer_rows[LH__OP_LIMIT] = {
    [LH_OP_ADD] = add_i64,
    [LH_OP_SUB] = sub_i64,
    [LH_OP_MUL] = mul_i64,
    [LH_OP_MAXIMUM] = maximum_i64,
    [LH_OP_MINIMUM] = minimum_i64,
    [LH_OP_EQ] = eq_i64,
    [LH_OP_NE] = ne_i64,
    [LH_OP_LT] = lt_i64,
    [LH_OP_LE] = le_i64,
    [LH_OP_GT] = gt_i64,
    [LH_OP_GE] = ge_i64,
    [LH_OP_WHERE] = where_i64,
    [LH_OP_ADD_SCALAR] = add_scalar_i64,
    [LH_OP_MUL_SCALAR] = mul_scalar_i64,
};

/* The rows of a call; an integer chooses those of GELU. */
static lh__row_fn *row_of(const lh__kernel_call *call, bool wide) {
    static lh__row_fn *const by_tanh[2][2] = {BOTH(gelu_tanh), BOTH(gelu_tanh_grad)};

    if ((call->op == LH_OP_GELU || call->op == LH__OP_GELU_GRAD) && call->n_ints > 0 &&
        call->ints[0])
        return by_tanh[call->op == LH__OP_GELU_GRAD][wide];
    return rows[call->op][wide];
}

/* The dtype that all operands have, comparisons' output and WHERE's condition aside; 0 if mixed. */
static int32_t common_dtype(const lh__kernel_call *call) {
    bool compares = call->op >= LH_OP_EQ && call->op <= LH_OP_GE;
    int32_t first = call->op == LH_OP_WHERE, dtype = call->in[first]->dtype;

    for (int32_t k = first + 1; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype)
            return 0;
    if (first && call->in[0]->dtype != LH_BOOL && call->in[0]->dtype != LH_U8)
        return 0;
    return call->out->dtype == (compares ? LH_BOOL : dtype) ? dtype : 0;
}

lh__row_fn *ISA(row_of)(const lh__kernel_call *call) {
    int32_t dtype = common_dtype(call);

    return dtype == LH_F32 || dtype == LH_F64 ? row_of(call, dtype == LH_F64) : NULL;
}

/* All but those that are broadcast, where nothing else is strided. */
uint32_t ISA(elementwise_channels_last)(const lh__kernel_call *call) {
    uint32_t last = 1u << call->n_in;

    if (!ISA(row_of)(call) || call->out->ndim < 3)
        return 0;
    for (int32_t k = 0; k < call->n_in; k++) {
        const lh__view *v = call->in[k];
        bool repeats = false;

        for (int32_t d = 0; d < v->ndim; d++)
            repeats |= v->stride[d] == 0;
        if (!repeats && !lh__view_is_contiguous(v))
            return 0;
        last |= repeats ? 0 : 1u << k;
    }
    return last;
}

void ISA(elementwise)(const lh__kernel_call *call) {
    int32_t dtype = common_dtype(call);
    lh__row_fn *row = ISA(row_of)(call);

    if (row)
        lh__walk(call, row);
    else if (dtype == LH_I64 && integer_rows[call->op])
        lh__walk(call, integer_rows[call->op]);
    else
        lh__ref_elementwise(call);
}
