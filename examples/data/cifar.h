/* cifar.h - small colour images of ten classes: CIFAR-10, or images drawn here. */
#ifndef CIFAR_H
#define CIFAR_H

#include <lhost/lhost.h>

/* Field 0 images (n, 3, 32, 32), every channel of mean 0 and standard deviation 1 over CIFAR-10;
 * field 1 labels 0 ... 9. One tenth of the training images, always the same, is for validation.
 * Training images come moved by up to 4 pixels and half of them mirrored, other ones every epoch.
 *
 * CIFAR-10 is taken from cifar-10-batches-bin/ in the data root, else the part of it in
 * cifar10-subset/, both in the binary format and plain or gzipped. Without either, 10,000 and 2,000
 * images of shapes and patterns are drawn here, as they are needed; says so.
 *
 * Hyper-parameters: batch_size, augment. */
extern const lh_datamodule cifar_data;

/* Names of the classes: CIFAR's or those of what is drawn. */
const char *const *cifar_classes(lh_ctx *c);

#endif
