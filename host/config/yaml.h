/* yaml.h - text of settings <-> Jansson trees.
 *
 * Scalars follow the core schema of YAML 1.2: `no`, `on` and `12:30` are texts, 1e-3 is a real.
 * What Jansson cannot hold (infinities, NaN, bytes of zero) is refused, never changed. Anchors,
 * aliases, explicit tags and second documents are refused.
 */
#ifndef LH_CONFIG_YAML_H
#define LH_CONFIG_YAML_H

#include "engine/error.h"

#include <jansson.h>

enum {
    LH__YAML_DEPTH = 32,      /* deeper nesting is refused */
    LH__YAML_BYTES = 4 << 20, /* as is more text */
};

/* Parses a YAML document. `name` is the file's, for messages ("name:line:column: ..."). If
 * origins, an object, is not NULL, it gets "dotted.path" -> "name:line:column" for every value.
 * An empty document is null. New reference; NULL and *e on failure. */
json_t *lh__yaml_parse(const char *text, size_t size, const char *name, json_t *origins,
                       lh__error *e);

/* The same for JSON; every origin is the file. */
json_t *lh__json_parse(const char *text, size_t size, const char *name, json_t *origins,
                       lh__error *e);

/* Reads a file: JSON if it is called *.json or begins with '{', YAML otherwise. */
json_t *lh__settings_read(const char *path, json_t *origins, lh__error *e);

/* A plain scalar: null, a boolean, an integer, a real or else a string. NULL only if out of memory
 * or for a number that Jansson cannot hold. */
json_t *lh__yaml_scalar(const char *text);

/* Block style, keys in the order of the tree; reading it back gives the same tree. New text,
 * release with free; NULL: out of memory. */
char *lh__yaml_dump(const json_t *tree);

/* A scalar as YAML writes it, without line break ("0.001", "true", "'no'"). New text as above. */
char *lh__yaml_scalar_dump(const json_t *scalar);

#endif
