/* files.h - files for the tests of this room: a fresh folder, and IDX content written by hand. */
#ifndef LH_TESTS_DATA_FILES_H
#define LH_TESTS_DATA_FILES_H

#include <criterion/criterion.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* A new folder; left to the system's cleaning of /tmp if the test fails. */
static inline const char *new_folder(void) {
    static char folder[64];

    snprintf(folder, sizeof folder, "/tmp/lhost-data-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

static inline void remove_folder(const char *folder) {
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static inline void write_file(const char *folder, const char *name, const void *bytes, size_t n) {
    char path[PATH_MAX];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(bytes, 1, n, f), n);
    cr_assert_eq(fclose(f), 0);
}

static inline void write_gzip(const char *folder, const char *name, const void *bytes, size_t n) {
    char path[PATH_MAX];
    gzFile f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = gzopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(gzwrite(f, bytes, (unsigned)n), (int)n);
    cr_assert_eq(gzclose(f), Z_OK);
}

/* Header of an IDX file of bytes into `out`; returns its length. */
static inline size_t idx_header(uint8_t *out, uint8_t type, int ndim, const uint32_t *shape) {
    size_t n = 4;

    out[0] = out[1] = 0;
    out[2] = type;
    out[3] = (uint8_t)ndim;
    for (int i = 0; i < ndim; i++)
        for (int shift = 24; shift >= 0; shift -= 8)
            out[n++] = (uint8_t)(shape[i] >> shift);
    return n;
}

/* Writes n images of 4 x 3 whose byte j is (7 * i + j) % 256, and n labels i % 10. */
static inline void write_digits(const char *folder, uint32_t n) {
    uint8_t *bytes = malloc(64 + (size_t)n * 12);
    size_t at = idx_header(bytes, 0x08, 3, (uint32_t[]){n, 4, 3});

    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < 12; j++)
            bytes[at++] = (uint8_t)(7 * i + j);
    write_gzip(folder, "images.gz", bytes, at);
    at = idx_header(bytes, 0x08, 1, &n);
    for (uint32_t i = 0; i < n; i++)
        bytes[at++] = (uint8_t)(i % 10);
    write_file(folder, "labels", bytes, at);
    free(bytes);
}

#endif
