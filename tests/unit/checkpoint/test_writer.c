/* test_writer.c - the writer thread: snapshots, order, errors. */
#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "fixture.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/stat.h>

TestSuite(writer, .init = make_folder, .fini = remove_folder);

enum { LENGTH = 1000 };

/* A state that borrows `values`. */
static lh__state *state_of(const float *values, int64_t n) {
    lh__state *s = lh__state_new();

    cr_assert_eq(lh__state_put(s, "w", LH_F32, 1, &n, values, NULL), LH_OK);
    return s;
}

/* The value that fills the checkpoint. */
static float value_in(const char *path) {
    lh__state *s;
    lh__error e = {0};
    float value;

    cr_assert_eq(lh__safetensors_read(path, &s, &e), LH_OK, "%s", e.text);
    value = *(const float *)s->tensors[0].data;
    for (size_t i = 0; i < s->tensors[0].size / sizeof value; i++)
        cr_assert_eq(((const float *)s->tensors[0].data)[i], value);
    lh__state_free(s);
    return value;
}

static void fill(float *values, size_t n, float value) {
    for (size_t i = 0; i < n; i++)
        values[i] = value;
}

static bool exists(const char *path) {
    return access(path, F_OK) == 0;
}

/* A path that cannot be written: below a plain file. */
static const char *impossible(void) {
    lh__file_write(in_folder("file"), "x", 1, NULL);
    return in_folder("file/a");
}

Test(writer, saves_what_the_state_was) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float values[LENGTH];
    lh__state *s = state_of(values, LENGTH);
    char path[128];

    for (int i = 0; i < 20; i++) {
        fill(values, LENGTH, (float)i);
        snprintf(path, sizeof path, "%s/%d", folder, i);
        cr_assert_eq(lh__writer_save(w, s, path, NULL), LH_OK);
    }
    fill(values, LENGTH, -1);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    for (int i = 0; i < 20; i++) {
        snprintf(path, sizeof path, "%s/%d", folder, i);
        cr_assert_eq(value_in(path), (float)i);
    }
    lh__state_free(s);
    lh__writer_free(w);
}

Test(writer, free_finishes_the_queue) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float values[LENGTH];
    lh__state *s = state_of(values, LENGTH);

    fill(values, LENGTH, 3);
    lh__writer_save(w, s, in_folder("a"), NULL);
    lh__writer_copy(w, in_folder("a"), in_folder("b"), NULL);
    lh__writer_free(w);
    cr_assert_eq(value_in(in_folder("b")), 3);
    lh__state_free(s);
}

Test(writer, jobs_run_in_order) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float values[LENGTH];
    lh__state *s = state_of(values, LENGTH);

    for (int i = 0; i < 10; i++) {
        fill(values, LENGTH, (float)i);
        lh__writer_save(w, s, in_folder("new"), NULL);
        lh__writer_copy(w, in_folder("new"), in_folder("last"), NULL);
        lh__writer_remove(w, in_folder("new"), NULL);
    }
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    cr_assert_eq(value_in(in_folder("last")), 9);
    cr_assert(!exists(in_folder("new")));
    cr_assert_eq(count_files(), 1);
    lh__state_free(s);
    lh__writer_free(w);
}

Test(writer, a_failed_save_protects_the_old_checkpoint) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float values[LENGTH] = {0};
    lh__state *s = state_of(values, LENGTH);
    const char *nowhere = impossible();
    lh__error e = {0};

    lh__writer_save(w, s, in_folder("old"), NULL);
    lh__writer_save(w, s, nowhere, NULL);
    lh__writer_copy(w, in_folder("old"), in_folder("last"), NULL);
    lh__writer_remove(w, in_folder("old"), NULL);
    cr_assert_eq(lh__writer_drain(w, &e), LH_EIO);
    cr_assert(strstr(e.text, nowhere), "%s", e.text);
    cr_assert(exists(in_folder("old")));
    cr_assert(!exists(in_folder("last")));

    /* Reading the error is no success: removals wait for one. */
    lh__writer_remove(w, in_folder("old"), NULL);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    cr_assert(exists(in_folder("old")));
    lh__writer_save(w, s, in_folder("new"), NULL);
    lh__writer_remove(w, in_folder("old"), NULL);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    cr_assert(exists(in_folder("new")) && !exists(in_folder("old")));
    lh__state_free(s);
    lh__writer_free(w);
}

Test(writer, a_failed_copy_protects_too) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);

    lh__file_write(in_folder("old"), "x", 1, NULL);
    lh__writer_copy(w, in_folder("none"), in_folder("last"), NULL);
    lh__writer_remove(w, in_folder("old"), NULL);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_ENOTFOUND);
    cr_assert(exists(in_folder("old")));
    lh__writer_free(w);
}

/* A save that is refused at once leaves nothing in the queue, and what follows it is dropped. */
Test(writer, a_refused_save_protects_too) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    lh__state *bad = lh__state_new();

    lh__state_put_copy(bad, "__metadata__", LH_U8, 0, NULL, "x", NULL);
    lh__file_write(in_folder("old"), "x", 1, NULL);
    cr_assert_eq(lh__writer_save(w, bad, in_folder("new"), NULL), LH_EINVAL);
    lh__writer_remove(w, in_folder("old"), NULL);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    cr_assert(exists(in_folder("old")) && !exists(in_folder("new")));
    lh__state_free(bad);
    lh__writer_free(w);
}

Test(writer, the_first_error_is_kept_until_it_is_read) {
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float values[LENGTH] = {0};
    lh__state *s = state_of(values, LENGTH);
    char nowhere[200];
    lh__error e = {0};

    snprintf(nowhere, sizeof nowhere, "%s", impossible());
    cr_assert_eq(lh__writer_error(w, &e), LH_OK);
    lh__writer_save(w, s, nowhere, NULL);
    lh__writer_save(w, s, folder, NULL);
    lh__writer_save(w, s, in_folder("fine"), NULL);
    lh__writer_free(NULL);
    while (!exists(in_folder("fine")))
        usleep(1000);
    cr_assert_eq(lh__writer_error(w, &e), LH_EIO);
    cr_assert_eq(e.code, LH_EIO);
    cr_assert(strstr(e.text, nowhere), "%s", e.text);
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    lh__state_free(s);
    lh__writer_free(w);
}

typedef struct calls {
    pthread_t thread;
    int good, bad;
    bool all_there;
} calls;

static void count(void *user, const char *path, lh_status status) {
    calls *c = user;

    c->thread = pthread_self();
    c->good += status == LH_OK;
    c->bad += status != LH_OK;
    c->all_there = c->all_there && (status != LH_OK || exists(path));
}

Test(writer, tells_of_every_save) {
    calls c = {.all_there = true};
    lh__writer *w = lh__writer_new(count, &c, NULL);
    float values[LENGTH] = {0};
    lh__state *s = state_of(values, LENGTH);

    lh__writer_save(w, s, in_folder("a"), NULL);
    lh__writer_copy(w, in_folder("a"), in_folder("b"), NULL);
    lh__writer_remove(w, in_folder("a"), NULL);
    lh__writer_save(w, s, impossible(), NULL);
    lh__writer_drain(w, NULL);
    cr_assert_eq(c.good, 1);
    cr_assert_eq(c.bad, 1);
    cr_assert(c.all_there);
    cr_assert(!pthread_equal(c.thread, pthread_self()));
    lh__state_free(s);
    lh__writer_free(w);
}

/* Large blocks come from mmap, which mallinfo2 counts: none is added once both snapshots are as
 * large as the state. */
Test(writer, memory_is_used_again) {
    enum { MANY = 1 << 19 };
    lh__writer *w = lh__writer_new(NULL, NULL, NULL);
    float *values = calloc(MANY, sizeof *values);
    lh__state *s = state_of(values, MANY);
    size_t before;

    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    for (int i = 0; i < 2; i++)
        lh__writer_save(w, s, in_folder("a"), NULL);
    lh__writer_drain(w, NULL);
    before = mallinfo2().hblkhd;
    for (int i = 0; i < 8; i++) {
        lh__json_put_int(s->meta, "global_step", (int64_t)1 << (6 * i));
        lh__writer_save(w, s, in_folder("a"), NULL);
        cr_assert_eq(mallinfo2().hblkhd, before);
    }
    cr_assert_eq(lh__writer_drain(w, NULL), LH_OK);
    lh__state_free(s);
    free(values);
    lh__writer_free(w);
}
