/* folder.h - what runs leave behind: results and checkpoints below ROOT/lightning_logs. */
#ifndef LH_TESTS_E2E_FOLDER_H
#define LH_TESTS_E2E_FOLDER_H

#include "process.h"

#include <jansson.h>

/* result.json of ROOT/lightning_logs/version_N; the caller's reference. Fails the test if there is
 * none. */
json_t *result_of(const char *root, int version);

/* A member of it: "metrics.test_acc". */
double number_in(const json_t *result, const char *path);
const char *text_in(const json_t *result, const char *path);

/* How many checkpoints there are below a folder, each of which must be readable. */
int count_checkpoints(const char *folder);

/* The checkpoint that was trained longest below ROOT; valid until the second call after it. */
const char *final_checkpoint(const char *root);

/* Fails the test unless every tensor of both files is the same, bit for bit. */
void expect_same_tensors(const char *a, const char *b);

/* Whether some tensor differs; `which` gets its name. */
int tensors_differ(const char *a, const char *b, char *which, size_t size);

/* The global_step in a checkpoint's metadata. */
long step_of(const char *checkpoint);

/* The one file in a folder whose name begins and ends so; a static buffer. NULL: none. */
const char *file_like(const char *folder, const char *begin, const char *end);

#endif
