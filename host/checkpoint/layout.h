/* layout.h - the constants that the encoder and the decoder of the file format share. */
#ifndef LH_CHECKPOINT_LAYOUT_H
#define LH_CHECKPOINT_LAYOUT_H

#include <libdeflate.h>
#include <stdint.h>

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
    uint32_t crc = libdeflate_crc32(0, data, LH__CRC_AT);

    crc = libdeflate_crc32(crc, "00000000", LH__CRC_DIGITS);
    return libdeflate_crc32(crc, data + rest, size - rest);
}

#endif
