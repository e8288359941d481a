/* catalogue.c - the families of operators, as one table. */
#include "engine/catalogue.h"

extern const lh__family lh__classes, lh__embedding, lh__normalization;
extern const lh__family lh__activation;
extern const lh__family lh__convolution;
extern const lh__family lh__pooling;
extern const lh__family lh__attention, lh__recurrent;
extern const lh__family lh__order;
extern const lh__family lh__arithmetic, lh__reduction, lh__layout, lh__product, lh__loss,
    lh__random;

static const lh__family *const families[] = {
    &lh__classes, &lh__embedding, &lh__normalization,
    &lh__activation,
    &lh__convolution,
    &lh__pooling,
    &lh__attention, &lh__recurrent,
    &lh__order,
    &lh__arithmetic, &lh__reduction, &lh__layout, &lh__product, &lh__loss, &lh__random,
};

enum { N_FAMILIES = sizeof families / sizeof *families };

const lh__row *lh__row_of(uint32_t op) {
    for (int32_t f = 0; f < N_FAMILIES; f++)
        for (int64_t i = 0; i < families[f]->count; i++)
            if (families[f]->rows[i].op == op)
                return &families[f]->rows[i];
    return NULL;
}

void lh__rows_fill(const lh__row **rows) {
    for (int32_t f = 0; f < N_FAMILIES; f++)
        for (int64_t i = 0; i < families[f]->count; i++)
            rows[families[f]->rows[i].op] = &families[f]->rows[i];
}

lh__gradient *lh__row_gradient(const lh__row *row, int32_t input) {
    return row->gradient[row->in.max == LH__ANY ? 0 : input];
}
