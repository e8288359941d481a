/* output.h - how loggers write: whole buffers at once, so that a reader sees whole records, and
 * errors with path and reason. [writer] */
#ifndef LHOST_PLUGINS_OUTPUT_H
#define LHOST_PLUGINS_OUTPUT_H

#include <lhost/lhost.h>

/* Bytes to write. Zeroed is empty. */
struct output {
    char *data; /* owned */
    size_t n, capacity;
    int is_short; /* there was no memory for something */
};

void output_add(struct output *o, const void *data, size_t n);
void output_text(struct output *o, const char *text);
void output_free(struct output *o);

/* Writes what is there to the end of the open file and empties the buffer. */
lh_status output_append(lh_ctx *c, struct output *o, int fd, const char *path);

/* Replaces the file, atomically. */
lh_status output_replace(lh_ctx *c, struct output *o, const char *path);

/* DIR/NAME of the run's folder; out holds PATH_MAX bytes. */
lh_status output_path(lh_ctx *c, const char *name, char *out);

/* Writes hparams.yaml of the run's folder, unless it is there. */
lh_status output_hparams(lh_ctx *c, const lh_setting *settings, int32_t n);

#endif
