/* cases.c - the table of cases.h. */
#include "cases.h"

#include <criterion/criterion.h>
#include <math.h>

#include "kernels/view.h"

/* clang-format off */
#define BROADCASTS(op, a, b)                                                                       \
    {op, 2, 0, 0, {{a, 1, {7}}, {b, 1, {7}}}, {0}, {0}},                                           \
    {op, 2, 0, 0, {{a, 2, {3, 2}}, {b, 2, {3, 2}}}, {0}, {0}},                                     \
    {op, 2, 0, 0, {{a, 2, {17, 7}}, {b, 1, {7}}}, {0}, {0}},                                       \
    {op, 2, 0, 0, {{a, 1, {7}}, {b, 2, {17, 7}}}, {0}, {0}},                                       \
    {op, 2, 0, 0, {{a, 3, {5, 1, 7}}, {b, 3, {1, 17, 1}}}, {0}, {0}},                              \
    {op, 2, 0, 0, {{a, 0, {0}}, {b, 2, {2, 3}}}, {0}, {0}},                                        \
    {op, 2, 0, 0, {{a, 2, {0, 3}}, {b, 1, {3}}}, {0}, {0}}

#define UNARY(op, a)                                                                               \
    {op, 1, 0, 0, {{a, 0, {0}}}, {0}, {0}},                                                        \
    {op, 1, 0, 0, {{a, 1, {1}}}, {0}, {0}},                                                        \
    {op, 1, 0, 0, {{a, 2, {2, 3}}}, {0}, {0}},                                                     \
    {op, 1, 0, 0, {{a, 3, {7, 3, 17}}}, {0}, {0}},                                                 \
    {op, 1, 0, 0, {{a, 2, {0, 7}}}, {0}, {0}}

#define WITH_REALS(op, a, n, ...)                                                                  \
    {op, 1, 0, n, {{a, 2, {2, 3}}}, {0}, {__VA_ARGS__}},                                           \
    {op, 1, 0, n, {{a, 3, {7, 1, 17}}}, {0}, {__VA_ARGS__}}

#define REDUCTION(op)                                                                              \
    {op, 1, 1, 0, {{ANY, 2, {2, 3}}}, {0}, {0}},                                                   \
    {op, 1, 1, 0, {{ANY, 3, {7, 1, 17}}}, {1}, {0}},                                               \
    {op, 1, 2, 0, {{ANY, 2, {17, 7}}}, {0, 0}, {0}},                                               \
    {op, 1, 2, 0, {{ANY, 2, {17, 7}}}, {1, -1}, {0}},                                              \
    {op, 1, 3, 0, {{ANY, 3, {3, 7, 5}}}, {0, 0, 2}, {0}},                                          \
    {op, 1, 3, 0, {{ANY, 3, {3, 7, 5}}}, {1, 1, 0}, {0}},                                          \
    {op, 1, 1, 0, {{ANY, 0, {0}}}, {0}, {0}}

#define ALONG_AXIS(op)                                                                             \
    {op, 1, 1, 0, {{ANY, 1, {7}}}, {0}, {0}},                                                      \
    {op, 1, 1, 0, {{ANY, 2, {2, 3}}}, {-1}, {0}},                                                  \
    {op, 1, 1, 0, {{ANY, 2, {17, 10}}}, {1}, {0}},                                                 \
    {op, 1, 1, 0, {{ANY, 3, {3, 7, 5}}}, {1}, {0}}

#define LOSS_OF_CLASSES(op)                                                                        \
    {op, 2, 0, 0, {{ANY, 2, {3, 2}}, {INDEX, 1, {3}, 2}}, {0}, {0}},                               \
    {op, 2, 0, 0, {{ANY, 2, {17, 10}}, {INDEX, 1, {17}, 10}}, {0}, {0}},                           \
    {op, 2, 0, 0, {{ANY, 2, {1, 7}}, {INDEX, 1, {1}, 7}}, {0}, {0}}

#define LOSS_OF_PAIRS(op, target)                                                                  \
    {op, 2, 0, 0, {{ANY, 2, {2, 3}}, {target, 2, {2, 3}}}, {0}, {0}},                              \
    {op, 2, 0, 0, {{ANY, 1, {17}}, {target, 1, {17}}}, {0}, {0}},                                  \
    {op, 2, 0, 0, {{ANY, 3, {7, 1, 5}}, {target, 3, {7, 1, 5}}}, {0}, {0}}

const op_case cases[] = {
    BROADCASTS(LH_OP_ADD, ANY, ANY),
    BROADCASTS(LH_OP_SUB, ANY, ANY),
    BROADCASTS(LH_OP_MUL, ANY, ANY),
    BROADCASTS(LH_OP_DIV, ANY, ANY),
    BROADCASTS(LH_OP_POW, POSITIVE, ANY),
    BROADCASTS(LH_OP_MAXIMUM, ANY, ANY),
    BROADCASTS(LH_OP_MINIMUM, ANY, ANY),
    {LH_OP_WHERE, 3, 0, 0, {{CONDITION, 2, {3, 2}}, {ANY, 2, {3, 2}}, {ANY, 2, {3, 2}}}, {0}, {0}},
    {LH_OP_WHERE, 3, 0, 0, {{CONDITION, 2, {17, 1}}, {ANY, 1, {7}}, {ANY, 2, {17, 7}}}, {0}, {0}},
    {LH_OP_WHERE, 3, 0, 0, {{CONDITION, 1, {7}}, {ANY, 3, {5, 7, 1}}, {ANY, 0, {0}}}, {0}, {0}},

    WITH_REALS(LH_OP_ADD_SCALAR, ANY, 1, 0.7),
    WITH_REALS(LH_OP_MUL_SCALAR, ANY, 1, -1.3),
    WITH_REALS(LH_OP_POW_SCALAR, POSITIVE, 1, 2.5),
    WITH_REALS(LH_OP_POW_SCALAR, ANY, 1, 3.0),
    WITH_REALS(LH_OP_POW_SCALAR, ANY, 1, -1.0),
    WITH_REALS(LH_OP_POW_SCALAR, ANY, 1, 0.0),
    UNARY(LH_OP_NEG, ANY),
    UNARY(LH_OP_EXP, ANY),
    UNARY(LH_OP_LOG, POSITIVE),
    UNARY(LH_OP_SQRT, POSITIVE),
    UNARY(LH_OP_SQUARE, ANY),
    UNARY(LH_OP_ABS, ANY),
    UNARY(LH_OP_RELU, ANY),
    UNARY(LH_OP_SIGMOID, ANY),
    UNARY(LH_OP_TANH, ANY),
    WITH_REALS(LH_OP_CLAMP, ANY, 2, -1.0, 0.5),

    REDUCTION(LH_OP_SUM),
    REDUCTION(LH_OP_MEAN),
    REDUCTION(LH_OP_AMAX),
    REDUCTION(LH_OP_AMIN),

    {LH_OP_RESHAPE, 1, 2, 0, {{ANY, 3, {2, 3, 2}}}, {3, 4}, {0}},
    {LH_OP_RESHAPE, 1, 1, 0, {{ANY, 3, {7, 1, 17}}}, {-1}, {0}},
    {LH_OP_RESHAPE, 1, 3, 0, {{ANY, 2, {7, 34}}}, {7, -1, 17}, {0}},
    {LH_OP_PERMUTE, 1, 2, 0, {{ANY, 2, {2, 3}}}, {1, 0}, {0}},
    {LH_OP_PERMUTE, 1, 3, 0, {{ANY, 3, {7, 3, 17}}}, {2, 0, -2}, {0}},
    {LH_OP_EXPAND, 1, 2, 0, {{ANY, 2, {1, 3}}}, {2, 3}, {0}},
    {LH_OP_EXPAND, 1, 3, 0, {{ANY, 2, {7, 1}}}, {3, -1, 17}, {0}},
    {LH_OP_EXPAND, 1, 2, 0, {{ANY, 0, {0}}}, {3, 2}, {0}},
    {LH_OP_SLICE, 1, 4, 0, {{ANY, 2, {3, 3}}}, {1, 1, 3, 1}, {0}},
    {LH_OP_SLICE, 1, 4, 0, {{ANY, 2, {17, 7}}}, {0, 2, 16, 3}, {0}},
    {LH_OP_SLICE, 1, 4, 0, {{ANY, 3, {5, 7, 3}}}, {-2, -6, -1, 2}, {0}},
    {LH_OP_CONCAT, 3, 1, 0, {{ANY, 2, {2, 1}}, {ANY, 2, {2, 2}}, {ANY, 2, {2, 1}}}, {1}, {0}},
    {LH_OP_CONCAT, 3, 1, 0, {{ANY, 2, {7, 5}}, {ANY, 2, {0, 5}}, {ANY, 2, {17, 5}}}, {-2}, {0}},
    {LH_OP_GATHER, 2, 1, 0, {{ANY, 2, {2, 3}}, {INDEX, 2, {2, 2}, 3}}, {1}, {0}},
    {LH_OP_GATHER, 2, 1, 0, {{ANY, 2, {7, 5}}, {INDEX, 2, {17, 5}, 7}}, {0}, {0}},
    {LH_OP_INDEX_SELECT, 2, 1, 0, {{ANY, 2, {3, 2}}, {INDEX, 1, {4}, 3}}, {0}, {0}},
    {LH_OP_INDEX_SELECT, 2, 1, 0, {{ANY, 3, {3, 7, 5}}, {INDEX, 1, {17}, 7}}, {1}, {0}},
    {LH_OP_CONTIGUOUS, 1, 0, 0, {{ANY, 2, {2, 3}}}, {0}, {0}},
    {LH_OP_CONTIGUOUS, 1, 0, 0, {{ANY, 3, {7, 3, 17}}}, {0}, {0}},
    {LH_OP_CAST, 1, 1, 0, {{ANY, 2, {2, 3}}}, {LH_F64}, {0}},

    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 2, {2, 3}}, {ANY, 2, {3, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 2, {17, 7}}, {ANY, 2, {7, 5}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 1, {7}}, {ANY, 1, {7}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 1, {7}}, {ANY, 2, {7, 5}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 2, {17, 7}}, {ANY, 1, {7}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 3, {3, 5, 7}}, {ANY, 3, {3, 7, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 3, {3, 5, 7}}, {ANY, 2, {7, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 2, {5, 7}}, {ANY, 3, {3, 7, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 4, {2, 1, 5, 3}}, {ANY, 3, {3, 3, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 3, {3, 5, 7}}, {ANY, 1, {7}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 1, {7}}, {ANY, 3, {3, 7, 2}}}, {0}, {0}},
    {LH_OP_MATMUL, 2, 0, 0, {{ANY, 2, {1, 1}}, {ANY, 2, {1, 1}}}, {0}, {0}},
    {LH_OP_LINEAR, 2, 0, 0, {{ANY, 2, {3, 2}}, {ANY, 2, {2, 2}}}, {0}, {0}},
    {LH_OP_LINEAR, 3, 0, 0, {{ANY, 2, {17, 7}}, {ANY, 2, {5, 7}}, {ANY, 1, {5}}}, {0}, {0}},
    {LH_OP_LINEAR, 3, 0, 0, {{ANY, 1, {7}}, {ANY, 2, {5, 7}}, {ANY, 1, {5}}}, {0}, {0}},
    {LH_OP_LINEAR, 3, 0, 0, {{ANY, 3, {3, 5, 7}}, {ANY, 2, {17, 7}}, {ANY, 1, {17}}}, {0}, {0}},

    ALONG_AXIS(LH_OP_SOFTMAX),
    ALONG_AXIS(LH_OP_LOG_SOFTMAX),
    LOSS_OF_CLASSES(LH_OP_NLL_LOSS),
    LOSS_OF_CLASSES(LH_OP_CROSS_ENTROPY),
    LOSS_OF_PAIRS(LH_OP_MSE_LOSS, ANY),
    LOSS_OF_PAIRS(LH_OP_BCE_WITH_LOGITS, UNIT),
    WITH_REALS(LH_OP_DROPOUT, ANY, 1, 0.4),

#include "cases_activation.inc"
#include "cases_convolution.inc"
#include "cases_layout.inc"
#include "cases_loss.inc"
#include "cases_normalization.inc"
#include "cases_reduction.inc"
#include "cases_sequence.inc"
};
/* clang-format on */

const int64_t case_count = sizeof cases / sizeof *cases;

static double draw(values_kind kind, int64_t limit, lh__philox_key key, uint64_t i) {
    double u = lh__philox_uniform(key, i);

    switch (kind) {
    case ANY:
        return (u < 0.5 ? -1.0 : 1.0) * (0.1 + 1.9 * fabs(2.0 * u - 1.0));
    case POSITIVE:
        return 0.5 + 1.5 * u;
    case UNIT:
        return 0.1 + 0.8 * u;
    case INDEX:
        return floor(u * (double)limit);
    case CONDITION:
        return u < 0.5;
    case SIGN:
        return u < 0.5 ? -1.0 : 1.0;
    case BUFFER:
        return 0.5 + 1.5 * u;
    }
    return NAN;
}

static void put(lh__view *v, int64_t at, double value) {
    if (v->dtype == LH_F64)
        ((double *)v->data)[at] = value;
    else if (v->dtype == LH_F32)
        ((float *)v->data)[at] = (float)value;
    else if (v->dtype == LH_I64)
        ((int64_t *)v->data)[at] = (int64_t)value;
    else
        ((uint8_t *)v->data)[at] = value != 0.0;
}

lh_tensor *case_input_new(lh__engine *e, const op_case *c, int32_t k, int32_t dtype, uint64_t seed,
                          int32_t layout) {
    const case_input *in = &c->in[k];
    int64_t memory = 2, stride = layout == 2 && in->kind != BUFFER ? 2 : 1;
    lh__philox_key key = {seed, (uint64_t)k, 7};
    lh_tensor *t;

    dtype = in->kind == INDEX ? LH_I64 : in->kind == CONDITION ? LH_BOOL : dtype;
    for (int32_t d = 0; d < in->ndim; d++)
        memory *= in->shape[d];
    t = lh__tensor_new(e, dtype, 1, &memory, NULL);
    cr_assert_not_null(t);
    t->view.ndim = in->ndim;
    for (int32_t j = 0; j < in->ndim; j++) {
        int32_t d = layout == 1 && in->kind != BUFFER ? j : in->ndim - 1 - j;

        t->view.shape[d] = in->shape[d];
        t->view.stride[d] = stride;
        stride *= in->shape[d];
    }
    for (int64_t i = 0; i < lh__view_numel(&t->view); i++)
        put(&t->view, lh__view_offset(&t->view, i), draw(in->kind, in->limit, key, (uint64_t)i));
    return t;
}

int32_t case_has_gradient(const op_case *c, int32_t k) {
    const lh__row *row = lh__row_of(c->op);

    if (row->compose)
        return c->in[k].kind == ANY || c->in[k].kind == POSITIVE || c->in[k].kind == UNIT;
    return lh__row_gradient(row, k) != NULL;
}

lh_tensor *case_call(lh__engine *e, const op_case *c, lh_tensor *const *in) {
    return lh__op(e, &(lh_op_call){.op = c->op,
                                   .n_inputs = c->n_in,
                                   .n_ints = c->n_ints,
                                   .n_reals = c->n_reals,
                                   .line = 31,
                                   .file = "case.c",
                                   .inputs = in,
                                   .ints = c->ints,
                                   .reals = c->reals});
}
