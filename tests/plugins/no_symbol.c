/* no_symbol.c - a shared object that is no plugin. */
#include <stdint.h>

extern int32_t nothing_of_ours;
int32_t nothing_of_ours;
