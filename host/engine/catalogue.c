/* catalogue.c - the table of operators.
 *
 * Columns: names, number of inputs (min, max), of ints (min, max), of reals, flags, dtype rule,
 * shape rule, gradient per input.
 */
#include "engine/catalogue.h"

#include "engine/gradients.h"
#include "engine/shapes.h"

/* clang-format off */
static const lh__row rows[LH__OP_LIMIT] = {
    /* binary */
    [LH_OP_ADD]     = {"add", "a b", 2, 2, 0, 0, 0, 0, LH__NUMBERS, lh__shape_broadcast,
                       {lh__d_add, lh__d_add}},
    [LH_OP_SUB]     = {"sub", "a b", 2, 2, 0, 0, 0, 0, LH__NUMBERS, lh__shape_broadcast,
                       {lh__d_add, lh__d_sub_b}},
    [LH_OP_MUL]     = {"mul", "a b", 2, 2, 0, 0, 0, 0, LH__NUMBERS, lh__shape_broadcast,
                       {lh__d_mul, lh__d_mul}},
    [LH_OP_DIV]     = {"div", "a b", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_broadcast,
                       {lh__d_div_a, lh__d_div_b}},
    [LH_OP_POW]     = {"pow", "a b", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_broadcast,
                       {lh__d_pow_a, lh__d_pow_b}},
    [LH_OP_MAXIMUM] = {"maximum", "a b", 2, 2, 0, 0, 0, 0, LH__NUMBERS, lh__shape_broadcast,
                       {lh__d_maximum, lh__d_maximum}},
    [LH_OP_MINIMUM] = {"minimum", "a b", 2, 2, 0, 0, 0, 0, LH__NUMBERS, lh__shape_broadcast,
                       {lh__d_minimum, lh__d_minimum}},
    [LH_OP_EQ]      = {"eq", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_NE]      = {"ne", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_LT]      = {"lt", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_LE]      = {"le", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_GT]      = {"gt", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_GE]      = {"ge", "a b", 2, 2, 0, 0, 0, 0, LH__COMPARE, lh__shape_broadcast, {0}},
    [LH_OP_WHERE]   = {"where", "condition a b", 3, 3, 0, 0, 0, 0, LH__CHOOSE, lh__shape_broadcast,
                       {NULL, lh__d_where_a, lh__d_where_b}},

    /* with a scalar, unary */
    [LH_OP_ADD_SCALAR] = {"add_scalar", "x", 1, 1, 0, 0, 1, 0, LH__REALS, lh__shape_same,
                          {lh__d_identity}},
    [LH_OP_MUL_SCALAR] = {"mul_scalar", "x", 1, 1, 0, 0, 1, 0, LH__REALS, lh__shape_same,
                          {lh__d_mul_scalar}},
    [LH_OP_POW_SCALAR] = {"pow_scalar", "x", 1, 1, 0, 0, 1, 0, LH__REALS, lh__shape_same,
                          {lh__d_pow_scalar}},
    [LH_OP_NEG]     = {"neg", "x", 1, 1, 0, 0, 0, 0, LH__NUMBERS, lh__shape_same, {lh__d_neg}},
    [LH_OP_EXP]     = {"exp", "x", 1, 1, 0, 0, 0, 0, LH__REALS, lh__shape_same, {lh__d_exp}},
    [LH_OP_LOG]     = {"log", "x", 1, 1, 0, 0, 0, 0, LH__REALS, lh__shape_same, {lh__d_log}},
    [LH_OP_SQRT]    = {"sqrt", "x", 1, 1, 0, 0, 0, 0, LH__REALS, lh__shape_same, {lh__d_sqrt}},
    [LH_OP_SQUARE]  = {"square", "x", 1, 1, 0, 0, 0, 0, LH__NUMBERS, lh__shape_same,
                       {lh__d_square}},
    [LH_OP_ABS]     = {"abs", "x", 1, 1, 0, 0, 0, 0, LH__NUMBERS, lh__shape_same, {lh__d_abs}},
    [LH_OP_RELU]    = {"relu", "x", 1, 1, 0, 0, 0, 0, LH__NUMBERS, lh__shape_same, {lh__d_relu}},
    [LH_OP_SIGMOID] = {"sigmoid", "x", 1, 1, 0, 0, 0, 0, LH__REALS, lh__shape_same,
                       {lh__d_sigmoid}},
    [LH_OP_TANH]    = {"tanh", "x", 1, 1, 0, 0, 0, 0, LH__REALS, lh__shape_same, {lh__d_tanh}},
    [LH_OP_CLAMP]   = {"clamp", "x", 1, 1, 0, 0, 2, 0, LH__REALS, lh__shape_clamp,
                       {lh__d_clamp}},

    /* reductions */
    [LH_OP_SUM]     = {"sum", "x", 1, 1, 1, LH__ANY, 0, 0, LH__COUNT, lh__shape_reduce,
                       {lh__d_sum}},
    [LH_OP_MEAN]    = {"mean", "x", 1, 1, 1, LH__ANY, 0, 0, LH__REALS, lh__shape_reduce,
                       {lh__d_mean}},
    [LH_OP_AMAX]    = {"amax", "x", 1, 1, 1, LH__ANY, 0, 0, LH__AS_IS, lh__shape_extreme,
                       {lh__d_extreme}},
    [LH_OP_AMIN]    = {"amin", "x", 1, 1, 1, LH__ANY, 0, 0, LH__AS_IS, lh__shape_extreme,
                       {lh__d_extreme}},
    [LH_OP_ARGMAX]  = {"argmax", "x", 1, 1, 1, 2, 0, 0, LH__POSITION, lh__shape_argmax, {0}},

    /* shapes */
    [LH_OP_RESHAPE] = {"reshape", "x", 1, 1, 0, LH__ANY, 0, LH__COPIES, LH__AS_IS,
                       lh__shape_reshape, {lh__d_reshape}},
    [LH_OP_PERMUTE] = {"permute", "x", 1, 1, 0, LH__ANY, 0, 0, LH__AS_IS, lh__shape_permute,
                       {lh__d_permute}},
    [LH_OP_EXPAND]  = {"expand", "x", 1, 1, 0, LH__ANY, 0, 0, LH__AS_IS, lh__shape_expand,
                       {lh__d_expand}},
    [LH_OP_SLICE]   = {"slice", "x", 1, 1, 4, 4, 0, 0, LH__AS_IS, lh__shape_slice, {lh__d_slice}},
    [LH_OP_CONCAT]  = {"concat", "x", 1, LH__ANY, 1, 1, 0, 0, LH__NUMBERS, lh__shape_concat,
                       {lh__d_concat}},
    [LH_OP_GATHER]  = {"gather", "x index", 2, 2, 1, 1, 0, 0, LH__ANY_INDEX, lh__shape_gather,
                       {lh__d_gather}},
    [LH_OP_INDEX_SELECT] = {"index_select", "x index", 2, 2, 1, 1, 0, 0, LH__ANY_INDEX,
                            lh__shape_index_select, {lh__d_index_select}},
    [LH_OP_CAST]    = {"cast", "x", 1, 1, 1, 1, 0, LH__COPIES, LH__GIVEN, lh__shape_same,
                       {lh__d_cast}},
    [LH_OP_CONTIGUOUS] = {"contiguous", "x", 1, 1, 0, 0, 0, LH__COPIES, LH__AS_IS,
                          lh__shape_contiguous, {lh__d_identity}},
    [LH_OP_DETACH]  = {"detach", "x", 1, 1, 0, 0, 0, 0, LH__AS_IS, lh__shape_view, {0}},

    /* linear algebra */
    [LH_OP_MATMUL]  = {"matmul", "a b", 2, 2, 0, 0, 0, LH__LANDS, LH__REALS, lh__shape_matmul,
                       {lh__d_matmul_a, lh__d_matmul_b}},
    [LH_OP_LINEAR]  = {"linear", "x weight bias", 2, 3, 0, 0, 0, 0, LH__REALS, lh__shape_linear,
                       {lh__d_linear_x, lh__d_linear_weight, lh__d_linear_bias}},

    /* probabilities and losses */
    [LH_OP_SOFTMAX] = {"softmax", "x", 1, 1, 1, 1, 0, 0, LH__REALS, lh__shape_axis,
                       {lh__d_softmax}},
    [LH_OP_LOG_SOFTMAX] = {"log_softmax", "x", 1, 1, 1, 1, 0, 0, LH__REALS, lh__shape_axis,
                           {lh__d_log_softmax}},
    [LH_OP_NLL_LOSS] = {"nll_loss", "log_probabilities target", 2, 2, 0, 0, 0, 0, LH__REAL_INDEX,
                        lh__shape_classes, {lh__d_nll_loss}},
    [LH_OP_CROSS_ENTROPY] = {"cross_entropy", "logits target", 2, 2, 0, 0, 0, 0, LH__REAL_INDEX,
                             lh__shape_classes, {lh__d_cross_entropy}},
    [LH_OP_MSE_LOSS] = {"mse_loss", "a b", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_pair,
                        {lh__d_mse_loss, lh__d_mse_loss}},
    [LH_OP_BCE_WITH_LOGITS] = {"bce_with_logits", "logits target", 2, 2, 0, 0, 0, 0, LH__REALS,
                               lh__shape_pair, {lh__d_bce_logits, lh__d_bce_target}},
    [LH_OP_ACCURACY] = {"accuracy", "scores target", 2, 2, 0, 0, 0, 0, LH__HITS,
                        lh__shape_classes, {0}},

    /* filled and random */
    [LH_OP_FULL]    = {"full", "", 0, 0, 1, LH__ANY, 1, 0, LH__GIVEN, lh__shape_fill, {0}},
    [LH_OP_UNIFORM] = {"uniform", "", 0, 0, 1, LH__ANY, 2, LH__RANDOM, LH__GIVEN_REAL,
                       lh__shape_fill, {0}},
    [LH_OP_NORMAL]  = {"normal", "", 0, 0, 1, LH__ANY, 2, LH__RANDOM, LH__GIVEN_REAL,
                       lh__shape_fill, {0}},
    [LH_OP_BERNOULLI] = {"bernoulli", "p", 1, 1, 0, 0, 0, LH__RANDOM, LH__REALS, lh__shape_same,
                         {0}},
    [LH_OP_DROPOUT] = {"dropout", "x", 1, 1, 0, 0, 1, LH__RANDOM | LH__TRAIN_ONLY, LH__REALS,
                       lh__shape_dropout, {lh__d_dropout}},

    /* what gradients are made of */
    [LH__OP_RELU_GRAD]    = {"relu_grad", "g y", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_same, {0}},
    [LH__OP_SIGMOID_GRAD] = {"sigmoid_grad", "g y", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_same,
                             {0}},
    [LH__OP_TANH_GRAD]    = {"tanh_grad", "g y", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_same, {0}},
    [LH__OP_ABS_GRAD]     = {"abs_grad", "g x", 2, 2, 0, 0, 0, 0, LH__REALS, lh__shape_same, {0}},
    [LH__OP_CLAMP_GRAD]   = {"clamp_grad", "g x", 2, 2, 0, 0, 2, 0, LH__REALS, lh__shape_same,
                             {0}},
    [LH__OP_SOFTMAX_GRAD] = {"softmax_grad", "g y", 2, 2, 1, 1, 0, 0, LH__REALS, lh__shape_same,
                             {0}},
    [LH__OP_LOG_SOFTMAX_GRAD] = {"log_softmax_grad", "g y", 2, 2, 1, 1, 0, 0, LH__REALS,
                                 lh__shape_same, {0}},
    [LH__OP_NLL_GRAD]     = {"nll_grad", "g target", 2, 2, 2, 2, 0, 0, LH__REAL_INDEX,
                             lh__shape_from_ints, {0}},
    [LH__OP_CE_GRAD]      = {"cross_entropy_grad", "g logits target", 3, 3, 0, 0, 0, 0,
                             LH__REAL_INDEX, lh__shape_second, {0}},
    [LH__OP_SLICE_GRAD]   = {"slice_grad", "g", 1, 1, 4, LH__ANY, 0, LH__LANDS, LH__AS_IS,
                             lh__shape_from_ints_4, {0}},
    [LH__OP_GATHER_GRAD]  = {"gather_grad", "g index", 2, 2, 1, LH__ANY, 0, LH__LANDS,
                             LH__ANY_INDEX, lh__shape_from_ints_1, {0}},
    [LH__OP_INDEX_SELECT_GRAD] = {"index_select_grad", "g index", 2, 2, 1, LH__ANY, 0, LH__LANDS,
                                  LH__ANY_INDEX, lh__shape_from_ints_1, {0}},
    [LH__OP_DROPOUT_MASK] = {"dropout_mask", "g", 1, 1, 0, 0, 1, LH__REPLAYS, LH__REALS,
                             lh__shape_same, {0}},
    [LH__OP_SUM_TO]       = {"sum_to", "g", 1, 1, 0, LH__ANY, 0, LH__LANDS, LH__AS_IS,
                             lh__shape_from_ints, {0}},
};
/* clang-format on */

const lh__row *lh__row_of(uint32_t op) {
    return op < LH__OP_LIMIT && rows[op].name ? &rows[op] : NULL;
}

lh__gradient *lh__row_gradient(const lh__row *row, int32_t input) {
    return row->gradient[row->max_in == LH__ANY ? 0 : input];
}
