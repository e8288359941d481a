/* safetensors.c - fuzz target: any bytes are decoded or refused, never more than that; what was
 * decoded can be encoded and decoded again. Files that begin as ours are also tried with a valid
 * checksum, which chance would never produce. */
#include "checkpoint/safetensors.h"
#include "checkpoint/layout.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const lh__state *a, const lh__state *b) {
    if (a->n_tensors != b->n_tensors || !json_equal(a->meta, b->meta))
        abort();
    for (size_t i = 0; i < a->n_tensors; i++) {
        const lh__state_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype || x->size != y->size ||
            (x->size > 0 && memcmp(x->data, y->data, x->size) != 0))
            abort();
    }
}

static void try_bytes(const void *data, size_t size) {
    lh__image image = {0};
    lh__error e = {0};
    lh__state *s, *again;

    if (lh__safetensors_decode(data, size, "fuzz", &s, &e) != LH_OK) {
        if (e.code == LH_OK || e.text[0] == '\0')
            abort();
        return;
    }
    if (lh__safetensors_encode(s, &image, NULL) != LH_OK)
        abort();
    lh__safetensors_seal(image.data, image.size);
    if (lh__safetensors_decode(image.data, image.size, "again", &again, NULL) != LH_OK)
        abort();
    expect_same(s, again);
    lh__state_free(again);
    lh__image_free(&image);
    lh__state_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const size_t start = sizeof LH__HEADER_START - 1;

    try_bytes(data, size);
    if (size >= LH__CRC_AT + LH__CRC_DIGITS &&
        memcmp(data + LH__LENGTH_SIZE, LH__HEADER_START, start) == 0) {
        uint8_t *sealed = malloc(size);
        if (!sealed)
            return 0;
        memcpy(sealed, data, size);
        lh__safetensors_seal(sealed, size);
        try_bytes(sealed, size);
        free(sealed);
    }
    return 0;
}
