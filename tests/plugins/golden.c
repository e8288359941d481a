/* golden.c - a data module and a callback that make a run repeat exactly what tests/golden/
 * examples.py does in PyTorch: batches and initial weights come from the same integer hash.
 *
 *     hash(stream, i):  h = (stream * 0x9E3779B9 + i) mod 2^32
 *                       h ^= h >> 16;  h *= 0x7FEB352D;  h ^= h >> 15;  h *= 0x846CA68B;
 *                       h ^= h >> 16
 *     unit(stream, i) = (hash >> 8) / 2^23 - 1        in [-1, 1), exact in float32
 *
 * Data: `fields`, separated by ";": "unit:SHAPE", "half:SHAPE" (from 0 to 1) or "N:SHAPE"
 * (integers below N), SHAPE like 28x28 or empty for scalars. Field k of item i has the elements
 * hash(100 + k, i * numel + j). They are computed once, and repeat after `distinct` batches.
 * Weights: with stream = FNV-1a of the name, of two axes or more: unit / sqrt(numel / shape[0]);
 * of one axis: 1 + unit / 10 if the name ends with "weight", else unit / 10; rounded to float32.
 */
#include <lhost/lhost.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FIELDS = 4 };

struct field {
    lh_field shape;
    int64_t numel, limit; /* limit 0: unit, -1: half */
    size_t size;          /* of an item, in bytes */
    char *items;
};

struct state {
    struct field fields[MAX_FIELDS];
    int32_t n_fields;
    int64_t n_items; /* that differ */
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("fields", "unit:28x28;10:", "what the items hold"),
    LH_HPARAM_INT("batch_size", 4, 1, 1024, "items per batch"),
    LH_HPARAM_INT("batches", 20, 1, 1000000, "batches per epoch"),
    LH_HPARAM_INT("distinct", 20, 1, 1000000, "batches that differ"),
};

static uint32_t hash(uint32_t stream, uint32_t i) {
    uint32_t h = stream * 0x9E3779B9u + i;

    h ^= h >> 16;
    h *= 0x7FEB352Du;
    h ^= h >> 15;
    h *= 0x846CA68Bu;
    return h ^ h >> 16;
}

static double unit(uint32_t stream, uint32_t i) {
    return (double)(hash(stream, i) >> 8) / 8388608.0 - 1.0;
}

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    const struct state *s = user;

    for (int32_t k = 0; k < s->n_fields; k++) {
        const struct field *f = &s->fields[k];

        memcpy(fields[k], f->items + (size_t)(index % s->n_items) * f->size, f->size);
    }
    return LH_OK;
}

/* The items of a field, whose elements have hash stream `stream`. */
static void make_items(struct field *f, uint32_t stream, int64_t n_items) {
    for (int64_t i = 0; i < n_items * f->numel; i++) {
        if (f->limit > 0)
            ((int64_t *)f->items)[i] = hash(stream, (uint32_t)i) % (uint32_t)f->limit;
        else
            ((float *)f->items)[i] =
                (float)(f->limit ? (unit(stream, (uint32_t)i) + 1) / 2 : unit(stream, (uint32_t)i));
    }
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct state *s = self;
    const char *p = lh_hparam_text(c, "fields");

    s->n_items = lh_hparam_int(c, "batch_size") * lh_hparam_int(c, "distinct");
    while (*p && s->n_fields < MAX_FIELDS) {
        struct field *f = &s->fields[s->n_fields];

        f->limit = strncmp(p, "unit", 4) == 0 ? 0 : strncmp(p, "half", 4) == 0 ? -1 : atoll(p);
        f->shape = (lh_field)LH_FIELD(f->limit > 0 ? LH_I64 : LH_F32, 0, 0);
        f->numel = 1;
        for (p += strcspn(p, ":") + 1; *p && *p != ';'; p += strcspn(p, "x;")) {
            p += *p == 'x';
            f->numel *= f->shape.shape[f->shape.ndim++] = atoll(p);
        }
        p += *p == ';';
        f->size = (size_t)f->numel * (f->limit > 0 ? sizeof(int64_t) : sizeof(float));
        f->items = lh_alloc(c, (uint64_t)s->n_items * f->size);
        if (!f->items)
            return lh_fail(c, LH_ENOMEM, "out of memory");
        make_items(f, 100 + (uint32_t)s->n_fields++, s->n_items);
    }
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    struct state *s = self;
    int64_t batch_size = lh_hparam_int(c, "batch_size");
    lh_field fields[MAX_FIELDS];

    for (int32_t k = 0; k < s->n_fields; k++)
        fields[k] = s->fields[k].shape;
    return lh_loader(c,
                     .dataset =
                         lh_dataset_map(c, .length = batch_size * lh_hparam_int(c, "batches"),
                                        .get_item = get_item, .user = s, .n_fields = s->n_fields,
                                        .fields = fields),
                     .batch_size = batch_size, .num_workers = 0);
}

static const lh_datamodule data = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct state),
    .setup = setup,
    .train_dataloader = train_dataloader,
    .predict_dataloader = train_dataloader,
};

static uint32_t stream_of(const char *name) {
    uint32_t h = 2166136261u;

    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

static lh_status fill(lh_ctx *c, lh_tensor *t, const char *name) {
    const size_t length = strlen(name);
    const int is_weight = length >= 6 && strcmp(name + length - 6, "weight") == 0;
    lh_tensor_info info = {LH_SIZED(lh_tensor_info)};
    lh_status status = c->host->tensor_info(c, t, &info);
    size_t size;
    void *values;

    if (status != LH_OK || !info.requires_grad)
        return status; /* buffers stay as they are */
    size = (size_t)info.numel * (info.dtype == LH_F64 ? 8 : 4);
    values = malloc(size);
    for (int64_t i = 0; values && i < info.numel; i++) {
        double u = unit(stream_of(name), (uint32_t)i);
        float x = (float)(info.ndim >= 2 ? u / sqrt((double)(info.numel / info.shape[0]))
                                         : is_weight + u / 10);

        if (info.dtype == LH_F64)
            ((double *)values)[i] = x;
        else
            ((float *)values)[i] = x;
    }
    status = values ? c->host->write(c, t, values, size) : lh_fail(c, LH_ENOMEM, "out of memory");
    free(values);
    return status;
}

static lh_status on_fit_start(lh_ctx *c, void *self) {
    for (int64_t i = 0; i < c->host->param_count(c); i++)
        if (fill(c, c->host->param_at(c, i), c->host->param_name(c, i)) != LH_OK)
            return lh_status_of(c);
    return LH_OK;
}

static const lh_callback weights = {LH_SIZED(lh_callback), .on_fit_start = on_fit_start};

LH_EXPORT_PLUGIN("golden", "1.0.0", LH_KIND_DATAMODULE | LH_KIND_CALLBACK, .datamodule = &data,
                 .callback = &weights);
