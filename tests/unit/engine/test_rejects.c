/* test_rejects.c - bad calls of every operator: the code, and a text that says where, which
 * operator, with which operands, and what to do.
 */
#include <stdio.h>

#include "engine/catalogue.h"
#include "fixture.h"

enum { MOST_NUMBERS = 16 };

typedef struct integers {
    int32_t n;
    int64_t v[MOST_NUMBERS];
} integers;

typedef struct reals {
    int32_t n;
    double v[3];
} reals;

#define I(...) \
    { (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__} }
#define R(...) \
    { (int32_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), {__VA_ARGS__} }

typedef struct bad_call {
    uint32_t op;
    const char *operands; /* as the text has to name them; their elements are `value` */
    lh_status code;
    const char *hint;
    double value;
    integers ints;
    reals reals;
} bad_call;

/* Operators of any operands: only how many of them can be wrong. */
#define UNARY(op)                                                                       \
    {op, "", LH_EINVAL, "called with 0 operands", 1, I(0), R(0)},                       \
    {                                                                                   \
        op, "x float32 (2), x int64 (3)", LH_EINVAL, "it takes 1 operands", 1, {0}, {0} \
    }
#define BINARY(op)                                                                             \
    {op, "a float32 (2, 3), b float64 (2, 4)", LH_ESHAPE, "have to be equal or 1", 1, {0}, {0}}, \
    {                                                                                          \
        op, "a float32 (2)", LH_EINVAL, "it takes 2 operands", 1, {0}, {0}                     \
    }
#define REDUCTION(op)                                                                      \
    {op, "x float32 (2, 3)", LH_ESHAPE, "axis 2 doesn't exist", 1, I(0, 2), {0}},          \
    {op, "x bool (2, 3)", LH_ESHAPE, "axis 1 is named twice", 1, I(0, 1, -1), {0}},        \
    {                                                                                      \
        op, "x float32 (2)", LH_EINVAL, "it takes 1 operands, 1 or more integers", 1, {0}, \
            {0}                                                                            \
    }
#define AXIS(op)                                                                     \
    {op, "x float32 (2, 3)", LH_ESHAPE, "axis -3 doesn't exist", 1, I(-3), {0}},     \
    {                                                                                \
        op, "x float32 ()", LH_ESHAPE, "the first operand has 0 axes", 1, I(0), {0}  \
    }
#define PAIR(op, a, b)                                                                            \
    {op, a " float32 (3), " b " float32 (4)", LH_ESHAPE, "reshape or expand one", 1, {0}, {0}},   \
    {                                                                                             \
        op, a " float32 (3), " b " float32 (3)", LH_EINVAL, "LH_REDUCE_", 1, I(9), {0}            \
    }

static const bad_call calls[] = {
    BINARY(LH_OP_ADD),
    BINARY(LH_OP_SUB),
    BINARY(LH_OP_MUL),
    BINARY(LH_OP_DIV),
    BINARY(LH_OP_POW),
    BINARY(LH_OP_MAXIMUM),
    BINARY(LH_OP_MINIMUM),
    BINARY(LH_OP_EQ),
    BINARY(LH_OP_NE),
    BINARY(LH_OP_LT),
    BINARY(LH_OP_LE),
    BINARY(LH_OP_GT),
    BINARY(LH_OP_GE),
    {LH_OP_WHERE, "condition float32 (2), a float32 (2), b float32 (2)", LH_EDTYPE,
     "compare or cast it", 1, {0}, {0}},
    {LH_OP_WHERE, "condition bool (2), a float32 (2), b float32 (3)", LH_ESHAPE,
     "have to be equal or 1", 1, {0}, {0}},
    UNARY(LH_OP_ADD_SCALAR),
    UNARY(LH_OP_MUL_SCALAR),
    UNARY(LH_OP_POW_SCALAR),
    UNARY(LH_OP_NEG),
    UNARY(LH_OP_EXP),
    UNARY(LH_OP_LOG),
    UNARY(LH_OP_SQRT),
    UNARY(LH_OP_SQUARE),
    UNARY(LH_OP_ABS),
    UNARY(LH_OP_RELU),
    UNARY(LH_OP_SIGMOID),
    UNARY(LH_OP_TANH),
    {LH_OP_CLAMP, "x float32 (2)", LH_EINVAL, "not in order", 1, {0}, R(1, -1)},
    {LH_OP_CLAMP, "x float32 (2)", LH_EINVAL, "not in order", 1, {0}, R(0, NAN)},
    REDUCTION(LH_OP_SUM),
    REDUCTION(LH_OP_MEAN),
    REDUCTION(LH_OP_AMAX),
    {LH_OP_AMAX, "x float32 (2, 0)", LH_ESHAPE, "axis 1 is empty", 1, I(0), {0}},
    REDUCTION(LH_OP_AMIN),
    {LH_OP_AMIN, "x int64 (0)", LH_ESHAPE, "axis 0 is empty", 1, I(0), {0}},
    AXIS(LH_OP_ARGMAX),
    {LH_OP_ARGMAX, "x float32 (0, 2)", LH_ESHAPE, "axis 0 is empty", 1, I(0, 1), {0}},
    {LH_OP_RESHAPE, "x float32 (2, 3)", LH_ESHAPE, "6 elements, the new shape 8", 1, I(4, 2), {0}},
    {LH_OP_RESHAPE, "x float32 (2, 3)", LH_ESHAPE, "can't be split", 1, I(-1, 0), {0}},
    {LH_OP_RESHAPE, "x float32 (0)", LH_ESHAPE, "counted", 1, I(0, INT64_MAX, INT64_MAX), {0}},
    {LH_OP_PERMUTE, "x float32 (2, 3)", LH_ESHAPE, "1 axes named; x has 2", 1, I(0), {0}},
    {LH_OP_PERMUTE, "x float32 (2, 3)", LH_ESHAPE, "axis 9 doesn't exist", 1, I(0, 9), {0}},
    {LH_OP_EXPAND, "x float32 (2, 3)", LH_ESHAPE, "only 1 can be repeated", 1, I(2, 6), {0}},
    {LH_OP_EXPAND, "x float32 (2, 3)", LH_ESHAPE, "x has 2", 1, I(3), {0}},
    {LH_OP_EXPAND, "x float32 (1, 1)", LH_ESHAPE, "counted", 1, I(INT32_MAX, INT32_MAX), {0}},
    {LH_OP_SLICE, "x float32 (2, 3)", LH_ESHAPE, "[0, 4) is outside axis 1", 1, I(1, 0, 4, 1), {0}},
    {LH_OP_SLICE, "x float32 (2, 3)", LH_EINVAL, "has to be positive", 1, I(1, 0, 3, -1), {0}},
    {LH_OP_SLICE, "x float32 (2, 3)", LH_ESHAPE, "is outside", 1, I(0, INT64_MIN, 1, 1), {0}},
    {LH_OP_CONCAT, "x float32 (2, 3), x int64 (2, 4)", LH_ESHAPE, "only axis 0 may", 1, I(0), {0}},
    {LH_OP_CONCAT, "x float32 (2, 3), x float32 (2)", LH_ESHAPE, "operand 2 has 1 axes", 1, I(0),
     {0}},
    {LH_OP_GATHER, "x float32 (4), index int64 (2)", LH_EINVAL, "index 4 at element 0 is outside",
     4, I(0), {0}},
    {LH_OP_GATHER, "x float32 (4), index float32 (2)", LH_EDTYPE, "cast it", 1, I(0), {0}},
    {LH_OP_GATHER, "x float32 (4), index int64 (2, 2)", LH_ESHAPE, "as many axes as x", 1, I(0),
     {0}},
    {LH_OP_INDEX_SELECT, "x float32 (4), index int64 (2)", LH_EINVAL, "0 ... 3", -1, I(0), {0}},
    {LH_OP_INDEX_SELECT, "x float32 (4), index int64 (2, 2)", LH_ESHAPE, "reshape it", 1, I(0),
     {0}},
    {LH_OP_CAST, "x float32 (2)", LH_EDTYPE, "use LH_F32", 1, I(77), {0}},
    {LH_OP_CAST, "x float32 (2)", LH_EDTYPE, "is no dtype", 1, I(INT64_MIN), {0}},
    UNARY(LH_OP_CONTIGUOUS),
    UNARY(LH_OP_DETACH),
    {LH_OP_MATMUL, "a float32 (2, 3), b float32 (4, 5)", LH_ESHAPE, "has to be the last of a: 3", 1,
     {0}, {0}},
    {LH_OP_MATMUL, "a float32 (2, 3), b float32 ()", LH_ESHAPE, "multiply by a scalar with mul", 1,
     {0}, {0}},
    {LH_OP_LINEAR, "x float32 (2, 3), weight float32 (4, 5)", LH_ESHAPE, "has to equal the second",
     1, {0}, {0}},
    {LH_OP_LINEAR, "x float32 (2, 3), weight float32 (4, 3), bias float32 (3)", LH_ESHAPE,
     "has to be (4)", 1, {0}, {0}},
    AXIS(LH_OP_SOFTMAX),
    AXIS(LH_OP_LOG_SOFTMAX),
    {LH_OP_NLL_LOSS, "log_probabilities float32 (3, 10), target int64 (3)", LH_EINVAL,
     "outside 0 ... 9", 10, {0}, {0}},
    {LH_OP_NLL_LOSS, "log_probabilities float32 (3, 10), target float32 (3)", LH_EDTYPE, "cast it",
     1, {0}, {0}},
    {LH_OP_NLL_LOSS, "log_probabilities float32 (3), target int64 (3)", LH_ESHAPE, "(n, classes)",
     1, {0}, {0}},
    {LH_OP_CROSS_ENTROPY, "logits float32 (3, 10), target int64 (3, 10)", LH_ESHAPE,
     "a target of (n)", 1, {0}, {0}},
    {LH_OP_CROSS_ENTROPY, "logits float32 (3, 4), target int64 (3), weight float32 (3)", LH_ESHAPE,
     "for each of 4 classes", 1, {0}, {0}},
    {LH_OP_CROSS_ENTROPY, "logits float32 (3, 4), target int64 (3)", LH_EINVAL, "smoothing", 1,
     I(1, -100), R(NAN)},
    PAIR(LH_OP_MSE_LOSS, "a", "b"),
    PAIR(LH_OP_BCE_WITH_LOGITS, "logits", "target"),
    {LH_OP_ACCURACY, "scores float32 (3), target int64 (3)", LH_ESHAPE, "reshape or flatten them",
     1, {0}, {0}},
    {LH_OP_ACCURACY, "scores float32 (3, 2), target int64 (3)", LH_EINVAL, "target 2", 2, {0}, {0}},
    {LH_OP_FULL, "", LH_ESHAPE, "can't have length -2", 1, I(LH_F32, -2), R(1)},
    {LH_OP_FULL, "", LH_ESHAPE, "counted", 1, I(LH_F32, INT64_MAX / 2, 8), R(1)},
    {LH_OP_FULL, "", LH_EDTYPE, "is no dtype", 1, I(-1, 2), R(1)},
    {LH_OP_UNIFORM, "", LH_EDTYPE, "only real dtypes", 1, I(LH_I64, 2), R(0, 1)},
    {LH_OP_UNIFORM, "", LH_ESHAPE, "9 axes asked for", 1, I(LH_F32, 1, 1, 1, 1, 1, 1, 1, 1, 1),
     R(0, 1)},
    {LH_OP_NORMAL, "", LH_EDTYPE, "only real dtypes", 1, I(LH_BOOL, 2), R(0, 1)},
    {LH_OP_UNIFORM, "", LH_EINVAL, "not in order", 1, I(LH_F32, 2), R(1, 0)},
    {LH_OP_NORMAL, "", LH_EINVAL, "can't be negative", 1, I(LH_F32, 2), R(0, NAN)},
    {LH_OP_NORMAL, "", LH_EINVAL, "2 reals", 1, I(LH_F32, 2), R(0)},
    {LH_OP_BERNOULLI, "p float32 (2, 3)", LH_EINVAL, "take the sigmoid of logits", 1.5, {0}, {0}},
    {LH_OP_BERNOULLI, "p float64 (2)", LH_EINVAL, "nan at element 0", NAN, {0}, {0}},
    {LH_OP_DROPOUT, "x float32 (2)", LH_EINVAL, "not within 0 and 1", 1, {0}, R(1.5)},
    {LH_OP_DROPOUT, "x float32 (2)", LH_EINVAL, "not within 0 and 1", 1, {0}, R(NAN)},
    UNARY(LH_OP_GELU),
    UNARY(LH_OP_SILU),
    UNARY(LH_OP_LEAKY_RELU),
    UNARY(LH_OP_ELU),
    {LH_OP_SOFTPLUS, "x float32 (2)", LH_EINVAL, "beta", 1, {0}, R(0, 20)},
    {LH_OP_SOFTPLUS, "x float32 (2)", LH_EINVAL, "2 reals", 1, {0}, R(1)},
    UNARY(LH_OP_SIN),
    UNARY(LH_OP_COS),
    UNARY(LH_OP_RSQRT),
    UNARY(LH_OP_ERF),
    UNARY(LH_OP_SIGN),
    UNARY(LH_OP_FLOOR),
    {LH_OP_MASKED_FILL, "x float32 (2), mask float32 (2)", LH_EDTYPE, "bool", 1, {0}, R(0)},
    {LH_OP_MASKED_FILL, "x float32 (2), mask bool (3)", LH_ESHAPE, "broadcast", 1, {0}, R(0)},
    REDUCTION(LH_OP_PROD),
    {LH_OP_VAR, "x float32 (2, 3)", LH_ESHAPE, "axis 2 doesn't exist", 1, I(0, 1, 2), {0}},
    {LH_OP_VAR, "x float32 (2, 3)", LH_EINVAL, "2 or more integers", 1, I(0), {0}},
    {LH_OP_STD, "x float32 (2, 3)", LH_ESHAPE, "named twice", 1, I(0, 1, 1, 1), {0}},
    {LH_OP_STD, "x float32 (2, 3)", LH_ESHAPE, "doesn't exist", 1, I(0, 1, INT64_MAX), {0}},
    REDUCTION(LH_OP_LOGSUMEXP),
    {LH_OP_NORM, "x float32 (2, 3)", LH_EINVAL, "has to be positive", 1, I(0), R(0)},
    {LH_OP_NORM, "x float32 (2, 0)", LH_ESHAPE, "axis 1 is empty", 1, I(0), R(INFINITY)},
    REDUCTION(LH_OP_ANY),
    REDUCTION(LH_OP_ALL),
    AXIS(LH_OP_ARGMIN),
    AXIS(LH_OP_CUMSUM),
    AXIS(LH_OP_ARGSORT),
    {LH_OP_TOPK, "x float32 (2, 3)", LH_ESHAPE, "can't be chosen of axis 1", 1, I(4, 1, 1), {0}},
    {LH_OP_TOPK, "x float32 (2, 3)", LH_ESHAPE, "can't be chosen", 1, I(-1, 0), {0}},
    {LH_OP_TOPK, "x float32 ()", LH_ESHAPE, "0 axes", 1, I(0, 0), {0}},
    {LH_OP_PAD, "x float32 (2, 3)", LH_EINVAL, "LH_PAD_CONSTANT", 1, I(5, 1, 1), {0}},
    {LH_OP_PAD, "x float32 (2, 3)", LH_ESHAPE, "a pair is needed", 1, I(0, 1), {0}},
    {LH_OP_PAD, "x float32 (3)", LH_ESHAPE, "takes more than 3; it has 3", 1, I(1, 3, 0), {0}},
    {LH_OP_PAD, "x float32 (3)", LH_ESHAPE, "counted", 1, I(0, INT64_MAX, INT64_MAX), {0}},
    {LH_OP_FLIP, "x float32 (2, 3)", LH_ESHAPE, "named twice", 1, I(1, -1), {0}},
    {LH_OP_FLIP, "x float32 (2, 3)", LH_ESHAPE, "doesn't exist", 1, I(2), {0}},
    {LH_OP_TRIL, "x float32 (3)", LH_ESHAPE, "two axes or more", 1, I(0), {0}},
    {LH_OP_TRIL, "x float32 (3, 3)", LH_EINVAL, "1 integers", 1, {0}, {0}},
    {LH_OP_TRIU, "x float32 ()", LH_ESHAPE, "two axes or more", 1, I(0), {0}},
    {LH_OP_TRIU, "x float32 (3, 3)", LH_EINVAL, "1 integers", 1, I(1, 2), {0}},
    {LH_OP_ONE_HOT, "index int64 (2)", LH_EINVAL, "outside 0 ... 1", 2, I(2), {0}},
    {LH_OP_ONE_HOT, "index int64 (2)", LH_EINVAL, "has to be positive", 1, I(0), {0}},
    {LH_OP_SCATTER_ADD, "x float32 (3), index int64 (2), source float32 (1)", LH_ESHAPE,
     "longer than the source", 1, I(0), {0}},
    {LH_OP_SCATTER_ADD, "x float32 (3), index int64 (2), source float32 (2)", LH_EINVAL, "index 3",
     3, I(0), {0}},
    {LH_OP_SCATTER_ADD, "x float32 (3), index float32 (2), source float32 (2)", LH_EDTYPE,
     "cast it", 1, I(0), {0}},
    {LH_OP_ARANGE, "", LH_ESHAPE, "can't have length -1", 1, I(LH_F32, -1), R(0, 1)},
    {LH_OP_ARANGE, "", LH_ESHAPE, "counted", 1, I(LH_F32, INT64_MAX), R(0, 1)},
    {LH_OP_EMBEDDING, "weight float32 (3, 2), index int64 (2)", LH_EINVAL, "index 3", 3, I(-1),
     {0}},
    {LH_OP_EMBEDDING, "weight float32 (3, 2), index int64 (2)", LH_EINVAL, "-1 stands for none", 1,
     I(3), {0}},
    {LH_OP_EMBEDDING, "weight float32 (3), index int64 (2)", LH_ESHAPE, "(rows, features)", 1,
     I(-1), {0}},
    {LH_OP_CONV, "x float32 (2, 3, 5), weight float32 (4, 2, 3)", LH_ESHAPE, "x has 3 channels", 1,
     I(1, 0, 1, 1), {0}},
    {LH_OP_CONV, "x float32 (2, 3, 5), weight float32 (4, 3, 3)", LH_EINVAL, "0 groups", 1,
     I(1, 0, 1, 0), {0}},
    {LH_OP_CONV, "x float32 (2, 3, 5), weight float32 (4, 3, 3)", LH_EINVAL, "at least 1", 1,
     I(0, 0, 1, 1), {0}},
    {LH_OP_CONV, "x float32 (2, 3, 5), weight float32 (4, 3, 6)", LH_ESHAPE, "x with its padding",
     1, I(1, 0, 1, 1), {0}},
    {LH_OP_CONV_TRANSPOSE, "x float32 (2, 3, 5), weight float32 (4, 3, 3)", LH_ESHAPE,
     "x has 3 channels", 1, I(1, 0, 0, 1, 1), {0}},
    {LH_OP_CONV_TRANSPOSE, "x float32 (2, 3, 5), weight float32 (3, 4, 3)", LH_EINVAL,
     "smaller than the stride", 1, I(1, 0, 2, 1, 1), {0}},
    {LH_OP_CONV_TRANSPOSE, "x float32 (2, 3, 1), weight float32 (3, 4, 3)", LH_ESHAPE,
     "lower the padding", 1, I(1, 9, 0, 1, 1), {0}},
    {LH_OP_MAX_POOL, "x float32 (2, 3, 4)", LH_EINVAL, "half of the kernel", 1, I(2, 1, 2, 1, 0),
     {0}},
    {LH_OP_MAX_POOL, "x float32 (3, 4)", LH_ESHAPE, "3 to 5 axes", 1, I(2, 1, 0, 1, 0), {0}},
    {LH_OP_MAX_POOL_INDICES, "x float32 (2, 3, 4)", LH_ESHAPE, "the kernel reaches", 1,
     I(5, 1, 0, 1, 0), {0}},
    {LH_OP_MAX_POOL_INDICES, "x float32 (2, 3, 4)", LH_EINVAL, "half of the kernel", 1,
     I(2, 1, INT64_MAX, 1, 0), {0}},
    {LH_OP_AVG_POOL, "x float32 (2, 3, 4, 4)", LH_EINVAL, "2 spatial axes take 8", 1,
     I(2, 2, 0, 0, 1), {0}},
    {LH_OP_AVG_POOL, "x float32 (2, 3, 4)", LH_EINVAL, "at least 1", 1, I(0, 1, 0, 0, 1), {0}},
    {LH_OP_ADAPTIVE_AVG_POOL, "x float32 (2, 3, 4)", LH_EINVAL, "1 at least", 1, I(0), {0}},
    {LH_OP_ADAPTIVE_AVG_POOL, "x float32 (2, 3, 0)", LH_ESHAPE, "spatial axis 0 is empty", 1, I(1),
     {0}},
    {LH_OP_ADAPTIVE_MAX_POOL, "x float32 (2, 3, 4)", LH_EINVAL, "1 at least", 1, I(-1), {0}},
    {LH_OP_ADAPTIVE_MAX_POOL, "x float32 (2, 3, 4)", LH_ESHAPE, "counted", 1, I(INT64_MAX), {0}},
    {LH_OP_UPSAMPLE_NEAREST, "x float32 (2, 3)", LH_ESHAPE, "3 to 5 axes", 1, I(2), {0}},
    {LH_OP_UPSAMPLE_NEAREST, "x float32 (2, 3, 4)", LH_ESHAPE, "counted", 1, I(INT64_MAX), {0}},
    {LH_OP_UPSAMPLE_LINEAR, "x float32 (2, 3, 4)", LH_EINVAL, "1 at least", 1, I(0, 0), {0}},
    {LH_OP_UPSAMPLE_LINEAR, "x float32 (2, 3, 4)", LH_EINVAL, "1 spatial axes take 2", 1,
     I(0, 2, 2), {0}},
    {LH_OP_BATCH_NORM,
     "x float32 (4, 3), weight float32 (3), bias float32 (3), running_mean float32 (2), "
     "running_var float32 (3)",
     LH_ESHAPE, "operand 4 has to hold one number for each of the 3 channels", 1, {0},
     R(1e-5, 0.1)},
    {LH_OP_BATCH_NORM,
     "x float32 (4, 3), weight float32 (3), bias float32 (3), running_mean float32 (3), "
     "running_var float32 (3)",
     LH_EINVAL, "momentum", 1, {0}, R(1e-5, 2)},
    {LH_OP_BATCH_NORM,
     "x float32 (1, 3), weight float32 (3), bias float32 (3), running_mean float32 (3), "
     "running_var float32 (3)",
     LH_ESHAPE, "a larger batch", 1, {0}, R(1e-5, 0.1)},
    {LH_OP_LAYER_NORM, "x float32 (4, 3)", LH_ESHAPE, "last 3 of 2 axes", 1, I(3), R(1e-5)},
    {LH_OP_LAYER_NORM, "x float32 (4, 3), weight float32 (4)", LH_ESHAPE, "the last 1 axes of x", 1,
     I(1), R(1e-5)},
    {LH_OP_GROUP_NORM, "x float32 (4, 3)", LH_EINVAL, "into 2 groups", 1, I(2), R(1e-5)},
    {LH_OP_GROUP_NORM, "x float32 (4, 3)", LH_EINVAL, "into 0 groups", 1, I(0), R(1e-5)},
    {LH_OP_INSTANCE_NORM, "x float32 (4, 3)", LH_ESHAPE, "more than one value", 1, {0}, R(1e-5)},
    {LH_OP_INSTANCE_NORM, "x float32 (4, 3, 2), weight float32 (3)", LH_EINVAL, "come together", 1,
     {0}, R(1e-5)},
    {LH_OP_RMS_NORM, "x float32 (4, 3)", LH_EINVAL, "can't be negative", 1, I(1), R(-1)},
    {LH_OP_RMS_NORM, "x float32 (4, 3)", LH_ESHAPE, "last 0 of 2 axes", 1, I(0), R(1e-5)},
    {LH_OP_ATTENTION, "q float32 (2, 3), k float32 (2, 4), v float32 (2, 4)", LH_ESHAPE,
     "have to be equal", 1, I(0), R(0, 0)},
    {LH_OP_ATTENTION, "q float32 (2, 3), k float32 (2, 3), v float32 (2, 3), mask int64 (2, 2)",
     LH_EDTYPE, "has to be bool", 1, I(0), R(0, 0)},
    {LH_OP_ATTENTION, "q float32 (2, 3), k float32 (2, 3), v float32 (2, 3)", LH_EINVAL,
     "not finite", 1, I(0), R(NAN, 0)},
    {LH_OP_ROPE, "x float32 (2, 3)", LH_ESHAPE, "in pairs", 1, I(0, 0), R(10000)},
    {LH_OP_ROPE, "x float32 (2, 4)", LH_EINVAL, "positive and finite", 1, I(0, 0), R(0)},
    {LH_OP_RNN, "x float32 (2, 3, 4), h float32 (3, 4), w_hh float32 (4, 5), b_hh float32 (4)",
     LH_ESHAPE, "w_hh has to be (4, 4)", 1, I(0), {0}},
    {LH_OP_RNN, "x float32 (0, 3, 4), h float32 (3, 4), w_hh float32 (4, 4), b_hh float32 (4)",
     LH_ESHAPE, "no time steps", 1, I(0), {0}},
    {LH_OP_LSTM,
     "x float32 (2, 3, 8), h float32 (3, 2), c float32 (3, 1), w_hh float32 (8, 2), b_hh float32 "
     "(8)",
     LH_ESHAPE, "c has to be (3, 2)", 1, {0}, {0}},
    {LH_OP_LSTM,
     "x float32 (2, 3, 6), h float32 (3, 2), c float32 (3, 2), w_hh float32 (8, 2), b_hh float32 "
     "(8)",
     LH_ESHAPE, "4 times hidden: 8", 1, {0}, {0}},
    {LH_OP_GRU, "x float32 (2, 3, 6), h float32 (2, 2), w_hh float32 (6, 2), b_hh float32 (6)",
     LH_ESHAPE, "h has to be (3, 2)", 1, {0}, {0}},
    {LH_OP_GRU, "x float32 (6), h float32 (2, 2), w_hh float32 (6, 2), b_hh float32 (6)", LH_ESHAPE,
     "x needs three axes", 1, {0}, {0}},
    PAIR(LH_OP_L1_LOSS, "a", "b"),
    PAIR(LH_OP_SMOOTH_L1_LOSS, "a", "b"),
    {LH_OP_SMOOTH_L1_LOSS, "a float32 (3), b float32 (3)", LH_EINVAL, "-1 ", 1, {0}, R(-1)},
    PAIR(LH_OP_HUBER_LOSS, "a", "b"),
    {LH_OP_HUBER_LOSS, "a float32 (3), b float32 (3)", LH_EINVAL, "has to be positive", 1, {0},
     R(0)},
    PAIR(LH_OP_BCE_LOSS, "probabilities", "target"),
    {LH_OP_BCE_LOSS, "probabilities float32 (3), target float32 (3)", LH_EINVAL,
     "give logits to bce_with_logits", 1.5, {0}, {0}},
    PAIR(LH_OP_KL_DIV, "log_probabilities", "target"),
    {LH_OP_KL_DIV, "log_probabilities float32 (), target float32 ()", LH_ESHAPE, "a first axis", 1,
     I(LH_REDUCE_BATCHMEAN), {0}},
    {LH_OP_COSINE_SIMILARITY, "a float32 (2, 3), b float32 (2, 4)", LH_ESHAPE, "broadcast", 1, I(1),
     {0}},
    {LH_OP_COSINE_SIMILARITY, "a float32 (2, 3), b float32 (2, 3)", LH_ESHAPE, "axis 2", 1, I(2),
     {0}},
    {LH_OP_COSINE_EMBEDDING_LOSS, "a float32 (2, 3), b float32 (2, 3), target float32 (3)",
     LH_ESHAPE, "a target of (n)", 1, {0}, {0}},
    {LH_OP_COSINE_EMBEDDING_LOSS, "a float32 (2, 3), b float32 (2, 3), target float32 (2)",
     LH_EINVAL, "has to be 1 or -1", 0.5, {0}, {0}},
    {LH_OP_TRIPLET_MARGIN_LOSS,
     "anchor float32 (2, 3), positive float32 (2, 3), negative float32 (2, 2)", LH_ESHAPE,
     "three of one shape", 1, {0}, R(1, 2)},
    {LH_OP_TRIPLET_MARGIN_LOSS,
     "anchor float32 (2, 3), positive float32 (2, 3), negative float32 (2, 3)", LH_EINVAL,
     "p 0 has to be positive", 1, {0}, R(1, 0)},
    {LH_OP_RANDINT, "", LH_EINVAL, "less than 3", 1, I(3, 3, 2), {0}},
    {LH_OP_RANDINT, "", LH_ESHAPE, "can't have length -2", 1, I(0, 3, -2), {0}},
    {LH_OP_MULTINOMIAL, "weights float32 (2, 3)", LH_EINVAL, "finite and not negative", -1, I(3),
     {0}},
    {LH_OP_MULTINOMIAL, "weights int64 (2, 3)", LH_EDTYPE, "cast them", 1, I(3), {0}},
    {LH_OP_MULTINOMIAL, "weights float32 (2, 0)", LH_ESHAPE, "has to hold classes", 1, I(3), {0}},
    {LH_OP_REQUIRE_GRAD, "x int64 (2)", LH_EDTYPE, "real", 1, {0}, {0}},
    UNARY(LH_OP_REQUIRE_GRAD),
};

enum { N_CALLS = sizeof calls / sizeof *calls };

static int32_t dtype_of(const char *name) {
    int32_t dtype = LH_F32;

    while (strcmp(lh__dtype_name(dtype), name) != 0)
        cr_assert_leq(++dtype, LH_I32, "no dtype %s", name);
    return dtype;
}

/* The tensors that "x float32 (2, 3), index int64 (2)" tells of. Returns how many. */
static int32_t parse_operands(lh__engine *e, const char *text, double value, lh_tensor **in) {
    int32_t n = 0;

    while (*text) {
        int64_t shape[LH_MAX_DIMS];
        char dtype[16];
        int32_t ndim = 0;
        int used = 0;

        cr_assert_eq(sscanf(text, "%*s %15s (%n", dtype, &used), 1, "%s", text);
        for (text += used; *text != ')';) {
            char *end;

            shape[ndim++] = strtoll(text, &end, 10);
            text = end + strspn(end, ", ");
        }
        in[n++] = full(e, dtype_of(dtype), value, ndim, shape);
        text++;
        text += strspn(text, ", ");
    }
    return n;
}

static void expect_refused(lh__engine *e, lh__error *err, const bad_call *c) {
    lh_tensor *in[8], *out;
    int32_t n_in = parse_operands(e, c->operands, c->value, in);
    char start[512];

    snprintf(start, sizeof start, "mnist.c:31: %s(%s): ", lh__row_of(c->op)->name, c->operands);
    out = call(e, c->op, n_in, in, c->ints.n, c->ints.v, c->reals.n, c->reals.v);
    cr_expect_null(out, "%s should have failed", start);
    cr_expect_eq(err->code, c->code, "code %d instead of %d: %s%s", err->code, c->code, start,
                 err->text);
    cr_expect_eq(strncmp(err->text, start, strlen(start)), 0, "\"%s\" doesn't begin with \"%s\"",
                 err->text, start);
    cr_expect(strstr(err->text + strspn(err->text, " "), c->hint), "\"%s\" lacks \"%s\"", err->text,
              c->hint);
    *err = (lh__error){0};
}

static void expect_all_refused(const char *device) {
    lh__engine *e = new_engine(device, LH_F32, 1);
    lh__error err = {0};

    lh__engine_set_error(e, &err);
    for (int32_t i = 0; i < N_CALLS; i++)
        expect_refused(e, &err, &calls[i]);
    lh__engine_free(e);
}

Test(rejects, by_ref) {
    expect_all_refused("ref");
}

Test(rejects, by_cpu) {
    expect_all_refused("cpu");
}

Test(rejects, two_calls_of_every_operator) {
    for (uint32_t op = 0; op < LH__OP_RELU_GRAD; op++) {
        const lh__row *row = lh__row_of(op);
        int32_t n = 0;

        for (int32_t i = 0; i < N_CALLS; i++)
            n += calls[i].op == op;
        cr_expect(!row || n >= 2, "%s has %d bad calls here", row ? row->name : "", n);
    }
}

/* Each count of each row, one too small and one too large. */
Test(rejects, counts) {
    enum { OPERANDS, INTEGERS, REAL_NUMBERS, COUNTS };
    static const char *const what[COUNTS] = {"operands", "integers", "reals"};
    static const int64_t ints[LH__MAX_INTS + 1] = {0};
    static const double zeros[4] = {0};
    lh__engine *e = new_engine("ref", LH_F32, 1);
    lh__error err = {0};

    lh__engine_set_error(e, &err);
    for (uint32_t op = 0; op < LH__OP_RELU_GRAD; op++) {
        const lh__row *row = lh__row_of(op);

        for (int32_t k = 0; row && k < 2 * COUNTS; k++) {
            const lh__count counts[COUNTS] = {row->in, row->ints, row->reals}, *c = &counts[k / 2];
            int32_t n[COUNTS] = {row->in.min, row->ints.min, row->reals.min};
            lh_tensor *in[8];
            char part[64];

            if (k % 2 ? c->max == LH__ANY && k / 2 != INTEGERS : c->min == 0)
                continue;
            n[k / 2] = k % 2 == 0 ? c->min - 1 : c->max == LH__ANY ? LH__MAX_INTS + 1 : c->max + 1;
            for (int32_t i = 0; i < n[OPERANDS]; i++)
                in[i] = full(e, LH_F32, 1, 0, NULL);
            cr_expect_null(call(e, op, n[0], in, n[1], ints, n[2], zeros), "%s", row->name);
            cr_expect_eq(err.code, LH_EINVAL, "%s: %s", row->name, err.text);
            snprintf(part, sizeof part, "%d %s", n[k / 2], what[k / 2]);
            cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
            snprintf(part, sizeof part, "mnist.c:31: %s(", row->name);
            cr_expect_eq(strncmp(err.text, part, strlen(part)), 0, "\"%s\"", err.text);
            err = (lh__error){0};
        }
    }
    lh__engine_free(e);
}

/* The author sees the operator that he called, also when one that it is made of refuses. */
Test(rejects, a_composed_operator_is_named_first) {
    lh__engine *e = new_engine("ref", LH_F32, 1);
    lh__error err = {0};
    lh_tensor *x = full(e, LH_F32, 1, 2, (int64_t[]){2, 0});

    lh__engine_set_error(e, &err);
    cr_expect_null(call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(x, x, x), NONE, REALS(1, INFINITY)));
    cr_expect_eq(err.code, LH_ESHAPE);
    cr_expect_eq(strncmp(err.text, "mnist.c:31: triplet_margin_loss(anchor float32 (2, 0), ", 55), 0,
                 "%s", err.text);
    cr_expect(strstr(err.text, "in its norm(x float32 (2, 0)): axis 1 is empty"), "%s", err.text);
    lh__engine_free(e);
}
