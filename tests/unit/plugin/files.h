/* files.h - reading and writing whole files, for tests that damage plugins. */
#ifndef TESTS_UNIT_PLUGIN_FILES_H
#define TESTS_UNIT_PLUGIN_FILES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static inline unsigned char *read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    unsigned char *bytes = malloc(1 << 20);

    cr_assert(f && bytes, "%s", path);
    *size = fread(bytes, 1, 1 << 20, f);
    cr_assert_lt(*size, (size_t)1 << 20);
    fclose(f);
    return bytes;
}

static inline void write_file(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");

    cr_assert(f, "%s", path);
    cr_assert_eq(fwrite(bytes, 1, size, f), size);
    fclose(f);
}

#define assert_says(err, words) \
    cr_assert(strstr((err).text, words), "'%s' is not in: %s", words, (err).text)

#endif
