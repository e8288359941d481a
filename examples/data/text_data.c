/* text_data.c - the text cut into pieces of so many characters; see text.h. */
#include "text.h"

/* Item i begins at first + (i mod rows) row_length + (i / rows) step. */
struct pieces {
    const uint8_t *characters;
    int64_t first, rows, row_length, step, length;
};

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    const struct pieces *p = user;
    const uint8_t *from =
        p->characters + p->first + index % p->rows * p->row_length + index / p->rows * p->step;

    for (int64_t i = 0; i < p->length; i++) {
        ((int64_t *)fields[0])[i] = from[i];
        ((int64_t *)fields[1])[i] = from[i + 1];
    }
    return LH_OK;
}

/* As many pieces, each `step` after the one before in its row, as `rows` equal rows hold. */
static lh_dataset *pieces(lh_ctx *c, const struct text *text, int is_val, int64_t rows,
                          int64_t step, int64_t length) {
    const lh_field fields[] = {LH_FIELD(LH_I64, 1, length), LH_FIELD(LH_I64, 1, length)};
    struct pieces *p = lh_alloc(c, sizeof *p);
    int64_t first, size, room, n;

    if (!p || !text)
        return NULL;
    first = is_val ? text->train : 0;
    size = is_val ? text->length - text->train : text->train;
    room = (size - 1) / rows; /* in a row; the last piece is followed by one more character */
    if (room < length) {
        lh_fail(c, LH_EINVAL, "%lld characters are too few for %lld rows of %lld: make one smaller",
                (long long)size, (long long)rows, (long long)length);
        return NULL;
    }
    n = (room - length) / step + 1;
    *p = (struct pieces){text->characters, first, rows, n * step, step, length};
    return lh_dataset_map(c, .length = n * rows, .get_item = get_item, .user = p, .n_fields = 2,
                          .fields = fields);
}

lh_dataset *text_windows(lh_ctx *c, const struct text *text, int is_val, int64_t length) {
    return pieces(c, text, is_val, 1, is_val ? length : 1, length);
}

lh_dataset *text_streams(lh_ctx *c, const struct text *text, int is_val, int64_t rows,
                         int64_t length) {
    return pieces(c, text, is_val, rows, length, length);
}
