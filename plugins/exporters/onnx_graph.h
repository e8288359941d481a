/* onnx_graph.h - an ONNX graph while it is put together (onnx.ai/onnx/repo-docs/IR.html).
 *
 * Its tensors are numbers: those of the recording's values, then those of intermediate results.
 * Attributes are given before the node that they belong to.
 */
#ifndef LHOST_EXPORTERS_ONNX_GRAPH_H
#define LHOST_EXPORTERS_ONNX_GRAPH_H

#include "protobuf.h"

enum { ONNX_OPSET = 20, ONNX_IR_VERSION = 9, NONE = -1 /* an optional input left out */ };

struct onnx {
    lh_ctx *c;
    const lh_draft_graph *graph;
    const lh_draft_node *node; /* the one that is being written */
    struct buffer nodes, initializers, attributes;
    int32_t n_tensors;
    int32_t batch; /* the size of the batch, I64 of shape (1); NONE before somebody needed it */
    int32_t *uses; /* how many nodes read each value */
};

/* Attributes of the next node. */
void onnx_int(struct onnx *o, const char *name, int64_t v);
void onnx_float(struct onnx *o, const char *name, double v);
void onnx_text(struct onnx *o, const char *name, const char *v);
void onnx_texts(struct onnx *o, const char *name, const char *v); /* a list of one */
void onnx_ints(struct onnx *o, const char *name, int32_t n, const int64_t *v);

/* A node of one result, `out`, or a new one where that is NONE; returns it. */
int32_t onnx_node(struct onnx *o, const char *type, int32_t out, int32_t n, const int32_t *in);

/* Its second result; the first is not wanted. */
int32_t onnx_second(struct onnx *o, const char *type, int32_t out, int32_t n, const int32_t *in);

#define ONNX_INPUTS_(...) ((const int32_t[]){__VA_ARGS__})
#define ONNX(o, type, out, ...)                                                             \
    onnx_node(o, type, out, (int32_t)(sizeof(ONNX_INPUTS_(__VA_ARGS__)) / sizeof(int32_t)), \
              ONNX_INPUTS_(__VA_ARGS__))

/* Constants: a row-major tensor, a scalar, a list of integers, a list of base + per * batch. */
int32_t onnx_tensor(struct onnx *o, int32_t dtype, int32_t ndim, const int64_t *shape,
                    const void *data);
int32_t onnx_scalar(struct onnx *o, int32_t dtype, double v);
int32_t onnx_list(struct onnx *o, int32_t n, const int64_t *v);
int32_t onnx_dims(struct onnx *o, int32_t n, const int64_t *base, const int64_t *per);

/* The value that input i of the node is. */
const lh_draft_value *onnx_input(const struct onnx *o, int32_t i);

/* Records that the node can't be written and why. */
#define onnx_fail(o, ...) \
    (o)->c->host->fail((o)->c, LH_EUNSUPPORTED, (o)->node->file, (o)->node->line, "" __VA_ARGS__)

int64_t onnx_dtype(int32_t dtype); /* TensorProto.DataType */

/* The whole model, to a file. */
lh_status onnx_save(struct onnx *o, const char *path);

/* How one operator of the host is written. */
struct onnx_mapping {
    uint32_t op;
    const char *type;              /* a node of that type with the same inputs and no attributes */
    void (*write)(struct onnx *o); /* or this */
    int32_t is_dynamic;            /* its integers may depend on the batch */
};

/* The node makes nothing but W_ih x + b_ih of a recurrent layer, in which it is written. */
int onnx_is_absorbed(const struct onnx *o, const lh_draft_node *n);

/* onnx.c and onnx_layers.c: lists that end with op 0. */
extern const struct onnx_mapping onnx_basics[], onnx_layers[];

#endif
