/* cifar.c - see cifar.h.
 *
 * The binary format of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html): records of a label
 * byte and 3 x 32 x 32 bytes of red, green and blue. A drawn image is one of five shapes or five
 * patterns in two random colours, with noise; image i of a seed is always the same.
 */
#include "cifar.h"

#include "bytes.h"

#include <math.h>

enum { SIDE = 32, AREA = SIDE * SIDE, RECORD = 1 + 3 * AREA, MARGIN = 4, MOST_FILES = 5 };
enum { N_TRAIN = 10000, N_TEST = 2000 };

static const char *const classes[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};
static const char *const drawn_classes[10] = {"disc", "ring",    "square", "triangle", "cross",
                                              "rows", "columns", "slopes", "checks",   "dots"};

static const struct set {
    const char *test, *train[MOST_FILES];
} sets[] = {
    {"cifar-10-batches-bin/test_batch.bin",
     {"cifar-10-batches-bin/data_batch_1.bin", "cifar-10-batches-bin/data_batch_2.bin",
      "cifar-10-batches-bin/data_batch_3.bin", "cifar-10-batches-bin/data_batch_4.bin",
      "cifar-10-batches-bin/data_batch_5.bin"}},
    {"cifar10-subset/test_batch.bin", {"cifar10-subset/data_batch_1.bin"}},
};

/* The first set that is there with all its files; NULL: none. */
static const struct set *find_set(lh_ctx *c) {
    for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
        int there = bytes_are_there(c, sets[k].test);

        for (int i = 0; there && i < MOST_FILES && sets[k].train[i]; i++)
            there = bytes_are_there(c, sets[k].train[i]);
        if (there)
            return &sets[k];
    }
    return NULL;
}

const char *const *cifar_classes(lh_ctx *c) {
    return find_set(c) ? classes : drawn_classes;
}

/* ---- drawing */

/* SplitMix64 (Steele, Lea and Flood 2014): a number in [low, high). */
static double uniform(uint64_t *state, double low, double high) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return low + (high - low) * (double)(z >> 11) * 0x1p-53;
}

/* Whether the point (x, y) belongs to the shape; the shape's own measure is 1. */
static int is_inside(int label, double x, double y) {
    double r = sqrt(x * x + y * y);

    switch (label) {
    case 0:
        return r < 1;
    case 1:
        return r < 1 && r > 0.6;
    case 2:
        return fabs(x) < 0.9 && fabs(y) < 0.9;
    case 3:
        return y < 0.8 && y > 2 * fabs(x) - 1;
    case 4:
        return (fabs(x) < 0.35 && fabs(y) < 1) || (fabs(y) < 0.35 && fabs(x) < 1);
    case 5:
        return sin(4 * y) > 0;
    case 6:
        return sin(4 * x) > 0;
    case 7:
        return sin(3 * (x + y)) > 0;
    case 8:
        return (sin(4 * x) > 0) == (sin(4 * y) > 0);
    default:
        return sin(5 * x) + sin(5 * y) > 1;
    }
}

/* Draws the image of a seed into a record. */
static void draw(uint64_t random, uint8_t *record) {
    double size = uniform(&random, 7, 12), left = uniform(&random, 11, 21);
    double top = uniform(&random, 11, 21), turn = uniform(&random, -0.25, 0.25), colour[2][3];

    record[0] = (uint8_t)uniform(&random, 0, 10);
    for (int k = 0; k < 3; k++) {
        colour[0][k] = uniform(&random, 20, 235);
        colour[1][k] = fmod(colour[0][k] + uniform(&random, 70, 185), 255);
    }
    for (int i = 0; i < AREA; i++) {
        double u = (i % SIDE - left) / size, v = (i / SIDE - top) / size;
        int on = is_inside(record[0], u * cos(turn) - v * sin(turn), u * sin(turn) + v * cos(turn));

        for (int k = 0; k < 3; k++) {
            double ink = colour[on][k] + uniform(&random, -40, 40);

            record[1 + k * AREA + i] = (uint8_t)fmin(fmax(ink, 0), 255);
        }
    }
}

/* ---- items */

struct source {
    const uint8_t *files[MOST_FILES]; /* records; none: drawn */
    int64_t in_file;                  /* records in every file */
    uint64_t seed;
    float value[3][256]; /* of a byte, by channel */
};

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    const struct source *s = user;
    const uint8_t *record;
    uint8_t drawn[RECORD];
    float *image = fields[0];

    if (s->in_file) {
        record = s->files[index / s->in_file] + index % s->in_file * RECORD;
    } else {
        draw(s->seed << 32 | (uint64_t)index, drawn);
        record = drawn;
    }
    for (int i = 0; i < 3 * AREA; i++)
        image[i] = s->value[i / AREA][record[1 + i]];
    *(int64_t *)fields[1] = record[0];
    return LH_OK;
}

/* The files' records, or as many drawn ones. */
static lh_dataset *dataset(lh_ctx *c, const char *const *files, int32_t n_files, int64_t n_drawn) {
    static const double mean[3] = {0.4914, 0.4822, 0.4465}, std[3] = {0.2470, 0.2435, 0.2616};
    struct source *s = lh_alloc(c, sizeof *s);
    int64_t length = n_drawn, n = 0;

    if (!s)
        return NULL;
    for (int i = 0; i < 3 * 256; i++)
        s->value[i / 256][i % 256] = (float)((i % 256 / 255.0 - mean[i / 256]) / std[i / 256]);
    s->seed = (uint64_t)n_drawn;
    for (int32_t k = 0; k < n_files && files[k]; k++) {
        s->files[k] = bytes_read(c, files[k], 0, RECORD, &n);
        if (!s->files[k])
            return NULL;
        if (k > 0 && n != s->in_file) {
            lh_fail(c, LH_ECORRUPT, "%s has %lld images, %s has %lld; get the files again",
                    files[0], (long long)s->in_file, files[k], (long long)n);
            return NULL;
        }
        s->in_file = n;
        length = (k + 1) * n;
    }
    for (int64_t i = 0; s->in_file && i < length; i++)
        if (s->files[i / s->in_file][i % s->in_file * RECORD] > 9) {
            lh_fail(c, LH_ECORRUPT, "%s: image %lld has a label beyond 9; get the file again",
                    files[i / s->in_file], (long long)(i % s->in_file));
            return NULL;
        }
    return lh_dataset_map(
        c, .length = length, .get_item = get_item, .user = s, .n_fields = 2,
        .fields = (const lh_field[]){LH_FIELD(LH_F32, 3, 3, SIDE, SIDE), LH_FIELD(LH_I64, 0, 0)});
}

/* ---- the data module */

struct state {
    lh_dataset *train, *val, *test;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("batch_size", 128, 1, 10000, "images per batch"),
    LH_HPARAM_FLAG("augment", 1, "move and mirror training images"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    if (!find_set(c))
        lh_print(c, LH_WARNING,
                 "this is not CIFAR-10, which is not in %s: these are shapes and patterns drawn by "
                 "the example itself, %d for training and %d for testing",
                 lh_text(c, LH_DATA_ROOT), N_TRAIN, N_TEST);
    return LH_OK;
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct state *s = self;
    const struct set *set = find_set(c);

    if (stage == LH_FIT || stage == LH_VALIDATE) {
        lh_dataset *all = dataset(c, set ? set->train : NULL, set ? MOST_FILES : 0, N_TRAIN);
        lh_dataset *parts[2];
        int64_t n = all ? lh_dataset_length(c, all) : 0, sizes[2] = {n - n / 10, n / 10};

        if (!all || lh_random_split(c, all, sizes, 2, 42, parts) != LH_OK)
            return lh_status_of(c);
        s->train = parts[0];
        s->val = parts[1];
    } else {
        s->test = dataset(c, set ? &set->test : NULL, set != NULL, N_TEST);
    }
    return lh_status_of(c);
}

static lh_status load(lh_ctx *c, lh_dataset *d, int32_t train) {
    return lh_loader(c, .dataset = d, .batch_size = lh_hparam_int(c, "batch_size"),
                     .shuffle = train, .drop_last = train);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->train, 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->val, 0);
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->test, 0);
}

/* Random offsets 0 ... 2 * MARGIN, one per image: (n, 1, 1). */
static lh_tensor *offsets(lh_ctx *c, int64_t n) {
    return lh_randint(c, 0, 2 * MARGIN + 1, n, 1, 1);
}

/* Every image cut out of its own place of a frame with a grey margin, half of them mirrored: pixel
 * (y, x) is (y + down, x + right) or (y + down, 31 - x + right) of the frame. */
static lh_status on_after_batch_transfer(lh_ctx *c, void *self, lh_batch *batch, int64_t loader) {
    enum { FRAME = SIDE + 2 * MARGIN };
    lh_tensor *images = lh_batch_get(c, batch, 0), *at, *x, *y, *mirror;
    int64_t n = lh_batch_size(c, batch);

    if (!lh_is_training(c) || !lh_hparam_int(c, "augment"))
        return LH_OK;
    y = lh_reshape(c, lh_arange(c, LH_I64, 0, SIDE), 1, SIDE, 1);
    x = lh_reshape(c, lh_arange(c, LH_I64, 0, SIDE), 1, 1, SIDE);
    mirror = lh_eq(c, lh_randint(c, 0, 2, n, 1, 1), lh_zeros(c, LH_I64, 1));
    x = lh_where(c, mirror, x, lh_flip(c, x, 2));
    y = lh_mul(c, lh_add(c, y, offsets(c, n)), lh_full(c, FRAME, LH_I64, 1));
    at = lh_reshape(c, lh_add(c, y, lh_add(c, x, offsets(c, n))), n, 1, AREA);
    images = lh_reshape(c, lh_pad(c, images, 0, MARGIN, MARGIN, MARGIN, MARGIN), n, 3, -1);
    images = lh_gather(c, images, 2, lh_expand(c, at, n, 3, AREA));
    return lh_batch_set(c, batch, 0, lh_reshape(c, images, n, 3, SIDE, SIDE));
}

const lh_datamodule cifar_data = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct state),
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .on_after_batch_transfer = on_after_batch_transfer,
};
