/* exporter.h (draft) - writes a model's recorded forward pass in another format.
 *
 * Drafts may change in any release: a plugin of a draft kind works with the host it was built for.
 * [trainer] [rank-zero]
 */
#ifndef LHOST_DRAFT_EXPORTER_H
#define LHOST_DRAFT_EXPORTER_H

#include "../host.h"

LH_EXTERN_C_BEGIN

#define LH_DRAFT_EXPORTER_REVISION 1

/* A value of the recording: an input, a parameter or an operator's result, numbered from 0. */
typedef struct lh_draft_value {
    uint32_t struct_size;
    int32_t dtype, ndim, reserved;
    int64_t shape[LH_MAX_DIMS]; /* -1 on the batch axis */
    const char *name;           /* of parameters and inputs; NULL for results */
    const void *data;           /* of parameters, row-major; NULL otherwise */
} lh_draft_value;

/* One operator: the values it reads and the value it makes. */
typedef struct lh_draft_node {
    uint32_t struct_size, op;
    int32_t n_inputs, n_ints, n_reals, output;
    const int32_t *inputs;
    const int64_t *ints;
    const double *reals;
} lh_draft_node;

typedef struct lh_draft_exporter {
    uint32_t struct_size, state_size;
    uint32_t revision; /* LH_DRAFT_EXPORTER_REVISION */
    uint32_t reserved;
    const char *format; /* "onnx", "torchscript": lhost export --FORMAT */

    lh_status (*write)(lh_ctx *c, void *self, const char *path, const lh_draft_value *values,
                       int32_t n_values, const lh_draft_node *nodes, int32_t n_nodes,
                       const int32_t *outputs, int32_t n_outputs);
} lh_draft_exporter;

LH_EXTERN_C_END
#endif
