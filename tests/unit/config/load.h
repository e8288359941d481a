/* load.h - a configuration from a few words, as the program would get it. */
#ifndef TEST_CONFIG_LOAD_H
#define TEST_CONFIG_LOAD_H

#include "config/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages of the observer, one per line. */
static char heard[4096];

static inline void hear(void *self, int32_t level, const char *text) {
    size_t n = strlen(heard);

    snprintf(heard + n, sizeof heard - n, "%d %s\n", level, text);
}

static const lh__observer listener = {.message = hear};

static inline lh_status try_load(lh__config *c, lh__error *e, char *const *env,
                                 const char *const *words) {
    int argc = 0;

    heard[0] = '\0';
    memset(e, 0, sizeof *e);
    while (words[argc])
        argc++;
    return lh__config_load(c, argc, (char *const *)words, env, &listener, e);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ENV(...) ((char *[]){__VA_ARGS__, NULL})

/* Fails the test with the message if the words are refused. */
static inline lh__config load(char *const *env, const char *const *words) {
    lh__config c;
    lh__error e;

    cr_assert_eq(try_load(&c, &e, env, words), LH_OK, "%s", e.text);
    return c;
}

/* Asserts that the words are refused with a message that contains `part`. */
static inline void refused(const char *part, lh_status code, char *const *env,
                           const char *const *words) {
    lh__config c;
    lh__error e;
    lh_status s = try_load(&c, &e, env, words);

    cr_assert_eq(s, code, "status %d: %s", s, e.text);
    cr_assert(strstr(e.text, part), "'%s' is not in: %s", part, e.text);
}

/* Files of this test's process, gone when it ends (TestSuite: .fini = remove_files). */
enum { MOST_FILES = 16 };
static char files[MOST_FILES][64];
static int n_files;

static inline const char *file_with(const char *name, const char *text) {
    char *path = files[n_files++];
    FILE *f;

    cr_assert_leq(n_files, MOST_FILES);
    snprintf(path, sizeof files[0], "/tmp/lhost-config-%d-%s", (int)getpid(), name);
    f = fopen(path, "w");
    cr_assert(f);
    fputs(text, f);
    fclose(f);
    return path;
}

static inline void remove_files(void) {
    while (n_files > 0)
        unlink(files[--n_files]);
}

#endif
