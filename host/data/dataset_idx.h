/* dataset_idx.h - the files behind IDX datasets, kept so that each is read once. */
#ifndef LH_DATA_DATASET_IDX_H
#define LH_DATA_DATASET_IDX_H

#include "data/dataset.h"

void lh__idx_files_free(lh__idx_file *first);

#endif
