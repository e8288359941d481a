/* dataset_custom.c - map-style datasets whose items a plugin writes. */
#include "data/dataset.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct custom {
    lh_dataset head;
    lh_get_item *get_item;
    void *user;
    size_t size[LH__MAX_FIELDS];
} custom;

static lh_status custom_gather(const lh_dataset *d, const int64_t *indices, int64_t n,
                               void *const *fields, lh__error *e) {
    const custom *c = (const custom *)d;
    void *item[LH__MAX_FIELDS];

    for (int64_t i = 0; i < n; i++) {
        lh_status status;

        for (int32_t f = 0; f < d->n_fields; f++)
            item[f] = (char *)fields[f] + (size_t)i * c->size[f];
        status = c->get_item(c->user, indices[i], item);
        if (status < 0)
            return lh__fail(e, status, "the dataset's get_item failed at index %" PRId64 ": %s",
                            indices[i], lh__status_name(status));
        if (status != LH_OK)
            return lh__fail(e, LH_EPLUGIN,
                            "the dataset's get_item returned %d at index %" PRId64
                            "; it must return LH_OK or a negative code",
                            status, indices[i]);
    }
    return LH_OK;
}

static void custom_destroy(lh_dataset *d) {
    free(d);
}

static const lh__dataset_kind kind = {custom_gather, NULL, custom_destroy};

/* Copies the description's fields, each as long as it says itself: a newer plugin's are longer. */
static lh_status copy_fields(const lh_dataset_desc *desc, lh_field *fields, lh__error *e) {
    const char *at = (const char *)desc->fields;

    if (desc->n_fields < 1 || desc->n_fields > LH__MAX_FIELDS)
        return lh__fail(e, LH_EINVAL, "a plugin's dataset: %d fields; there must be 1 to %d",
                        desc->n_fields, LH__MAX_FIELDS);
    if (!at)
        return lh__fail(e, LH_EINVAL, "a plugin's dataset: `fields` is missing");
    for (int32_t i = 0; i < desc->n_fields; i++) {
        fields[i] = *(const lh_field *)at;
        if (fields[i].struct_size < sizeof(lh_field) || fields[i].struct_size % 8)
            return lh__fail(e, LH_EINVAL,
                            "a plugin's dataset: field %d has struct_size %u, set it with LH_SIZED",
                            i, fields[i].struct_size);
        at += fields[i].struct_size;
    }
    return LH_OK;
}

lh_dataset *lh__dataset_custom(lh__datasets *all, const lh_dataset_desc *desc, lh__error *e) {
    lh_field fields[LH__MAX_FIELDS];
    custom *c;

    if (desc->struct_size < sizeof *desc || !desc->get_item || desc->length < 0) {
        lh__fail(e, LH_EINVAL, "a plugin's dataset: %s",
                 desc->struct_size < sizeof *desc ? "struct_size is too small, use LH_SIZED"
                 : !desc->get_item                ? "get_item is missing"
                                                  : "its length is negative");
        return NULL;
    }
    if (copy_fields(desc, fields, e) != LH_OK)
        return NULL;
    c = calloc(1, sizeof *c);
    if (!c) {
        lh__fail(e, LH_ENOMEM, "a plugin's dataset: out of memory");
        return NULL;
    }
    c->head.kind = &kind;
    c->head.length = desc->length;
    c->get_item = desc->get_item;
    c->user = desc->user;
    if (lh__dataset_set_fields(&c->head, fields, desc->n_fields, "a plugin's dataset", e) !=
        LH_OK) {
        free(c);
        return NULL;
    }
    for (int32_t i = 0; i < c->head.n_fields; i++)
        c->size[i] = lh__field_size(&c->head.fields[i]);
    return lh__datasets_add(all, &c->head);
}
