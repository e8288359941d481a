/* own_blas.c - links OpenBLAS, which the host has as well: works, with a warning. */
#include "minimal.h"

LH_EXPORT_MODULE("own-blas", "1", MINIMAL);
