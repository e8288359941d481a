/* torch_archive.c - a zip archive without compression (PKWARE's APPNOTE.TXT, without zip64). */
#include "torch.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, VERSION = 20, UTF8 = 0x800, DATE = 0x21 /* 1980-01-01 */ };
enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50 };

/* CRC-32 of ISO 3309, the lowest bit first. */
static uint32_t crc32_of(const unsigned char *data, size_t size) {
    uint32_t table[256], crc = 0xffffffffu;

    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
    }
    for (size_t i = 0; i < size; i++)
        crc = crc >> 8 ^ table[(crc ^ data[i]) & 0xff];
    return ~crc;
}

/* What the local header and the directory share, from the version on. */
static void add_description(struct buffer *b, uint32_t crc, size_t size, size_t name_size,
                            size_t extra_size) {
    buffer_little_endian(b, VERSION, 2);
    buffer_little_endian(b, UTF8, 2);
    buffer_little_endian(b, 0, 2); /* stored */
    buffer_little_endian(b, 0, 2); /* time */
    buffer_little_endian(b, DATE, 2);
    buffer_little_endian(b, crc, 4);
    buffer_little_endian(b, size, 4); /* compressed */
    buffer_little_endian(b, size, 4);
    buffer_little_endian(b, name_size, 2);
    buffer_little_endian(b, extra_size, 2);
}

void torch_add(struct torch_archive *a, const char *name, const void *data, size_t size) {
    static const char filler[ALIGNMENT] = {0};
    size_t offset = a->files.size, name_size = strlen(name), extra;
    uint32_t crc = crc32_of(data, size);

    /* An extra field "FB" of so many bytes that the data begin at a multiple of 64. */
    extra = 4 + (ALIGNMENT - (offset + 30 + name_size + 4) % ALIGNMENT) % ALIGNMENT;
    buffer_little_endian(&a->files, LOCAL, 4);
    add_description(&a->files, crc, size, name_size, extra);
    buffer_text(&a->files, name);
    buffer_text(&a->files, "FB");
    buffer_little_endian(&a->files, extra - 4, 2);
    buffer_add(&a->files, filler, extra - 4);
    buffer_add(&a->files, data, size);

    buffer_little_endian(&a->directory, CENTRAL, 4);
    buffer_little_endian(&a->directory, VERSION, 2);
    add_description(&a->directory, crc, size, name_size, 0);
    buffer_little_endian(&a->directory, 0, 2); /* comment */
    buffer_little_endian(&a->directory, 0, 2); /* disk */
    buffer_little_endian(&a->directory, 0, 2); /* attributes */
    buffer_little_endian(&a->directory, 0, 4);
    buffer_little_endian(&a->directory, offset, 4);
    buffer_text(&a->directory, name);
    a->n++;
}

void torch_add_buffer(struct torch_archive *a, const char *name, const struct buffer *b) {
    torch_add(a, name, b->data, b->size);
    a->files.failed |= b->failed;
}

lh_status torch_save(lh_ctx *c, struct torch_archive *a, const char *path) {
    struct buffer parts[3] = {a->files, a->directory, {0}};
    lh_status status;

    buffer_little_endian(&parts[2], END, 4);
    buffer_little_endian(&parts[2], 0, 4); /* disks */
    buffer_little_endian(&parts[2], a->n, 2);
    buffer_little_endian(&parts[2], a->n, 2);
    buffer_little_endian(&parts[2], a->directory.size, 4);
    buffer_little_endian(&parts[2], a->files.size, 4);
    buffer_little_endian(&parts[2], 0, 2); /* comment */
    if (a->files.size + a->directory.size > UINT32_MAX || a->n > UINT16_MAX)
        status = lh_fail(c, LH_EUNSUPPORTED,
                         "the model has more than 4 GiB or 65535 tensors, which this archive can't "
                         "hold; export it as ONNX");
    else
        status = buffer_write(c, path, parts, 3);
    buffer_free(&parts[2]);
    return status;
}
