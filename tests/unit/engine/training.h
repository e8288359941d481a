/* training.h - an engine with parameters whose gradients a test gives, driven through the macros of
 * optim.h as a plugin would, and PyTorch's trajectories of tests/golden to compare with.
 */
#ifndef LH_TEST_TRAINING_H
#define LH_TEST_TRAINING_H

#include <criterion/criterion.h>
#include <jansson.h>
#include <lhost/optim.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/scheduler.h"

/* The context comes first, so that what a macro calls can find the engine. */
struct training {
    lh_ctx ctx;
    lh_host host;
    lh__engine *engine;
    lh__error err;
};

static lh_optimizer *host_optimizer(lh_ctx *c, const lh_optimizer_options *o) {
    return lh__optimizer_new(((struct training *)c)->engine, o);
}

static lh_status host_param_group(lh_ctx *c, lh_optimizer *opt, const lh_optimizer_options *o) {
    return lh__optimizer_add_group(opt, o);
}

static lh_status host_scheduler(lh_ctx *c, lh_optimizer *opt, const lh_scheduler_options *o) {
    return lh__scheduler_new(opt, o) ? LH_OK : ((struct training *)c)->err.code;
}

static int32_t host_group_count(lh_ctx *c, const lh_optimizer *opt) {
    return lh__group_count(opt);
}

static double host_group_get(lh_ctx *c, const lh_optimizer *opt, int32_t group, const char *key) {
    return lh__group_get(opt, group, key);
}

static lh_status host_group_set(lh_ctx *c, lh_optimizer *opt, int32_t group, const char *key,
                                double value) {
    return lh__group_set(opt, group, key, value);
}

/* An engine without parameters yet. Freed by training_end. */
static inline struct training *training_begin(const char *device, int32_t dtype) {
    const lh__engine_options o = {.device = device, .threads = 1, .dtype = dtype, .seed = 1};
    struct training *t = calloc(1, sizeof *t);

    t->host = (lh_host){.struct_size = sizeof t->host,
                        .optimizer = host_optimizer,
                        .param_group = host_param_group,
                        .scheduler = host_scheduler,
                        .group_count = host_group_count,
                        .group_get = host_group_get,
                        .group_set = host_group_set};
    t->ctx.host = &t->host;
    t->engine = lh__engine_new(&o, &t->err);
    cr_assert(t->engine, "%s", t->err.text);
    lh__engine_set_error(t->engine, &t->err);
    return t;
}

static inline void training_end(struct training *t) {
    lh__engine_free(t->engine);
    free(t);
}

/* A parameter of n elements of the engine's dtype (dtype 0) or another, all `value`. */
static inline lh__param *add_param(struct training *t, const char *name, int32_t dtype, int64_t n,
                                   double value) {
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_CONSTANT, .a = value};

    cr_assert(lh__param_new(t->engine, name, dtype, 1, &n, &init), "%s", t->err.text);
    return lh__param_find(t->engine, name);
}

static inline double element(const lh__view *v, int64_t i) {
    return v->dtype == LH_F64 ? ((const double *)v->data)[i] : ((const float *)v->data)[i];
}

static inline void set_element(const lh__view *v, int64_t i, double value) {
    if (v->dtype == LH_F64)
        ((double *)v->data)[i] = value;
    else
        ((float *)v->data)[i] = (float)value;
}

static inline double value_at(const lh__param *p, int64_t i) {
    return element(&p->tensor.view, i);
}

/* What backward leaves behind. */
static inline void give_grad(lh__param *p, const void *data) {
    memcpy(p->grad.data, data, (size_t)(lh__view_numel(&p->grad) * lh__dtype_size(p->grad.dtype)));
    p->has_grad = 1;
}

static inline void fill_grad(lh__param *p, double value) {
    for (int64_t i = 0; i < lh__view_numel(&p->grad); i++)
        set_element(&p->grad, i, value);
    p->has_grad = 1;
}

/* ---- Golden files: safetensors, https://github.com/huggingface/safetensors#format */

struct golden {
    char *data, *bytes;
    json_t *header, *about; /* about: the JSON of the metadata, NULL if there is none */
};

static inline struct golden golden_open_path(const char *path) {
    struct golden g;
    const char *about;
    uint64_t size;
    long end;
    FILE *f;

    f = fopen(path, "rb");
    cr_assert(f, "%s is missing", path);
    fseek(f, 0, SEEK_END);
    end = ftell(f);
    rewind(f);
    g.data = malloc((size_t)end);
    cr_assert_eq(fread(g.data, 1, (size_t)end, f), (size_t)end);
    fclose(f);
    memcpy(&size, g.data, sizeof size);
    g.bytes = g.data + sizeof size + size;
    g.header = json_loadb(g.data + sizeof size, (size_t)size, 0, NULL);
    about = json_string_value(json_object_get(json_object_get(g.header, "__metadata__"), "about"));
    g.about = about ? json_loads(about, 0, NULL) : NULL;
    cr_assert(g.header);
    return g;
}

static inline struct golden golden_open(const char *name) {
    char path[1024];

    snprintf(path, sizeof path, "%s/%s.safetensors", GOLDEN_DIR, name);
    return golden_open_path(path);
}

static inline void golden_close(struct golden *g) {
    json_decref(g->header);
    json_decref(g->about);
    free(g->data);
}

/* Where the tensor of that name begins (the files hold F32 and F64, aligned to 8). */
static inline const void *golden_tensor(const struct golden *g, const char *name) {
    const json_t *offsets = json_object_get(json_object_get(g->header, name), "data_offsets");

    cr_assert(offsets, "no tensor %s", name);
    return g->bytes + json_integer_value(json_array_get(offsets, 0));
}

/* A number, or 1 and 0 for true and false. */
static inline double json_value(const json_t *v) {
    return json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
}

#endif
