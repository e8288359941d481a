/* lhost.h - the real program, run in a folder of its own, and what it leaves there.
 *
 * $R, $W, $M, $V and $S in a command line are the recorder, workbench, manual, several and
 * saver of tests/plugins; $D is the folder, which goes when a test has passed.
 */
#ifndef LH_TESTS_TRAINER_LHOST_H
#define LH_TESTS_TRAINER_LHOST_H

#include "checkpoint/safetensors.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

/* Memory that lives with the test. */
typedef struct kept {
    struct kept *next;
    void *object;
    void (*release)(void *object);
} kept;
static kept *all_kept;

static inline void *keep(void *object, void (*release)(void *object)) {
    kept *k = malloc(sizeof *k);

    *k = (kept){all_kept, object, release};
    all_kept = k;
    return object;
}

static inline char *room(size_t size) {
    return keep(calloc(1, size), free);
}

static inline char *copy(const char *text) {
    return keep(strdup(text), free);
}

static inline void release_json(void *json) {
    json_decref(json);
}

static inline void release_state(void *state) {
    lh__state_free(state);
}

static inline void enter_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/lhost-trainer-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    setenv("D", folder, 1);
    setenv("R", PLUGINS "/trainer_recorder.so", 1);
    setenv("N", PLUGINS "/trainer_model.so", 1); /* the same without a data module */
    setenv("W", PLUGINS "/trainer_workbench.so", 1);
    setenv("M", PLUGINS "/trainer_manual.so", 1);
    setenv("V", PLUGINS "/trainer_several.so", 1);
    setenv("S", PLUGINS "/trainer_saver.so", 1);
}

static inline void leave_folder(void) {
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert_eq(system(command), 0);
    while (all_kept) {
        kept *k = all_kept;

        all_kept = k->next;
        k->release(k->object);
        free(k);
    }
}

/* Quiet and alone: no loggers, no checkpoints but those that a test asks for. */
#define QUIET " --num_threads 1 --enable_progress_bar false --enable_model_summary false "
#define BARE QUIET "--logger false --enable_checkpointing false "
#define SAVING QUIET "--logger false "

static inline int lhost_v(const char *fmt, va_list args) {
    char command[3000];
    size_t n = (size_t)snprintf(command, sizeof command, "exec timeout 30 %s ", LHOST);
    int status;

    n += (size_t)vsnprintf(command + n, sizeof command - n, fmt, args);
    snprintf(command + n, sizeof command - n, " >out 2>err </dev/null");
    status = system(command);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Runs it; its exit code. What it says is in the files out and err. */
static inline int lhost(const char *fmt, ...) LH_PRINTF(1, 2);
static inline int lhost(const char *fmt, ...) {
    va_list args;
    int code;

    va_start(args, fmt);
    code = lhost_v(fmt, args);
    va_end(args);
    return code;
}

/* The content of a file; "" if there is none. Lives with the test. */
static inline char *slurp(const char *path) {
    FILE *f = fopen(path, "r");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : 0;
    char *text = room((size_t)size + 1);

    if (f) {
        rewind(f);
        text[fread(text, 1, (size_t)size, f)] = 0;
        fclose(f);
    }
    return text;
}

/* The same, of a run that has to work. */
static inline void lhost_works(const char *fmt, ...) LH_PRINTF(1, 2);
static inline void lhost_works(const char *fmt, ...) {
    va_list args;
    int code;

    va_start(args, fmt);
    code = lhost_v(fmt, args);
    va_end(args);
    cr_assert_eq(code, 0, "exit code %d: %s", code, slurp("err"));
}

/* result.json of run `version`. */
static inline json_t *result_of(int version) {
    char path[128];
    json_t *result;

    snprintf(path, sizeof path, "lightning_logs/version_%d/result.json", version);
    result = json_load_file(path, 0, NULL);
    cr_assert_not_null(result, "no %s: %s", path, slurp("err"));
    return keep(result, release_json);
}

static inline int64_t result_int(int version, const char *key) {
    return json_integer_value(json_object_get(result_of(version), key));
}

/* A callback metric at the end of the run; NaN: not there. */
static inline double result_metric(int version, const char *name) {
    const json_t *m = json_object_get(json_object_get(result_of(version), "metrics"), name);

    return m ? json_number_value(m) : NAN;
}

/* The next line of a text, ended with NUL in place; NULL at its end. */
static inline char *next_line(char **text) {
    char *line = *text, *end = strchr(line, '\n');

    if (!*line)
        return NULL;
    if (end)
        *end = 0;
    *text = end ? end + 1 : line + strlen(line);
    return line;
}

/* How often the recorder entered a hook: "M.training_step", with or without what is in brackets. */
static inline int entries(const char *file, const char *hook) {
    char *text = slurp(file), *line;
    size_t length = strlen(hook);
    int n = 0;

    while ((line = next_line(&text)))
        n += line[0] == '>' && strncmp(line + 2, hook, length) == 0 &&
             (line[2 + length] == 0 || line[2 + length] == '(');
    return n;
}

/* Values of `name` in the rows that the recording logger got, as "x:value x:value ". */
static inline const char *logged(const char *file, const char *name) {
    char *text = slurp(file), *line, *out = room(1 << 16), key[64];
    size_t n = 0;

    snprintf(key, sizeof key, " %s=", name);
    while ((line = next_line(&text))) {
        const char *at = strstr(line, key);

        if (at)
            n += (size_t)sprintf(out + n, "%ld:%.9g ", strtol(line, NULL, 10),
                                 strtod(at + strlen(key), NULL));
    }
    return out;
}

#define assert_logged(file, name, expected) \
    cr_assert_str_eq(logged(file, name), expected, "%s: %s", name, logged(file, name))

#define assert_says(text) \
    cr_assert_not_null(strstr(slurp("err"), text), "no \"%s\" in: %s", text, slurp("err"))

static inline lh__state *checkpoint(const char *path) {
    lh__error e = {0};
    lh__state *s = NULL;

    cr_assert_eq(lh__safetensors_read(path, &s, &e), LH_OK, "%s", e.text);
    return keep(s, release_state);
}

/* Do two checkpoints hold the same tensors, bit for bit, and the same metadata `keys`? The first
 * difference goes into `why`. */
static inline int same_state(const char *a, const char *b, const char *const *keys, char why[400]) {
    lh__state *x = checkpoint(a), *y = checkpoint(b);
    int same = 1;

    *why = 0;
    if (x->n_tensors != y->n_tensors)
        same = snprintf(why, 400, "%zu and %zu tensors", x->n_tensors, y->n_tensors) < 0;
    for (size_t i = 0; i < x->n_tensors && same; i++) {
        const lh__state_tensor *p = &x->tensors[i], *q = lh__state_find(y, p->name);

        if (!q || p->size != q->size || (p->size && memcmp(p->data, q->data, p->size) != 0))
            same = snprintf(why, 400, "tensor %s differs", p->name) < 0;
    }
    for (; keys && *keys && same; keys++) {
        json_t *p = json_object_get(x->meta, *keys), *q = json_object_get(y->meta, *keys);

        if (!json_equal(p, q))
            same = snprintf(why, 400, "%s differs: %.150s | %.150s", *keys,
                            p ? json_dumps(p, JSON_ENCODE_ANY) : "nothing",
                            q ? json_dumps(q, JSON_ENCODE_ANY) : "nothing") < 0;
    }
    return same;
}

#endif
