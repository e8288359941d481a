/* test_safetensors.c - a state comes back as it was, and no change to a file goes unnoticed. */
#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "fixture.h"

TestSuite(safetensors, .init = make_folder, .fini = remove_folder);

static lh__image sealed(const lh__state *s) {
    lh__image image = {0};
    lh__error e = {0};

    cr_assert_eq(lh__safetensors_encode(s, &image, &e), LH_OK, "%s", e.text);
    lh__safetensors_seal(image.data, image.size);
    return image;
}

/* A state small enough to try every byte of its file. */
static lh__image small_image(void) {
    lh__state *s = lh__state_new();
    lh__image image;

    lh__json_put_int(s->meta, "global_step", 7);
    lh__state_put_copy(s, "w", LH_F32, 1, (int64_t[]){2}, (float[]){1, 2}, NULL);
    lh__state_put_copy(s, "on", LH_BOOL, 0, NULL, "\1", NULL);
    image = sealed(s);
    lh__state_free(s);
    return image;
}

Test(safetensors, everything_comes_back) {
    lh__state *s = full_state(), *read;
    lh__error e = {0};
    const char *path = in_folder("full.safetensors");

    cr_assert_eq(lh__safetensors_write(path, s, &e), LH_OK, "%s", e.text);
    cr_assert_eq(lh__safetensors_read(path, &read, &e), LH_OK, "%s", e.text);
    expect_same(s, read);
    cr_assert(!read->foreign);
    lh__state_free(read);
    lh__state_free(s);
}

Test(safetensors, an_empty_state_comes_back) {
    lh__state *s = lh__state_new(), *read;
    lh__image image = sealed(s);

    cr_assert_eq(lh__safetensors_decode(image.data, image.size, "empty", &read, NULL), LH_OK);
    expect_same(s, read);
    lh__state_free(read);
    lh__state_free(s);
    lh__image_free(&image);
}

/* Tensors are copied where the bytes lie at an address that their dtype cannot have. */
Test(safetensors, misaligned_bytes_are_realigned) {
    lh__state *s = full_state(), *read;
    lh__image image = sealed(s);
    unsigned char *shifted = malloc(image.size + 1);

    memcpy(shifted + 1, image.data, image.size);
    cr_assert_eq(lh__safetensors_decode(shifted + 1, image.size, "shifted", &read, NULL), LH_OK);
    expect_same(s, read);
    lh__state_free(read);
    lh__state_free(s);
    lh__image_free(&image);
    free(shifted);
}

Test(safetensors, an_image_is_used_again) {
    lh__state *large = full_state(), *small = lh__state_new(), *read;
    lh__image image = {0};

    cr_assert_eq(lh__safetensors_encode(large, &image, NULL), LH_OK);
    cr_assert_eq(lh__safetensors_encode(small, &image, NULL), LH_OK);
    lh__safetensors_seal(image.data, image.size);
    cr_assert_eq(lh__safetensors_decode(image.data, image.size, "small", &read, NULL), LH_OK);
    expect_same(small, read);
    lh__state_free(read);
    lh__state_free(small);
    lh__state_free(large);
    lh__image_free(&image);
}

Test(safetensors, reserved_names_are_refused) {
    lh__state *s = lh__state_new();
    lh__image image = {0};
    lh__error e = {0};

    lh__state_put_copy(s, "__metadata__", LH_U8, 0, NULL, "x", NULL);
    cr_assert_eq(lh__safetensors_encode(s, &image, &e), LH_EINVAL);
    cr_assert(strstr(e.text, "__metadata__"));
    lh__state_free(s);
    lh__image_free(&image);
}

static void expect_refused(const void *data, size_t size, const char *what, size_t at) {
    lh__state *read;
    lh__error e = {0};

    /* A heap block of just this size, so that the address sanitizer sees a read beyond it. */
    void *exact = malloc(size ? size : 1);
    memcpy(exact, data, size);
    cr_assert_neq(lh__safetensors_decode(exact, size, "some.file", &read, &e), LH_OK,
                  "%s at %zu was accepted", what, at);
    cr_assert(strncmp(e.text, "some.file: ", 11) == 0, "%s at %zu: %s", what, at, e.text);
    free(exact);
}

Test(safetensors, every_truncation_is_found) {
    lh__image image = small_image();

    for (size_t size = 0; size < image.size; size++)
        expect_refused(image.data, size, "truncation", size);
    lh__image_free(&image);
}

Test(safetensors, bytes_added_are_found) {
    lh__image image = small_image();
    unsigned char *longer = calloc(1, image.size + 8);

    memcpy(longer, image.data, image.size);
    for (size_t more = 1; more <= 8; more++)
        expect_refused(longer, image.size + more, "addition", more);
    free(longer);
    lh__image_free(&image);
}

Test(safetensors, every_flipped_bit_is_found) {
    lh__image image = small_image();

    for (size_t bit = 0; bit < 8 * image.size; bit++) {
        image.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        expect_refused(image.data, image.size, "flipped bit", bit);
        image.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    lh__image_free(&image);
}

Test(safetensors, every_changed_byte_is_found) {
    lh__image image = small_image();

    for (size_t i = 0; i < image.size; i++)
        for (int value = 0; value < 256; value += 5) {
            unsigned char right = image.data[i];
            if (value == right)
                continue;
            image.data[i] = (unsigned char)value;
            expect_refused(image.data, image.size, "changed byte", i);
            image.data[i] = right;
        }
    lh__image_free(&image);
}

Test(safetensors, a_missing_file_is_not_found) {
    lh__state *read;
    lh__error e = {0};

    cr_assert_eq(lh__safetensors_read(in_folder("none"), &read, &e), LH_ENOTFOUND);
    cr_assert(strstr(e.text, in_folder("none")), "%s", e.text);
    cr_assert_eq(lh__safetensors_read(folder, &read, NULL), LH_EINVAL);
}
