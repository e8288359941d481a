/* table.c - the cpu device for one instruction set. */
#include "kernels/cpu/isa.h"

static lh__kernel *const kernels[LH__OP_LIMIT] = {
    [LH_OP_ADD] = ISA(elementwise),
    [LH_OP_SUB] = ISA(elementwise),
    [LH_OP_MUL] = ISA(elementwise),
    [LH_OP_DIV] = ISA(elementwise),
    [LH_OP_POW] = ISA(elementwise),
    [LH_OP_MAXIMUM] = ISA(elementwise),
    [LH_OP_MINIMUM] = ISA(elementwise),
    [LH_OP_EQ] = ISA(elementwise),
    [LH_OP_NE] = ISA(elementwise),
    [LH_OP_LT] = ISA(elementwise),
    [LH_OP_LE] = ISA(elementwise),
    [LH_OP_GT] = ISA(elementwise),
    [LH_OP_GE] = ISA(elementwise),
    [LH_OP_WHERE] = ISA(elementwise),
    [LH_OP_ADD_SCALAR] = ISA(elementwise),
    [LH_OP_MUL_SCALAR] = ISA(elementwise),
    [LH_OP_POW_SCALAR] = ISA(elementwise),
    [LH_OP_NEG] = ISA(elementwise),
    [LH_OP_EXP] = ISA(elementwise),
    [LH_OP_LOG] = ISA(elementwise),
    [LH_OP_SQRT] = ISA(elementwise),
    [LH_OP_SQUARE] = ISA(elementwise),
    [LH_OP_ABS] = ISA(elementwise),
    [LH_OP_RELU] = ISA(elementwise),
    [LH_OP_SIGMOID] = ISA(elementwise),
    [LH_OP_TANH] = ISA(elementwise),
    [LH_OP_CLAMP] = ISA(elementwise),
    [LH_OP_SUM] = ISA(reduce),
    [LH_OP_MEAN] = ISA(reduce),
    [LH_OP_AMAX] = ISA(reduce),
    [LH_OP_AMIN] = ISA(reduce),
    [LH_OP_ARGMAX] = ISA(argmax),
    [LH_OP_ARGMIN] = ISA(argmax),
    [LH_OP_PROD] = ISA(reduce),
    [LH_OP_CUMSUM] = ISA(cumsum),
    [LH_OP_ARGSORT] = lh__cpu_argsort,
    [LH_OP_TOPK] = lh__ref_order,
    [LH__OP_PROD_GRAD] = lh__ref_prod_grad,
    [LH_OP_RESHAPE] = ISA(copy),
    [LH_OP_CONCAT] = ISA(concat),
    [LH_OP_GATHER] = ISA(gather),
    [LH_OP_INDEX_SELECT] = ISA(index_select),
    [LH_OP_CAST] = ISA(copy),
    [LH_OP_CONTIGUOUS] = ISA(copy),
    [LH_OP_MATMUL] = ISA(matmul),
    [LH_OP_LINEAR] = ISA(matmul),
    [LH_OP_SOFTMAX] = ISA(softmax),
    [LH_OP_LOG_SOFTMAX] = ISA(softmax),
    [LH_OP_NLL_LOSS] = ISA(nll_loss),
    [LH_OP_CROSS_ENTROPY] = ISA(cross_entropy),
    [LH_OP_MSE_LOSS] = ISA(pair_loss),
    [LH_OP_BCE_WITH_LOGITS] = ISA(pair_loss),
    [LH_OP_ACCURACY] = ISA(accuracy),
    [LH_OP_LAYER_NORM] = ISA(layer_norm),
    [LH_OP_RMS_NORM] = ISA(layer_norm),
    [LH_OP_FULL] = ISA(full),
    [LH_OP_ARANGE] = ISA(arange),
    [LH_OP_RANDINT] = ISA(randint),
    [LH_OP_MULTINOMIAL] = lh__ref_multinomial,
    [LH_OP_UNIFORM] = ISA(uniform),
    [LH_OP_NORMAL] = ISA(normal),
    [LH_OP_BERNOULLI] = ISA(bernoulli),
    [LH_OP_DROPOUT] = ISA(dropout),
    [LH_OP_CONV] = ISA(conv),
    [LH_OP_CONV_TRANSPOSE] = ISA(conv),
    [LH_OP_MAX_POOL_INDICES] = ISA(max_pool_indices),
    [LH_OP_AVG_POOL] = ISA(avg_pool),
    [LH_OP_GELU] = ISA(elementwise),
    [LH_OP_SILU] = ISA(elementwise),
    [LH_OP_LEAKY_RELU] = ISA(elementwise),
    [LH_OP_ELU] = ISA(elementwise),
    [LH_OP_SOFTPLUS] = ISA(elementwise),
    [LH_OP_SIN] = ISA(elementwise),
    [LH_OP_COS] = ISA(elementwise),
    [LH_OP_RSQRT] = ISA(elementwise),
    [LH_OP_ERF] = ISA(elementwise),
    [LH_OP_SIGN] = ISA(elementwise),
    [LH_OP_FLOOR] = ISA(elementwise),
    [LH__OP_RELU_GRAD] = ISA(elementwise),
    [LH__OP_SIGMOID_GRAD] = ISA(elementwise),
    [LH__OP_TANH_GRAD] = ISA(elementwise),
    [LH__OP_ABS_GRAD] = ISA(elementwise),
    [LH__OP_CLAMP_GRAD] = ISA(elementwise),
    [LH__OP_SOFTMAX_GRAD] = ISA(softmax_grad),
    [LH__OP_LOG_SOFTMAX_GRAD] = ISA(softmax_grad),
    [LH__OP_NLL_GRAD] = ISA(nll_grad),
    [LH__OP_CE_GRAD] = ISA(ce_grad),
    [LH__OP_BCE] = ISA(bce),
    [LH__OP_BCE_LOGITS] = ISA(bce),
    [LH__OP_BCE_GRAD] = ISA(bce),
    [LH__OP_CHANNEL_MOMENTS] = ISA(channel_moments),
    [LH__OP_CHANNEL_NORM] = ISA(channel_norm),
    [LH__OP_CHANNEL_SUMS] = ISA(channel_sums),
    [LH__OP_CHANNEL_NORM_GRAD] = ISA(channel_norm_grad),
    [LH__OP_LAYER_NORM_GRAD] = ISA(layer_norm_grad),
    [LH__OP_RMS_NORM_GRAD] = ISA(layer_norm_grad),
    [LH__OP_ROW_SUMS] = ISA(row_sums),
    [LH__OP_SLICE_GRAD] = ISA(slice_grad),
    [LH__OP_GATHER_GRAD] = ISA(gather_grad),
    [LH__OP_INDEX_SELECT_GRAD] = ISA(index_select_grad),
    [LH__OP_DROPOUT_MASK] = ISA(dropout),
    [LH__OP_SUM_TO] = ISA(reduce),
    [LH__OP_ADD_INTO] = ISA(elementwise),
    [LH__OP_SQUARES] = ISA(squares),
    [LH__OP_UPDATE] = ISA(update),
    [LH__OP_GELU_GRAD] = ISA(elementwise),
    [LH__OP_SILU_GRAD] = ISA(elementwise),
    [LH__OP_LEAKY_RELU_GRAD] = ISA(elementwise),
    [LH__OP_ELU_GRAD] = ISA(elementwise),
    [LH__OP_SOFTPLUS_GRAD] = ISA(elementwise),
    [LH_OP_RNN] = ISA(rnn),
    [LH_OP_LSTM] = ISA(lstm),
    [LH_OP_GRU] = ISA(gru),
    [LH__OP_RNN_GRAD] = ISA(rnn_grad),
    [LH__OP_LSTM_GRAD] = ISA(lstm_grad),
    [LH__OP_GRU_GRAD] = ISA(gru_grad),
    [LH__OP_COPY] = ISA(copy),
    [LH__OP_CONV_WEIGHT_GRAD] = ISA(conv_weight_grad),
    [LH__OP_AVG_POOL_GRAD] = ISA(avg_pool_grad),
    [LH__OP_ATTENTION] = ISA(attention),
    [LH__OP_ATTENTION_GRAD] = ISA(attention_grad),
};

static int32_t runs_after(const lh__kernel_call *call) {
    switch (call->op) {
    case LH_OP_MATMUL:
    case LH_OP_LINEAR:
        return ISA(matmul_runs_after)(call);
    case LH_OP_LAYER_NORM:
    case LH_OP_RMS_NORM:
    case LH__OP_LAYER_NORM_GRAD:
    case LH__OP_RMS_NORM_GRAD:
        return ISA(layer_norm_runs_after)(call);
    case LH_OP_CONV:
    case LH_OP_CONV_TRANSPOSE:
        return ISA(conv_runs_after)(call);
    case LH__OP_CHANNEL_NORM:
    case LH__OP_CHANNEL_NORM_GRAD:
        return ISA(channel_norm_runs_after)(call);
    case LH__OP_GATHER_GRAD:
        return ISA(gather_grad_runs_after)(call);
    default:
        return 0;
    }
}

static const char *way(const lh__kernel_call *call) {
    switch (call->op) {
    case LH_OP_MATMUL:
    case LH_OP_LINEAR:
        return ISA(matmul_way)(call);
    case LH_OP_CONV:
    case LH_OP_CONV_TRANSPOSE:
    case LH__OP_CONV_WEIGHT_GRAD:
        return ISA(conv_way)(call);
    default:
        return NULL;
    }
}

static uint32_t channels_last(const lh__kernel_call *call, uint32_t *free) {
    *free = 0;
    switch (call->op) {
    case LH_OP_CONV:
    case LH_OP_CONV_TRANSPOSE:
    case LH__OP_CONV_WEIGHT_GRAD:
        return *free = ISA(conv_channels_last)(call);
    case LH__OP_CHANNEL_MOMENTS:
    case LH__OP_CHANNEL_NORM:
    case LH__OP_CHANNEL_SUMS:
    case LH__OP_CHANNEL_NORM_GRAD:
        return ISA(channel_norm_channels_last)(call);
    case LH_OP_SUM:
    case LH_OP_MEAN:
    case LH__OP_SUM_TO:
        return ISA(reduce_channels_last)(call);
    case LH_OP_MAX_POOL_INDICES:
        return ISA(max_pool_channels_last)(call);
    case LH_OP_GATHER:
    case LH__OP_GATHER_GRAD:
        return ISA(gather_channels_last)(call, free);
    default:
        return kernels[call->op] == ISA(elementwise) ? ISA(elementwise_channels_last)(call) : 0;
    }
}

static int32_t ways(const lh__kernel_call *call) {
    return call->op == LH_OP_MATMUL || call->op == LH_OP_LINEAR ? ISA(matmul_ways)(call) : 0;
}

const lh__device ISA(device) = {
    .name = "cpu",
    .kernels = kernels,
    .runs_after = runs_after,
    .way = way,
    .ways = ways,
    .channels_last = channels_last,
    .may_link = ISA(may_link),
    .ready_link = ISA(ready_link),
    .run_chain = ISA(run_chain),
    .run_links = ISA(run_links),
};
