/* decoder.c - the bytes of a safetensors file as a state. Nothing in the bytes is trusted: every
 * number is checked before it is used, and the work is linear in the size (sorting aside). */
#include "checkpoint/file.h"
#include "checkpoint/layout.h"
#include "checkpoint/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of one tensor within the data. */
typedef struct extent {
    uint64_t begin, end;
    const char *name;
} extent;

typedef struct decoder {
    const char *name; /* of the file */
    const unsigned char *file, *data;
    size_t file_size, data_size;
    json_t *header;
    extent *extents;
    lh__state *state;
    lh__error *e;
} decoder;

/* Reports what is wrong with the file. The text may quote it: control characters, which a
 * terminal would obey, are replaced. */
LH_PRINTF(3, 4) static lh_status refuse(decoder *d, lh_status code, const char *fmt, ...) {
    char text[512];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return lh__fail(d->e, code, "%s: %s%s", d->name, text,
                    code == LH_ECORRUPT
                        ? "; the file is damaged or incomplete: choose another checkpoint"
                        : "");
}

#define DAMAGED(d, ...) refuse(d, LH_ECORRUPT, __VA_ARGS__)

static uint64_t load_length(const unsigned char *from) {
    uint64_t length = 0;

    for (int i = LH__LENGTH_SIZE; i-- > 0;)
        length = length << 8 | from[i];
    return length;
}

static lh_status parse_header(decoder *d) {
    json_error_t json;
    const char *text = (const char *)d->file + LH__LENGTH_SIZE;
    uint64_t length;

    if (d->file_size < LH__LENGTH_SIZE)
        return DAMAGED(d, "not a safetensors file: it has only %zu bytes", d->file_size);
    length = load_length(d->file);
    if (length > LH__HEADER_MAX)
        return DAMAGED(d,
                       "not a safetensors file: it announces a header of %" PRIu64
                       " bytes, the format allows %d",
                       length, LH__HEADER_MAX);
    if (length > d->file_size - LH__LENGTH_SIZE)
        return DAMAGED(d, "the header should have %" PRIu64 " bytes, the file ends after %zu",
                       length, d->file_size - LH__LENGTH_SIZE);
    if (length == 0 || *text != '{')
        return DAMAGED(d, "not a safetensors file: its header does not begin with '{'");
    d->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &json);
    if (!d->header)
        return DAMAGED(d, "the header is not valid JSON (at byte %d: %s)", json.position,
                       json.text);
    d->data = d->file + LH__LENGTH_SIZE + length;
    d->data_size = d->file_size - LH__LENGTH_SIZE - (size_t)length;
    return LH_OK;
}

static lh_status check_crc(decoder *d) {
    char digits[LH__CRC_DIGITS + 1];

    if (d->file_size < LH__CRC_AT + LH__CRC_DIGITS ||
        memcmp(d->file + LH__LENGTH_SIZE, LH__HEADER_START, sizeof LH__HEADER_START - 1) != 0)
        return DAMAGED(d, "the header was changed after lhost wrote it");
    snprintf(digits, sizeof digits, "%08" PRIx32, lh__file_crc(d->file, d->file_size));
    if (memcmp(d->file + LH__CRC_AT, digits, LH__CRC_DIGITS) != 0)
        return DAMAGED(d, "the checksum does not match the content");
    return LH_OK;
}

/* Sorts out whose file it is. One damaged key cannot turn a file of ours into a foreign one: any
 * mark that is left asks for the checksum. */
static lh_status parse_metadata(decoder *d) {
    json_t *metadata = json_object_get(d->header, "__metadata__");
    json_t *meta, *value;
    const char *format, *text, *key;
    json_error_t json;
    lh_status status;

    if (metadata && !json_is_object(metadata))
        return DAMAGED(d, "__metadata__ is not an object");
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return DAMAGED(d, "\"%s\" of __metadata__ is not a string", key);
    }
    format = json_string_value(json_object_get(metadata, "format"));
    text = json_string_value(json_object_get(metadata, "lhost"));
    d->state->foreign = !text && !json_object_get(metadata, "lhost.crc32") &&
                        (!format || strncmp(format, "lhost/", 6) != 0);
    if (d->state->foreign)
        return LH_OK;
    if (format && strncmp(format, "lhost/", 6) == 0 && strcmp(format, "lhost/1") != 0)
        return refuse(d, LH_EUNSUPPORTED,
                      "its format is %s, this lhost reads lhost/1: read it with the lhost that "
                      "wrote it",
                      format);
    status = check_crc(d);
    if (status != LH_OK)
        return status;
    meta = text ? json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &json) : NULL;
    if (!json_is_object(meta)) {
        json_decref(meta);
        return DAMAGED(d, "the trainer's state is not a JSON object");
    }
    json_decref(d->state->meta);
    d->state->meta = meta;
    return LH_OK;
}

/* Reads an array of at most `max` integers that are not negative; the number of them, or -1. */
static int parse_integers(const json_t *array, int64_t *to, size_t max) {
    size_t n = json_array_size(array);

    if (!json_is_array(array) || n > max)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return -1;
        to[i] = json_integer_value(item);
    }
    return (int)n;
}

/* The bytes that a tensor of that shape has. False: more than memory. */
static bool size_of(const int64_t *shape, int ndim, uint32_t width, uint64_t *size) {
    *size = 1;
    for (int i = 0; i < ndim; i++)
        if (__builtin_mul_overflow(*size, (uint64_t)shape[i], size))
            return false;
    return !__builtin_mul_overflow(*size, width, size);
}

static lh_status check_bools(decoder *d, const char *name, const unsigned char *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (data[i] > 1)
            return DAMAGED(d, "tensor \"%s\": a BOOL has the value %d", name, data[i]);
    return LH_OK;
}

static lh_status parse_tensor(decoder *d, const char *name, const json_t *entry, extent *at) {
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *dims = json_object_get(entry, "shape");
    const lh__stored_dtype *stored;
    int64_t shape[LH_MAX_DIMS], offsets[2];
    const unsigned char *data;
    uint64_t size;
    int ndim;

    if (!dtype)
        return DAMAGED(d, "tensor \"%s\" has no dtype", name);
    stored = lh__stored_dtype_named(dtype);
    if (!stored)
        return refuse(d, LH_EUNSUPPORTED,
                      "tensor \"%s\" has the dtype %s; lhost reads F32, F64, F16, BF16, I64, I32, "
                      "U8 and BOOL: convert it",
                      name, dtype);
    if (json_array_size(dims) > LH_MAX_DIMS)
        return refuse(d, LH_EUNSUPPORTED,
                      "tensor \"%s\" has %zu dimensions, lhost allows %d: reshape it", name,
                      json_array_size(dims), LH_MAX_DIMS);
    ndim = parse_integers(dims, shape, LH_MAX_DIMS);
    if (ndim < 0 || !size_of(shape, ndim, stored->size, &size))
        return DAMAGED(d, "tensor \"%s\" has no valid shape", name);
    if (parse_integers(json_object_get(entry, "data_offsets"), offsets, 2) != 2 ||
        offsets[0] > offsets[1] || (uint64_t)offsets[1] > d->data_size)
        return DAMAGED(d, "tensor \"%s\" has no valid data_offsets: two numbers up to %zu", name,
                       d->data_size);
    *at = (extent){(uint64_t)offsets[0], (uint64_t)offsets[1], name};
    if (at->end - at->begin != size)
        return DAMAGED(d,
                       "tensor \"%s\" has %" PRIu64 " bytes of data, its shape asks for %" PRIu64,
                       name, at->end - at->begin, size);
    data = d->data + at->begin;
    if (stored->dtype == LH_BOOL && check_bools(d, name, data, (size_t)size) != LH_OK)
        return LH_ECORRUPT;
    if ((uintptr_t)data % stored->size != 0)
        return lh__state_put_copy(d->state, name, stored->dtype, ndim, shape, data, d->e);
    return lh__state_put(d->state, name, stored->dtype, ndim, shape, data, d->e);
}

static int by_offset(const void *a, const void *b) {
    const extent *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must cover the data exactly. */
static lh_status check_cover(decoder *d, size_t n) {
    uint64_t covered = 0;

    qsort(d->extents, n, sizeof *d->extents, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (d->extents[i].begin != covered)
            return DAMAGED(d, "the data of tensor \"%s\" %s", d->extents[i].name,
                           d->extents[i].begin < covered ? "overlaps that of another one"
                                                         : "comes after a hole");
        covered = d->extents[i].end;
    }
    if (covered != d->data_size)
        return DAMAGED(d, "%" PRIu64 " bytes at the end belong to no tensor",
                       d->data_size - covered);
    return LH_OK;
}

static lh_status parse_tensors(decoder *d) {
    const char *name;
    json_t *entry;
    size_t n = 0;

    d->extents = malloc((json_object_size(d->header) + 1) * sizeof *d->extents);
    if (!d->extents)
        return lh__fail(d->e, LH_ENOMEM, "%s: out of memory for its list of tensors", d->name);
    json_object_foreach(d->header, name, entry) {
        lh_status status;
        if (strcmp(name, "__metadata__") == 0)
            continue;
        status = parse_tensor(d, name, entry, &d->extents[n++]);
        if (status != LH_OK)
            return status;
    }
    return check_cover(d, n);
}

lh_status lh__safetensors_decode(const void *data, size_t size, const char *name, lh__state **out,
                                 lh__error *e) {
    decoder d = {.name = name, .file = data, .file_size = size, .e = e};
    lh_status status = LH_OK;

    d.state = lh__state_new();
    if (!d.state)
        status = lh__fail(e, LH_ENOMEM, "%s: out of memory", name);
    if (status == LH_OK)
        status = parse_header(&d);
    if (status == LH_OK)
        status = parse_metadata(&d);
    if (status == LH_OK)
        status = parse_tensors(&d);
    if (status == LH_OK)
        *out = d.state;
    else
        lh__state_free(d.state);
    free(d.extents);
    json_decref(d.header);
    return status;
}

lh_status lh__safetensors_read(const char *path, lh__state **out, lh__error *e) {
    void *data;
    size_t size;
    lh_status status = lh__file_read(path, &data, &size, e);

    if (status != LH_OK)
        return status;
    status = lh__safetensors_decode(data, size, path, out, e);
    if (status == LH_OK)
        (*out)->storage = data;
    else
        free(data);
    return status;
}
