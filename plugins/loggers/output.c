/* output.c - see output.h. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void output_add(struct output *o, const void *data, size_t n) {
    if (o->n + n > o->capacity) {
        size_t capacity = 2 * (o->n + n) + 256;
        char *grown = realloc(o->data, capacity);

        if (!grown) {
            o->is_short = 1;
            return;
        }
        o->data = grown;
        o->capacity = capacity;
    }
    if (n)
        memcpy(o->data + o->n, data, n);
    o->n += n;
}

void output_text(struct output *o, const char *text) {
    output_add(o, text, strlen(text));
}

void output_free(struct output *o) {
    free(o->data);
    *o = (struct output){0};
}

lh_status output_append(lh_ctx *c, struct output *o, int fd, const char *path) {
    size_t done = 0;

    if (o->is_short)
        return lh_fail(c, LH_ENOMEM, "out of memory for %s", path);
    while (done < o->n) {
        ssize_t n = write(fd, o->data + done, o->n - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lh_fail(c, LH_EIO, "cannot write %s: %s", path, strerror(errno));
        done += (size_t)n;
    }
    o->n = 0;
    return LH_OK;
}

lh_status output_replace(lh_ctx *c, struct output *o, const char *path) {
    char temp[PATH_MAX + 16];
    lh_status status;
    int fd;

    snprintf(temp, sizeof temp, "%s.tmp", path);
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return lh_fail(c, LH_EIO, "cannot write %s: %s", temp, strerror(errno));
    status = output_append(c, o, fd, temp);
    if (close(fd) != 0 && status == LH_OK)
        status = lh_fail(c, LH_EIO, "cannot write %s: %s", temp, strerror(errno));
    if (status == LH_OK && rename(temp, path) != 0)
        status = lh_fail(c, LH_EIO, "cannot replace %s: %s", path, strerror(errno));
    if (status != LH_OK)
        unlink(temp);
    return status;
}

lh_status output_path(lh_ctx *c, const char *name, char *out) {
    if (snprintf(out, PATH_MAX, "%s/%s", lh_text(c, LH_LOG_DIR), name) >= PATH_MAX)
        return lh_fail(c, LH_EINVAL, "the path of the run's folder is too long");
    return LH_OK;
}

lh_status output_hparams(lh_ctx *c, const lh_setting *settings, int32_t n) {
    struct output o = {0};
    char path[PATH_MAX];
    lh_status status = output_path(c, "hparams.yaml", path);

    if (status != LH_OK || access(path, F_OK) == 0)
        return status;
    for (int32_t i = 0; i < n; i++) {
        output_text(&o, settings[i].name);
        output_text(&o, ": ");
        output_text(&o, settings[i].text);
        output_text(&o, "\n");
    }
    if (n == 0)
        output_text(&o, "{}\n");
    status = output_replace(c, &o, path);
    output_free(&o);
    return status;
}
