/* hparam_twice.c - declares one hyper-parameter twice. */
#include "minimal.h"

static const lh_hparam_spec hparams[] = {
    {LH_SIZED(lh_hparam_spec), LH_INT, "hidden", "width", NULL, 8, 0, 0},
    {LH_SIZED(lh_hparam_spec), LH_REAL, "hidden", "width", NULL, 8, 0, 0}};
LH_EXPORT_MODULE("hparam-twice", "1", MINIMAL, .hparams = hparams, .n_hparams = 2);
