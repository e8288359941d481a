/* bytes.h - a data file as it is, plain or gzipped. */
#ifndef BYTES_H
#define BYTES_H

#include <lhost/lhost.h>

/* 1 if the data root has the file `name` or `name`.gz. */
int bytes_are_there(lh_ctx *c, const char *name);

/* Reads `name`, or `name`.gz, of the data root, which holds a head of `head` bytes and then any
 * number of records of `record` bytes each. Returns the records, which live with the run, and how
 * many there are in *n. NULL: a file that is missing, damaged, empty or ends within a record. */
const uint8_t *bytes_read(lh_ctx *c, const char *name, size_t head, size_t record, int64_t *n);

#endif
