/* buffer.c - growing bytes; see buffer.h. */
#include "buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void buffer_add(struct buffer *b, const void *data, size_t size) {
    if (b->failed || size == 0)
        return;
    if (b->size + size > b->capacity) {
        size_t capacity = 2 * (b->size + size) + 64;
        unsigned char *grown = realloc(b->data, capacity);

        if (!grown) {
            b->failed = 1;
            return;
        }
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
}

void buffer_text(struct buffer *b, const char *text) {
    buffer_add(b, text, strlen(text));
}

void buffer_print(struct buffer *b, const char *format, ...) {
    char text[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text)
        b->failed = 1;
    else
        buffer_add(b, text, (size_t)n);
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}

void buffer_little_endian(struct buffer *b, uint64_t v, int size) {
    unsigned char bytes[8];

    for (int i = 0; i < size; i++)
        bytes[i] = (unsigned char)(v >> 8 * i);
    buffer_add(b, bytes, (size_t)size);
}

lh_status buffer_write(lh_ctx *c, const char *path, const struct buffer *buffers, int n) {
    char temp[4096];
    FILE *f;
    int ok = (size_t)snprintf(temp, sizeof temp, "%s.part-%ld", path, (long)getpid()) < sizeof temp;

    for (int i = 0; i < n; i++)
        if (buffers[i].failed)
            return lh_fail(c, LH_ENOMEM, "out of memory for %s", path);
    if (!ok)
        return lh_fail(c, LH_EINVAL, "the path of %.80s... is too long", path);
    f = fopen(temp, "wbe");
    ok = f != NULL;
    for (int i = 0; i < n && ok; i++)
        ok = fwrite(buffers[i].data, 1, buffers[i].size, f) == buffers[i].size;
    if (f && (fflush(f) != 0 || fsync(fileno(f)) != 0))
        ok = 0;
    if (f && fclose(f) != 0)
        ok = 0;
    if (ok && rename(temp, path) == 0)
        return LH_OK;
    lh_fail(c, LH_EIO, "cannot write %s: %s", path, strerror(errno));
    if (f)
        unlink(temp);
    return LH_EIO;
}

int64_t dtype_size(int32_t dtype) {
    switch (dtype) {
    case LH_F64:
    case LH_I64:
        return 8;
    case LH_F32:
    case LH_I32:
        return 4;
    case LH_F16:
    case LH_BF16:
        return 2;
    default:
        return 1;
    }
}

int64_t value_size(const lh_draft_value *v) {
    int64_t size = dtype_size(v->dtype);

    for (int32_t d = 0; d < v->ndim; d++)
        size *= v->shape[d];
    return size;
}
