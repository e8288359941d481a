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
 * hash(100 + k, i * numel + j).
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
};

struct state {
    struct field fields[MAX_FIELDS];
    int32_t n_fields;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("fields", "unit:28x28;10:", "what the items hold"),
    LH_HPARAM_INT("batch_size", 4, 1, 1024, "items per batch"),
    LH_HPARAM_INT("batches", 20, 1, 1000000, "batches per epoch"),
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

        for (int64_t j = 0; j < f->numel; j++) {
            uint32_t stream = 100 + (uint32_t)k, i = (uint32_t)(index * f->numel + j);

            if (f->limit > 0)
                ((int64_t *)fields[k])[j] = hash(stream, i) % (uint32_t)f->limit;
            else
                ((float *)fields[k])[j] =
                    (float)(f->limit ? (unit(stream, i) + 1) / 2 : unit(stream, i));
        }
    }
    return LH_OK;
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct state *s = self;
    const char *p = lh_hparam_text(c, "fields");

    while (*p && s->n_fields < MAX_FIELDS) {
        struct field *f = &s->fields[s->n_fields++];

        f->limit = strncmp(p, "unit", 4) == 0 ? 0 : strncmp(p, "half", 4) == 0 ? -1 : atoll(p);
        f->shape = (lh_field)LH_FIELD(f->limit > 0 ? LH_I64 : LH_F32, 0, 0);
        f->numel = 1;
        for (p += strcspn(p, ":") + 1; *p && *p != ';'; p += strcspn(p, "x;")) {
            p += *p == 'x';
            f->numel *= f->shape.shape[f->shape.ndim++] = atoll(p);
        }
        p += *p == ';';
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
                     .batch_size = batch_size);
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
