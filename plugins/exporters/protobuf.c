/* protobuf.c - the wire format's three types that ONNX needs; see protobuf.h. */
#include "protobuf.h"

#include <string.h>

enum { VARINT = 0, LENGTH_DELIMITED = 2, FIXED_32 = 5 };

/* Seven bits a byte, the lowest first; the top bit says that more follow. */
static void varint(struct buffer *b, uint64_t v) {
    unsigned char bytes[10];
    size_t n = 0;

    do {
        bytes[n++] = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        v >>= 7;
    } while (v);
    buffer_add(b, bytes, n);
}

static void tag(struct buffer *b, int field, int type) {
    varint(b, (uint64_t)field << 3 | (uint64_t)type);
}

void protobuf_int(struct buffer *b, int field, int64_t v) {
    tag(b, field, VARINT);
    varint(b, (uint64_t)v);
}

void protobuf_float(struct buffer *b, int field, float v) {
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    tag(b, field, FIXED_32);
    buffer_little_endian(b, bits, 4);
}

void protobuf_head(struct buffer *b, int field, size_t size) {
    tag(b, field, LENGTH_DELIMITED);
    varint(b, size);
}

void protobuf_bytes(struct buffer *b, int field, const void *data, size_t size) {
    protobuf_head(b, field, size);
    buffer_add(b, data, size);
}

void protobuf_text(struct buffer *b, int field, const char *text) {
    protobuf_bytes(b, field, text, strlen(text));
}

void protobuf_message(struct buffer *b, int field, const struct buffer *message) {
    protobuf_bytes(b, field, message->data, message->size);
    b->failed |= message->failed;
}
