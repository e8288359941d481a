/* hparam_range.c - a default outside its own range. */
#include "minimal.h"

static const lh_hparam_spec hparams[] = {
    {LH_SIZED(lh_hparam_spec), LH_REAL, "dropout", "share", NULL, 1.5, 0, 1}};
LH_EXPORT_MODULE("hparam-range", "1", MINIMAL, .hparams = hparams, .n_hparams = 1);
