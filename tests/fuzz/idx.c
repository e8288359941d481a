/* idx.c - IDX files of any content: parsed, and inflated where they are gzip. */
#include "data/idx.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What has been accepted must be readable to its last byte. */
static void read_all(const lh__idx *idx) {
    volatile uint8_t last = 0;

    if (idx->size)
        last = (uint8_t)(idx->data[0] + idx->data[idx->size - 1]);
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    lh__error e = {0};
    lh__idx_content c;
    lh__idx idx;

    if (lh__idx_parse(bytes, size, "fuzz", &idx, &e) == LH_OK)
        read_all(&idx);
    e.code = LH_OK;
    if (lh__idx_inflate(bytes, size, "fuzz", &c, &e) == LH_OK) {
        read_all(&c.idx);
        lh__idx_release(&c);
    }
    return 0;
}
