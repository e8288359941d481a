/* digits.c - finding, fetching or drawing the images; see digits.h.
 *
 * A drawn digit is a few strokes on a square, put through a random affine map (size, slant, place)
 * and rasterised with a soft pen of random width, with some noise. Image i of a seed is always the
 * same.
 */
#include "digits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIDE = 28, PIXELS = SIDE * SIDE, N_TRAIN = 12000, N_TEST = 2000, PATH_SIZE = 4096 };

static const struct digits mnist = {
    "mnist/train-images-idx3-ubyte",
    "mnist/train-labels-idx1-ubyte",
    "mnist/t10k-images-idx3-ubyte",
    "mnist/t10k-labels-idx1-ubyte",
};
static const struct digits drawn = {
    "mnist-drawn/train-images-idx3-ubyte",
    "mnist-drawn/train-labels-idx1-ubyte",
    "mnist-drawn/t10k-images-idx3-ubyte",
    "mnist-drawn/t10k-labels-idx1-ubyte",
};

/* ---- finding and fetching */

static int is_there(lh_ctx *c, const char *name) {
    static const char *const suffixes[] = {"", ".gz"};
    char path[PATH_SIZE];

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s%s", lh_text(c, LH_DATA_ROOT), name, suffixes[i]);
        if (access(path, R_OK) == 0)
            return 1;
    }
    return 0;
}

static int are_there(lh_ctx *c, const struct digits *set) {
    return is_there(c, set->train_images) && is_there(c, set->train_labels) &&
           is_there(c, set->test_images) && is_there(c, set->test_labels);
}

const struct digits *digits_files(lh_ctx *c) {
    return are_there(c, &mnist) ? &mnist : &drawn;
}

/* Gets what is missing of MNIST; LH_ENOTFOUND where there is no network. The checksums are those of
 * the files as LeCun, Cortes and Burges published them. */
static lh_status fetch_mnist(lh_ctx *c) {
#define FETCH(field, file, sha256)                                                                \
    lh_fetch(c, mnist.field, sha256, "https://ossci-datasets.s3.amazonaws.com/mnist/" file ".gz", \
             "https://storage.googleapis.com/cvdf-datasets/mnist/" file ".gz")
    lh_status status = FETCH(train_images, "train-images-idx3-ubyte",
                             "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db");

    if (status == LH_OK)
        status = FETCH(train_labels, "train-labels-idx1-ubyte",
                       "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5");
    if (status == LH_OK)
        status = FETCH(test_images, "t10k-images-idx3-ubyte",
                       "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7");
    if (status == LH_OK)
        status = FETCH(test_labels, "t10k-labels-idx1-ubyte",
                       "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2");
    return status;
#undef FETCH
}

/* ---- drawing */

/* Strokes of each digit: corners "xy" on a grid of 5 by 7, y downwards; a space lifts the pen. */
static const char *const strokes[10] = {
    "103041453616050110",          "112026 1636", "01103041420646",
    "01103041423313 334445361605", "36300444",    "4000033344453606",
    "30110305163645443303",        "004016",      "130201103041423313 1304051636454433",
    "4233130201103041443616",
};

/* How one digit is drawn: corner (u, v), from the middle of the grid, goes to place + map (u, v).
 */
struct pen {
    uint64_t random; /* SplitMix64's state */
    double map[2][2], place[2], radius, ink;
};

/* SplitMix64 (Steele, Lea and Flood 2014): a number in [low, high). */
static double uniform(uint64_t *state, double low, double high) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return low + (high - low) * (double)(z >> 11) * 0x1p-53;
}

static void choose_pen(struct pen *p) {
    double width = uniform(&p->random, 2.2, 3.4), height = uniform(&p->random, 2.4, 3.3);
    double slant = uniform(&p->random, -0.35, 0.2), tilt = uniform(&p->random, -0.12, 0.12);

    p->map[0][0] = width;
    p->map[0][1] = slant * height;
    p->map[1][0] = tilt * width;
    p->map[1][1] = height;
    p->place[0] = SIDE / 2 - 0.5 + uniform(&p->random, -2, 2);
    p->place[1] = SIDE / 2 - 0.5 + uniform(&p->random, -2, 2);
    p->radius = uniform(&p->random, 0.9, 1.7);
    p->ink = uniform(&p->random, 190, 255);
}

/* Where the pen puts a corner, which the hand does not quite hit. */
static void corner(struct pen *p, const char *xy, double out[2]) {
    double u = xy[0] - '0' - 2 + uniform(&p->random, -0.25, 0.25);
    double v = xy[1] - '0' - 3 + uniform(&p->random, -0.25, 0.25);

    for (int i = 0; i < 2; i++)
        out[i] = p->place[i] + p->map[i][0] * u + p->map[i][1] * v;
}

static double clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}

/* Draws from a to b: ink that fades over one pixel at distance `radius`. */
static void draw_line(const struct pen *p, const double a[2], const double b[2], uint8_t *image) {
    double dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy, reach = p->radius + 1;
    int left = (int)clamp((dx < 0 ? b : a)[0] - reach, 0, SIDE), top, right, bottom;

    right = (int)clamp((dx < 0 ? a : b)[0] + reach + 1, 0, SIDE);
    top = (int)clamp((dy < 0 ? b : a)[1] - reach, 0, SIDE);
    bottom = (int)clamp((dy < 0 ? a : b)[1] + reach + 1, 0, SIDE);
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++) {
            double t = length > 0 ? ((x - a[0]) * dx + (y - a[1]) * dy) / length : 0, u, v, ink;

            t = clamp(t, 0, 1);
            u = x - a[0] - t * dx;
            v = y - a[1] - t * dy;
            ink = p->ink * clamp(p->radius + 0.5 - sqrt(u * u + v * v), 0, 1);
            if (ink > image[y * SIDE + x])
                image[y * SIDE + x] = (uint8_t)ink;
        }
}

/* One digit on a black image, and noise over all of it. */
static void draw_digit(struct pen *p, int digit, uint8_t *image) {
    double from[2], to[2];
    int is_down = 0;

    memset(image, 0, PIXELS);
    choose_pen(p);
    for (const char *s = strokes[digit]; *s; s += *s == ' ' ? 1 : 2) {
        if (*s == ' ') {
            is_down = 0;
            continue;
        }
        corner(p, s, to);
        if (is_down)
            draw_line(p, from, to, image);
        memcpy(from, to, sizeof from);
        is_down = 1;
    }
    for (int i = 0; i < PIXELS; i++)
        image[i] = (uint8_t)clamp(image[i] + uniform(&p->random, -16, 16), 0, 255);
}

/* ---- writing, in the IDX format (see yann.lecun.com/exdb/mnist) */

static void put_big_endian(uint8_t *out, uint32_t v) {
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Writes the file under another name first, so that one of its own name is whole. */
static lh_status write_file(lh_ctx *c, const char *name, const void *data, size_t size) {
    char path[PATH_SIZE], temp[PATH_SIZE + 32];
    FILE *f;
    int ok;

    snprintf(path, sizeof path, "%s/%s", lh_text(c, LH_DATA_ROOT), name);
    snprintf(temp, sizeof temp, "%s.part-%ld", path, (long)getpid());
    f = fopen(temp, "wbe");
    ok = f && fwrite(data, 1, size, f) == size;
    if (f && fclose(f) != 0)
        ok = 0;
    if (ok && rename(temp, path) == 0)
        return LH_OK;
    lh_fail(c, LH_EIO,
            "cannot write the drawn digits to %s: %s; name a folder that can be written with "
            "--data.root or LHOST_DATA_DIR",
            path, strerror(errno));
    unlink(temp);
    return LH_EIO;
}

/* Draws n digits and writes their images and labels. */
static lh_status draw_files(lh_ctx *c, const char *images, const char *labels, uint32_t n,
                            uint64_t seed) {
    enum { IMAGES_HEAD = 16, LABELS_HEAD = 8 };
    size_t image_size = IMAGES_HEAD + (size_t)n * PIXELS, label_size = LABELS_HEAD + n;
    uint8_t *image_data = malloc(image_size), *label_data = malloc(label_size);
    lh_status status;

    if (!image_data || !label_data) {
        status = lh_fail(c, LH_ENOMEM, "out of memory for %u drawn digits", (unsigned)n);
        goto done;
    }
    put_big_endian(image_data, 0x803);
    put_big_endian(image_data + 4, n);
    put_big_endian(image_data + 8, SIDE);
    put_big_endian(image_data + 12, SIDE);
    put_big_endian(label_data, 0x801);
    put_big_endian(label_data + 4, n);
    for (uint32_t i = 0; i < n; i++) {
        struct pen pen = {.random = seed << 32 | i};
        int digit = (int)uniform(&pen.random, 0, 10);

        draw_digit(&pen, digit, image_data + IMAGES_HEAD + (size_t)i * PIXELS);
        label_data[LABELS_HEAD + i] = (uint8_t)digit;
    }
    status = write_file(c, images, image_data, image_size);
    if (status == LH_OK)
        status = write_file(c, labels, label_data, label_size);
done:
    free(image_data);
    free(label_data);
    return status;
}

static lh_status draw(lh_ctx *c) {
    const char *root = lh_text(c, LH_DATA_ROOT);
    char folder[PATH_SIZE];
    lh_status status;

    snprintf(folder, sizeof folder, "%s/mnist-drawn", root);
    mkdir(root, 0777); /* where it fails, writing below it says so */
    mkdir(folder, 0777);
    status = draw_files(c, drawn.train_images, drawn.train_labels, N_TRAIN, 1);
    return status == LH_OK ? draw_files(c, drawn.test_images, drawn.test_labels, N_TEST, 2)
                           : status;
}

lh_status digits_prepare(lh_ctx *c) {
    lh_status status;

    if (are_there(c, &mnist) || (lh_int(c, LH_STAGE) != LH_FIT && are_there(c, &drawn)))
        return LH_OK; /* later stages go on with what training used */
    status = fetch_mnist(c);
    if (status != LH_ENOTFOUND)
        return status;
    status = are_there(c, &drawn) ? LH_OK : draw(c);
    if (status == LH_OK)
        lh_print(c, LH_WARNING,
                 "this is not MNIST, which is neither in %s nor to be had from the network: these "
                 "are digits drawn by the example itself, %d for training and %d for testing",
                 lh_text(c, LH_DATA_ROOT), N_TRAIN, N_TEST);
    return status;
}
