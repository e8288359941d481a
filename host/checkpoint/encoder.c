/* encoder.c - a state laid out as the bytes of a safetensors file. */
#include "checkpoint/file.h"
#include "checkpoint/layout.h"
#include "checkpoint/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SLACK: room for a header that is longer at the next save, so that the image needs not grow. */
enum { N_WIDTHS = 4, SLACK = 1 << 16 };

/* Element sizes in the order of their data in the file. */
static const uint32_t widths[N_WIDTHS] = {8, 4, 2, 1};

/* Where the next tensor of each element size goes, as an offset into the data. */
typedef struct cursor {
    size_t at[N_WIDTHS];
    size_t end; /* of all data */
} cursor;

void lh__image_free(lh__image *image) {
    free(image->data);
    *image = (lh__image){0};
}

static lh_status reserve(lh__image *image, size_t capacity, lh__error *e) {
    unsigned char *data;

    if (capacity <= image->capacity)
        return LH_OK;
    if (__builtin_add_overflow(capacity, SLACK, &capacity) ||
        !(data = realloc(image->data, capacity)))
        return lh__fail(e, LH_ENOMEM, "out of memory: %zu bytes for a checkpoint", capacity);
    image->data = data;
    image->capacity = capacity;
    return LH_OK;
}

static lh_status append(lh__image *image, const char *text, size_t size, lh__error *e) {
    lh_status status = LH_OK;

    if (image->capacity - image->size < size)
        status = reserve(image, 2 * image->size + size, e);
    if (status != LH_OK)
        return status;
    memcpy(image->data + image->size, text, size);
    image->size += size;
    return LH_OK;
}

static lh_status append_text(lh__image *image, const char *text, lh__error *e) {
    return append(image, text, strlen(text), e);
}

/* Appends the inside of a JSON string. */
static lh_status append_escaped(lh__image *image, const char *text, size_t size, lh__error *e) {
    lh_status status = LH_OK;
    size_t start = 0;

    for (size_t i = 0; i < size && status == LH_OK; i++) {
        unsigned char c = (unsigned char)text[i];
        char escape[8];

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        snprintf(escape, sizeof escape, c < 0x20 ? "\\u%04x" : "\\%c", c);
        status = append(image, text + start, i - start, e);
        if (status == LH_OK)
            status = append_text(image, escape, e);
        start = i + 1;
    }
    return status == LH_OK ? append(image, text + start, size - start, e) : status;
}

/* What Jansson's dump writes into: the image, through the escapes of a JSON string. */
typedef struct sink {
    lh__image *image;
    lh__error *e;
    lh_status status;
} sink;

static int dump_escaped(const char *text, size_t size, void *user) {
    sink *to = user;

    to->status = append_escaped(to->image, text, size, to->e);
    return to->status == LH_OK ? 0 : -1;
}

static lh_status append_metadata(lh__image *image, const json_t *meta, lh__error *e) {
    sink to = {image, e, LH_OK};
    lh_status status = append_text(image, LH__HEADER_START "00000000\",\"lhost\":\"", e);

    if (status == LH_OK && json_dump_callback(meta, dump_escaped, &to, JSON_COMPACT) != 0)
        return to.status != LH_OK
                   ? to.status
                   : lh__fail(e, LH_EINVAL,
                              "the trainer's state is no JSON: it contains itself, a "
                              "number that is not finite, or memory ran out");
    return status == LH_OK ? append_text(image, "\"}", e) : status;
}

static size_t *cursor_of(cursor *c, const lh__state_tensor *t) {
    uint32_t width = lh__stored_dtype_of(t->dtype)->size;
    size_t i = 0;

    while (widths[i] != width)
        i++;
    return &c->at[i];
}

/* Cursors at the start of each element size's data. */
static lh_status place(const lh__state *s, cursor *c, lh__error *e) {
    *c = (cursor){0};
    for (size_t i = 0; i < s->n_tensors; i++) {
        *cursor_of(c, &s->tensors[i]) += s->tensors[i].size;
        if (__builtin_add_overflow(c->end, s->tensors[i].size, &c->end))
            return lh__fail(e, LH_ENOMEM, "a checkpoint of this state is larger than memory");
    }
    for (size_t i = 0, start = 0; i < N_WIDTHS; i++) {
        size_t size = c->at[i];
        c->at[i] = start;
        start += size;
    }
    return LH_OK;
}

static lh_status append_tensor(lh__image *image, const lh__state_tensor *t, size_t begin,
                               lh__error *e) {
    char text[64 + LH_MAX_DIMS * 21 + 64];
    size_t n;
    lh_status status;

    if (strcmp(t->name, "__metadata__") == 0)
        return lh__fail(e, LH_EINVAL,
                        "a tensor cannot be named \"__metadata__\": the file format "
                        "reserves that name; choose another one");
    n = (size_t)snprintf(text, sizeof text, "\":{\"dtype\":\"%s\",\"shape\":[",
                         lh__stored_dtype_of(t->dtype)->name);
    for (int32_t i = 0; i < t->ndim; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%" PRId64, i ? "," : "", t->shape[i]);
    n += (size_t)snprintf(text + n, sizeof text - n, "],\"data_offsets\":[%zu,%zu]}", begin,
                          begin + t->size);
    status = append_text(image, ",\"", e);
    if (status == LH_OK)
        status = append_escaped(image, t->name, strlen(t->name), e);
    return status == LH_OK ? append(image, text, n, e) : status;
}

/* Everything in front of the data, the length still missing. Tensors are listed in the state's
 * order; their offsets say where the data is. */
static lh_status append_header(lh__image *image, const lh__state *s, cursor c, lh__error *e) {
    lh_status status = append(image, "\0\0\0\0\0\0\0", LH__LENGTH_SIZE, e);

    if (status == LH_OK)
        status = append_metadata(image, s->meta, e);
    for (size_t i = 0; i < s->n_tensors && status == LH_OK; i++) {
        size_t *at = cursor_of(&c, &s->tensors[i]);
        status = append_tensor(image, &s->tensors[i], *at, e);
        *at += s->tensors[i].size;
    }
    if (status == LH_OK)
        status = append_text(image, "}", e);
    while (status == LH_OK && image->size % 8 != 0)
        status = append_text(image, " ", e);
    if (status == LH_OK && image->size - LH__LENGTH_SIZE > LH__HEADER_MAX)
        return lh__fail(e, LH_EINVAL,
                        "the checkpoint's header has %zu bytes, the file format allows %d: keep "
                        "less in the state's text, or put arrays in tensors",
                        image->size - LH__LENGTH_SIZE, LH__HEADER_MAX);
    return status;
}

static void store_length(unsigned char *to, uint64_t length) {
    for (int i = 0; i < LH__LENGTH_SIZE; i++)
        to[i] = (unsigned char)(length >> (8 * i));
}

lh_status lh__safetensors_encode(const lh__state *s, lh__image *image, lh__error *e) {
    cursor c;
    size_t header;
    lh_status status = place(s, &c, e);

    image->size = 0;
    if (status == LH_OK)
        status = append_header(image, s, c, e);
    header = image->size;
    if (status == LH_OK)
        status = c.end > SIZE_MAX - header
                     ? lh__fail(e, LH_ENOMEM, "a checkpoint of this state is larger than memory")
                     : reserve(image, header + c.end, e);
    if (status != LH_OK)
        return status;
    store_length(image->data, header - LH__LENGTH_SIZE);
    image->size = header + c.end;
    for (size_t i = 0; i < s->n_tensors; i++) {
        const lh__state_tensor *t = &s->tensors[i];
        size_t *at = cursor_of(&c, t);
        if (t->size > 0)
            memcpy(image->data + header + *at, t->data, t->size);
        *at += t->size;
    }
    return LH_OK;
}

void lh__safetensors_seal(void *data, size_t size) {
    char digits[LH__CRC_DIGITS + 1];

    snprintf(digits, sizeof digits, "%08" PRIx32, lh__file_crc(data, size));
    memcpy((char *)data + LH__CRC_AT, digits, LH__CRC_DIGITS);
}

lh_status lh__safetensors_write(const char *path, const lh__state *s, lh__error *e) {
    lh__image image = {0};
    lh_status status = lh__safetensors_encode(s, &image, e);

    if (status == LH_OK) {
        lh__safetensors_seal(image.data, image.size);
        status = lh__file_write(path, image.data, image.size, e);
    }
    lh__image_free(&image);
    return status;
}
