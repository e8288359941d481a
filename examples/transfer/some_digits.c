/* some_digits.c - see some_digits.h. */
#include "some_digits.h"

#include "data/bytes.h"
#include "data/digits.h"

enum { PIXELS = 28 * 28, IMAGES_HEAD = 16, LABELS_HEAD = 8 }; /* of IDX files */

/* Images of the digits wanted, by their places in the files. */
struct some {
    const uint8_t *images, *labels;
    int64_t first, n, *places;
};

struct state {
    struct some train, val, test;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("first", 0, 0, 10 - N_DIGITS, "the five digits from this one on"),
    LH_HPARAM_INT("shots", 0, 0, 10000, "images per digit for training; 0: all"),
    LH_HPARAM_INT("batch_size", 64, 1, 60000, "images per batch"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    return digits_prepare(c);
}

/* The images of the wanted digits from `begin` to `end` of the file, in twelfths of it; of each
 * digit the first `shots`. */
static struct some pick(lh_ctx *c, const char *images, const char *labels, int begin, int end,
                        int64_t shots) {
    struct some s = {.first = lh_hparam_int(c, "first")};
    int64_t n_images = 0, n_labels = 0, seen[N_DIGITS] = {0};

    s.images = bytes_read(c, images, IMAGES_HEAD, PIXELS, &n_images);
    s.labels = bytes_read(c, labels, LABELS_HEAD, 1, &n_labels);
    if (s.images && s.labels && n_images != n_labels)
        lh_fail(c, LH_ECORRUPT, "%s has %lld images, %s has %lld labels; get the files again",
                images, (long long)n_images, labels, (long long)n_labels);
    if (lh_status_of(c) != LH_OK)
        return s;
    s.places = lh_alloc(c, sizeof *s.places * (uint64_t)n_labels);
    for (int64_t i = n_labels * begin / 12; s.places && i < n_labels * end / 12; i++) {
        int64_t digit = s.labels[i] - s.first;

        if (digit >= 0 && digit < N_DIGITS && (shots == 0 || seen[digit]++ < shots))
            s.places[s.n++] = i;
    }
    return s;
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct state *s = self;
    const struct digits *f = digits_files(c);

    if (stage == LH_FIT || stage == LH_VALIDATE) {
        s->train = pick(c, f->train_images, f->train_labels, 0, 11, lh_hparam_int(c, "shots"));
        s->val = pick(c, f->train_images, f->train_labels, 11, 12, 0);
    } else {
        s->test = pick(c, f->test_images, f->test_labels, 0, 12, 0);
    }
    return lh_status_of(c);
}

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    const struct some *s = user;
    const uint8_t *pixels = s->images + s->places[index] * PIXELS;

    for (int i = 0; i < PIXELS; i++)
        ((float *)fields[0])[i] = (float)pixels[i] / 255;
    *(int64_t *)fields[1] = s->labels[s->places[index]] - s->first;
    return LH_OK;
}

static lh_status load(lh_ctx *c, struct some *s, int32_t shuffle) {
    lh_dataset *d = lh_dataset_map(
        c, .length = s->n, .get_item = get_item, .user = s, .n_fields = 2,
        .fields = (const lh_field[]){LH_FIELD(LH_F32, 2, 28, 28), LH_FIELD(LH_I64, 0, 0)});

    return lh_loader(c, .dataset = d, .batch_size = lh_hparam_int(c, "batch_size"),
                     .shuffle = shuffle);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return load(c, &((struct state *)self)->train, 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return load(c, &((struct state *)self)->val, 0);
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    return load(c, &((struct state *)self)->test, 0);
}

const lh_datamodule some_digits = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct state),
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
};
