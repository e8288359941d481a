/* profiling.c - `profiler`: a profile of the whole run, from its first plugin to its last.
 *
 * simple: the table, shown and written as profile.txt. trace: the same, and trace.json.
 */
#include "checkpoint/file.h"
#include "trainer/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

lh_status lh__profiling_start(lh__trainer *t) {
    const char *profiler = t->options->profiler;

    if (strcmp(profiler, "none") == 0)
        return LH_OK;
    t->profile = lh__profile_new(strcmp(profiler, "trace") == 0);
    t->lane = lh__profile_lane(t->profile, "Training thread");
    return t->lane ? LH_OK : lh__run_fail(t, LH_ENOMEM, "out of memory for a profile");
}

/* The table as text; NULL: out of memory. */
static char *table(const lh__trainer *t) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return NULL;
    lh__profile_print(t->profile, f);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

/* Straight to the file: a trace is large. */
static void write_trace(const lh__trainer *t) {
    char path[2048];
    FILE *f;
    int failed;

    snprintf(path, sizeof path, "%s/trace.json", t->log_dir);
    f = fopen(path, "w");
    if (f)
        lh__profile_trace(t->profile, f);
    failed = !f || ferror(f);
    if ((f && fclose(f) != 0) || failed)
        lh__say(t, LH_WARNING, "%s: %s: the trace is not complete", path, strerror(errno));
    else if (lh__profile_dropped(t->profile) > 0)
        lh__say(
            t, LH_WARNING,
            "%s holds the newest spans; %lld older ones were dropped: trace a shorter run, with "
            "--max_steps for instance",
            path, (long long)lh__profile_dropped(t->profile));
}

void lh__profiling_end(lh__trainer *t) {
    int traces = strcmp(t->options->profiler, "trace") == 0;
    lh__error e = {0};
    char path[2048], *text;

    if (!t->lane)
        return;
    lh__profile_stop(t->profile);
    text = table(t);
    if (text && t->obs && t->obs->profile)
        t->obs->profile(t->obs->self, text);
    if (t->log_dir && text) {
        snprintf(path, sizeof path, "%s/profile.txt", t->log_dir);
        if (lh__file_put(path, text, strlen(text), &e) != LH_OK)
            lh__say(t, LH_WARNING, "%s", e.text);
    }
    if (t->log_dir && traces)
        write_trace(t);
    else if (traces)
        lh__say(t, LH_WARNING, "profiler trace: this run has no folder, so there is no trace.json");
    free(text);
}
