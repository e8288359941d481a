/* layout.h - the constants that the encoder and the decoder of the file format share. */
#ifndef LH_CHECKPOINT_LAYOUT_H
#define LH_CHECKPOINT_LAYOUT_H

#include <stdint.h>
#include <zlib.h>

/* The format's limit on the length of the header. */
#define LH__HEADER_MAX 100000000

/* How the header of every file of ours begins; the digits of the checksum come next. */
#define LH__HEADER_START "{\"__metadata__\":{\"format\":\"lhost/1\",\"lhost.crc32\":\""

enum {
    LH__LENGTH_SIZE = 8, /* of the number in front of the header */
    LH__CRC_AT = LH__LENGTH_SIZE + sizeof LH__HEADER_START - 1,
    LH__CRC_DIGITS = 8
};

/* The checksum of a file of ours; `size` is at least LH__CRC_AT + LH__CRC_DIGITS. */
static inline uint32_t lh__file_crc(const unsigned char *data, size_t size) {
    const size_t rest = LH__CRC_AT + LH__CRC_DIGITS;
    uLong crc = crc32_z(0, data, LH__CRC_AT);

    crc = crc32_z(crc, (const unsigned char *)"00000000", LH__CRC_DIGITS);
    return (uint32_t)crc32_z(crc, data + rest, size - rest);
}

#endif
