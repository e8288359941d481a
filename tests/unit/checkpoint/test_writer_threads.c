/* test_writer_threads.c - both sides of the writer at full speed, for the thread sanitizer, under
 * which Criterion does not start: a plain program, exit status 0 or 1. */
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LENGTH = 10000, ROUNDS = 200 };

static void count(void *user, const char *path, lh_status status) {
    *(int *)user += status == LH_OK && access(path, F_OK) == 0;
}

/* The training thread changes the values between saves, and asks for errors meanwhile. */
static lh_status train(lh__writer *w, lh__state *s, float *values, const char *folder,
                       lh__error *e) {
    char now[128], before[128] = "", last[128];
    lh_status status = LH_OK;

    snprintf(last, sizeof last, "%s/last", folder);
    for (int i = 0; i < ROUNDS && status == LH_OK; i++) {
        for (int k = 0; k < LENGTH; k++)
            values[k] = (float)i;
        snprintf(now, sizeof now, "%s/%d", folder, i);
        status = lh__writer_save(w, s, now, e);
        if (status == LH_OK && i > 0)
            status = lh__writer_remove(w, before, e);
        if (status == LH_OK)
            status = lh__writer_copy(w, now, last, e);
        if (status == LH_OK)
            status = lh__writer_error(w, e);
        snprintf(before, sizeof before, "%s", now);
    }
    if (status == LH_OK)
        status = lh__writer_remove(w, before, e);
    return status == LH_OK ? lh__writer_drain(w, e) : status;
}

/* 0: the file `last` holds the last round. */
static int check(const char *folder, lh__error *e) {
    char last[128];
    lh__state *s;
    int wrong = 0;

    snprintf(last, sizeof last, "%s/last", folder);
    if (lh__safetensors_read(last, &s, e) != LH_OK)
        return 1;
    for (int k = 0; k < LENGTH; k++)
        wrong |= ((const float *)s->tensors[0].data)[k] != ROUNDS - 1;
    lh__state_free(s);
    unlink(last);
    return wrong | (rmdir(folder) != 0); /* else a checkpoint that should be gone is there */
}

int main(void) {
    char folder[] = "/tmp/lhost-writer-XXXXXX";
    static float values[LENGTH];
    lh__error e = {0};
    int saved = 0, failed = 1;
    lh__state *s = lh__state_new();
    lh__writer *w = lh__writer_new(count, &saved, &e);

    if (s && w && mkdtemp(folder) &&
        lh__state_put(s, "w", LH_F32, 1, (int64_t[]){LENGTH}, values, &e) == LH_OK)
        failed = train(w, s, values, folder, &e) != LH_OK;
    lh__writer_free(w);
    failed = failed || check(folder, &e) || saved != ROUNDS;
    lh__state_free(s);
    if (failed)
        fprintf(stderr, "saved %d of %d: %s\n", saved, ROUNDS, e.text);
    return failed;
}
