/* test_dataset.c - every kind of dataset yields its items, and refuses what can't be meant. */
#include "data/dataset.h"

#include "files.h"

#include <math.h>

static lh__datasets *all;
static lh__error e;

static void setup(void) {
    all = lh__datasets_new();
    cr_assert_not_null(all);
}

static void teardown(void) {
    lh__datasets_free(all);
}

TestSuite(dataset, .init = setup, .fini = teardown);

static void expect_error(const void *made, lh_status code, const char *text) {
    cr_assert_null(made, "%s", text);
    cr_expect_eq(e.code, code, "%s: code %d", text, e.code);
    cr_expect(strstr(e.text, text), "%s: %s", text, e.text);
    e.code = LH_OK;
}

static const char *const files[] = {"images", "labels"};

static lh_dataset *digits(const char *folder, uint32_t n) {
    lh_dataset *d;

    write_digits(folder, n);
    d = lh__dataset_idx(all, folder, files, 2, &e);
    cr_assert_not_null(d, "%s", e.text);
    return d;
}

static lh_status gather(const lh_dataset *d, const int64_t *indices, int64_t n, void *a, void *b) {
    return lh__dataset_gather(d, indices, n, (void *[]){a, b}, &e);
}

Test(dataset, idx_images_and_labels) {
    const char *folder = new_folder();
    lh_dataset *d = digits(folder, 30);
    uint8_t images[3 * 12];
    int64_t labels[3];

    cr_assert_eq(d->length, 30);
    cr_assert(d->fields[0].dtype == LH_U8 && d->fields[0].ndim == 2);
    cr_assert(d->fields[0].shape[0] == 4 && d->fields[0].shape[1] == 3);
    cr_assert(d->fields[1].dtype == LH_I64 && d->fields[1].ndim == 0);
    cr_assert_eq(gather(d, (int64_t[]){29, 0, 13}, 3, images, labels), LH_OK);
    cr_assert(labels[0] == 9 && labels[1] == 0 && labels[2] == 3);
    for (int j = 0; j < 12; j++)
        cr_assert(images[j] == (uint8_t)(7 * 29 + j) && images[12 + j] == j &&
                  images[24 + j] == 7 * 13 + j);
    remove_folder(folder);
}

Test(dataset, idx_numbers_are_big_endian) {
    const char *folder = new_folder(), *names[] = {"f", "i", "d"};
    static const uint8_t f[] = {0, 0, 0x0D, 1, 0, 0, 0, 2, 0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0};
    static const uint8_t i[] = {0, 0, 0x0B, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xfe, 1, 0};
    static const uint8_t g[] = {0, 0, 0x0E, 1, 0,    0, 0, 2, 0x3f, 0xf8, 0, 0,
                                0, 0, 0,    0, 0xc0, 0, 0, 0, 0,    0,    0, 0};
    float floats[2];
    int64_t ints[2];
    double doubles[2];
    lh_dataset *d;

    write_file(folder, "f", f, sizeof f);
    write_file(folder, "i", i, sizeof i);
    write_file(folder, "d", g, sizeof g);
    d = lh__dataset_idx(all, folder, names, 3, &e);
    cr_assert_not_null(d, "%s", e.text);
    cr_assert(d->fields[0].dtype == LH_F32 && d->fields[1].dtype == LH_I64 &&
              d->fields[2].dtype == LH_F64);
    cr_assert_eq(lh__dataset_gather(d, (int64_t[]){0, 1}, 2, (void *[]){floats, ints, doubles}, &e),
                 LH_OK);
    cr_assert(floats[0] == 1.5f && floats[1] == -2 && doubles[0] == 1.5 && doubles[1] == -2);
    cr_assert(ints[0] == -2 && ints[1] == 256);
    remove_folder(folder);
}

Test(dataset, idx_files_that_disagree) {
    const char *folder = new_folder();
    uint8_t labels[64];
    size_t n = idx_header(labels, 0x08, 1, (uint32_t[]){29});

    digits(folder, 30);
    memset(labels + n, 1, 29);
    write_file(folder, "labels", labels, n + 29);
    expect_error(lh__dataset_idx(all, folder, files, 2, &e), LH_ECORRUPT, "holds 29 items");
    write_file(folder, "labels", labels, n + 28);
    expect_error(lh__dataset_idx(all, folder, files, 2, &e), LH_ECORRUPT, "truncated");
    expect_error(lh__dataset_idx(all, folder, (const char *[]){"nothing"}, 1, &e), LH_ENOTFOUND,
                 "nothing.gz");
    expect_error(lh__dataset_idx(all, folder, files, 0, &e), LH_EINVAL, "0 IDX files");
    remove_folder(folder);
}

Test(dataset, a_file_is_read_once) {
    const char *folder = new_folder();
    lh_dataset *a = digits(folder, 30), *b = lh__dataset_idx(all, folder, files, 2, &e);

    cr_assert_eq(a->kind->at(a, 0, 5), b->kind->at(b, 0, 5));
    digits(folder, 31); /* another file of the same name is another file */
    remove_folder(folder);
}

Test(dataset, arrays_are_copied) {
    float x[3][2] = {{1, 2}, {3, 4}, {5, 6}}, got[2][2];
    int64_t y[3] = {10, 11, 12}, labels[2];
    lh__array arrays[] = {{LH_F32, 2, {3, 2}, x}, {LH_I64, 1, {3}, y}};
    lh_dataset *d = lh__dataset_arrays(all, arrays, 2, &e);

    cr_assert_not_null(d, "%s", e.text);
    memset(x, 0, sizeof x);
    cr_assert_eq(gather(d, (int64_t[]){2, 0}, 2, got, labels), LH_OK);
    cr_assert(got[0][0] == 5 && got[0][1] == 6 && got[1][0] == 1 && got[1][1] == 2);
    cr_assert(labels[0] == 12 && labels[1] == 10);
    arrays[1].shape[0] = 2;
    expect_error(lh__dataset_arrays(all, arrays, 2, &e), LH_ESHAPE, "array 1 holds 2 items");
    arrays[1] = (lh__array){LH_I64, 0, {0}, y};
    expect_error(lh__dataset_arrays(all, arrays, 2, &e), LH_ESHAPE, "0 dimensions");
    arrays[1] = (lh__array){77, 1, {3}, y};
    expect_error(lh__dataset_arrays(all, arrays, 2, &e), LH_EDTYPE, "dtype 77");
}

Test(dataset, an_index_out_of_range) {
    int64_t y[3] = {0}, out;
    lh_dataset *d = lh__dataset_arrays(all, &(lh__array){LH_I64, 1, {3}, y}, 1, &e);

    cr_assert_eq(gather(d, (int64_t[]){3}, 1, &out, NULL), LH_EINVAL);
    cr_expect(strstr(e.text, "item 3"), "%s", e.text);
    cr_assert_eq(gather(d, (int64_t[]){-1}, 1, &out, NULL), LH_EINVAL);
}

/* Item i: the bytes i, i+1, i+2 and the label -i; fails as its user says. */
static lh_status get_item(void *user, int64_t index, void *const *fields) {
    const int *fails = user;

    for (int j = 0; j < 3; j++)
        ((uint8_t *)fields[0])[j] = (uint8_t)(index + j);
    *(int64_t *)fields[1] = -index;
    return index == 7 ? *fails : LH_OK;
}

static lh_dataset *custom(int *fails) {
    static const lh_field fields[] = {{LH_SIZED(lh_field), .dtype = LH_U8, .ndim = 1, .shape = {3}},
                                      {LH_SIZED(lh_field), .dtype = LH_I64}};
    lh_dataset_desc desc = {LH_SIZED(lh_dataset_desc), 2, fields, 20, get_item, fails};

    return lh__dataset_custom(all, &desc, &e);
}

Test(dataset, a_plugins_own) {
    int fails = LH_OK;
    lh_dataset *d = custom(&fails);
    uint8_t bytes[2][3];
    int64_t labels[2];

    cr_assert_not_null(d, "%s", e.text);
    cr_assert_eq(gather(d, (int64_t[]){7, 19}, 2, bytes, labels), LH_OK);
    cr_assert(bytes[0][0] == 7 && bytes[1][2] == 21 && labels[0] == -7 && labels[1] == -19);
    fails = LH_EIO;
    cr_assert_eq(gather(d, (int64_t[]){6, 7}, 2, bytes, labels), LH_EIO);
    cr_expect(strstr(e.text, "index 7"), "%s", e.text);
    fails = 3;
    e.code = LH_OK;
    cr_assert_eq(gather(d, (int64_t[]){7}, 1, bytes, labels), LH_EPLUGIN);
    cr_expect(strstr(e.text, "returned 3 at index 7"), "%s", e.text);
}

Test(dataset, a_plugins_mistakes) {
    lh_field f = {LH_SIZED(lh_field), .dtype = LH_F32, .ndim = 1, .shape = {2}};
    lh_dataset_desc ok = {LH_SIZED(lh_dataset_desc), 1, &f, 5, get_item, NULL}, desc = ok;

    desc.get_item = NULL;
    expect_error(lh__dataset_custom(all, &desc, &e), LH_EINVAL, "get_item is missing");
    desc = ok;
    desc.length = -1;
    expect_error(lh__dataset_custom(all, &desc, &e), LH_EINVAL, "negative");
    desc = ok;
    desc.n_fields = 0;
    expect_error(lh__dataset_custom(all, &desc, &e), LH_EINVAL, "0 fields");
    desc = ok;
    desc.struct_size = 8;
    expect_error(lh__dataset_custom(all, &desc, &e), LH_EINVAL, "LH_SIZED");
    f.shape[0] = 0;
    expect_error(lh__dataset_custom(all, &ok, &e), LH_ESHAPE, "at least 1");
    f.ndim = 2;
    f.shape[0] = f.shape[1] = INT64_MAX / 2;
    expect_error(lh__dataset_custom(all, &ok, &e), LH_ESHAPE, "too large");
    f.ndim = LH_MAX_DIMS;
    expect_error(lh__dataset_custom(all, &ok, &e), LH_ESHAPE, "8 dimensions");
    f.struct_size = 4;
    expect_error(lh__dataset_custom(all, &ok, &e), LH_EINVAL, "LH_SIZED");
}

Test(dataset, subset_of_a_subset) {
    int fails = LH_OK;
    int64_t evens[10], many[600], labels[600];
    uint8_t bytes[600][3];
    lh_dataset *d, *s;

    for (int i = 0; i < 10; i++)
        evens[i] = 2 * i;
    d = lh__dataset_subset(all, custom(&fails), evens, 10, &e);
    s = lh__dataset_subset(all, d, (int64_t[]){9, 1}, 2, &e);
    cr_assert_not_null(s, "%s", e.text);
    for (int i = 0; i < 600; i++) /* longer than the chunks in which indices are mapped */
        many[i] = i % 3 == 0;
    cr_assert_eq(gather(s, many, 600, bytes, labels), LH_OK);
    for (int i = 0; i < 600; i++)
        cr_assert(labels[i] == (i % 3 == 0 ? -2 : -18) && bytes[i][0] == (uint8_t)-labels[i]);
    expect_error(lh__dataset_subset(all, s, (int64_t[]){0, 2}, 2, &e), LH_EINVAL,
                 "indices[1] is 2");
}

Test(dataset, random_split) {
    int64_t values[100], seen[100] = {0}, lengths[] = {70, 0, 30}, out;
    lh_dataset *d, *parts[3], *again[3], *other[3];
    int differ = 0;

    for (int i = 0; i < 100; i++)
        values[i] = i;
    d = lh__dataset_arrays(all, &(lh__array){LH_I64, 1, {100}, values}, 1, &e);
    cr_assert_eq(lh__dataset_split(all, d, lengths, 3, 42, parts, &e), LH_OK);
    cr_assert_eq(lh__dataset_split(all, d, lengths, 3, 42, again, &e), LH_OK);
    cr_assert_eq(lh__dataset_split(all, d, lengths, 3, 43, other, &e), LH_OK);
    for (int k = 0; k < 3; k++) {
        cr_assert_eq(parts[k]->length, lengths[k]);
        for (int64_t i = 0; i < lengths[k]; i++) {
            int64_t same, different;

            gather(parts[k], &i, 1, &out, NULL);
            gather(again[k], &i, 1, &same, NULL);
            gather(other[k], &i, 1, &different, NULL);
            cr_assert_eq(out, same);
            differ += out != different;
            seen[out]++;
        }
    }
    cr_assert_gt(differ, 80);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(seen[i], 1);
    lengths[2] = 31;
    cr_assert_eq(lh__dataset_split(all, d, lengths, 3, 42, parts, &e), LH_EINVAL);
    cr_expect(strstr(e.text, "add up to 101") && strstr(e.text, "100 items"), "%s", e.text);
    lengths[1] = -1;
    cr_assert_eq(lh__dataset_split(all, d, lengths, 3, 42, parts, NULL), LH_EINVAL);
}

static void expect_normalized(const lh_dataset *d, const int64_t *indices, int64_t n, int width,
                              uint8_t (*pixel)(int64_t index, int j)) {
    float *got = malloc((size_t)(n * width) * sizeof *got);
    int64_t *labels = malloc((size_t)n * sizeof *labels);

    cr_assert_eq(d->fields[0].dtype, LH_F32);
    cr_assert_eq(gather(d, indices, n, got, labels), LH_OK, "%s", e.text);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < width; j++) {
            double want = (pixel(indices[i], j) / 255.0 - 0.1307) / 0.3081;

            cr_assert(fabs(got[i * width + j] - want) < 1e-6 * fmax(1, fabs(want)),
                      "item %d byte %d: %.9g, not %.9g", (int)i, j, got[i * width + j], want);
        }
    free(got);
    free(labels);
}

static uint8_t digit_pixel(int64_t index, int j) {
    return (uint8_t)(7 * index + j);
}

static uint8_t custom_pixel(int64_t index, int j) {
    return (uint8_t)(index + j);
}

Test(dataset, normalize_bytes_in_memory_and_a_plugins) {
    const char *folder = new_folder();
    int64_t indices[20];
    int fails = LH_OK;
    lh_dataset *d = digits(folder, 30), *c = custom(&fails);

    for (int i = 0; i < 20; i++)
        indices[i] = (i * 7) % 20;
    d = lh__dataset_normalize(all, d, 0, 1 / 255.0, 0.1307, 0.3081, &e);
    c = lh__dataset_normalize(all, c, 0, 1 / 255.0, 0.1307, 0.3081, &e);
    cr_assert(d && c, "%s", e.text);
    expect_normalized(d, indices, 20, 12, digit_pixel);
    expect_normalized(c, indices, 20, 3, custom_pixel);
    remove_folder(folder);
}

/* Through a view, or as a view's base: the same values either way. */
Test(dataset, normalize_and_subset_commute) {
    const char *folder = new_folder();
    lh_dataset *d = digits(folder, 30), *a, *b;
    int64_t order[] = {4, 29, 0, 11}, indices[] = {3, 0, 1, 2}, la[4], lb[4];
    float xa[4][12], xb[4][12];

    a = lh__dataset_normalize(all, lh__dataset_subset(all, d, order, 4, &e), 0, 0.5, 3, 2, &e);
    b = lh__dataset_subset(all, lh__dataset_normalize(all, d, 0, 0.5, 3, 2, &e), order, 4, &e);
    cr_assert_eq(gather(a, indices, 4, xa, la), LH_OK);
    cr_assert_eq(gather(b, indices, 4, xb, lb), LH_OK);
    cr_assert_arr_eq(xa, xb, sizeof xa);
    cr_assert_arr_eq(la, lb, sizeof la);
    cr_assert(la[0] == 1 && la[1] == 4 && xa[1][2] == (30 * 0.5f - 3) / 2);
    remove_folder(folder);
}

Test(dataset, normalize_floats_twice_and_two_fields) {
    float x[] = {1, 2, 3, 4}, a[2], b[2];
    uint8_t y[] = {10, 20, 30, 40};
    lh__array arrays[] = {{LH_F32, 1, {4}, x}, {LH_U8, 1, {4}, y}};
    lh_dataset *d = lh__dataset_arrays(all, arrays, 2, &e);

    d = lh__dataset_normalize(all, d, 0, 1, 0.5, 0.5, &e);
    d = lh__dataset_normalize(all, d, 1, 0.5, 1, 2, &e);
    d = lh__dataset_normalize(all, d, 0, 2, 0, 4, &e);
    cr_assert_eq(gather(d, (int64_t[]){3, 1}, 2, a, b), LH_OK);
    cr_assert(a[0] == 3.5f && a[1] == 1.5f && b[0] == 9.5f && b[1] == 4.5f);
}

Test(dataset, normalize_refuses) {
    int64_t y[3] = {0};
    float x[3] = {0};
    lh__array arrays[] = {{LH_F32, 1, {3}, x}, {LH_I64, 1, {3}, y}};
    lh_dataset *d = lh__dataset_arrays(all, arrays, 2, &e);

    expect_error(lh__dataset_normalize(all, d, 2, 1, 0, 1, &e), LH_EINVAL, "no field 2");
    expect_error(lh__dataset_normalize(all, d, 1, 1, 0, 1, &e), LH_EDTYPE, "field 1");
    expect_error(lh__dataset_normalize(all, d, 0, 1, 0, 0, &e), LH_EINVAL, "std");
    expect_error(lh__dataset_normalize(all, d, 0, NAN, 0, 1, &e), LH_EINVAL, "scale");
}
