/* buffer.h - bytes that are put together in memory and then become a file.
 *
 * Invariant: a buffer that ran out of memory stays as it is and says so when it is written; the
 * file appears whole, under its name, or not at all.
 */
#ifndef LHOST_EXPORTERS_BUFFER_H
#define LHOST_EXPORTERS_BUFFER_H

#include <lhost/draft/exporter.h>
#include <lhost/lhost.h>

struct buffer {
    unsigned char *data;
    size_t size, capacity;
    int failed;
};

void buffer_add(struct buffer *b, const void *data, size_t size);
void buffer_text(struct buffer *b, const char *text);
void buffer_print(struct buffer *b, const char *format, ...) LH_PRINTF(2, 3);
void buffer_free(struct buffer *b);

/* The low `size` bytes of v, the lowest first. */
void buffer_little_endian(struct buffer *b, uint64_t v, int size);

/* Replaces the file `path` by the buffers' content, one after the other. */
lh_status buffer_write(lh_ctx *c, const char *path, const struct buffer *buffers, int n);

/* Bytes of an element, and of a whole value of the graph whose shape is fixed. */
int64_t dtype_size(int32_t dtype);
int64_t value_size(const lh_draft_value *v);

#endif
