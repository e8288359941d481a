/* test_mnist.c - the real MNIST below LHOST_DATA_DIR, if it is there: its known content, and its
 * way through split, normalisation and loader. */
#include "data/loader.h"
#include "data/root.h"

#include <criterion/criterion.h>
#include <md5.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const train[] = {"mnist/train-images-idx3-ubyte",
                                    "mnist/train-labels-idx1-ubyte"};
static lh__datasets *all;
static lh__error e;

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The training set, or the end of the test where there is none. */
static lh_dataset *mnist(void) {
    const char *root = lh__data_root(NULL);
    lh_dataset *d;
    char path[1024];

    if (!getenv("LHOST_DATA_DIR") || lh__data_find(root, train[0], path, sizeof path, NULL))
        cr_skip_test("LHOST_DATA_DIR holds no mnist/");
    all = lh__datasets_new();
    d = lh__dataset_idx(all, root, train, 2, &e);
    cr_assert_not_null(d, "%s", e.text);
    return d;
}

/* The MD5 of the uncompressed file is published with the data set. */
Test(mnist, is_read_to_the_byte) {
    static const uint8_t header[] = {0, 0, 8, 3, 0, 0, 0xea, 0x60, 0, 0, 0, 28, 0, 0, 0, 28};
    double start = now();
    lh_dataset *d = mnist();
    char hex[MD5_DIGEST_STRING_LENGTH];
    int64_t counts[10] = {0};
    MD5_CTX md5;

    cr_log_info("read in %.1f ms", (now() - start) * 1e3);
    cr_assert_eq(d->length, 60000);
    MD5Init(&md5);
    MD5Update(&md5, header, sizeof header);
    MD5Update(&md5, d->kind->at(d, 0, 0), 60000 * 784);
    cr_assert_str_eq(MD5End(&md5, hex), "6bbc9ace898e44ae57da46a324031adb");
    for (int64_t i = 0; i < 60000; i++)
        counts[*(const int64_t *)d->kind->at(d, 1, i)]++;
    cr_assert(counts[0] == 5923 && counts[1] == 6742 && counts[9] == 5949);
    lh__datasets_free(all);
}

/* Mean and deviation of all pixels are 0.1307 and 0.3081: the normalised ones' are 0 and 1. */
Test(mnist, loads_an_epoch) {
    lh_dataset *d = mnist(), *parts[2];
    lh_loader_options o = {LH_SIZED(lh_loader_options), .shuffle = 1, .batch_size = 64};
    double sum = 0, squares = 0, start;
    int64_t items = 0;
    lh__batch *b;
    lh__loader *l;

    d = lh__dataset_normalize(all, d, 0, 1 / 255.0, 0.1307, 0.3081, &e);
    cr_assert_eq(lh__dataset_split(all, d, (int64_t[]){55000, 5000}, 2, 1, parts, &e), LH_OK);
    o.dataset = parts[0];
    l = lh__loader_new(&o, 1, 0, 0, &e);
    cr_assert_not_null(l, "%s", e.text);
    for (int epoch = 0; epoch < 2; epoch++) {
        cr_assert_eq(lh__loader_begin(l, (uint64_t)epoch, 0, -1, &e), LH_OK);
        start = now();
        while (lh__loader_next(l, &b, &e) == LH_OK && b) {
            for (int64_t i = 0; epoch == 1 && i < b->size * 784; i++) {
                double x = ((const float *)b->data[0])[i];

                sum += x;
                squares += x * x;
            }
            items += b->size;
            lh__loader_release(l, b);
        }
        cr_log_info("%.2f us per batch", (now() - start) * 1e6 / (double)lh__loader_batches(l));
    }
    cr_assert_eq(items, 110000);
    cr_assert_float_eq(sum / (55000.0 * 784), 0, 5e-3);
    cr_assert_float_eq(squares / (55000.0 * 784), 1, 1e-2);
    lh__loader_free(l);
    lh__datasets_free(all);
}
