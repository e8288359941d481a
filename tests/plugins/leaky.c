/* leaky.c - exports more than lhost_plugin: works, with a warning. */
#include "minimal.h"

extern int32_t helper_everyone_can_see(void);
int32_t helper_everyone_can_see(void) {
    return 1;
}
LH_EXPORT_MODULE("leaky", "1", MINIMAL);
