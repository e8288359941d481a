/* onnx_graph.c - nodes, attributes and constants as protobuf messages; see onnx_graph.h.
 *
 * Field numbers are those of onnx.proto (github.com/onnx/onnx).
 */
#include "onnx_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { /* field numbers */
       MODEL_IR_VERSION = 1,
       MODEL_PRODUCER = 2,
       MODEL_GRAPH = 7,
       MODEL_OPSET = 8,
       OPSET_VERSION = 2,
       GRAPH_NODE = 1,
       GRAPH_NAME = 2,
       GRAPH_INITIALIZER = 5,
       GRAPH_INPUT = 11,
       GRAPH_OUTPUT = 12,
       NODE_INPUT = 1,
       NODE_OUTPUT = 2,
       NODE_NAME = 3,
       NODE_TYPE = 4,
       NODE_ATTRIBUTE = 5,
       ATTRIBUTE_NAME = 1,
       ATTRIBUTE_F = 2,
       ATTRIBUTE_I = 3,
       ATTRIBUTE_S = 4,
       ATTRIBUTE_INTS = 8,
       ATTRIBUTE_STRINGS = 9,
       ATTRIBUTE_TYPE = 20,
       TENSOR_DIMS = 1,
       TENSOR_DTYPE = 2,
       TENSOR_NAME = 8,
       TENSOR_RAW = 9,
       VALUE_NAME = 1,
       VALUE_TYPE = 2,
       TYPE_TENSOR = 1,
       TENSOR_TYPE_DTYPE = 1,
       TENSOR_TYPE_SHAPE = 2,
       SHAPE_DIM = 1,
       DIM_VALUE = 1,
       DIM_NAME = 2
};
enum {
    KIND_FLOAT = 1,
    KIND_INT = 2,
    KIND_TEXT = 3,
    KIND_INTS = 7,
    KIND_TEXTS = 8
};                                   /* AttributeProto.type */
#define MAX_SIZE ((size_t)INT32_MAX) /* of a protobuf message */

int64_t onnx_dtype(int32_t dtype) {
    switch (dtype) {
    case LH_F32:
        return 1;
    case LH_U8:
        return 2;
    case LH_I32:
        return 6;
    case LH_I64:
        return 7;
    case LH_BOOL:
        return 9;
    case LH_F16:
        return 10;
    case LH_F64:
        return 11;
    default:
        return 16; /* BF16 */
    }
}

const lh_draft_value *onnx_input(const struct onnx *o, int32_t i) {
    return &o->graph->values[o->node->inputs[i]];
}

/* The name of a tensor, maybe in `text`: "input", "output", a parameter's own, or a number. */
static const char *name_of(const struct onnx *o, int32_t tensor, char text[32]) {
    const char *name =
        tensor >= 0 && tensor < o->graph->n_values ? o->graph->values[tensor].name : NULL;

    if (tensor == NONE)
        return "";
    if (tensor == 0 || (name && strcmp(name, "input") != 0 && strcmp(name, "output") != 0))
        return name;
    if (tensor == o->graph->output)
        return "output";
    snprintf(text, 32, "%%%d", tensor);
    return text;
}

/* Begins an attribute in `b`; its content follows. */
static void attribute(struct buffer *b, const char *name, int kind) {
    protobuf_text(b, ATTRIBUTE_NAME, name);
    protobuf_int(b, ATTRIBUTE_TYPE, kind);
}

static void end_attribute(struct onnx *o, struct buffer *b) {
    protobuf_message(&o->attributes, NODE_ATTRIBUTE, b);
    buffer_free(b);
}

void onnx_int(struct onnx *o, const char *name, int64_t v) {
    struct buffer b = {0};

    attribute(&b, name, KIND_INT);
    protobuf_int(&b, ATTRIBUTE_I, v);
    end_attribute(o, &b);
}

void onnx_float(struct onnx *o, const char *name, double v) {
    struct buffer b = {0};

    attribute(&b, name, KIND_FLOAT);
    protobuf_float(&b, ATTRIBUTE_F, (float)v);
    end_attribute(o, &b);
}

void onnx_text(struct onnx *o, const char *name, const char *v) {
    struct buffer b = {0};

    attribute(&b, name, KIND_TEXT);
    protobuf_text(&b, ATTRIBUTE_S, v);
    end_attribute(o, &b);
}

void onnx_texts(struct onnx *o, const char *name, const char *v) {
    struct buffer b = {0};

    attribute(&b, name, KIND_TEXTS);
    protobuf_text(&b, ATTRIBUTE_STRINGS, v);
    end_attribute(o, &b);
}

void onnx_ints(struct onnx *o, const char *name, int32_t n, const int64_t *v) {
    struct buffer b = {0};

    attribute(&b, name, KIND_INTS);
    for (int32_t i = 0; i < n; i++)
        protobuf_int(&b, ATTRIBUTE_INTS, v[i]);
    end_attribute(o, &b);
}

/* A node with the attributes given before. */
static void add_node(struct onnx *o, const char *type, int32_t n_out, const int32_t *out, int32_t n,
                     const int32_t *in) {
    struct buffer b = {0};
    char text[64];

    for (int32_t i = 0; i < n; i++)
        protobuf_text(&b, NODE_INPUT, name_of(o, in[i], text));
    for (int32_t i = 0; i < n_out; i++)
        protobuf_text(&b, NODE_OUTPUT, name_of(o, out[i], text));
    snprintf(text, sizeof text, "%s_%d", type, out[n_out - 1]);
    protobuf_text(&b, NODE_NAME, text);
    protobuf_text(&b, NODE_TYPE, type);
    buffer_add(&b, o->attributes.data, o->attributes.size);
    b.failed |= o->attributes.failed;
    protobuf_message(&o->nodes, GRAPH_NODE, &b);
    o->attributes.size = 0;
    buffer_free(&b);
}

int32_t onnx_node(struct onnx *o, const char *type, int32_t out, int32_t n, const int32_t *in) {
    out = out == NONE ? o->n_tensors++ : out;
    add_node(o, type, 1, &out, n, in);
    return out;
}

int32_t onnx_second(struct onnx *o, const char *type, int32_t out, int32_t n, const int32_t *in) {
    int32_t both[2] = {o->n_tensors++, out};

    if (out == NONE)
        both[1] = o->n_tensors++;
    add_node(o, type, 2, both, n, in);
    return both[1];
}

static void add_initializer(struct onnx *o, int32_t tensor, int32_t dtype, int32_t ndim,
                            const int64_t *shape, const void *data) {
    struct buffer b = {0};
    size_t size = (size_t)dtype_size(dtype);
    char text[32];

    for (int32_t d = 0; d < ndim; d++) {
        protobuf_int(&b, TENSOR_DIMS, shape[d]);
        size *= (size_t)shape[d];
    }
    protobuf_int(&b, TENSOR_DTYPE, onnx_dtype(dtype));
    protobuf_text(&b, TENSOR_NAME, name_of(o, tensor, text));
    protobuf_head(&b, TENSOR_RAW, size);
    protobuf_head(&o->initializers, GRAPH_INITIALIZER, b.size + size);
    buffer_add(&o->initializers, b.data, b.size);
    buffer_add(&o->initializers, data, size);
    o->initializers.failed |= b.failed;
    buffer_free(&b);
}

int32_t onnx_tensor(struct onnx *o, int32_t dtype, int32_t ndim, const int64_t *shape,
                    const void *data) {
    add_initializer(o, o->n_tensors, dtype, ndim, shape, data);
    return o->n_tensors++;
}

/* Of 16 bits: an F32, cast. */
static int32_t half_scalar(struct onnx *o, int32_t dtype, double v) {
    struct buffer attributes = o->attributes; /* of a node that comes after this one */
    int32_t scalar = onnx_scalar(o, LH_F32, v);

    o->attributes = (struct buffer){0};
    onnx_int(o, "to", onnx_dtype(dtype));
    scalar = ONNX(o, "Cast", NONE, scalar);
    buffer_free(&o->attributes);
    o->attributes = attributes;
    return scalar;
}

int32_t onnx_scalar(struct onnx *o, int32_t dtype, double v) {
    switch (dtype) {
    case LH_F32:
        return onnx_tensor(o, dtype, 0, NULL, &(float){(float)v});
    case LH_F64:
        return onnx_tensor(o, dtype, 0, NULL, &v);
    case LH_I64:
        return onnx_tensor(o, dtype, 0, NULL, &(int64_t){(int64_t)v});
    case LH_I32:
        return onnx_tensor(o, dtype, 0, NULL, &(int32_t){(int32_t)v});
    case LH_U8:
        return onnx_tensor(o, dtype, 0, NULL, &(uint8_t){(uint8_t)v});
    case LH_BOOL:
        return onnx_tensor(o, dtype, 0, NULL, &(uint8_t){v != 0});
    default:
        return half_scalar(o, dtype, v);
    }
}

int32_t onnx_list(struct onnx *o, int32_t n, const int64_t *v) {
    const int64_t shape = n;

    return onnx_tensor(o, LH_I64, 1, &shape, v);
}

/* base + per * Shape(input)[0] */
int32_t onnx_dims(struct onnx *o, int32_t n, const int64_t *base, const int64_t *per) {
    int32_t dims = onnx_list(o, n, base), some = 0;
    struct buffer attributes = o->attributes; /* of a node that comes after these */

    for (int32_t i = 0; i < n; i++)
        some |= per && per[i] != 0;
    if (!some)
        return dims;
    o->attributes = (struct buffer){0};
    if (o->batch == NONE) {
        onnx_int(o, "start", 0);
        onnx_int(o, "end", 1);
        o->batch = ONNX(o, "Shape", NONE, 0);
    }
    dims = ONNX(o, "Add", NONE, dims, ONNX(o, "Mul", NONE, onnx_list(o, n, per), o->batch));
    buffer_free(&o->attributes);
    o->attributes = attributes;
    return dims;
}

/* The graph's input or output. */
static void add_value_info(struct onnx *o, struct buffer *graph, int field, int32_t value) {
    const lh_draft_value *v = &o->graph->values[value];
    struct buffer shape = {0}, tensor = {0}, type = {0}, info = {0};
    char text[64];

    for (int32_t d = 0; d < v->ndim; d++) {
        struct buffer dim = {0};

        if (v->per_batch[d] == 0) {
            protobuf_int(&dim, DIM_VALUE, v->shape[d]);
        } else {
            snprintf(text, sizeof text, "batch*%lld%+lld", (long long)v->per_batch[d],
                     (long long)v->shape[d]);
            protobuf_text(&dim, DIM_NAME,
                          v->per_batch[d] == 1 && v->shape[d] == 0 ? "batch" : text);
        }
        protobuf_message(&shape, SHAPE_DIM, &dim);
        buffer_free(&dim);
    }
    protobuf_int(&tensor, TENSOR_TYPE_DTYPE, onnx_dtype(v->dtype));
    protobuf_message(&tensor, TENSOR_TYPE_SHAPE, &shape);
    protobuf_message(&type, TYPE_TENSOR, &tensor);
    protobuf_text(&info, VALUE_NAME, name_of(o, value, text));
    protobuf_message(&info, VALUE_TYPE, &type);
    protobuf_message(graph, field, &info);
    buffer_free(&shape);
    buffer_free(&tensor);
    buffer_free(&type);
    buffer_free(&info);
}

lh_status onnx_save(struct onnx *o, const char *path) {
    struct buffer opset = {0}, parts[4] = {{0}}; /* model's head, graph's head, nodes, constants */
    struct buffer *model = &parts[0], *graph = &parts[1];
    lh_status status;

    for (int32_t i = 0; i < o->graph->n_values; i++) {
        const lh_draft_value *v = &o->graph->values[i];

        if (v->data)
            add_initializer(o, i, v->dtype, v->ndim, v->shape, v->data);
    }
    protobuf_text(graph, GRAPH_NAME, o->graph->name);
    add_value_info(o, graph, GRAPH_INPUT, 0);
    add_value_info(o, graph, GRAPH_OUTPUT, o->graph->output);
    parts[2] = o->nodes;
    parts[3] = o->initializers;
    protobuf_int(&opset, OPSET_VERSION, ONNX_OPSET);
    protobuf_int(model, MODEL_IR_VERSION, ONNX_IR_VERSION);
    protobuf_text(model, MODEL_PRODUCER, o->graph->producer);
    protobuf_message(model, MODEL_OPSET, &opset);
    protobuf_head(model, MODEL_GRAPH, graph->size + parts[2].size + parts[3].size);
    buffer_free(&opset);
    if (model->size + graph->size + parts[2].size + parts[3].size > MAX_SIZE)
        status = lh_fail(o->c, LH_EUNSUPPORTED,
                         "the model has more than 2 GiB, which one ONNX file can't hold");
    else
        status = buffer_write(o->c, path, parts, 4);
    buffer_free(model);
    buffer_free(graph);
    return status;
}
