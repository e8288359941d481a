/* idx.c - reading IDX files, plain and gzip.
 *
 * Gzip content is inflated once, straight into memory of the size that its header asks for.
 * Source of the gzip format: RFC 1952.
 */
#include "data/idx.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { MAX_HEADER = 4 + 4 * LH_MAX_DIMS };

/* Deflate can't shrink anything further than 1032 to 1; a header that asks for more is a lie. */
enum { MAX_DEFLATE_RATIO = 1032 };

size_t lh__idx_type_size(uint8_t type) {
    static const uint8_t sizes[] = {
        [LH__IDX_U8] = 1,  [LH__IDX_I8] = 1,  [LH__IDX_I16] = 2,
        [LH__IDX_I32] = 4, [LH__IDX_F32] = 4, [LH__IDX_F64] = 8,
    };

    return type < sizeof sizes ? sizes[type] : 0;
}

static size_t header_size(const lh__idx *idx) {
    return 4 + 4 * (size_t)idx->ndim;
}

/* Parses the header alone from the first `size` bytes of a file. Sets all of `out` but data. */
static lh_status parse_header(const uint8_t *b, size_t size, const char *name, lh__idx *out,
                              lh__error *e) {
    size_t type_size;

    memset(out, 0, sizeof *out);
    if (size < 4)
        return lh__fail(e, LH_ECORRUPT, "%s: truncated: %zu bytes are no IDX header", name, size);
    if (b[0] || b[1])
        return lh__fail(e, LH_ECORRUPT,
                        "%s: not an IDX file: it begins with %02x %02x instead of 00 00", name,
                        b[0], b[1]);
    type_size = lh__idx_type_size(b[2]);
    if (!type_size)
        return lh__fail(e, LH_ECORRUPT, "%s: unknown IDX type code 0x%02x", name, b[2]);
    if (b[3] < 1 || b[3] > LH_MAX_DIMS)
        return lh__fail(e, LH_ECORRUPT, "%s: %d dimensions; an IDX file must have 1 to %d", name,
                        b[3], LH_MAX_DIMS);
    out->type = b[2];
    out->ndim = b[3];
    out->size = type_size;
    if (size < header_size(out))
        return lh__fail(e, LH_ECORRUPT, "%s: truncated within the IDX header", name);
    for (int32_t i = 0; i < out->ndim; i++) {
        const uint8_t *d = b + 4 + 4 * i;

        out->shape[i] = (int64_t)((uint32_t)d[0] << 24 | d[1] << 16 | d[2] << 8 | d[3]);
        if (__builtin_mul_overflow(out->size, (uint64_t)out->shape[i], &out->size) ||
            out->size > INT64_MAX - MAX_HEADER)
            return lh__fail(e, LH_ECORRUPT,
                            "%s: the dimensions in the IDX header are impossibly large", name);
    }
    return LH_OK;
}

lh_status lh__idx_parse(const void *bytes, size_t size, const char *name, lh__idx *out,
                        lh__error *e) {
    lh_status status = parse_header(bytes, size, name, out, e);
    uint64_t payload;

    if (status != LH_OK)
        return status;
    payload = size - header_size(out);
    if (payload < out->size)
        return lh__fail(e, LH_ECORRUPT,
                        "%s: truncated: the header announces %" PRIu64 " bytes of values, the file "
                        "holds %" PRIu64 "; fetch it again",
                        name, out->size, payload);
    if (payload > out->size)
        return lh__fail(e, LH_ECORRUPT, "%s: %" PRIu64 " bytes too many behind the values", name,
                        payload - out->size);
    out->data = (const uint8_t *)bytes + header_size(out);
    return LH_OK;
}

/* Inflates until out[size] is full or the data ends, over all members of the file. zlib checks
 * length and checksum of each. *got: bytes written. */
static lh_status inflate_exactly(z_stream *z, uint8_t *out, size_t size, size_t *got,
                                 const uint8_t *end, const char *name, lh__error *e) {
    *got = 0;
    while (*got < size) {
        size_t room = size - *got < (1u << 30) ? size - *got : 1u << 30;
        size_t left = (size_t)(end - z->next_in);
        int rc;

        z->next_out = out + *got;
        z->avail_out = (uInt)room;
        z->avail_in = (uInt)(left < (1u << 30) ? left : 1u << 30);
        rc = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out;
        if (rc == Z_MEM_ERROR)
            return lh__fail(e, LH_ENOMEM, "%s: no memory to inflate it", name);
        if (rc == Z_STREAM_END) {
            if (z->next_in == end)
                return LH_OK;
            if (*got < size)
                inflateReset(z); /* another member follows */
            continue;
        }
        if (rc == Z_BUF_ERROR || (rc == Z_OK && z->next_in == end && *got < size))
            return lh__fail(e, LH_ECORRUPT, "%s: truncated gzip data; fetch it again", name);
        if (rc != Z_OK)
            return lh__fail(e, LH_ECORRUPT, "%s: corrupt gzip data (%s); fetch it again", name,
                            z->msg ? z->msg : "unexpected end");
    }
    return LH_OK;
}

/* Reads on where the values are complete: nothing may follow but the gzip trailer. */
static lh_status inflate_end(z_stream *z, const uint8_t *end, const char *name, lh__error *e) {
    uint8_t extra;
    size_t got;
    lh_status status = inflate_exactly(z, &extra, 1, &got, end, name, e);

    if (status == LH_OK && got)
        return lh__fail(e, LH_ECORRUPT, "%s: bytes too many behind the values", name);
    return status;
}

static void *map_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    if (size >= 2u << 20)
        madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

lh_status lh__idx_inflate(const void *bytes, size_t size, const char *name, lh__idx_content *out,
                          lh__error *e) {
    const uint8_t *end = (const uint8_t *)bytes + size;
    z_stream z = {.next_in = (Bytef *)bytes};
    uint8_t header[MAX_HEADER];
    size_t got, whole;
    lh_status status;

    memset(out, 0, sizeof *out);
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return lh__fail(e, LH_ENOMEM, "%s: no memory to inflate it", name);
    status = inflate_exactly(&z, header, 4, &got, end, name, e);
    if (status == LH_OK && got == 4 && header[3] >= 1 && header[3] <= LH_MAX_DIMS) {
        size_t more;

        status = inflate_exactly(&z, header + 4, 4 * (size_t)header[3], &more, end, name, e);
        got += more;
    }
    if (status == LH_OK)
        status = parse_header(header, got, name, &out->idx, e);
    if (status != LH_OK)
        goto done;
    if (out->idx.size / MAX_DEFLATE_RATIO > size) {
        status = lh__fail(e, LH_ECORRUPT,
                          "%s: the header announces %" PRIu64
                          " bytes of values, more than the file can hold",
                          name, out->idx.size);
        goto done;
    }
    whole = header_size(&out->idx) + out->idx.size;
    out->memory = map_memory(whole);
    if (!out->memory) {
        status = lh__fail(e, LH_ENOMEM, "%s: no memory for %zu bytes", name, whole);
        goto done;
    }
    out->size = whole;
    memcpy(out->memory, header, header_size(&out->idx));
    status = inflate_exactly(&z, (uint8_t *)out->memory + header_size(&out->idx), out->idx.size,
                             &got, end, name, e);
    if (status == LH_OK && got == out->idx.size)
        status = inflate_end(&z, end, name, e);
    if (status == LH_OK)
        status = lh__idx_parse(out->memory, header_size(&out->idx) + got, name, &out->idx, e);
done:
    inflateEnd(&z);
    if (status != LH_OK)
        lh__idx_release(out);
    return status;
}

void lh__idx_release(lh__idx_content *c) {
    if (c->memory)
        munmap(c->memory, c->size);
    memset(c, 0, sizeof *c);
}

lh_status lh__idx_read(const char *path, lh__idx_content *out, lh__error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    lh__idx_content file = {0};
    lh_status status = LH_OK;
    struct stat st;

    memset(out, 0, sizeof *out);
    if (fd < 0 || fstat(fd, &st) != 0) {
        status =
            lh__fail(e, errno == ENOENT ? LH_ENOTFOUND : LH_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        status = lh__fail(e, LH_ECORRUPT, "%s: %s", path,
                          S_ISREG(st.st_mode) ? "truncated: the file is empty" : "not a file");
        goto done;
    }
    file.size = (size_t)st.st_size;
    file.memory = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (file.memory == MAP_FAILED) {
        file.memory = NULL;
        status = lh__fail(e, LH_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (file.size >= 2 && memcmp(file.memory, "\x1f\x8b", 2) == 0) {
        status = lh__idx_inflate(file.memory, file.size, path, out, e);
    } else {
        status = lh__idx_parse(file.memory, file.size, path, &file.idx, e);
        if (status == LH_OK) {
            *out = file;
            file.memory = NULL;
        }
    }
done:
    if (file.memory)
        lh__idx_release(&file);
    if (fd >= 0)
        close(fd);
    return status;
}
