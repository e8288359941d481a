/* exporter.h (draft) - writes a model's recorded forward pass in another format.
 *
 * The host records `forward` in evaluation mode with several batch sizes, so that every number that
 * comes from the size of the batch is known as one: base + per_batch * batch.
 *
 * Drafts may change in any release: a plugin of a draft kind works with the host it was built for.
 * [trainer] [rank-zero]
 */
#ifndef LHOST_DRAFT_EXPORTER_H
#define LHOST_DRAFT_EXPORTER_H

#include "../abi.h"

LH_EXTERN_C_BEGIN

#define LH_DRAFT_EXPORTER_REVISION 2

/* A value of the recording, numbered from 0: the input (number 0, axis 0 is the batch), a
 * parameter, buffer or constant, or an operator's result. */
typedef struct lh_draft_value {
    uint32_t struct_size;
    int32_t dtype, ndim;
    int32_t is_buffer;              /* 1: of a buffer; 0 of anything else */
    int64_t shape[LH_MAX_DIMS];     /* axis d has shape[d] + per_batch[d] * batch elements */
    int64_t per_batch[LH_MAX_DIMS]; /* 0: its length is fixed */
    const char *name;               /* of the input, parameters and buffers; NULL for the others */
    const void *data;               /* of parameters, buffers and constants, row-major; else NULL */
} lh_draft_value;

/* One operator: the values it reads and the value it makes. Axes count from the first. Inputs have
 * the dtypes that the operator computes with, conversions are nodes of their own; only those of the
 * normalizations and of attention are as the author gave them. */
typedef struct lh_draft_node {
    uint32_t struct_size, op; /* LH_OP_... */
    int32_t n_inputs, n_ints, n_reals, output;
    const int32_t *inputs;
    const int64_t *ints;      /* ints[i] + per_batch[i] * batch */
    const int64_t *per_batch; /* n_ints of them */
    const double *reals;
    const char *name; /* "linear" */
    const char *file; /* the author's call, for messages */
    int32_t line, reserved;
} lh_draft_node;

/* The nodes are in order of computation; each leads to the output. */
typedef struct lh_draft_graph {
    uint32_t struct_size;
    int32_t n_values, n_nodes, output;
    const lh_draft_value *values;
    const lh_draft_node *nodes;
    const char *name;     /* the model's */
    const char *producer; /* "lhost 1.0" */
} lh_draft_graph;

typedef struct lh_draft_exporter {
    uint32_t struct_size, state_size;
    uint32_t revision; /* LH_DRAFT_EXPORTER_REVISION */
    uint32_t reserved;

    /* 1 if `write` takes this operator as it is. A composed operator that it does not take is
     * recorded as those that it is composed of. [any] */
    int32_t (*maps)(uint32_t op);

    /* Writes the file `path`. A node that cannot be written is an error at the author's line:
     *     c->host->fail(c, LH_EUNSUPPORTED, node->file, node->line, ...) */
    lh_status (*write)(lh_ctx *c, void *self, const char *path, const lh_draft_graph *graph);
} lh_draft_exporter;

#define LH_EXPORT_EXPORTER(name_, version_, ...)                                           \
    static const lh_draft_exporter lh_exported_ = {                                        \
        LH_SIZED(lh_draft_exporter), .revision = LH_DRAFT_EXPORTER_REVISION, __VA_ARGS__}; \
    LH_EXPORT_PLUGIN(name_, version_, LH_KIND_EXPORTER, .exporter = &lh_exported_)

LH_EXTERN_C_END
#endif
