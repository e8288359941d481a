/* ops.h - the operators: define-by-run, one call one tensor, PyTorch's names and definitions.
 *
 * Every operator is a macro over lh_host.op that adds the author's file and line. Shapes and dtypes
 * are checked at the call; on a mismatch the first error is recorded and NULL comes back, which
 * every operator passes on. Axes may be negative, counted from the last. Binary operators
 * broadcast as NumPy does and promote BOOL < U8 < I32 < I64 < F16, BF16 < F32 < F64, F16 with BF16
 * to F32; an integer tensor that meets an operator of real arithmetic becomes F32. Results live
 * until the step ends. [trainer]
 *
 * The macros are C, from C11 on; C++ can include the headers, but has no temporary arrays for them.
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
    LH_OP_POW = 5, /* a^b; gradient to b where a > 0, else 0 */
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
    LH_OP_EXPAND = 35,       /* ints: shape, -1: as it is; a view */
    LH_OP_SLICE = 36,        /* ints: axis, start, end, step > 0; a view; negative ones count from
                                the end, an end beyond the last is an error */
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
    LH_OP_SOFTMAX = 45,     /* ints: axis */
    LH_OP_LOG_SOFTMAX = 46, /* ints: axis */
    /* losses; ints begin with LH_REDUCE_..., none: the mean */
    LH_OP_NLL_LOSS = 47,        /* (log-probabilities (n, classes, ...), target I64 (n, ...)
                                   [, weight (classes)]) ints: reduction, ignored target */
    LH_OP_CROSS_ENTROPY = 48,   /* likewise of logits; the target may be probabilities, of their
                                   shape; reals: label smoothing. Ignored target, if not given:
                                   -100 */
    LH_OP_MSE_LOSS = 49,        /* (a, b) of one shape */
    LH_OP_BCE_WITH_LOGITS = 50, /* (logits, target[, pos_weight, which broadcasts]) */
    LH_OP_ACCURACY = 51,        /* (scores (n, classes), target I64 (n)); share of hits, F32 */
    /* filled and random */
    LH_OP_FULL = 52,      /* ints: dtype, shape...; reals: value */
    LH_OP_UNIFORM = 53,   /* ints: dtype, shape...; reals: lo, hi */
    LH_OP_NORMAL = 54,    /* ints: dtype, shape...; reals: mean, std */
    LH_OP_BERNOULLI = 55, /* (probabilities): 0 or 1 of the same dtype */
    LH_OP_DROPOUT = 56,   /* reals: p; identity in evaluation mode */
    /* more unary */
    LH_OP_GELU = 57, /* ints: 1 for the tanh approximation */
    LH_OP_SILU = 58,
    LH_OP_LEAKY_RELU = 59, /* reals: negative slope */
    LH_OP_ELU = 60,        /* reals: alpha */
    LH_OP_SOFTPLUS = 61,   /* reals: beta, threshold */
    LH_OP_SIN = 62,
    LH_OP_COS = 63,
    LH_OP_RSQRT = 64,
    LH_OP_ERF = 65,
    LH_OP_SIGN = 66,
    LH_OP_FLOOR = 67,
    LH_OP_MASKED_FILL = 68, /* (x, mask BOOL), broadcasting; reals: value */
    /* more reductions: ints[0] keepdim, axes (none: all) */
    LH_OP_PROD = 69,
    LH_OP_VAR = 70, /* ints: keepdim, correction, axes...; correction 1 is Bessel's */
    LH_OP_STD = 71, /* likewise */
    LH_OP_LOGSUMEXP = 72,
    LH_OP_NORM = 73, /* reals: p > 0, or INFINITY */
    LH_OP_ANY = 74,  /* BOOL */
    LH_OP_ALL = 75,
    LH_OP_ARGMIN = 76,  /* ints: axis, keepdim */
    LH_OP_CUMSUM = 77,  /* ints: axis[, 1: from the end] */
    LH_OP_ARGSORT = 78, /* ints: axis, descending; I64; stable, NaN last ascending */
    LH_OP_TOPK = 79,    /* ints: k, axis, largest; I64 indices, best first */
    /* more shapes and indices */
    LH_OP_PAD = 80, /* ints: LH_PAD_..., then (before, after) from the last axis on; reals: value */
    LH_OP_FLIP = 81, /* ints: axes */
    LH_OP_TRIL = 82, /* ints: diagonal; of the last two axes */
    LH_OP_TRIU = 83,
    LH_OP_ONE_HOT = 84,     /* (index) ints: classes; I64 */
    LH_OP_SCATTER_ADD = 85, /* (x, index, source) ints: axis */
    LH_OP_ARANGE = 86,      /* ints: dtype, count; reals: start, step */
    LH_OP_EMBEDDING = 87,   /* (weight (n, d), index of any shape) ints: padding index or -1 */
    /* convolution over 1 to 3 axes: x (n, channels, spatial...), ints per spatial axis */
    LH_OP_CONV = 88,             /* (x, weight (out, in/groups, k...)[, bias (out)])
                                    ints: stride.., padding.., dilation.., groups */
    LH_OP_CONV_TRANSPOSE = 89,   /* (x, weight (in, out/groups, k...)[, bias (out)])
                                    ints: stride.., padding.., output_padding.., dilation.., groups */
    LH_OP_MAX_POOL = 90,         /* ints: kernel.., stride.., padding.., dilation.., ceil_mode */
    LH_OP_MAX_POOL_INDICES = 91, /* likewise; I64, flat within the spatial axes */
    LH_OP_AVG_POOL = 92, /* ints: kernel.., stride.., padding.., ceil_mode, count_include_pad */
    LH_OP_ADAPTIVE_AVG_POOL = 93, /* ints: output extents.. */
    LH_OP_ADAPTIVE_MAX_POOL = 94, /* ints: output extents.. */
    LH_OP_UPSAMPLE_NEAREST = 95,  /* ints: output extents.. */
    LH_OP_UPSAMPLE_LINEAR = 96,   /* ints: align_corners, output extents..: linear, bilinear, ... */
    /* normalization; reals: eps */
    LH_OP_BATCH_NORM = 97,     /* (x (n, c, ...)[, weight (c), bias (c)], running_mean (c),
                                  running_var (c)[, num_batches_tracked I64]) reals: eps, momentum;
                                  batch statistics in training mode, which also updates the running
                                  ones */
    LH_OP_LAYER_NORM = 98,     /* (x[, weight[, bias]]) ints: how many of the last axes, of which
                                  weight and bias have the shape */
    LH_OP_GROUP_NORM = 99,     /* (x (n, c, ...)[, weight (c), bias (c)]) ints: groups */
    LH_OP_INSTANCE_NORM = 100, /* (x (n, c, ...)[, weight (c), bias (c)]) */
    LH_OP_RMS_NORM = 101,      /* (x[, weight]) ints: how many of the last axes */
    /* sequences */
    LH_OP_ATTENTION = 102, /* (q (..., t, d), k (..., s, d), v (..., s, e)[, mask BOOL, keep where
                              1, or real, added]) ints: causal; reals: scale (0: 1/sqrt(d)),
                              dropout p (training mode only) */
    LH_OP_ROPE = 103,      /* (x (..., t, d)) ints: first position, interleaved; reals: base */
    /* x (t, n, gates) = W_ih x + b_ih, already computed; h (n, hidden); every step's output comes
     * out, so that the last one is the final state */
    LH_OP_RNN = 104,  /* (x, h, w_hh, b_hh) ints: 1 for relu, 0 for tanh; (t, n, hidden) */
    LH_OP_LSTM = 105, /* (x, h, c, w_hh, b_hh); (t, n, 6 hidden): h, c, then gates i f g o */
    LH_OP_GRU = 106,  /* (x, h, w_hh, b_hh); (t, n, 5 hidden): h, then r z n and W_hn h + b_hn */
    /* more losses; their ints begin with LH_REDUCE_... */
    LH_OP_L1_LOSS = 107,
    LH_OP_SMOOTH_L1_LOSS = 108,        /* reals: beta */
    LH_OP_HUBER_LOSS = 109,            /* reals: delta */
    LH_OP_BCE_LOSS = 110,              /* (probabilities, target[, weight]) */
    LH_OP_KL_DIV = 111,                /* (log-probabilities, target) ints: reduction, log_target */
    LH_OP_COSINE_SIMILARITY = 112,     /* (a, b), broadcasting; no loss: ints: axis; reals: eps */
    LH_OP_COSINE_EMBEDDING_LOSS = 113, /* (a, b (n, d), target (n) of 1 and -1) reals: margin */
    LH_OP_TRIPLET_MARGIN_LOSS = 114,   /* (anchor, positive, negative) reals: margin, p */
    /* more random */
    LH_OP_RANDINT = 115,     /* ints: low, high (left out), shape...; I64 */
    LH_OP_MULTINOMIAL = 116, /* (weights (..., classes)) ints: draws; I64, with replacement */
    /* autograd */
    LH_OP_REQUIRE_GRAD = 117 /* a view without history that requires a gradient */
};

/* What a loss does with the losses of its elements. */
enum { LH_REDUCE_NONE = 0, LH_REDUCE_MEAN = 1, LH_REDUCE_SUM = 2, LH_REDUCE_BATCHMEAN = 3 };

/* What PAD puts around. */
enum { LH_PAD_CONSTANT = 0, LH_PAD_REFLECT = 1, LH_PAD_REPLICATE = 2 };

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

#define LH_OP2R_(c, op, a, b, ...)                                                 \
    lh_op_(c, LH_HERE_, op, LH_TENSORS_(a, b), 2, NULL, 0, LH_REALS_(__VA_ARGS__), \
           LH_REALS_COUNT_(__VA_ARGS__))

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

#define lh_gelu(c, a) LH_OP1I_(c, LH_OP_GELU, a, 0)
#define lh_gelu_tanh(c, a) LH_OP1I_(c, LH_OP_GELU, a, 1)
#define lh_silu(c, a) LH_OP1_(c, LH_OP_SILU, a)
#define lh_leaky_relu(c, a, slope) LH_OP1R_(c, LH_OP_LEAKY_RELU, a, slope)
#define lh_elu(c, a, alpha) LH_OP1R_(c, LH_OP_ELU, a, alpha)
#define lh_softplus(c, a) LH_OP1R_(c, LH_OP_SOFTPLUS, a, 1.0, 20.0)
#define lh_sin(c, a) LH_OP1_(c, LH_OP_SIN, a)
#define lh_cos(c, a) LH_OP1_(c, LH_OP_COS, a)
#define lh_rsqrt(c, a) LH_OP1_(c, LH_OP_RSQRT, a)
#define lh_erf(c, a) LH_OP1_(c, LH_OP_ERF, a)
#define lh_sign(c, a) LH_OP1_(c, LH_OP_SIGN, a)
#define lh_floor(c, a) LH_OP1_(c, LH_OP_FLOOR, a)
#define lh_masked_fill(c, a, mask, value) \
    lh_op_(c, LH_HERE_, LH_OP_MASKED_FILL, LH_TENSORS_(a, mask), 2, NULL, 0, LH_REALS_(value), 1)

/* Reductions: lh_sum(c, x, keepdim, axes...), lh_sum_all(c, x). */
#define lh_sum(c, a, ...) LH_OP1I_(c, LH_OP_SUM, a, __VA_ARGS__)
#define lh_mean(c, a, ...) LH_OP1I_(c, LH_OP_MEAN, a, __VA_ARGS__)
#define lh_amax(c, a, ...) LH_OP1I_(c, LH_OP_AMAX, a, __VA_ARGS__)
#define lh_amin(c, a, ...) LH_OP1I_(c, LH_OP_AMIN, a, __VA_ARGS__)
#define lh_sum_all(c, a) LH_OP1I_(c, LH_OP_SUM, a, 0)
#define lh_mean_all(c, a) LH_OP1I_(c, LH_OP_MEAN, a, 0)
#define lh_prod(c, a, ...) LH_OP1I_(c, LH_OP_PROD, a, __VA_ARGS__)
/* Of lh_var and lh_std: keepdim, correction, axes... */
#define lh_var(c, a, ...) LH_OP1I_(c, LH_OP_VAR, a, __VA_ARGS__)
#define lh_std(c, a, ...) LH_OP1I_(c, LH_OP_STD, a, __VA_ARGS__)
#define lh_logsumexp(c, a, ...) LH_OP1I_(c, LH_OP_LOGSUMEXP, a, __VA_ARGS__)
#define lh_norm(c, a, p, ...)                                                 \
    lh_op_(c, LH_HERE_, LH_OP_NORM, LH_TENSORS_(a), 1, LH_INTS_(__VA_ARGS__), \
           LH_COUNT_INTS_(__VA_ARGS__), LH_REALS_(p), 1)
#define lh_any(c, a, ...) LH_OP1I_(c, LH_OP_ANY, a, __VA_ARGS__)
#define lh_all(c, a, ...) LH_OP1I_(c, LH_OP_ALL, a, __VA_ARGS__)
#define lh_argmax(c, a, axis) LH_OP1I_(c, LH_OP_ARGMAX, a, axis, 0)
#define lh_argmin(c, a, axis) LH_OP1I_(c, LH_OP_ARGMIN, a, axis, 0)
#define lh_cumsum(c, a, axis) LH_OP1I_(c, LH_OP_CUMSUM, a, axis)

/* Order: indices; lh_gather(c, x, axis, indices) gives the values. */
#define lh_argsort(c, a, axis, descending) LH_OP1I_(c, LH_OP_ARGSORT, a, axis, descending)
#define lh_topk(c, a, k, axis) LH_OP1I_(c, LH_OP_TOPK, a, k, axis, 1)

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
#define lh_require_grad(c, a) LH_OP1_(c, LH_OP_REQUIRE_GRAD, a)
#define lh_pad(c, a, value, ...)                                                              \
    lh_op_(c, LH_HERE_, LH_OP_PAD, LH_TENSORS_(a), 1, LH_INTS_(LH_PAD_CONSTANT, __VA_ARGS__), \
           LH_COUNT_INTS_(LH_PAD_CONSTANT, __VA_ARGS__), LH_REALS_(value), 1)
#define lh_pad_mode(c, a, mode, ...) LH_OP1I_(c, LH_OP_PAD, a, mode, __VA_ARGS__)
#define lh_flip(c, a, ...) LH_OP1I_(c, LH_OP_FLIP, a, __VA_ARGS__)
#define lh_tril(c, a, diagonal) LH_OP1I_(c, LH_OP_TRIL, a, diagonal)
#define lh_triu(c, a, diagonal) LH_OP1I_(c, LH_OP_TRIU, a, diagonal)
#define lh_one_hot(c, index, classes) LH_OP1I_(c, LH_OP_ONE_HOT, index, classes)
#define lh_scatter_add(c, a, axis, index, source)                                               \
    lh_op_(c, LH_HERE_, LH_OP_SCATTER_ADD, LH_TENSORS_(a, index, source), 3, LH_INTS_(axis), 1, \
           NULL, 0)
#define lh_embedding_op(c, weight, index) LH_OP2I_(c, LH_OP_EMBEDDING, weight, index, -1)
#define lh_arange(c, dtype, start, count) \
    lh_op_(c, LH_HERE_, LH_OP_ARANGE, NULL, 0, LH_INTS_(dtype, count), 2, LH_REALS_(start, 1.0), 2)
#define lh_flatten(c, a) lh_flatten_(c, LH_HERE_, a) /* (n, ...) to (n, rest) */
#define lh_transpose(c, a, axis_0, axis_1) lh_transpose_(c, LH_HERE_, a, axis_0, axis_1)
#define lh_unsqueeze(c, a, axis) lh_unsqueeze_(c, LH_HERE_, a, axis)
#define lh_squeeze(c, a, axis) lh_squeeze_(c, LH_HERE_, a, axis) /* as it is, if not 1 long */
#define lh_select(c, a, axis, index) lh_select_(c, LH_HERE_, a, axis, index)
#define lh_stack(c, axis, n, tensors) lh_stack_(c, LH_HERE_, axis, n, tensors)

/* Linear algebra. bias may be NULL: none. */
#define lh_matmul(c, a, b) LH_OP2_(c, LH_OP_MATMUL, a, b)
#define lh_linear_op(c, x, weight, bias) \
    lh_biased_(c, LH_HERE_, LH_OP_LINEAR, LH_TENSORS_(x, weight, bias), NULL, 0)
#define lh_linear_nobias(c, x, weight) LH_OP2_(c, LH_OP_LINEAR, x, weight)

/* Convolution and pooling of images, (n, channels, height, width); one number for both axes; bias
 * may be NULL. The layers of nn.h take other ranks and all options. */
#define lh_conv2d(c, x, weight, bias, stride, padding)                \
    lh_biased_(c, LH_HERE_, LH_OP_CONV, LH_TENSORS_(x, weight, bias), \
               LH_INTS_(stride, stride, padding, padding, 1, 1, 1), 7)
#define lh_max_pool2d(c, x, kernel, stride) \
    LH_OP1I_(c, LH_OP_MAX_POOL, x, kernel, kernel, stride, stride, 0, 0, 1, 1, 0)
#define lh_avg_pool2d(c, x, kernel, stride) \
    LH_OP1I_(c, LH_OP_AVG_POOL, x, kernel, kernel, stride, stride, 0, 0, 0, 1)
#define lh_adaptive_avg_pool2d(c, x, h, w) LH_OP1I_(c, LH_OP_ADAPTIVE_AVG_POOL, x, h, w)
#define lh_adaptive_max_pool2d(c, x, h, w) LH_OP1I_(c, LH_OP_ADAPTIVE_MAX_POOL, x, h, w)
#define lh_upsample_nearest2d(c, x, h, w) LH_OP1I_(c, LH_OP_UPSAMPLE_NEAREST, x, h, w)
#define lh_upsample_bilinear2d(c, x, h, w) LH_OP1I_(c, LH_OP_UPSAMPLE_LINEAR, x, 0, h, w)

/* Sequences: q, k, v (..., time, features). */
#define lh_attention(c, q, k, v, causal)                                               \
    lh_op_(c, LH_HERE_, LH_OP_ATTENTION, LH_TENSORS_(q, k, v), 3, LH_INTS_(causal), 1, \
           LH_REALS_(0.0, 0.0), 2)
#define lh_attention_masked(c, q, k, v, mask)                                           \
    lh_op_(c, LH_HERE_, LH_OP_ATTENTION, LH_TENSORS_(q, k, v, mask), 4, LH_INTS_(0), 1, \
           LH_REALS_(0.0, 0.0), 2)
#define lh_rope(c, x, first) \
    lh_op_(c, LH_HERE_, LH_OP_ROPE, LH_TENSORS_(x), 1, LH_INTS_(first, 0), 2, LH_REALS_(10000.0), 1)

/* Probabilities and losses. Losses are means; lh_loss has the other reductions:
 *     lh_loss(c, LH_OP_MSE_LOSS, a, b, LH_REDUCE_NONE)
 * lh_cross_entropy leaves targets of -100 out; lh_cross_entropy_ignoring, those of `ignored`. */
#define lh_softmax(c, a, axis) LH_OP1I_(c, LH_OP_SOFTMAX, a, axis)
#define lh_log_softmax(c, a, axis) LH_OP1I_(c, LH_OP_LOG_SOFTMAX, a, axis)
#define lh_nll_loss(c, logp, target) LH_OP2_(c, LH_OP_NLL_LOSS, logp, target)
#define lh_cross_entropy(c, logits, target) LH_OP2_(c, LH_OP_CROSS_ENTROPY, logits, target)
#define lh_mse_loss(c, a, b) LH_OP2_(c, LH_OP_MSE_LOSS, a, b)
#define lh_bce_with_logits(c, logits, target) LH_OP2_(c, LH_OP_BCE_WITH_LOGITS, logits, target)
#define lh_cross_entropy_smoothed(c, logits, target, smoothing)              \
    lh_op_(c, LH_HERE_, LH_OP_CROSS_ENTROPY, LH_TENSORS_(logits, target), 2, \
           LH_INTS_(LH_REDUCE_MEAN, -100), 2, LH_REALS_(smoothing), 1)
#define lh_cross_entropy_weighted(c, logits, target, weight) \
    LH_OP3_(c, LH_OP_CROSS_ENTROPY, logits, target, weight)
#define lh_cross_entropy_ignoring(c, logits, target, ignored) \
    LH_OP2I_(c, LH_OP_CROSS_ENTROPY, logits, target, LH_REDUCE_MEAN, ignored)
#define lh_loss(c, op, a, b, reduction) LH_OP2I_(c, op, a, b, reduction)
#define lh_l1_loss(c, a, b) LH_OP2_(c, LH_OP_L1_LOSS, a, b)
#define lh_smooth_l1_loss(c, a, b) LH_OP2R_(c, LH_OP_SMOOTH_L1_LOSS, a, b, 1.0)
#define lh_huber_loss(c, a, b, delta) LH_OP2R_(c, LH_OP_HUBER_LOSS, a, b, delta)
#define lh_bce_loss(c, p, target) LH_OP2_(c, LH_OP_BCE_LOSS, p, target)
#define lh_kl_div(c, logp, target) LH_OP2I_(c, LH_OP_KL_DIV, logp, target, LH_REDUCE_BATCHMEAN, 0)
#define lh_cosine_similarity(c, a, b, axis)                                               \
    lh_op_(c, LH_HERE_, LH_OP_COSINE_SIMILARITY, LH_TENSORS_(a, b), 2, LH_INTS_(axis), 1, \
           LH_REALS_(1e-8), 1)
#define lh_cosine_embedding_loss(c, a, b, target, margin)                                   \
    lh_op_(c, LH_HERE_, LH_OP_COSINE_EMBEDDING_LOSS, LH_TENSORS_(a, b, target), 3, NULL, 0, \
           LH_REALS_(margin), 1)
#define lh_triplet_margin_loss(c, anchor, positive, negative, margin)                          \
    lh_op_(c, LH_HERE_, LH_OP_TRIPLET_MARGIN_LOSS, LH_TENSORS_(anchor, positive, negative), 3, \
           NULL, 0, LH_REALS_(margin, 2.0), 2)
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
#define lh_randint(c, low, ...)                                             \
    lh_op_(c, LH_HERE_, LH_OP_RANDINT, NULL, 0, LH_INTS_(low, __VA_ARGS__), \
           LH_COUNT_INTS_(low, __VA_ARGS__), NULL, 0) /* low, high (left out), shape... */
#define lh_multinomial(c, weights, draws) LH_OP1I_(c, LH_OP_MULTINOMIAL, weights, draws)
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

/* A copy of all elements into dst, row-major, in the tensor's dtype: `size` bytes. */
static inline lh_status lh_read(lh_ctx *c, const lh_tensor *t, void *dst, uint64_t size) {
    return c->host->read(c, t, dst, size);
}

/* A parameter or buffer from `size` bytes at src, likewise. */
static inline lh_status lh_write(lh_ctx *c, lh_tensor *t, const void *src, uint64_t size) {
    return c->host->write(c, t, src, size);
}

/* A tensor of a copy of `data`, row-major; NULL: zeros. lh_tensor_of(c, LH_F32, data, 2, 3) is
 * (2, 3). */
#define lh_tensor_of(c, dtype, data, ...) \
    (c)->host->tensor((c), (dtype), LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__), (data))

/* A parameter or buffer takes the values of src: dst.copy_(src) under no_grad. */
static inline lh_status lh_assign(lh_ctx *c, lh_tensor *dst, const lh_tensor *src) {
    return c->host->assign(c, dst, src);
}

/* torch.set_grad_enabled; returns what it was:
 *     int32_t was = lh_set_grad_enabled(c, 0);
 *     ...
 *     lh_set_grad_enabled(c, was); */
static inline int32_t lh_set_grad_enabled(lh_ctx *c, int32_t on) {
    return c->host->set_grad_enabled(c, on);
}

/* What the macros above are that look at shapes. */

/* (x, weight[, bias]). */
static inline lh_tensor *lh_biased_(lh_ctx *c, const char *file, int32_t line, uint32_t op,
                                    lh_tensor *const *inputs, const int64_t *ints, int32_t n_ints) {
    return lh_op_(c, file, line, op, inputs, inputs[2] ? 3 : 2, ints, n_ints, NULL, 0);
}

/* Makes *axis count from the first of `ndim`; 0 and an error if there is no such axis. */
static inline int lh_fix_axis_(lh_ctx *c, const char *file, int32_t line, int64_t *axis,
                               int32_t ndim) {
    if (*axis < -ndim || *axis >= ndim) {
        c->host->fail(c, LH_ESHAPE, file, line, "axis %lld doesn't exist; there are %d axes",
                      (long long)*axis, (int)ndim);
        return 0;
    }
    *axis += *axis < 0 ? ndim : 0;
    return 1;
}

static inline lh_tensor *lh_flatten_(lh_ctx *c, const char *file, int32_t line, lh_tensor *a) {
    int64_t shape[2] = {lh_dim(c, a, 0), 1};

    for (int32_t d = 1; d < lh_ndim(c, a); d++)
        shape[1] *= lh_dim(c, a, d);
    return lh_op_(c, file, line, LH_OP_RESHAPE, &a, 1, shape, 2, NULL, 0);
}

static inline lh_tensor *lh_transpose_(lh_ctx *c, const char *file, int32_t line, lh_tensor *a,
                                       int64_t axis_0, int64_t axis_1) {
    int32_t ndim = lh_ndim(c, a);
    int64_t order[LH_MAX_DIMS];

    if (!a || !lh_fix_axis_(c, file, line, &axis_0, ndim) ||
        !lh_fix_axis_(c, file, line, &axis_1, ndim))
        return NULL;
    for (int32_t d = 0; d < ndim; d++)
        order[d] = d == axis_0 ? axis_1 : d == axis_1 ? axis_0 : d;
    return lh_op_(c, file, line, LH_OP_PERMUTE, &a, 1, order, ndim, NULL, 0);
}

static inline lh_tensor *lh_unsqueeze_(lh_ctx *c, const char *file, int32_t line, lh_tensor *a,
                                       int64_t axis) {
    int32_t ndim = lh_ndim(c, a) + 1;
    int64_t shape[1 + LH_MAX_DIMS];

    if (!a || !lh_fix_axis_(c, file, line, &axis, ndim))
        return NULL;
    for (int32_t d = 0; d < ndim; d++)
        shape[d] = d == axis ? 1 : lh_dim(c, a, d < axis ? d : d - 1);
    return lh_op_(c, file, line, LH_OP_RESHAPE, &a, 1, shape, ndim, NULL, 0);
}

static inline lh_tensor *lh_squeeze_(lh_ctx *c, const char *file, int32_t line, lh_tensor *a,
                                     int64_t axis) {
    int64_t shape[LH_MAX_DIMS];
    int32_t n = 0;

    if (!a || !lh_fix_axis_(c, file, line, &axis, lh_ndim(c, a)))
        return NULL;
    for (int32_t d = 0; d < lh_ndim(c, a); d++)
        if (d != axis || lh_dim(c, a, d) != 1)
            shape[n++] = lh_dim(c, a, d);
    return lh_op_(c, file, line, LH_OP_RESHAPE, &a, 1, shape, n, NULL, 0);
}

/* a without `axis`, at `index` of it, which may count from the end. */
static inline lh_tensor *lh_select_(lh_ctx *c, const char *file, int32_t line, lh_tensor *a,
                                    int64_t axis, int64_t index) {
    int64_t ints[4] = {axis, index, index + 1, 1};

    if (!a || !lh_fix_axis_(c, file, line, &ints[0], lh_ndim(c, a)))
        return NULL;
    if (index == -1)
        ints[2] = lh_dim(c, a, (int32_t)ints[0]);
    a = lh_op_(c, file, line, LH_OP_SLICE, &a, 1, ints, 4, NULL, 0);
    return lh_squeeze_(c, file, line, a, ints[0]);
}

/* Joins 64 at a time. */
static inline lh_tensor *lh_stack_(lh_ctx *c, const char *file, int32_t line, int64_t axis,
                                   int32_t n, lh_tensor *const *tensors) {
    lh_tensor *parts[64];
    int32_t count = 0;

    for (int32_t i = 0; i < n; i++) {
        if (count == 64) {
            parts[0] = lh_op_(c, file, line, LH_OP_CONCAT, parts, count, &axis, 1, NULL, 0);
            count = 1;
        }
        parts[count++] = lh_unsqueeze_(c, file, line, tensors[i], axis);
    }
    return lh_op_(c, file, line, LH_OP_CONCAT, parts, count, &axis, 1, NULL, 0);
}

LH_EXTERN_C_END
#endif
