/* test_digits.c - the digits that the mnist example draws where MNIST cannot be had. */
#include "host.h"

#include <criterion/criterion.h>
#include <sys/stat.h>
#include <time.h>

enum { PIXELS = 28 * 28 };

static uint8_t *slurp(const char *root, const char *name, size_t *size) {
    char path[512];
    uint8_t *data;
    FILE *f;

    snprintf(path, sizeof path, "%s/mnist-drawn/%s", root, name);
    f = fopen(path, "r");
    cr_assert_not_null(f, "%s", path);
    fseek(f, 0, SEEK_END);
    *size = (size_t)ftell(f);
    rewind(f);
    data = malloc(*size);
    cr_assert_eq(fread(data, 1, *size, f), *size);
    fclose(f);
    return data;
}

static void prepare(const char *root) {
    struct host *h = host_open(MNIST "/mnist.so", scratch(), NULL);

    snprintf(h->texts[LH_DATA_ROOT], sizeof h->texts[0], "%s", root);
    cr_assert_eq(CALL(h, module, prepare_data), LH_OK, "%s", h->error);
    cr_expect_not_null(strstr(h->said, "not MNIST"), "%s", h->said);
    host_close(h);
}

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The label of the training image that is nearest, pixel by pixel. */
static int nearest(const uint8_t *image, const uint8_t *images, const uint8_t *labels, int n) {
    int64_t best = INT64_MAX;
    int label = -1;

    for (int i = 0; i < n; i++) {
        const uint8_t *other = images + (size_t)i * PIXELS;
        int32_t distance = 0;

        for (int k = 0; k < PIXELS; k++)
            distance += (image[k] - other[k]) * (image[k] - other[k]);
        if (distance < best) {
            best = distance;
            label = labels[i];
        }
    }
    return label;
}

/* IDX headers, all ten digits in about equal numbers, and shapes that can be told apart. */
Test(digits, can_be_learnt) {
    size_t n_images, n_labels, n_test, n_test_labels;
    uint8_t *images, *labels, *test, *test_labels;
    int counts[10] = {0}, right = 0;

    prepare(scratch());
    images = slurp(scratch(), "train-images-idx3-ubyte", &n_images);
    labels = slurp(scratch(), "train-labels-idx1-ubyte", &n_labels);
    test = slurp(scratch(), "t10k-images-idx3-ubyte", &n_test);
    test_labels = slurp(scratch(), "t10k-labels-idx1-ubyte", &n_test_labels);
    cr_assert_eq(n_images, 16 + 12000u * PIXELS);
    cr_assert_eq(n_test, 16 + 2000u * PIXELS);
    cr_assert_eq(n_labels, 8 + 12000u);
    cr_assert_eq(n_test_labels, 8 + 2000u);
    cr_expect_eq(big_endian(images), 0x803);
    cr_expect_eq(big_endian(images + 4), 12000);
    cr_expect_eq(big_endian(images + 8), 28);
    cr_expect_eq(big_endian(images + 12), 28);
    cr_expect_eq(big_endian(labels), 0x801);
    cr_expect_eq(big_endian(test + 4), 2000);
    for (int i = 0; i < 12000; i++)
        counts[labels[8 + i]]++;
    for (int d = 0; d < 10; d++)
        cr_expect(counts[d] > 1000 && counts[d] < 1400, "%d: %d", d, counts[d]);
    for (int i = 0; i < 200; i++)
        right += nearest(test + 16 + (size_t)i * PIXELS, images + 16, labels + 8, 4000) ==
                 test_labels[8 + i];
    cr_expect_gt(right, 190, "%d of 200", right);
    free(images);
    free(labels);
    free(test);
    free(test_labels);
}

/* Two places get the same bytes, in less than a second each. */
Test(digits, are_always_the_same) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
    char roots[2][256];
    clock_t start = clock();

    for (int i = 0; i < 2; i++) {
        snprintf(roots[i], sizeof roots[i], "%s/root%d", scratch(), i);
        prepare(roots[i]);
    }
    cr_log_info("drawn twice in %.3f s", (double)(clock() - start) / CLOCKS_PER_SEC);
    for (int k = 0; k < 4; k++) {
        size_t a_size, b_size;
        uint8_t *a = slurp(roots[0], names[k], &a_size);
        uint8_t *b = slurp(roots[1], names[k], &b_size);

        cr_expect(a_size == b_size && memcmp(a, b, a_size) == 0, "%s", names[k]);
        free(a);
        free(b);
    }
}

Test(digits, says_where_it_cannot_write) {
    struct host *h = host_open(MNIST "/mnist.so", scratch(), NULL);

    strcpy(h->texts[LH_DATA_ROOT], "/proc/nothing");
    cr_expect_eq(CALL(h, module, prepare_data), LH_EIO);
    cr_expect_not_null(strstr(h->error, "/proc/nothing"), "%s", h->error);
    cr_expect_not_null(strstr(h->error, "--data.root"), "%s", h->error);
    host_close(h);
}

/* Where the real files are, nothing is drawn, fetched or said. */
Test(digits, leaves_mnist_alone) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz",
                                        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"};
    struct host *h = host_open(MNIST "/mnist.so", scratch(), NULL);
    char path[512];
    struct stat st;

    snprintf(path, sizeof path, "%s/mnist", scratch());
    mkdir(path, 0777);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/mnist/%s", scratch(), names[i]);
        fclose(fopen(path, "w"));
    }
    snprintf(h->texts[LH_DATA_ROOT], sizeof h->texts[0], "%s", scratch());
    cr_assert_eq(CALL(h, module, prepare_data), LH_OK);
    cr_expect_str_eq(h->said, "");
    snprintf(path, sizeof path, "%s/mnist-drawn", scratch());
    cr_expect_neq(stat(path, &st), 0);
    host_close(h);
}
