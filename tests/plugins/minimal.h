/* minimal.h - the least that makes a module, for plugins that misbehave in one other way. */
#ifndef TESTS_PLUGINS_MINIMAL_H
#define TESTS_PLUGINS_MINIMAL_H

#include <lhost/abi.h>

static lh_status configure_model(lh_ctx *c, void *self) {
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    return x;
}

#define MINIMAL .configure_model = configure_model, .forward = forward

#endif
