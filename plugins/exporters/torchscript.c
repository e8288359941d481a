/* torchscript.c - the exporter plugin `torchscript`: what torch.jit.load reads.
 *
 * The archive holds code/__torch__.py, the classes of the modules and forward; data.pkl, the
 * modules' state as a pickle (protocol 2) whose tensors refer to data/0, data/1, ...; and a few
 * small files that say which version that is. See torch/csrc/jit/docs/serialization.md in PyTorch.
 */
#include "torch.h"

#include <stdlib.h>
#include <string.h>

/* What is being written: parameters, buffers and constants become attributes, and the parts of
 * their names modules. */
struct script {
    lh_ctx *c;
    const lh_draft_graph *graph;
    struct buffer code, pickle;
    struct torch_archive archive;
};

/* The attributes' name; constants have one that no parameter has. */
static const char *name_of(const struct script *s, int32_t value, char text[32]) {
    if (s->graph->values[value].name)
        return s->graph->values[value].name;
    snprintf(text, 32, "constant %d", value);
    return text;
}

static int is_attribute(const struct script *s, int32_t value) {
    return s->graph->values[value].data != NULL;
}

/* Does the name begin with the module's path "a.b." (of n bytes, 0 for the model itself)? */
static int is_within(const char *name, const char *path, size_t n) {
    return strncmp(name, path, n) == 0;
}

/* A string of Python: names have no control characters, but may have quotes. */
static void add_string(struct buffer *b, const char *s, size_t n) {
    buffer_text(b, "\"");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '"' || s[i] == '\\')
            buffer_text(b, "\\");
        buffer_add(b, s + i, 1);
    }
    buffer_text(b, "\"");
}

/* ---- pickle: opcodes of protocol 2 */

static void put_global(struct buffer *b, const char *module, const char *name) {
    buffer_print(b, "c%s\n%s\n", module, name);
}

static void put_text(struct buffer *b, const char *text, size_t size) {
    buffer_text(b, "X");
    buffer_little_endian(b, size, 4);
    buffer_add(b, text, size);
}

/* BININT, or LONG1 of 8 bytes where 4 don't do. */
static void put_int(struct buffer *b, int64_t v) {
    if (v >= INT32_MIN && v <= INT32_MAX) {
        buffer_text(b, "J");
        buffer_little_endian(b, (uint64_t)v, 4);
    } else {
        buffer_text(b, "\x8a\x08");
        buffer_little_endian(b, (uint64_t)v, 8);
    }
}

static const char *storage_of(int32_t dtype) {
    static const char *const names[] = {
        [LH_F32] = "FloatStorage", [LH_F64] = "DoubleStorage",    [LH_I64] = "LongStorage",
        [LH_U8] = "ByteStorage",   [LH_BOOL] = "BoolStorage",     [LH_I32] = "IntStorage",
        [LH_F16] = "HalfStorage",  [LH_BF16] = "BFloat16Storage",
    };
    return names[dtype];
}

/* torch._utils._rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks); its data
 * become a file. */
static void put_tensor(struct script *s, int32_t value) {
    const lh_draft_value *v = &s->graph->values[value];
    struct buffer *b = &s->pickle;
    int64_t numel = value_size(v) / dtype_size(v->dtype), stride[LH_MAX_DIMS], next = 1;
    int is_trained = v->name && !v->is_buffer && (v->dtype == LH_F32 || v->dtype == LH_F64);
    char file[64], key[16];

    for (int32_t d = v->ndim - 1; d >= 0; d--) {
        stride[d] = next;
        next *= v->shape[d];
    }
    snprintf(key, sizeof key, "%d", value);
    put_global(b, "torch._utils", "_rebuild_tensor_v2");
    buffer_text(b, "((");
    put_text(b, "storage", 7);
    put_global(b, "torch", storage_of(v->dtype));
    put_text(b, key, strlen(key));
    put_text(b, "cpu", 3);
    put_int(b, numel);
    buffer_text(b, "tQ"); /* the storage, by its key */
    put_int(b, 0);
    buffer_text(b, "(");
    for (int32_t d = 0; d < v->ndim; d++)
        put_int(b, v->shape[d]);
    buffer_text(b, "t(");
    for (int32_t d = 0; d < v->ndim; d++)
        put_int(b, stride[d]);
    buffer_text(b, is_trained ? "t\x88" : "t\x89");
    put_global(b, "collections", "OrderedDict");
    buffer_text(b, ")RtR");
    snprintf(file, sizeof file, "archive/data/%s", key);
    torch_add(&s->archive, file, v->data, (size_t)(numel * dtype_size(v->dtype)));
}

/* ---- modules */

/* The class of the module at a path: "Model", or "Model_" and the number of the first value that
 * it holds, with its depth. */
static void add_class(struct buffer *b, int32_t first, int32_t depth) {
    buffer_text(b, "Model");
    if (depth > 0)
        buffer_print(b, "_%d_%d", first, depth);
}

/* Is there an earlier attribute in the same child? `n`: of the child's path. */
static int is_seen(const struct script *s, int32_t value, const char *name, size_t n) {
    char text[32];

    for (int32_t i = 0; i < value; i++)
        if (is_attribute(s, i) && is_within(name_of(s, i, text), name, n))
            return 1;
    return 0;
}

static void walk(struct script *s, const char *path, size_t n, int32_t first, int32_t depth);

/* What a value is in the module at `path`. */
enum place { OUTSIDE, OWN, CHILD };
static enum place place_of(const struct script *s, int32_t value, const char *path, size_t n,
                           char text[32], const char **rest, size_t *length) {
    const char *name = name_of(s, value, text), *dot;

    if (!is_attribute(s, value) || !is_within(name, path, n))
        return OUTSIDE;
    *rest = name + n;
    dot = s->graph->values[value].name ? strchr(*rest, '.') : NULL;
    *length = dot ? (size_t)(dot - *rest) : strlen(*rest);
    if (!dot)
        return OWN;
    return is_seen(s, value, name, (size_t)(dot + 1 - name)) ? OUTSIDE : CHILD;
}

/* __parameters__ or __buffers__ of a module. */
static void add_names(struct script *s, const char *path, size_t n, int is_buffer) {
    char text[32];
    const char *rest;
    size_t length;

    buffer_text(&s->code, is_buffer ? "  __buffers__ = [" : "  __parameters__ = [");
    for (int32_t i = 0; i < s->graph->n_values; i++)
        if (place_of(s, i, path, n, text, &rest, &length) == OWN &&
            (s->graph->values[i].is_buffer || !s->graph->values[i].name) == is_buffer) {
            add_string(&s->code, rest, length);
            buffer_text(&s->code, ", ");
        }
    buffer_text(&s->code, "]\n");
}

/* The class of a module and, in the pickle, its state; those of its children within. */
static void add_module(struct script *s, const char *path, size_t n, int32_t first, int32_t depth) {
    char text[32];
    const char *rest;
    size_t length;

    buffer_text(&s->code, "class ");
    add_class(&s->code, first, depth);
    buffer_text(&s->code, "(Module):\n");
    add_names(s, path, n, 0);
    add_names(s, path, n, 1);
    buffer_text(&s->code, "  __annotations__ = []\n");
    for (int32_t i = 0; i < s->graph->n_values; i++) {
        enum place place = place_of(s, i, path, n, text, &rest, &length);

        if (place == OUTSIDE)
            continue;
        buffer_text(&s->code, "  __annotations__[");
        add_string(&s->code, rest, length);
        buffer_text(&s->code, place == OWN ? "] = Tensor\n" : "] = __torch__.");
        if (place == CHILD) {
            add_class(&s->code, i, depth + 1);
            buffer_text(&s->code, "\n");
        }
    }
    buffer_text(&s->code, "  training : bool\n");
}

/* Before a module's own class those of its children. */
static void add_children(struct script *s, const char *path, size_t n, int32_t depth) {
    char text[32];
    const char *rest;
    size_t length;

    for (int32_t i = 0; i < s->graph->n_values; i++)
        if (place_of(s, i, path, n, text, &rest, &length) == CHILD)
            walk(s, s->graph->values[i].name, n + length + 1, i, depth + 1);
}

static void walk(struct script *s, const char *path, size_t n, int32_t first, int32_t depth) {
    add_children(s, path, n, depth);
    add_module(s, path, n, first, depth);
}

/* The object of a module: its class, then a dictionary of its attributes. */
static void put_module(struct script *s, const char *path, size_t n, int32_t first, int32_t depth) {
    struct buffer class = {0};
    char text[32];
    const char *rest;
    size_t length;

    add_class(&class, first, depth);
    buffer_add(&class, "", 1);
    s->pickle.failed |= class.failed;
    if (!class.failed)
        put_global(&s->pickle, "__torch__", (const char *)class.data);
    buffer_free(&class);
    buffer_text(&s->pickle, ")\x81}(");
    for (int32_t i = 0; i < s->graph->n_values; i++) {
        enum place place = place_of(s, i, path, n, text, &rest, &length);

        if (place == OUTSIDE)
            continue;
        put_text(&s->pickle, rest, length);
        if (place == OWN)
            put_tensor(s, i);
        else
            put_module(s, s->graph->values[i].name, n + length + 1, i, depth + 1);
    }
    put_text(&s->pickle, "training", 8);
    buffer_text(&s->pickle, "\x89ub");
}

/* v3 = getattr(getattr(self, "layer_1"), "weight") */
static void add_fetch(struct script *s, int32_t value) {
    char text[32];
    const char *name = name_of(s, value, text), *dot = name;
    int is_named = s->graph->values[value].name != NULL;

    buffer_print(&s->code, "    v%d = ", value);
    while (dot) {
        buffer_text(&s->code, "getattr(");
        dot = is_named ? strchr(dot, '.') : NULL;
        dot += dot != NULL;
    }
    buffer_text(&s->code, "self");
    while (name) {
        dot = is_named ? strchr(name, '.') : NULL;
        buffer_text(&s->code, ", ");
        add_string(&s->code, name, dot ? (size_t)(dot - name) : strlen(name));
        buffer_text(&s->code, ")");
        name = dot ? dot + 1 : NULL;
    }
    buffer_text(&s->code, "\n");
}

static void add_forward(struct script *s) {
    const lh_draft_graph *g = s->graph;

    buffer_text(&s->code, "  def forward(self: __torch__.Model,\n    v0: Tensor) -> Tensor:\n"
                          "    batch = torch.size(v0, 0)\n");
    for (int32_t i = 0; i < g->n_values; i++)
        if (is_attribute(s, i))
            add_fetch(s, i);
    for (int32_t i = 0; i < g->n_nodes && lh_status_of(s->c) == LH_OK; i++)
        torch_statement(s->c, &s->code, g, &g->nodes[i]);
    buffer_print(&s->code, "    return v%d\n", g->output);
}

/* A name that is a tensor and a module at once, or has an empty part. */
static lh_status check_names(const struct script *s) {
    const lh_draft_graph *g = s->graph;

    for (int32_t i = 1; i < g->n_values; i++) {
        const char *name = g->values[i].name;
        size_t n = name ? strlen(name) : 0;

        if (name && (n == 0 || name[0] == '.' || name[n - 1] == '.' || strstr(name, "..")))
            return lh_fail(s->c, LH_EUNSUPPORTED,
                           "the parameter \"%s\" has an empty part in its name, which no module of "
                           "torch can have",
                           name);
        for (int32_t k = 1; k < g->n_values && name; k++)
            if (g->values[k].name && strncmp(g->values[k].name, name, n) == 0 &&
                g->values[k].name[n] == '.')
                return lh_fail(s->c, LH_EUNSUPPORTED,
                               "\"%s\" is a parameter and, for \"%s\", a module: torch needs other "
                               "names",
                               name, g->values[k].name);
    }
    return LH_OK;
}

static lh_status write(lh_ctx *c, void *self, const char *path, const lh_draft_graph *graph) {
    struct script s = {.c = c, .graph = graph};

    if (check_names(&s) != LH_OK)
        return lh_status_of(c);
    walk(&s, "", 0, 0, 0);
    add_forward(&s);
    buffer_text(&s.pickle, "\x80\x02");
    put_module(&s, "", 0, 0, 0);
    buffer_text(&s.pickle, ".");
    torch_add_buffer(&s.archive, "archive/data.pkl", &s.pickle);
    torch_add_buffer(&s.archive, "archive/code/__torch__.py", &s.code);
    torch_add(&s.archive, "archive/constants.pkl", "\x80\x02).", 4);
    torch_add(&s.archive, "archive/version", "10\n", 3);
    torch_add(&s.archive, "archive/byteorder", "little", 6);
    if (lh_status_of(c) == LH_OK)
        torch_save(c, &s.archive, path);
    buffer_free(&s.code);
    buffer_free(&s.pickle);
    buffer_free(&s.archive.files);
    buffer_free(&s.archive.directory);
    return lh_status_of(c);
}

LH_EXPORT_EXPORTER("torchscript", "1.0.0", .maps = torch_maps, .write = write);
