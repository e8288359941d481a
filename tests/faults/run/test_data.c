/* test_data.c - data that is missing, cut off, contradicts itself or is empty. */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAIN "run --model p/labelled.so --enable_progress_bar false --max_epochs 1 --data.root . "
#define STEADY "run --model p/steady.so --enable_progress_bar false --max_epochs 1 "

/* IDX: two zeros, the type (8: bytes), the number of axes, each as 32 bits big-endian, then the
 * bytes. 12 images of 4 x 4 and 12 labels. http://yann.lecun.com/exdb/mnist/ */
static unsigned char images[16 + 12 * 16] = {0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 4, 0, 0, 0, 4};
static unsigned char labels[8 + 12] = {0, 0, 8, 1, 0, 0, 0, 12};

static void write_data(void) {
    enter_folder();
    for (size_t i = 16; i < sizeof images; i++)
        images[i] = (unsigned char)(i * 37);
    for (size_t i = 8; i < sizeof labels; i++)
        labels[i] = (unsigned char)(i % 10);
    write_bytes("images", images, sizeof images);
    write_bytes("labels", labels, sizeof labels);
}

TestSuite(data, .init = write_data, .fini = leave_folder, .timeout = 60);

Test(data, whole) {
    expect(0, "", TRAIN);
}

Test(data, missing) {
    remove("labels");
    expect(2, "labels", TRAIN);
}

Test(data, truncated) {
    write_bytes("images", images, sizeof images - 1);
    expect(2, "images", TRAIN);
    write_bytes("images", images, 7);
    expect(2, "images", TRAIN);
    write_bytes("images", images, 0);
    expect(2, "images", TRAIN);
}

Test(data, longer_than_it_says) {
    labels[7] = 11;
    write_bytes("labels", labels, sizeof labels);
    expect(2, "labels", TRAIN);
}

Test(data, of_different_lengths) {
    labels[7] = 11;
    write_bytes("labels", labels, sizeof labels - 1);
    expect(2, "images|labels|12|11", TRAIN);
}

Test(data, of_another_format) {
    images[0] = 0x89;
    write_bytes("images", images, sizeof images);
    expect(2, "images|IDX", TRAIN);
}

Test(data, corrupt_compression) {
    write_bytes("images", "\x1f\x8b\x08\0\0\0\0\0\0\3 no deflate stream at all", 35);
    expect(2, "images", TRAIN);
}

/* The largest number of items that the header can claim, without the memory for it. */
Test(data, absurd_size) {
    memset(images + 4, 0xff, 12);
    write_bytes("images", images, sizeof images);
    expect(2, "images", TRAIN);
}

/* Labels are checked where they are used; the operator and the line are named. */
Test(data, label_out_of_range) {
    labels[13] = 200;
    write_bytes("labels", labels, sizeof labels);
    expect(1, "labelled: training_step|labelled.c:|200", TRAIN);
}

Test(data, empty_dataset) {
    expect(2, "steady|empty", STEADY "--model.items 0");
}

Test(data, empty_validation_set) {
    expect(2, "steady|empty", STEADY "--model.val_items 0");
}

/* Nothing to do because the options say so is no error, and is said. */
Test(data, zero_batches) {
    json_t *result;

    expect(0, "limit_train_batches is 0", STEADY "--limit_train_batches 0");
    result = result_of(".", 0);
    cr_assert_eq(number_in(result, "global_step"), 0);
    json_decref(result);
    expect(0, "", STEADY "--limit_val_batches 0");
}

/* A fraction that leaves no batch would train nothing, unasked. */
Test(data, fraction_of_no_batch) {
    expect(2, "limit_train_batches", STEADY "--limit_train_batches 0.001");
}
