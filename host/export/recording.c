/* recording.c - watching the operators of a forward pass; see recording.h. */
#include "export/recording.h"

#include "engine/catalogue.h"
#include "engine/params.h"

#include <stdlib.h>
#include <string.h>

/* Makes room for one more element in an array that grows by doubling. */
static int grow(void *array, int32_t n, size_t size) {
    void *grown, **at = array;

    if (n & (n - 1) || (n > 0 && n < 16))
        return 1;
    grown = realloc(*at, (size_t)(n ? 2 * n : 16) * size);
    if (grown)
        *at = grown;
    return grown != NULL;
}

static void *own(lh__recording *r, size_t size) {
    void *memory = malloc(size + 1);

    if (!memory || !grow(&r->owned, r->n_owned, sizeof *r->owned)) {
        free(memory);
        lh__fail(&r->error, LH_ENOMEM, "out of memory recording the forward pass");
        return NULL;
    }
    return r->owned[r->n_owned++] = memory;
}

static void *own_copy(lh__recording *r, const void *data, size_t size) {
    void *copy = own(r, size);

    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

/* A new value for the tensor; -1: out of memory. */
static int32_t add_value(lh__recording *r, const lh_tensor *t) {
    lh_draft_value *v;

    if (!grow(&r->values, r->n_values, sizeof *r->values) ||
        !grow(&r->tensors, r->n_values, sizeof *r->tensors)) {
        lh__fail(&r->error, LH_ENOMEM, "out of memory recording the forward pass");
        return -1;
    }
    v = &r->values[r->n_values];
    *v = (lh_draft_value){LH_SIZED(lh_draft_value), .dtype = t->view.dtype, .ndim = t->view.ndim};
    for (int32_t d = 0; d < v->ndim; d++)
        v->shape[d] = t->view.shape[d];
    r->tensors[r->n_values] = t;
    return r->n_values++;
}

static int add_node(lh__recording *r, const lh_op_call *call, const int32_t *inputs,
                    int32_t output) {
    const lh__row *row = lh__row_of(call->op);
    size_t n_in = (size_t)call->n_inputs, n_ints = (size_t)call->n_ints;
    int64_t *per_batch = own(r, n_ints * sizeof *per_batch);
    lh_draft_node n = {LH_SIZED(lh_draft_node), call->op};

    n.n_inputs = call->n_inputs, n.n_ints = call->n_ints, n.n_reals = call->n_reals;
    n.output = output;
    n.inputs = own_copy(r, inputs, n_in * sizeof *inputs);
    n.ints = own_copy(r, call->ints, n_ints * sizeof *n.ints);
    n.reals = own_copy(r, call->reals, (size_t)call->n_reals * sizeof *n.reals);
    n.name = row ? row->name : "?";
    n.file = call->file ? call->file : "?";
    n.line = call->line;
    if (!n.inputs || !n.ints || !n.reals || !per_batch || !grow(&r->nodes, r->n_nodes, sizeof n))
        return lh__fail(&r->error, LH_ENOMEM, "out of memory recording the forward pass"), 0;
    memset(per_batch, 0, n_ints * sizeof *per_batch);
    n.per_batch = per_batch;
    r->nodes[r->n_nodes++] = n;
    return 1;
}

/* A constant whose elements are all the same is the operator full, whose shape may then depend on
 * the batch. 1: done, or failed with an error. */
static int add_uniform(lh__recording *r, const lh_op_call *user, int32_t value, const void *data) {
    const lh_draft_value *v = &r->values[value];
    int64_t size = lh__dtype_size(v->dtype), count = 1, ints[1 + LH_MAX_DIMS] = {v->dtype};
    lh_op_call full = {LH_SIZED(lh_op_call), .op = LH_OP_FULL,   .n_ints = 1 + v->ndim,
                       .n_reals = 1,         .line = user->line, .file = user->file,
                       .ints = ints};
    double x;

    for (int32_t d = 0; d < v->ndim; d++)
        count *= ints[1 + d] = v->shape[d];
    if (count < 2 || memcmp(data, (const char *)data + size, (size_t)((count - 1) * size)) != 0)
        return 0;
    switch (v->dtype) {
    case LH_F32:
        x = *(const float *)data;
        break;
    case LH_F64:
        x = *(const double *)data;
        break;
    case LH_I64:
        x = (double)*(const int64_t *)data;
        break;
    case LH_U8:
    case LH_BOOL:
        x = *(const uint8_t *)data;
        break;
    default:
        return 0;
    }
    full.reals = &x;
    add_node(r, &full, NULL, value);
    return 1;
}

/* A tensor that no operator made: a parameter, a buffer, or data that the author brought along. */
static int32_t add_leaf(lh__recording *r, const lh_op_call *user, const lh_tensor *t) {
    size_t size = (size_t)(lh__view_numel(&t->view) * lh__dtype_size(t->view.dtype));
    int32_t value = add_value(r, t);
    void *data;

    if (value < 0)
        return value;
    if (t->param) {
        r->values[value].name = t->param->name;
        r->values[value].is_buffer = t->param->is_buffer;
        r->values[value].data = t->view.data;
        return value;
    }
    data = own(r, size);
    if (!data)
        return -1;
    if (lh__tensor_read(r->engine, t, data, size) != LH_OK) {
        lh__fail(&r->error, LH_ENOMEM, "a constant of the forward pass could not be read");
        return -1;
    }
    if (!add_uniform(r, user, value, data))
        r->values[value].data = data;
    return value;
}

/* The value that a tensor is, or -1. O(values). */
static int32_t value_of(const lh__recording *r, const lh_tensor *t) {
    for (int32_t i = r->n_values; i-- > 0;)
        if (r->tensors[i] == t)
            return i;
    return -1;
}

static int32_t maps(void *user, uint32_t op) {
    return ((lh__recording *)user)->maps(op);
}

static void called(void *user, const lh_op_call *call, lh_tensor *out) {
    lh__recording *r = user;
    int32_t *inputs = calloc((size_t)call->n_inputs + 1, sizeof *inputs), output;

    if (!inputs)
        lh__fail(&r->error, LH_ENOMEM, "out of memory recording the forward pass");
    for (int32_t i = 0; i < call->n_inputs && r->error.code == LH_OK; i++) {
        inputs[i] = value_of(r, call->inputs[i]);
        if (inputs[i] < 0)
            inputs[i] = add_leaf(r, call, call->inputs[i]);
    }
    if (r->error.code == LH_OK) {
        output = add_value(r, out);
        if (output >= 0)
            add_node(r, call, inputs, output);
    }
    free(inputs);
}

lh__recording *lh__record_begin(lh__engine *e, lh_tensor *x, int64_t batch,
                                int32_t (*exporter_maps)(uint32_t op)) {
    lh__recording *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->engine = e;
    r->batch = batch;
    r->maps = exporter_maps;
    r->watcher = (lh__watcher){r, maps, called};
    if (add_value(r, x) < 0) {
        lh__record_free(r);
        return NULL;
    }
    r->values[0].name = "input";
    lh__watch(e, &r->watcher);
    return r;
}

/* Leaves out the nodes, then the values, that the output does not need. */
static lh_status prune(lh__recording *r) {
    int32_t *number = calloc((size_t)r->n_values, sizeof *number), n_values = 0, n_nodes = 0;

    if (!number)
        return lh__fail(&r->error, LH_ENOMEM, "out of memory recording the forward pass");
    number[0] = number[r->output] = 1;
    for (int32_t i = r->n_nodes; i-- > 0;)
        for (int32_t k = 0; number[r->nodes[i].output] && k < r->nodes[i].n_inputs; k++)
            number[r->nodes[i].inputs[k]] = 1;
    for (int32_t i = 0; i < r->n_nodes; i++)
        if (number[r->nodes[i].output])
            r->nodes[n_nodes++] = r->nodes[i];
    r->n_nodes = n_nodes;
    for (int32_t i = 0; i < r->n_values; i++)
        if (number[i]) {
            r->values[n_values] = r->values[i];
            number[i] = n_values++;
        }
    r->n_values = n_values;
    for (int32_t i = 0; i < n_nodes; i++) {
        lh_draft_node *n = &r->nodes[i];

        for (int32_t k = 0; k < n->n_inputs; k++)
            ((int32_t *)n->inputs)[k] = number[n->inputs[k]]; /* our own copy */
        n->output = number[n->output];
    }
    r->output = number[r->output];
    free(number);
    return LH_OK;
}

lh_status lh__record_end(lh__recording *r, lh_tensor *y, lh__error *err) {
    static const lh_op_call nobody = {LH_SIZED(lh_op_call), .file = "forward"};

    lh__watch(r->engine, NULL);
    if (r->error.code == LH_OK && y) {
        r->output = value_of(r, y);
        if (r->output < 0)
            r->output = add_leaf(r, &nobody, y);
    }
    if (r->error.code == LH_OK)
        prune(r);
    return r->error.code == LH_OK ? LH_OK : lh__fail(err, r->error.code, "%s", r->error.text);
}

lh_draft_graph lh__record_graph(const lh__recording *r) {
    return (lh_draft_graph){LH_SIZED(lh_draft_graph),
                            r->n_values,
                            r->n_nodes,
                            r->output,
                            r->values,
                            r->nodes,
                            NULL,
                            NULL};
}

void lh__record_free(lh__recording *r) {
    if (!r)
        return;
    for (int32_t i = 0; i < r->n_owned; i++)
        free(r->owned[i]);
    free(r->owned);
    free(r->values);
    free(r->nodes);
    free(r->tensors);
    free(r);
}
