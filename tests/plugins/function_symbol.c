/* function_symbol.c - lhost_plugin is a function. */
#include <lhost/types.h>

LH_EXPORT extern int lhost_plugin(void);
int lhost_plugin(void) {
    return 0;
}
