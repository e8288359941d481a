/* column.h - datasets whose fields lie in memory, item behind item. */
#ifndef LH_DATA_COLUMN_H
#define LH_DATA_COLUMN_H

#include "data/dataset.h"

typedef struct lh__column {
    lh_field field;
    const void *data; /* length items */
} lh__column;

/* A dataset over columns, which the caller keeps alive; `owned` is freed with it. On failure
 * `owned` stays the caller's. `what` begins messages. */
lh_dataset *lh__dataset_columns(lh__datasets *all, const lh__column *columns, int32_t n,
                                int64_t length, void *owned, const char *what, lh__error *e);

#endif
