/* picture.h - tensors as PNG files, to look at. */
#ifndef PICTURE_H
#define PICTURE_H

#include <lhost/lhost.h>

/* Writes images (n, h, w), (n, 1, h, w) or (n, 3, h, w), values from 0 (black) to 1, cut off
 * outside, as one PNG: a grid of `columns` columns with a thin border. The file goes into the run's
 * folder and is named to the person who watches. LH_EIO when it can't be written. */
lh_status picture_save(lh_ctx *c, const char *name, lh_tensor *images, int64_t columns);

#endif
