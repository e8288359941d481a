/* loss.c - the cpu device's softmax, losses and accuracy, with their gradients.
 *
 * Invariant: contiguous rows of one real dtype along the last axis; everything else goes to the
 * oracle. Rows are grouped by the number of classes, sums added up in the order of rows.
 */
#include "kernels/cpu/isa.h"
#include "kernels/cpu/vmath.h"

enum {
    BLOCK = 1024, /* elements of a group of rows */
    GROUP = 64,   /* rows of a group, at most */
    CHUNK = 256,  /* elements summed in T before double takes over */
    SHORT = 32,   /* rows under this length are not worth a vector loop */
};

/* Contiguous rows of classes, and what belongs to them. */
typedef struct lines {
    const void *x, *x2;
    void *y;
    const lh__view *target;
    int64_t rows, classes;
    double scale;
} lines;

static int64_t group(int64_t classes) {
    int64_t n = classes < BLOCK ? BLOCK / (classes ? classes : 1) : 1;

    return n < GROUP ? n : GROUP;
}

/* Target of row i, -1 when it is none of the classes. */
static inline int64_t target_of(const lines *l, int64_t i) {
    int64_t t = l->target->dtype == LH_I64
                    ? ((const int64_t *)l->target->data)[i * l->target->stride[0]]
                    : lh__load_int(l->target, i * l->target->stride[0]);

    return t >= 0 && t < l->classes ? t : -1;
}

#define T float
#define FN(name) name##_f32
#include "kernels/cpu/loss.inc"
#undef T
#undef FN
#define T double
#define FN(name) name##_f64
#include "kernels/cpu/loss.inc"

/* Whether the first `n` inputs are contiguous and of one real dtype. */
static bool is_plain(const lh__kernel_call *call, int32_t first, int32_t n) {
    int32_t dtype = call->in[first]->dtype;

    for (int32_t k = first; k < first + n; k++)
        if (call->in[k]->dtype != dtype || !lh__view_is_contiguous(call->in[k]))
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

static int64_t grain(const lines *l) {
    return 1 + LH__TILE / (4 * (l->classes + 1));
}

static void store(const lh__view *y, double x) {
    if (y->dtype == LH_F32)
        *(float *)y->data = (float)x;
    else
        lh__store(y, 0, x);
}

static lines lines_of(const lh__view *x) {
    lines l = {.x = x->data};

    l.classes = x->ndim ? x->shape[x->ndim - 1] : 1;
    l.rows = l.classes ? lh__view_numel(x) / l.classes : 0;
    return l;
}

void ISA(softmax)(const lh__kernel_call *call) {
    static lh__range_fn *const fns[2][2] = {{softmax_range_f32, softmax_range_f64},
                                            {log_softmax_range_f32, log_softmax_range_f64}};
    const lh__view *x = call->in[0];
    lines l = lines_of(x);

    l.y = call->out->data;
    if (is_plain(call, 0, 1) && call->ints[0] == x->ndim - 1)
        lh__for_ranges(call->pool, l.rows, grain(&l),
                       fns[call->op == LH_OP_LOG_SOFTMAX][x->dtype == LH_F64], &l);
    else
        lh__ref_softmax(call);
}

void ISA(softmax_grad)(const lh__kernel_call *call) {
    static lh__range_fn *const fns[2][2] = {
        {softmax_grad_range_f32, softmax_grad_range_f64},
        {log_softmax_grad_range_f32, log_softmax_grad_range_f64}};
    const lh__view *g = call->in[0];
    bool logs = call->op == LH__OP_LOG_SOFTMAX_GRAD;
    lines l = lines_of(g);

    l.x2 = call->in[1]->data;
    l.y = call->out->data;
    if (is_plain(call, 0, 2) && call->ints[0] == g->ndim - 1)
        lh__for_ranges(call->pool, l.rows, grain(&l), fns[logs][g->dtype == LH_F64], &l);
    else
        (logs ? lh__ref_log_softmax_grad : lh__ref_softmax_grad)(call);
}

/* The mean over rows of a sum; in[1] are the targets. */
static void mean_of_rows(const lh__kernel_call *call, lh__range_sum *f32, lh__range_sum *f64,
                         lh__kernel *oracle) {
    lines l = lines_of(call->in[0]);

    l.rows = call->in[0]->shape[0];
    l.target = call->in[1];
    if (is_plain(call, 0, 1))
        store(call->out, lh__sum_ranges(call->pool, l.rows, grain(&l),
                                        call->in[0]->dtype == LH_F32 ? f32 : f64, &l) /
                             (double)l.rows);
    else
        oracle(call);
}

void ISA(nll_loss)(const lh__kernel_call *call) {
    mean_of_rows(call, nll_sum_f32, nll_sum_f64, lh__ref_nll_loss);
}

void ISA(cross_entropy)(const lh__kernel_call *call) {
    mean_of_rows(call, ce_sum_f32, ce_sum_f64, lh__ref_cross_entropy);
}

void ISA(accuracy)(const lh__kernel_call *call) {
    mean_of_rows(call, hit_sum_f32, hit_sum_f64, lh__ref_accuracy);
}

void ISA(nll_grad)(const lh__kernel_call *call) {
    lines l = {.y = call->out->data, .target = call->in[1]};

    l.rows = call->ints[0], l.classes = call->ints[1];
    l.scale = lh__load(call->in[0], 0) / (double)l.rows;
    if ((call->out->dtype == LH_F32 || call->out->dtype == LH_F64) && l.classes > 0)
        lh__for_ranges(call->pool, l.rows, grain(&l),
                       call->out->dtype == LH_F32 ? nll_grad_range_f32 : nll_grad_range_f64, &l);
    else
        lh__ref_nll_grad(call);
}

void ISA(ce_grad)(const lh__kernel_call *call) {
    lines l = lines_of(call->in[1]);

    l.y = call->out->data;
    l.target = call->in[2];
    l.scale = lh__load(call->in[0], 0) / (double)l.rows;
    if (is_plain(call, 1, 1) && call->out->dtype == call->in[1]->dtype)
        lh__for_ranges(call->pool, l.rows, grain(&l),
                       call->out->dtype == LH_F32 ? ce_grad_range_f32 : ce_grad_range_f64, &l);
    else
        lh__ref_ce_grad(call);
}

void ISA(pair_loss)(const lh__kernel_call *call) {
    bool bce = call->op == LH_OP_BCE_WITH_LOGITS, wide = call->in[0]->dtype == LH_F64;
    static lh__range_sum *const fns[2][2] = {{mse_sum_f32, mse_sum_f64},
                                             {bce_sum_f32, bce_sum_f64}};
    int64_t n = lh__view_numel(call->in[0]);
    lines l = {.x = call->in[0]->data, .x2 = call->in[1]->data};

    if (is_plain(call, 0, 2))
        store(call->out, lh__sum_ranges(call->pool, n, LH__TILE, fns[bce][wide], &l) / (double)n);
    else
        (bce ? lh__ref_bce_with_logits : lh__ref_mse_loss)(call);
}

void ISA(bce)(const lh__kernel_call *call) {
    static lh__row_fn *const fns[3][2] = {{bce_row_f32, bce_row_f64},
                                          {bce_logits_row_f32, bce_logits_row_f64},
                                          {bce_grad_row_f32, bce_grad_row_f64}};
    int32_t kind = call->op == LH__OP_BCE ? 0 : call->op == LH__OP_BCE_LOGITS ? 1 : 2;
    int32_t dtype = call->out->dtype, plain = dtype == LH_F32 || dtype == LH_F64;

    for (int32_t k = 0; k < call->n_in; k++)
        plain = plain && call->in[k]->dtype == dtype;
    if (plain)
        lh__walk(call, fns[kind][dtype == LH_F64]);
    else
        (kind == 2 ? lh__ref_bce_grad : lh__ref_bce)(call);
}
