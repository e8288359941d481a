/* idx.c - reading IDX files, plain and gzip; see idx.h. */
#include "data/idx.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_HEADER = 4 + 4 * LH_MAX_DIMS };

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

lh_status lh__idx_inflate(const void *bytes, size_t size, const char *name, lh__idx_content *out,
                          lh__error *e) {
    lh_status status;

    memset(out, 0, sizeof *out);
    status = lh__gunzip(bytes, size, name, &out->blob, e);
    if (status == LH_OK)
        status = lh__idx_parse(out->blob.memory, out->blob.size, name, &out->idx, e);
    if (status != LH_OK)
        lh__idx_release(out);
    return status;
}

void lh__idx_release(lh__idx_content *c) {
    lh__blob_free(&c->blob);
    memset(c, 0, sizeof *c);
}

lh_status lh__idx_read(const char *path, lh__idx_content *out, lh__error *e) {
    lh__blob file;
    lh_status status;

    memset(out, 0, sizeof *out);
    status = lh__map_file(path, &file, e);
    if (status != LH_OK)
        return status;
    if (lh__is_gzip(file.memory, file.size)) {
        status = lh__idx_inflate(file.memory, file.size, path, out, e);
        lh__blob_free(&file);
        return status;
    }
    out->blob = file;
    status = lh__idx_parse(file.memory, file.size, path, &out->idx, e);
    if (status != LH_OK)
        lh__idx_release(out);
    return status;
}
