/* json.h - numbers of a checkpoint's JSON, kept exactly.
 *
 * Invariant: what a put function stored, the get function of the same name returns bit for bit,
 * also after a trip through a file: NaN with its sign and payload, infinities and -0.0 included.
 * JSON has no such numbers, so they are stored as the strings "nan", "nan:7ff8000000000001" (the
 * bits), "inf" and "-inf".
 */
#ifndef LH_CHECKPOINT_JSON_H
#define LH_CHECKPOINT_JSON_H

#include "engine/error.h"

#include <jansson.h>
#include <stdbool.h>

/* A new reference that holds `value`, for arrays; NULL when out of memory. */
json_t *lh__json_real(double value);

/* Reads what lh__json_real made, or an integer of at most 53 bits. False: it is neither. */
bool lh__json_real_value(const json_t *json, double *value);

/* Set `key` of `object`, replacing what was there. LH_OK or LH_ENOMEM. Unsigned 64-bit values such
 * as random keys go through a cast to int64_t and back. */
lh_status lh__json_put_real(json_t *object, const char *key, double value);
lh_status lh__json_put_int(json_t *object, const char *key, int64_t value);

/* Read `key` of `object` into *value, which stays as it is on failure: LH_ENOTFOUND when there is
 * no such key, LH_ECORRUPT when it is of another type. `object` may be NULL or no object. */
lh_status lh__json_get_real(const json_t *object, const char *key, double *value, lh__error *e);
lh_status lh__json_get_int(const json_t *object, const char *key, int64_t *value, lh__error *e);

#endif
