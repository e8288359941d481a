/* test_peer.c - the Python package `safetensors` reads what we write, and we what it writes.
 * Needs LHOST_PEERS_PYTHON: a Python that has safetensors and numpy. */
#include "checkpoint/safetensors.h"
#include "fixture.h"

TestSuite(peer, .init = make_folder, .fini = remove_folder);

/* Runs peer.py and returns what it printed, as JSON if it printed anything. */
static json_t *peer(const char *verb, const char *path) {
    const char *python = getenv("LHOST_PEERS_PYTHON");
    char command[1024];
    json_t *json;
    FILE *pipe;

    if (!python || !*python)
        cr_skip_test("LHOST_PEERS_PYTHON names no Python with the safetensors package");
    snprintf(command, sizeof command, "'%s' '%s' %s '%s'", python, getenv("LHOST_TEST_PEER"), verb,
             path);
    pipe = popen(command, "r");
    cr_assert(pipe);
    json = json_loadf(pipe, JSON_ALLOW_NUL, NULL);
    cr_assert_eq(pclose(pipe), 0, "%s failed", command);
    return json;
}

static void expect_hex(const char *hex, const lh__state_tensor *t) {
    cr_assert_eq(strlen(hex), 2 * t->size, "%s", t->name);
    for (size_t i = 0; i < t->size; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        cr_assert_eq(byte, ((const unsigned char *)t->data)[i], "%s", t->name);
    }
}

Test(peer, python_reads_ours) {
    lh__state *s = full_state();
    const char *path = in_folder("ours.safetensors"), *text;
    json_t *read, *tensors, *meta;

    cr_assert_eq(lh__safetensors_write(path, s, NULL), LH_OK);
    read = peer("read", path);
    cr_assert(read);
    tensors = json_object_get(read, "tensors");
    cr_assert_eq(json_object_size(tensors), s->n_tensors);
    for (size_t i = 0; i < s->n_tensors; i++) {
        const lh__state_tensor *t = &s->tensors[i];
        const json_t *got = json_object_get(tensors, t->name), *shape;
        cr_assert(got, "%s", t->name);
        cr_assert_str_eq(json_string_value(json_object_get(got, "dtype")),
                         lh__stored_dtype_of(t->dtype)->name);
        shape = json_object_get(got, "shape");
        cr_assert_eq((int32_t)json_array_size(shape), t->ndim);
        for (int32_t k = 0; k < t->ndim; k++)
            cr_assert_eq(json_integer_value(json_array_get(shape, k)), t->shape[k]);
        expect_hex(json_string_value(json_object_get(got, "data")), t);
    }
    text = json_string_value(json_object_get(json_object_get(read, "metadata"), "lhost"));
    cr_assert(text);
    meta = json_loads(text, JSON_ALLOW_NUL, NULL);
    cr_assert(json_equal(meta, s->meta));
    json_decref(meta);
    json_decref(read);
    lh__state_free(s);
}

/* The value of element i of a tensor, for the dtypes that C has. */
static double element(const lh__state_tensor *t, int i) {
    switch (t->dtype) {
    case LH_F32:
        return ((const float *)t->data)[i];
    case LH_F64:
        return ((const double *)t->data)[i];
    case LH_I64:
        return (double)((const int64_t *)t->data)[i];
    case LH_I32:
        return ((const int32_t *)t->data)[i];
    default:
        return ((const uint8_t *)t->data)[i];
    }
}

Test(peer, we_read_python) {
    static const char *const counted[] = {"float32", "float64", "int64", "int32", "uint8"};
    static const uint16_t half[] = {0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500}; /* 0 to 5 */
    const char *path = in_folder("theirs.safetensors");
    const lh__state_tensor *t;
    lh__state *s;
    lh__error e = {0};

    json_decref(peer("write", path));
    cr_assert_eq(lh__safetensors_read(path, &s, &e), LH_OK, "%s", e.text);
    cr_assert(s->foreign);
    cr_assert_eq(s->n_tensors, 9);
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        t = lh__state_find(s, counted[i]);
        cr_assert(t && t->ndim == 2 && t->shape[0] == 2 && t->shape[1] == 3, "%s", counted[i]);
        for (int k = 0; k < 6; k++)
            cr_assert_eq(element(t, k), k, "%s", counted[i]);
    }
    t = lh__state_find(s, "float16");
    cr_assert(t && t->dtype == LH_F16);
    cr_assert_arr_eq(t->data, half, sizeof half);
    t = lh__state_find(s, "bool");
    cr_assert(t && t->dtype == LH_BOOL && memcmp(t->data, "\1\0\1", 3) == 0);
    t = lh__state_find(s, "scalar");
    cr_assert(t && t->ndim == 0 && element(t, 0) == 0.1);
    t = lh__state_find(s, "empty");
    cr_assert(t && t->ndim == 3 && t->shape[1] == 0 && t->size == 0);
    lh__state_free(s);
}
