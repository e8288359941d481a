/* some_digits.h - five of the ten digits, few or all of their images. */
#ifndef SOME_DIGITS_H
#define SOME_DIGITS_H

#include <lhost/lhost.h>

enum { N_DIGITS = 5 };

/* Field 0 images (n, 28, 28) from 0 to 1; field 1 labels: 0 is digit `first`, 1 the next ... From
 * the images of digits.h; the last twelfth of the training files is for validation.
 * Hyper-parameters: first; shots, images per digit for training; batch_size. */
extern const lh_datamodule some_digits;

#endif
