/* record.c - what a run's folder says of it: the lines of log.txt, and the end of a run whose
 * process is gone.
 *
 * Invariant: nothing here needs the run's process; the supervisor calls it, too.
 */
#include "checkpoint/file.h"
#include "trainer/trainer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void lh__record_message(const char *log_dir, int32_t level, const char *text) {
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    char path[1040], when[32], line[2304];
    time_t now = time(NULL);
    struct tm local;
    int fd, n;

    snprintf(path, sizeof path, "%s/log.txt", log_dir);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", localtime_r(&now, &local));
    n = snprintf(line, sizeof line, "%s %s: %s\n", when, levels[level & 3], text);
    if (n >= (int)sizeof line) {
        n = (int)sizeof line - 1;
        line[n - 1] = '\n';
    }
    if (write(fd, line, (size_t)n) < 0)
        n = 0; /* a full disk: the person reads it on stderr */
    close(fd);
}

/* The value of a checkpoint's member: its path if the file is there. */
static void set_checkpoint(json_t *result, const char *key, const char *path) {
    if (*path && access(path, R_OK) == 0)
        json_object_set_new(result, key, json_string(path));
}

void lh__record_death(const lh__breadcrumb *crumb, const char *status, const char *error) {
    char path[1040], *text = NULL;
    lh__error ignored = {0};
    json_t *result;

    if (!*crumb->log_dir)
        return;
    lh__record_message(crumb->log_dir, LH_ERROR, error);
    snprintf(path, sizeof path, "%s/result.json", crumb->log_dir);
    result = json_load_file(path, 0, NULL);
    if (!result)
        return;
    json_object_set_new(result, "status", json_string(status));
    json_object_set_new(result, "epoch", json_integer(crumb->epoch));
    json_object_set_new(result, "global_step", json_integer(crumb->step));
    json_object_set_new(result, "error", json_string(error));
    set_checkpoint(result, "best_checkpoint", crumb->best);
    set_checkpoint(result, "last_checkpoint", crumb->last);
    text = json_dumps(result, JSON_INDENT(2));
    if (text)
        lh__file_put(path, text, strlen(text), &ignored);
    free(text);
    json_decref(result);
}
