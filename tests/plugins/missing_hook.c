/* missing_hook.c - a module without the hook that makes the parameters. */
#include "minimal.h"

LH_EXPORT_MODULE("missing-hook", "1", .on_fit_start = configure_model, .forward = forward);
