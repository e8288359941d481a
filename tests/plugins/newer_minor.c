/* newer_minor.c - wants a host that has calls which this one does not have yet. */
#define LH_TARGET_MINOR 999
#include "minimal.h"

LH_EXPORT_MODULE("newer-minor", "1", MINIMAL);
