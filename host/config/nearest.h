/* nearest.h - "did you mean": the known name that is nearest to one that is not known.
 *
 *     lh__nearest n = lh__nearest_start("max_epoch");
 *     for each known name: lh__nearest_try(&n, known);
 *     lh__fail(e, LH_EINVAL, "unknown option%s", lh__nearest_text(&n, buf, sizeof buf));
 */
#ifndef LH_CONFIG_NEAREST_H
#define LH_CONFIG_NEAREST_H

#include <stddef.h>
#include <stdint.h>

typedef struct lh__nearest {
    const char *name, *best; /* borrowed; best NULL: none near enough */
    int32_t distance;        /* of best, or the first that is too far */
} lh__nearest;

/* Levenshtein's distance with transpositions counted once; '-' equals '_', case does not matter.
 * Work: product of the lengths. Names longer than 63 bytes are cut. */
int32_t lh__edit_distance(const char *a, const char *b);

lh__nearest lh__nearest_start(const char *name);
void lh__nearest_try(lh__nearest *n, const char *known);

/* "; did you mean 'max_epochs'?", or "" if nothing is near enough. Returns buf. */
const char *lh__nearest_text(const lh__nearest *n, char *buf, size_t size);

#endif
