/* seeded.h - states that a seed determines, to tell whole checkpoints from mixed ones. */
#ifndef LH_TESTS_SEEDED_H
#define LH_TESTS_SEEDED_H

#include "checkpoint/safetensors.h"

enum { SEEDED_ROWS = 100, SEEDED_COLUMNS = 50 };

/* Two tensors filled from the seed, and the seed in `meta`. Aborts when out of memory. */
lh__state *seeded_state(long seed);

/* The seed of the whole checkpoint at `path`; -1: unreadable, with the reason in `e`; -2: it mixes
 * seeds. */
long seeded_read(const char *path, lh__error *e);

#endif
