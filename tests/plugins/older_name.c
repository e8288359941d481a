/* older_name.c - a module that configures itself under the hook's older name: works. With BOTH, it
 * uses both names: refused. */
#include "minimal.h"

#if BOTH
#define PRESENT_NAME configure_model
#else
#define PRESENT_NAME NULL
#endif

LH_EXPORT_MODULE("older-name", "1", .configure_model = PRESENT_NAME,
                 .configure_sharded_model = configure_model, .forward = forward);
