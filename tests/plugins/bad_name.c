/* bad_name.c - has a name with a space and capitals. */
#include "minimal.h"

LH_EXPORT_MODULE("My Model", "1", MINIMAL);
