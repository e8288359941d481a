/* ckpt.c - `lhost ckpt show FILE`: the tensors of a checkpoint and what is stored beside them. */
#include "cli/cli.h"

#include "checkpoint/safetensors.h"
#include "config/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "128 x 784"; "scalar" for rank 0. */
static void shape_text(const lh__state_tensor *t, char *buf, size_t size) {
    size_t n = 0;

    snprintf(buf, size, "scalar");
    for (int32_t d = 0; d < t->ndim && n < size; d++)
        n += (size_t)snprintf(buf + n, size - n, "%s%lld", d ? " x " : "", (long long)t->shape[d]);
}

static json_t *tensor_json(const lh__state_tensor *t) {
    json_t *shape = json_array();

    for (int32_t d = 0; d < t->ndim; d++)
        json_array_append_new(shape, json_integer(t->shape[d]));
    return json_pack("{s:s,s:s,s:o,s:I}", "name", t->name, "dtype",
                     lh__stored_dtype_of(t->dtype)->name, "shape", shape, "bytes",
                     (json_int_t)t->size);
}

static void show_json(const char *path, const lh__state *s) {
    json_t *tensors = json_array(), *all;

    for (size_t i = 0; i < s->n_tensors; i++)
        json_array_append_new(tensors, tensor_json(&s->tensors[i]));
    all = json_pack("{s:s,s:b,s:o,s:O}", "path", path, "foreign", s->foreign, "tensors", tensors,
                    "meta", s->meta);
    json_dumpf(all, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(all);
}

static void show_text(const char *path, const lh__state *s) {
    size_t bytes = 0, width = 6;
    char shape[160], *meta;

    for (size_t i = 0; i < s->n_tensors; i++) {
        bytes += s->tensors[i].size;
        if (strlen(s->tensors[i].name) > width)
            width = strlen(s->tensors[i].name);
    }
    printf("%s: %zu tensors, %zu bytes%s\n\n", path, s->n_tensors, bytes,
           s->foreign ? ", not written by lhost" : "");
    for (size_t i = 0; i < s->n_tensors; i++) {
        const lh__state_tensor *t = &s->tensors[i];
        shape_text(t, shape, sizeof shape);
        printf("%-*s  %-4s  %s\n", (int)width, t->name, lh__stored_dtype_of(t->dtype)->name, shape);
    }
    if (json_object_size(s->meta) == 0)
        return;
    meta = lh__yaml_dump(s->meta);
    printf("\n%s", meta ? meta : "");
    free(meta);
}

int lh__cli_ckpt(const lh__call *call) {
    int json = call->argc == 3 && strcmp(call->argv[2], "--json") == 0;
    lh__state *state = NULL;
    lh__error e = {0};

    if (lh__cli_helped(call))
        return LH__EXIT_DONE;
    if (call->argc < 1 || strcmp(call->argv[0], "show") != 0)
        return lh__cli_usage(call, "ckpt needs an action: show");
    if (call->argc != 2 + json)
        return lh__cli_usage(call, "ckpt show needs one file");
    if (lh__safetensors_read(call->argv[1], &state, &e) != LH_OK)
        return lh__cli_fail(call, LH__EXIT_USAGE, "%s", e.text);
    if (json)
        show_json(call->argv[1], state);
    else
        show_text(call->argv[1], state);
    lh__state_free(state);
    return LH__EXIT_DONE;
}
