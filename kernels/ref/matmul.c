/* matmul.c - the oracle's matrix products: a triple loop in double, of operands rounded as the call
 * wants it. */
#include "kernels/ref/ref.h"

/* Only those of float32 operands are rounded. */
static lh__products products_of(const lh__kernel_call *call) {
    return call->out->dtype == LH_F32 ? call->products : LH__PRODUCTS_F32;
}

/* Offset of batch i of `out` in x, whose own batch axes are broadcast to those of out. */
static int64_t batch_offset(const lh__view *x, const lh__view *out, int32_t out_batch_axes,
                            int64_t i) {
    int32_t lead = out_batch_axes - (x->ndim - 2);
    int64_t offset = 0;

    for (int32_t d = out_batch_axes - 1; d >= 0; d--) {
        if (d >= lead && x->shape[d - lead] != 1)
            offset += i % out->shape[d] * x->stride[d - lead];
        i /= out->shape[d];
    }
    return offset;
}

void lh__ref_matmul(const lh__kernel_call *call) {
    const lh__products products = products_of(call);
    lh__view a = *call->in[0], b = *call->in[1];
    int32_t batch_axes;
    int64_t m, n, k, batches = 1, at = 0;

    if (a.ndim == 1) /* a row */
        a.ndim = 2, a.shape[1] = a.shape[0], a.stride[1] = a.stride[0], a.shape[0] = 1;
    if (b.ndim == 1) /* a column */
        b.ndim = 2, b.shape[1] = 1, b.stride[1] = 0;
    m = a.shape[a.ndim - 2], k = a.shape[a.ndim - 1], n = b.shape[b.ndim - 1];
    batch_axes = (a.ndim > b.ndim ? a.ndim : b.ndim) - 2;
    for (int32_t d = 0; d < batch_axes; d++)
        batches *= call->out->shape[d];
    for (int64_t batch = 0; batch < batches; batch++) {
        int64_t a0 = batch_offset(&a, call->out, batch_axes, batch);
        int64_t b0 = batch_offset(&b, call->out, batch_axes, batch);

        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;

                for (int64_t l = 0; l < k; l++)
                    sum += lh__ref_product(
                        products,
                        lh__load(&a, a0 + i * a.stride[a.ndim - 2] + l * a.stride[a.ndim - 1]),
                        lh__load(&b, b0 + l * b.stride[b.ndim - 2] + j * b.stride[b.ndim - 1]));
                lh__store(call->out, at++, sum);
            }
    }
}

void lh__ref_linear(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *weight = call->in[1];
    const lh__view *bias = call->n_in > 2 ? call->in[2] : NULL;
    const lh__products products = products_of(call);
    int64_t out_features = weight->shape[0], in_features = weight->shape[1], at = 0;
    lh__view rows, line;

    lh__view_split(x, 1u << (x->ndim - 1), &rows, &line);
    for (int64_t i = 0, n = lh__view_numel(&rows); i < n; i++)
        for (int64_t j = 0; j < out_features; j++) {
            int64_t base = lh__view_offset(&rows, i);
            double sum = bias ? lh__get(bias, j) : 0;

            for (int64_t l = 0; l < in_features; l++)
                sum += lh__ref_product(products, lh__load(x, base + l * line.stride[0]),
                                       lh__get(weight, j * in_features + l));
            lh__store(call->out, at++, sum);
        }
}
