/* catalogue.c - the families of operators, as one table. */
#include "engine/catalogue.h"

extern const lh__family lh__activation, lh__arithmetic, lh__attention, lh__classes, lh__convolution,
    lh__embedding, lh__layout, lh__lookup, lh__loss, lh__normalization, lh__order, lh__pooling,
    lh__product, lh__random, lh__recurrent, lh__reduction;

static const lh__family *const families[] = {
    &lh__activation,  &lh__arithmetic,    &lh__attention, &lh__classes,
    &lh__convolution, &lh__embedding,     &lh__layout,    &lh__lookup,
    &lh__loss,        &lh__normalization, &lh__order,     &lh__pooling,
    &lh__product,     &lh__random,        &lh__recurrent, &lh__reduction,
};

enum { N_FAMILIES = sizeof families / sizeof *families };

const lh__row *lh__row_of(uint32_t op) {
    for (int32_t f = 0; f < N_FAMILIES; f++)
        for (int64_t i = 0; i < families[f]->count; i++)
            if (families[f]->rows[i].op == op)
                return &families[f]->rows[i];
    return NULL;
}

const char *lh__op_name(uint32_t op) {
    static const char *const own[LH__OP_LIMIT] = {[LH__OP_COPY] = "copy",
                                                  [LH__OP_ADD_INTO] = "add_into",
                                                  [LH__OP_SQUARES] = "squares",
                                                  [LH__OP_UPDATE] = "update"};
    const lh__row *row = lh__row_of(op);

    if (row)
        return row->name;
    return op < LH__OP_LIMIT && own[op] ? own[op] : "?";
}

void lh__rows_fill(const lh__row **rows) {
    for (int32_t f = 0; f < N_FAMILIES; f++)
        for (int64_t i = 0; i < families[f]->count; i++)
            rows[families[f]->rows[i].op] = &families[f]->rows[i];
}

lh__gradient *lh__row_gradient(const lh__row *row, int32_t input) {
    return row->gradient[row->in.max == LH__ANY ? 0 : input];
}
