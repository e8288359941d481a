/* ops.h - the operators: define-by-run, one call one tensor, PyTorch's names and definitions.
 *
 * Every operator is a macro over lh_host.op that adds the author's file and line. Shapes and dtypes
 * are checked at the call; on a mismatch the first error is recorded and NULL comes back, which
 * every operator passes on. Axes may be negative, counted from the last. Binary operators
 * broadcast as NumPy does and promote BOOL < U8 < I64 < F32 < F64; an integer tensor that meets an
 * operator of real arithmetic becomes F32. Results live until the step ends. [trainer]
 */
#ifndef LHOST_OPS_H
#define LHOST_OPS_H

#include "host.h"

LH_EXTERN_C_BEGIN

/* Codes of operators. Never renumbered; new ones are appended. */
enum {
    /* binary, broadcasting: (a, b) */
    LH_OP_ADD = 1,
    LH_OP_SUB = 2,
    LH_OP_MUL = 3,
    LH_OP_DIV = 4,
    LH_OP_POW = 5, /* a^b, gradient to a only where a > 0 for b */
    LH_OP_MAXIMUM = 6,
    LH_OP_MINIMUM = 7,
    LH_OP_EQ = 8, /* comparisons give BOOL */
    LH_OP_NE = 9,
    LH_OP_LT = 10,
    LH_OP_LE = 11,
    LH_OP_GT = 12,
    LH_OP_GE = 13,
    LH_OP_WHERE = 14, /* (cond BOOL, a, b), broadcasting */
    /* with a scalar: reals[0] */
    LH_OP_ADD_SCALAR = 15,
    LH_OP_MUL_SCALAR = 16,
    LH_OP_POW_SCALAR = 17,
    /* unary */
    LH_OP_NEG = 18,
    LH_OP_EXP = 19,
    LH_OP_LOG = 20,
    LH_OP_SQRT = 21,
    LH_OP_SQUARE = 22,
    LH_OP_ABS = 23,
    LH_OP_RELU = 24,
    LH_OP_SIGMOID = 25,
    LH_OP_TANH = 26,
    LH_OP_CLAMP = 27, /* reals: lo, hi */
    /* reductions: ints[0] keepdim, ints[1...] axes (none: all) */
    LH_OP_SUM = 28,
    LH_OP_MEAN = 29,
    LH_OP_AMAX = 30, /* gradient shared equally among ties */
    LH_OP_AMIN = 31,
    LH_OP_ARGMAX = 32, /* ints: axis, keepdim; I64, first of ties */
    /* shapes */
    LH_OP_RESHAPE = 33,      /* ints: shape, one may be -1; a view when possible */
    LH_OP_PERMUTE = 34,      /* ints: axes; a view */
    LH_OP_EXPAND = 35,       /* ints: shape; a view */
    LH_OP_SLICE = 36,        /* ints: axis, start, end, step > 0; a view */
    LH_OP_CONCAT = 37,       /* ints: axis; n inputs */
    LH_OP_GATHER = 38,       /* (x, index I64) ints: axis; torch.gather */
    LH_OP_INDEX_SELECT = 39, /* (x, index I64 of one dimension) ints: axis */
    LH_OP_CAST = 40,         /* ints: dtype */
    LH_OP_CONTIGUOUS = 41,
    LH_OP_DETACH = 42, /* a view without history */
    /* linear algebra */
    LH_OP_MATMUL = 43, /* torch.matmul: batched, broadcasting, vectors allowed */
    LH_OP_LINEAR = 44, /* (x (..., in), weight (out, in), bias (out) optional) */
    /* probabilities and losses */
    LH_OP_SOFTMAX = 45,         /* ints: axis */
    LH_OP_LOG_SOFTMAX = 46,     /* ints: axis */
    LH_OP_NLL_LOSS = 47,        /* (log-probabilities (n, classes), target I64 (n)); mean */
    LH_OP_CROSS_ENTROPY = 48,   /* (logits (n, classes), target I64 (n)); mean */
    LH_OP_MSE_LOSS = 49,        /* (a, b) of one shape; mean */
    LH_OP_BCE_WITH_LOGITS = 50, /* (logits, target) of one shape; mean */
    LH_OP_ACCURACY = 51,        /* (scores (n, classes), target I64 (n)); share of hits, F32 */
    /* filled and random */
    LH_OP_FULL = 52,      /* ints: dtype, shape...; reals: value */
    LH_OP_UNIFORM = 53,   /* ints: dtype, shape...; reals: lo, hi */
    LH_OP_NORMAL = 54,    /* ints: dtype, shape...; reals: mean, std */
    LH_OP_BERNOULLI = 55, /* (probabilities): 0 or 1 of the same dtype */
    LH_OP_DROPOUT = 56    /* reals: p; identity in evaluation mode */
};

static inline lh_tensor *lh_op_(lh_ctx *c, const char *file, int32_t line, uint32_t op,
                                lh_tensor *const *inputs, int32_t n_inputs, const int64_t *ints,
                                int32_t n_ints, const double *reals, int32_t n_reals) {
    lh_op_call call;

    call.struct_size = (uint32_t)sizeof call;
    call.op = op;
    call.n_inputs = n_inputs;
    call.n_ints = n_ints;
    call.n_reals = n_reals;
    call.line = line;
    call.file = file;
    call.inputs = inputs;
    call.ints = ints;
    call.reals = reals;
    return c->host->op(c, &call);
}

#define LH_HERE_ __FILE__, (int32_t)__LINE__
#define LH_TENSORS_(...) ((lh_tensor *const[]){__VA_ARGS__})
#define LH_INTS_(...) ((const int64_t[]){__VA_ARGS__})
#define LH_COUNT_INTS_(...) ((int32_t)(sizeof(LH_INTS_(__VA_ARGS__)) / sizeof(int64_t)))
#define LH_REALS_(...) ((const double[]){__VA_ARGS__})
#define LH_REALS_COUNT_(...) ((int32_t)(sizeof(LH_REALS_(__VA_ARGS__)) / sizeof(double)))

#define LH_OP0_(c, op) lh_op_(c, LH_HERE_, op, NULL, 0, NULL, 0, NULL, 0)
#define LH_OP1_(c, op, a) lh_op_(c, LH_HERE_, op, LH_TENSORS_(a), 1, NULL, 0, NULL, 0)
#define LH_OP2_(c, op, a, b) lh_op_(c, LH_HERE_, op, LH_TENSORS_(a, b), 2, NULL, 0, NULL, 0)
#define LH_OP3_(c, op, a, b, d) lh_op_(c, LH_HERE_, op, LH_TENSORS_(a, b, d), 3, NULL, 0, NULL, 0)
#define LH_OP1I_(c, op, a, ...)                                                                    \
    lh_op_(c, LH_HERE_, op, LH_TENSORS_(a), 1, LH_INTS_(__VA_ARGS__), LH_COUNT_INTS_(__VA_ARGS__), \
           NULL, 0)
#define LH_OP1R_(c, op, a, ...)                                                 \
    lh_op_(c, LH_HERE_, op, LH_TENSORS_(a), 1, NULL, 0, LH_REALS_(__VA_ARGS__), \
           LH_REALS_COUNT_(__VA_ARGS__))
#define LH_OP2I_(c, op, a, b, ...)                                       \
    lh_op_(c, LH_HERE_, op, LH_TENSORS_(a, b), 2, LH_INTS_(__VA_ARGS__), \
           LH_COUNT_INTS_(__VA_ARGS__), NULL, 0)

/* Elementwise. */
#define lh_add(c, a, b) LH_OP2_(c, LH_OP_ADD, a, b)
#define lh_sub(c, a, b) LH_OP2_(c, LH_OP_SUB, a, b)
#define lh_mul(c, a, b) LH_OP2_(c, LH_OP_MUL, a, b)
#define lh_div(c, a, b) LH_OP2_(c, LH_OP_DIV, a, b)
#define lh_pow(c, a, b) LH_OP2_(c, LH_OP_POW, a, b)
#define lh_maximum(c, a, b) LH_OP2_(c, LH_OP_MAXIMUM, a, b)
#define lh_minimum(c, a, b) LH_OP2_(c, LH_OP_MINIMUM, a, b)
#define lh_eq(c, a, b) LH_OP2_(c, LH_OP_EQ, a, b)
#define lh_ne(c, a, b) LH_OP2_(c, LH_OP_NE, a, b)
#define lh_lt(c, a, b) LH_OP2_(c, LH_OP_LT, a, b)
#define lh_le(c, a, b) LH_OP2_(c, LH_OP_LE, a, b)
#define lh_gt(c, a, b) LH_OP2_(c, LH_OP_GT, a, b)
#define lh_ge(c, a, b) LH_OP2_(c, LH_OP_GE, a, b)
#define lh_where(c, cond, a, b) LH_OP3_(c, LH_OP_WHERE, cond, a, b)
#define lh_add_scalar(c, a, s) LH_OP1R_(c, LH_OP_ADD_SCALAR, a, s)
#define lh_mul_scalar(c, a, s) LH_OP1R_(c, LH_OP_MUL_SCALAR, a, s)
#define lh_pow_scalar(c, a, s) LH_OP1R_(c, LH_OP_POW_SCALAR, a, s)
#define lh_neg(c, a) LH_OP1_(c, LH_OP_NEG, a)
#define lh_exp(c, a) LH_OP1_(c, LH_OP_EXP, a)
#define lh_ln(c, a) LH_OP1_(c, LH_OP_LOG, a) /* natural logarithm; lh_log logs a metric */
#define lh_sqrt(c, a) LH_OP1_(c, LH_OP_SQRT, a)
#define lh_square(c, a) LH_OP1_(c, LH_OP_SQUARE, a)
#define lh_abs(c, a) LH_OP1_(c, LH_OP_ABS, a)
#define lh_relu(c, a) LH_OP1_(c, LH_OP_RELU, a)
#define lh_sigmoid(c, a) LH_OP1_(c, LH_OP_SIGMOID, a)
#define lh_tanh(c, a) LH_OP1_(c, LH_OP_TANH, a)
#define lh_clamp(c, a, lo, hi) LH_OP1R_(c, LH_OP_CLAMP, a, lo, hi)

/* Reductions: lh_sum(c, x, keepdim, axes...), lh_sum_all(c, x). */
#define lh_sum(c, a, ...) LH_OP1I_(c, LH_OP_SUM, a, __VA_ARGS__)
#define lh_mean(c, a, ...) LH_OP1I_(c, LH_OP_MEAN, a, __VA_ARGS__)
#define lh_amax(c, a, ...) LH_OP1I_(c, LH_OP_AMAX, a, __VA_ARGS__)
#define lh_amin(c, a, ...) LH_OP1I_(c, LH_OP_AMIN, a, __VA_ARGS__)
#define lh_sum_all(c, a) LH_OP1I_(c, LH_OP_SUM, a, 0)
#define lh_mean_all(c, a) LH_OP1I_(c, LH_OP_MEAN, a, 0)
#define lh_argmax(c, a, axis) LH_OP1I_(c, LH_OP_ARGMAX, a, axis, 0)

/* Shapes. */
#define lh_reshape(c, a, ...) LH_OP1I_(c, LH_OP_RESHAPE, a, __VA_ARGS__)
#define lh_permute(c, a, ...) LH_OP1I_(c, LH_OP_PERMUTE, a, __VA_ARGS__)
#define lh_expand(c, a, ...) LH_OP1I_(c, LH_OP_EXPAND, a, __VA_ARGS__)
#define lh_slice(c, a, axis, start, end) LH_OP1I_(c, LH_OP_SLICE, a, axis, start, end, 1)
#define lh_slice_step(c, a, axis, start, end, step) \
    LH_OP1I_(c, LH_OP_SLICE, a, axis, start, end, step)
#define lh_concat(c, axis, n, tensors) \
    lh_op_(c, LH_HERE_, LH_OP_CONCAT, tensors, n, LH_INTS_(axis), 1, NULL, 0)
#define lh_gather(c, a, axis, index) LH_OP2I_(c, LH_OP_GATHER, a, index, axis)
#define lh_index_select(c, a, axis, index) LH_OP2I_(c, LH_OP_INDEX_SELECT, a, index, axis)
#define lh_cast(c, a, dtype) LH_OP1I_(c, LH_OP_CAST, a, dtype)
#define lh_contiguous(c, a) LH_OP1_(c, LH_OP_CONTIGUOUS, a)
#define lh_detach(c, a) LH_OP1_(c, LH_OP_DETACH, a)
#define lh_flatten(c, a) lh_reshape(c, a, lh_dim(c, a, 0), -1) /* (n, ...) to (n, rest) */

/* Linear algebra. lh_linear: bias may be NULL via lh_linear_nobias. */
#define lh_matmul(c, a, b) LH_OP2_(c, LH_OP_MATMUL, a, b)
#define lh_linear_op(c, x, weight, bias) LH_OP3_(c, LH_OP_LINEAR, x, weight, bias)
#define lh_linear_nobias(c, x, weight) LH_OP2_(c, LH_OP_LINEAR, x, weight)

/* Probabilities and losses. */
#define lh_softmax(c, a, axis) LH_OP1I_(c, LH_OP_SOFTMAX, a, axis)
#define lh_log_softmax(c, a, axis) LH_OP1I_(c, LH_OP_LOG_SOFTMAX, a, axis)
#define lh_nll_loss(c, logp, target) LH_OP2_(c, LH_OP_NLL_LOSS, logp, target)
#define lh_cross_entropy(c, logits, target) LH_OP2_(c, LH_OP_CROSS_ENTROPY, logits, target)
#define lh_mse_loss(c, a, b) LH_OP2_(c, LH_OP_MSE_LOSS, a, b)
#define lh_bce_with_logits(c, logits, target) LH_OP2_(c, LH_OP_BCE_WITH_LOGITS, logits, target)
#define lh_accuracy(c, scores, target) LH_OP2_(c, LH_OP_ACCURACY, scores, target)

/* Filled and random: (dtype, shape...). */
#define LH_FILL_(c, op, reals, n_reals, ...)                                                    \
    lh_op_(c, LH_HERE_, op, NULL, 0, LH_INTS_(__VA_ARGS__), LH_COUNT_INTS_(__VA_ARGS__), reals, \
           n_reals)
#define lh_full(c, value, ...) LH_FILL_(c, LH_OP_FULL, LH_REALS_(value), 1, __VA_ARGS__)
#define lh_zeros(c, ...) lh_full(c, 0.0, __VA_ARGS__)
#define lh_ones(c, ...) lh_full(c, 1.0, __VA_ARGS__)
#define lh_rand(c, ...) LH_FILL_(c, LH_OP_UNIFORM, LH_REALS_(0.0, 1.0), 2, __VA_ARGS__)
#define lh_uniform(c, lo, hi, ...) LH_FILL_(c, LH_OP_UNIFORM, LH_REALS_(lo, hi), 2, __VA_ARGS__)
#define lh_randn(c, ...) LH_FILL_(c, LH_OP_NORMAL, LH_REALS_(0.0, 1.0), 2, __VA_ARGS__)
#define lh_normal(c, mean, std, ...) LH_FILL_(c, LH_OP_NORMAL, LH_REALS_(mean, std), 2, __VA_ARGS__)
#define lh_bernoulli(c, p) LH_OP1_(c, LH_OP_BERNOULLI, p)
#define lh_dropout(c, a, p) LH_OP1R_(c, LH_OP_DROPOUT, a, p)

/* Questions about a tensor; of NULL they answer 0. */
static inline int64_t lh_dim(lh_ctx *c, const lh_tensor *t, int32_t axis) {
    lh_tensor_info info;

    info.struct_size = (uint32_t)sizeof info;
    if (!t || c->host->tensor_info(c, t, &info) != LH_OK)
        return 0;
    axis += axis < 0 ? info.ndim : 0;
    return axis >= 0 && axis < info.ndim ? info.shape[axis] : 0;
}

static inline int32_t lh_ndim(lh_ctx *c, const lh_tensor *t) {
    lh_tensor_info info;

    info.struct_size = (uint32_t)sizeof info;
    return t && c->host->tensor_info(c, t, &info) == LH_OK ? info.ndim : 0;
}

static inline int64_t lh_numel(lh_ctx *c, const lh_tensor *t) {
    lh_tensor_info info;

    info.struct_size = (uint32_t)sizeof info;
    return t && c->host->tensor_info(c, t, &info) == LH_OK ? info.numel : 0;
}

/* The value of a one-element tensor; waits for it. NaN on failure. */
static inline double lh_item(lh_ctx *c, const lh_tensor *t) {
    return c->host->item(c, t);
}

LH_EXTERN_C_END
#endif
