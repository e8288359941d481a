/* digits.h - where the images come from: the real MNIST, or digits drawn here. */
#ifndef DIGITS_H
#define DIGITS_H

#include <lhost/lhost.h>

/* IDX files below the data root: images (n, 28, 28) of bytes, labels 0 ... 9. */
struct digits {
    const char *train_images, *train_labels, *test_images, *test_labels;
};

/* In prepare_data: sees to it that there is a set. MNIST if it is in the data root, else downloaded
 * and checked, else 12,000 and 2,000 digits drawn here, which takes less than a second; says so. */
lh_status digits_prepare(lh_ctx *c);

/* The set that digits_prepare found or made. */
const struct digits *digits_files(lh_ctx *c);

/* The same as a data module: field 0 images (n, 28, 28) from 0 to 1, field 1 labels. One twelfth of
 * the training images, always the same, is for validation. Hyper-parameter: batch_size. */
extern const lh_datamodule digits_data;

#endif
