/* protobuf.h - fields in the wire format of Protocol Buffers (protobuf.dev/programming-guides/
 * encoding): each is a varint of 8 * number + wire type, then its content.
 */
#ifndef LHOST_EXPORTERS_PROTOBUF_H
#define LHOST_EXPORTERS_PROTOBUF_H

#include "buffer.h"

void protobuf_int(struct buffer *b, int field, int64_t v); /* a varint; negative: 10 bytes */
void protobuf_float(struct buffer *b, int field, float v); /* 4 bytes, little-endian */
void protobuf_text(struct buffer *b, int field, const char *text);
void protobuf_bytes(struct buffer *b, int field, const void *data, size_t size);
void protobuf_message(struct buffer *b, int field, const struct buffer *message);

/* Only the head of a field of bytes, which the caller lets follow. */
void protobuf_head(struct buffer *b, int field, size_t size);

#endif
