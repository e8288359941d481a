/* good.c - breaks nothing: a module and a callback in one file, with hyper-parameters. */
#include "minimal.h"

#include <math.h>

static const lh_hparam_spec hparams[] = {
    {LH_SIZED(lh_hparam_spec), LH_REAL, "lr", "learning rate", NULL, 0.001, 0, INFINITY},
    {LH_SIZED(lh_hparam_spec), LH_INT, "hidden", "width", NULL, 128, 1, 4096},
    {LH_SIZED(lh_hparam_spec), LH_FLAG, "bias", NULL, NULL, 1, 0, 1},
    {LH_SIZED(lh_hparam_spec), LH_TEXT, "activation", "relu or tanh", "relu", 0, 0, 0},
};
static const lh_module module = {LH_SIZED(lh_module), .state_size = 48, .hparams = hparams,
                                 .n_hparams = 4, MINIMAL};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    return LH_OK;
}
static const lh_callback callback = {LH_SIZED(lh_callback), .order = LH_ORDER_MONITOR,
                                     .setup = setup};

LH_EXPORT_PLUGIN("good", "1.2.3", LH_KIND_MODULE | LH_KIND_CALLBACK, .module = &module,
                 .callback = &callback);
