/* kernel.h - what a device is: a table of kernels, arithmetic on raw strided buffers.
 *
 * Invariants: a kernel allocates nothing but the pool's scratch, never fails, and reads nothing but
 * its call; shapes and dtypes were checked before (the engine's catalogue). Its result is a
 * function of its inputs alone: the same bits with any number of threads. Inputs of elementwise
 * kernels arrive already broadcast to the shape of the output (stride 0). The output is contiguous,
 * or has its channels last where lh__device.channels_last says so, and aligned to 64 bytes.
 */
#ifndef LH_KERNELS_KERNEL_H
#define LH_KERNELS_KERNEL_H

#include <lhost/ops.h>

#include "kernels/philox.h"
#include "kernels/pool.h"

/* What a call holds when it reaches a kernel. Axes are non-negative.
 *
 *   operator                     inputs                     ints                     reals
 *   SUM MEAN PROD AMAX AMIN      x                          keepdim, axes (none: all)
 *   ARGMAX ARGMIN                x                          axis, keepdim
 *   CONCAT                       n of them                  axis
 *   GATHER INDEX_SELECT          x, index                   axis
 *   SOFTMAX LOG_SOFTMAX          x                          axis
 *   MATMUL                       a, b as torch.matmul takes them, vectors and batches too
 *   LINEAR                       x, weight[, bias]
 *   NLL_LOSS CROSS_ENTROPY       (n, classes), (n)          -                        y: 0-d
 *   MSE_LOSS BCE_WITH_LOGITS     a, b of one shape          -                        y: 0-d
 *   LAYER_NORM RMS_NORM          x[, weight[, bias]]        how many axes            eps
 *   FULL UNIFORM NORMAL          none                       ignored                  as in ops.h
 *   CAST CONTIGUOUS RESHAPE COPY x                          ignored: y has the dtype, and as many
 *                                                           elements, in the order of x
 *   elementwise                  broadcast to y             -                        as in ops.h
 *   the rest of ops.h            as in ops.h                as in ops.h              as in ops.h
 *
 * Inputs of one elementwise call may differ in dtype; all-integer calls compute in 64 bits.
 * A target or index out of range is never followed: losses, accuracy and selected elements become
 * NaN (0 in integers), and their gradients leave it out. Data pointers of empty tensors may be
 * NULL.
 */

/* Operators that only the engine calls: what gradients and compositions are made of. In comments, g
 * is the gradient of the output y of the public operator with input x; of LSTM and GRU it may be
 * that to h alone, (t, n, hidden). The output has the shape of x where nothing else is said. */
enum {
    LH__OP_RELU_GRAD = 512,   /* (g, y): g where y > 0, else 0 */
    LH__OP_SIGMOID_GRAD,      /* (g, y): g y (1 - y) */
    LH__OP_TANH_GRAD,         /* (g, y): g (1 - y^2) */
    LH__OP_ABS_GRAD,          /* (g, x): g sign(x) */
    LH__OP_CLAMP_GRAD,        /* (g, x) reals lo, hi: g where lo <= x <= hi, else 0 */
    LH__OP_SOFTMAX_GRAD,      /* (g, y) ints axis: y (g - sum(g y)) */
    LH__OP_LOG_SOFTMAX_GRAD,  /* (g, y) ints axis: g - exp(y) sum(g) */
    LH__OP_NLL_GRAD,          /* (g 0-d, target (n)) ints n, classes: -g/n at the target */
    LH__OP_CE_GRAD,           /* (g 0-d, logits, target): g/n (softmax - one-hot) */
    LH__OP_SLICE_GRAD,        /* (g[, y]) ints axis, start, end, step, then shape of x: g in place,
                                 added to y if given, else with zeros around */
    LH__OP_GATHER_GRAD,       /* (g, index) ints axis, then shape of x: scatter-add */
    LH__OP_INDEX_SELECT_GRAD, /* (g, index) ints axis, then shape of x: index-add */
    LH__OP_DROPOUT_MASK,      /* (g) reals p: the mask of the forward call's counter again */
    LH__OP_SUM_TO,            /* (g) ints shape of y: sum over the axes that were broadcast */
    LH__OP_ADD_INTO,          /* (a, b): a + b; y may be a itself (gradient accumulation) */
    LH__OP_COPY,              /* (x): x, converted to the dtype of y */
    LH__OP_GELU_GRAD,         /* (g, x) ints as GELU: g gelu'(x) */
    LH__OP_SILU_GRAD,         /* (g, x) */
    LH__OP_LEAKY_RELU_GRAD,   /* (g, x) reals slope */
    LH__OP_ELU_GRAD,          /* (g, x) reals alpha */
    LH__OP_SOFTPLUS_GRAD,     /* (g, x) reals beta, threshold */
    LH__OP_PROD_GRAD,         /* (g, x) ints as PROD; g of the reduced shape: g times the others */
    LH__OP_CONV_WEIGHT_GRAD,  /* (g, x) ints as CONV, then the shape of weight */
    LH__OP_AVG_POOL_GRAD,     /* (g) ints as AVG_POOL, then the shape of x */
    LH__OP_CHANNEL_MOMENTS,   /* (x (n, c, ...)): (2, c), mean and biased variance */
    LH__OP_CHANNEL_NORM,      /* (x, moments of x[, weight, bias]) reals eps: x^ w + b, where
                                 x^ = (x - mean) / sqrt(variance + eps) */
    LH__OP_CHANNEL_SUMS,      /* (g, x, moments) reals eps: (2, c), sums of g x^ and of g */
    LH__OP_CHANNEL_NORM_GRAD, /* (g, x, moments, sums[, weight]) reals eps */
    LH__OP_ROW_SUMS,        /* (g, x) ints axes, 1: rms, parts; reals eps: (parts, 2, columns), sums
                               of g x^ and of g over each part of the rows */
    LH__OP_LAYER_NORM_GRAD, /* (g, x[, weight]) ints axes; reals eps */
    LH__OP_RMS_NORM_GRAD,   /* (g, x[, weight]) ints axes; reals eps */
    LH__OP_RNN_GRAD,        /* (g, y, w_hh) ints as RNN: gradient to x, (t, n, hidden) */
    LH__OP_LSTM_GRAD,      /* (g, y, c, w_hh): to x and to each step's c before, (t, n, 5 hidden) */
    LH__OP_GRU_GRAD,       /* (g, y, h, w_hh): to x, to W_hh h + b_hh, to each step's h before
                              apart from what comes through W_hh, (t, n, 7 hidden) */
    LH__OP_BCE,            /* (p, target): the loss of each element, logarithms >= -100 */
    LH__OP_BCE_GRAD,       /* (g, p, target): g (p - target) / max(p (1 - p), 1e-12) */
    LH__OP_BCE_LOGITS,     /* (logits, target): the loss of each element */
    LH__OP_ATTENTION,      /* (q (n, heads, t, d), k (n, heads, s, d), v (n, heads, s, e)[, mask (n,
                              heads, t, s) BOOL, keep where 1, or real, added]) ints: causal, how many of
                              n, heads lie before t in the result; reals: scale, dropout p. A vector:
                              the result, then, (n, heads, t), the logarithm of the sum of exp of each
                              row's scores, 0 where the row has no key and is therefore 0 */
    LH__OP_ATTENTION_GRAD, /* (g, vector, q, k, v[, mask]) ints as ATTENTION, then 1: side by side;
                              reals as ATTENTION: a vector: the gradients to q, k and v, laid out
                              as the result or, of equally many positions, side by side */
    LH__OP_ATTENDED,       /* (y, vector, q, k, v[, mask]): y, in the vector, as a view that has the
                              gradients of ATTENTION */
    LH__OP_LOOKED_UP,      /* (y, x, table, weight, index[, bias]): y, LINEAR of x, the rows of the
                              table that the index says; as a view that has its gradients */
    LH__OP_SQUARES,        /* (x, contiguous[, total F64 0-d]): sum(x^2) + total, F64 0-d */
    LH__OP_UPDATE,         /* an optimizer's update in place: update.h */
    LH__OP_LIMIT
};

/* A strided buffer; strides count elements. */
typedef struct lh__view {
    void *data;
    int32_t dtype, ndim;
    int64_t shape[LH_MAX_DIMS], stride[LH_MAX_DIMS];
} lh__view;

/* What is to happen to results while they are in cache. run: the elements [begin, begin + n) of the
 * output, in the order in which they lie, are stored and final. Any thread calls it; every element
 * is named once, and not read by the kernel afterwards. */
typedef struct lh__after lh__after;
struct lh__after {
    void (*run)(const lh__after *self, int64_t begin, int64_t n);
};

/* How products of float32 operands (matrix products, convolutions, attention, recurrent layers)
 * are taken. Sums are float32 in any case, and so are the operands in memory. */
typedef enum lh__products {
    LH__PRODUCTS_F32,
    LH__PRODUCTS_BF16,  /* operands rounded to bfloat16, to nearest even */
    LH__PRODUCTS_F16,   /* operands rounded to float16 */
    LH__PRODUCTS_BF16X3 /* operands as a sum of two bfloat16: hi hi + hi lo + lo hi */
} lh__products;

typedef struct lh__kernel_call {
    uint32_t op;
    int32_t n_in, n_ints, n_reals;
    lh__products products;
    int32_t way;            /* one of lh__device.ways, from 1 on; 0: as the kernel sees fit */
    const lh__after *after; /* NULL: nothing; set only where lh__device.runs_after says so */
    const lh__view *const *in;
    const lh__view *out;
    const int64_t *ints;
    const double *reals;
    lh__philox_key key; /* of random operators */
    lh__pool *pool;
} lh__kernel_call;

typedef void lh__kernel(const lh__kernel_call *call);

/* Elementwise calls that follow one another on as many elements, run piece by piece while a piece
 * is in cache: the results are those of the calls made one after another. Operands are results of
 * links before, read at the same elements, or memory, broadcast to the shape of the result. */
enum { LH__MAX_LINKS = 12, LH__LINK_OPERANDS = 3 };
typedef struct lh__link {
    lh__kernel_call call;              /* as a kernel gets it */
    int32_t source[LH__LINK_OPERANDS]; /* the link that operand i is the result of; -1: memory */
    int32_t is_stored;                 /* 0: links alone read the result; it goes to no memory */
    int32_t is_flat;                   /* every operand lies as the result does */
    void (*row)(void);                 /* the device's, set by ready_link */
} lh__link;

typedef struct lh__chain {
    lh__after after; /* first: runs the chain on what a kernel has made */
    int64_t numel;   /* elements of each result */
    int32_t n;
    lh__link *links;
    lh__pool *pool;
} lh__chain;

enum { LH__MOST_WAYS = 2 };

typedef struct lh__device {
    const char *name;
    lh__kernel *const *kernels; /* indexed by operator, LH__OP_LIMIT of them; views have none */
    /* Whether the kernel of this call would run call->after; NULL: none does. */
    int32_t (*runs_after)(const lh__kernel_call *call);
    /* How the kernel computes this call, where there are several ways: a word for a person, or
     * NULL. The operands need not be there. NULL: there is one way for all. */
    const char *(*way)(const lh__kernel_call *call);
    /* How many ways there are to choose from, at most LH__MOST_WAYS: they give the same bits, and
     * which is the fastest depends on the machine. 0: none. NULL: never any. */
    int32_t (*ways)(const lh__kernel_call *call);
    /* Which operands may have their channels last (view.h), bit n_in being the output's; the result
     * has the same bits then. `free`: those of them that may by themselves; the others all have to
     * lie the same way. The call is of contiguous operands that need not be there. NULL: none may.
     */
    uint32_t (*channels_last)(const lh__kernel_call *call, uint32_t *free);
    /* Whether the call may be a link of a chain; makes a link that is filled in ready; runs a
     * chain, all of it or, as lh__after, a part. All NULL: there are no chains. */
    int32_t (*may_link)(const lh__kernel_call *call);
    void (*ready_link)(lh__link *link);
    void (*run_chain)(const lh__chain *chain);
    void (*run_links)(const lh__after *chain, int64_t begin, int64_t n);
} lh__device;

/* The oracle: portable C, every sum in double, one thread, written to be read. */
const lh__device *lh__device_ref(void);

/* The machine's own cores: the pool's threads, vectorised for the best instruction set found at run
 * time; OpenBLAS multiplies matrices that have few rows, columns or summands, and all where there
 * is no AVX2. NULL when OpenBLAS is not installed. */
const lh__device *lh__device_cpu(void);

static inline int64_t lh__dtype_size(int32_t dtype) {
    return dtype == LH_F64 || dtype == LH_I64    ? 8
           : dtype == LH_F32 || dtype == LH_I32  ? 4
           : dtype == LH_F16 || dtype == LH_BF16 ? 2
                                                 : 1;
}

static inline int64_t lh__view_numel(const lh__view *v) {
    int64_t n = 1;

    for (int32_t i = 0; i < v->ndim; i++)
        n *= v->shape[i];
    return n;
}

#endif
