/* params.c - declaration of parameters and buffers, and their flat layout.
 *
 * Until seal each has memory of its own, so that a model may already read and write it.
 */
#include "engine/params.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state.h"

enum { ALIGNMENT = 64, GRAIN = 16 }; /* bytes; elements */

/* Zeroed; never NULL for 0 bytes. */
static void *alloc_aligned(int64_t bytes) {
    size_t size = ((size_t)bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *p = aligned_alloc(ALIGNMENT, size);

    if (p)
        memset(p, 0, size);
    return p;
}

/* In the flat buffer the data are not the parameter's own. */
static int32_t owns_data(const lh__engine *e, const lh__param *p) {
    return !e->sealed || p->is_buffer;
}

static void free_param(lh__param *p) {
    free(p->name);
    free(p);
}

void lh__params_free(lh__engine *e) {
    while (e->params.count > 0) {
        lh__param *p = e->params.items[--e->params.count];

        if (owns_data(e, p))
            free(p->tensor.view.data);
        free_param(p);
    }
    free(e->params.items);
    e->params = (lh__list){0};
    for (int32_t d = 0; d < 2; d++) {
        free(e->flat[d].data);
        free(e->flat[d].grad);
    }
}

/* A parameter or buffer on the list, zeroed. */
static lh__param *declare(lh__engine *e, const char *what, const char *name, int32_t dtype,
                          int32_t ndim, const int64_t *shape) {
    lh__param *p = NULL;
    int64_t bytes;

    if (e->sealed) {
        lh__fail(e->err, LH_ESTATE,
                 "%s %s: declared too late; declare it when the model is "
                 "configured",
                 what, name ? name : "");
        return NULL;
    }
    if (!name || !*name) {
        lh__fail(e->err, LH_EINVAL, "%s: needs a name", what);
        return NULL;
    }
    if (lh__param_find(e, name)) {
        lh__fail(e->err, LH_EINVAL, "%s %s: there is one of this name already", what, name);
        return NULL;
    }
    p = calloc(1, sizeof *p);
    if (!p || lh__view_init(e, &p->tensor.view, dtype, ndim, shape, &bytes) != LH_OK)
        goto fail;
    p->name = strdup(name);
    p->tensor.view.data = alloc_aligned(bytes);
    p->tensor.param = p->tensor.base = p;
    if (!p->name || !p->tensor.view.data || lh__list_add(&e->params, p) != LH_OK)
        goto fail;
    return p;
fail:
    lh__fail(e->err, LH_ENOMEM, "%s %s: out of memory", what, name);
    lh__error_prefix(e->err, "%s %s", what, name);
    if (p) {
        free(p->tensor.view.data);
        free_param(p);
    }
    return NULL;
}

/* Undoes declare() of the newest. */
static void withdraw(lh__engine *e) {
    lh__param *p = e->params.items[--e->params.count];

    free(p->tensor.view.data);
    free_param(p);
}

/* FNV-1a, 64 bits. */
static uint64_t hash_name(const char *name) {
    uint64_t hash = 0xcbf29ce484222325ull;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
    return hash;
}

lh_tensor *lh__param_new(lh__engine *e, const char *name, int32_t dtype, int32_t ndim,
                         const int64_t *shape, const lh_init *init) {
    static const lh_init zeros = {.kind = LH_INIT_CONSTANT};
    lh__param *p;
    lh__philox_key key;

    dtype = dtype ? dtype : e->options.dtype;
    if (dtype != LH_F32 && dtype != LH_F64) {
        lh__fail(e->err, LH_EDTYPE,
                 "parameter %s: only float32 and float64 can be trained; declare "
                 "a buffer",
                 name ? name : "");
        return NULL;
    }
    p = declare(e, "parameter", name, dtype, ndim, shape);
    if (!p)
        return NULL;
    key = (lh__philox_key){e->options.seed, (uint64_t)LH__PHASE_INIT << 32, hash_name(name)};
    if (lh__init_fill(init ? init : &zeros, key, &p->tensor.view, e->device, e->pool, e->err) !=
        LH_OK) {
        lh__error_prefix(e->err, "parameter %s", name);
        withdraw(e);
        return NULL;
    }
    p->tensor.requires_grad = 1;
    return &p->tensor;
}

lh_tensor *lh__buffer_new(lh__engine *e, const char *name, int32_t dtype, int32_t ndim,
                          const int64_t *shape, double fill) {
    lh__param *p = declare(e, "buffer", name, dtype ? dtype : e->options.dtype, ndim, shape);

    if (!p)
        return NULL;
    p->is_buffer = 1;
    e->device->kernels[LH_OP_FULL](&(lh__kernel_call){
        .op = LH_OP_FULL, .n_reals = 1, .out = &p->tensor.view, .reals = &fill, .pool = e->pool});
    return &p->tensor;
}

/* Places for all parameters, the last declared first. */
static void lay_out(lh__engine *e) {
    for (int64_t i = e->params.count - 1; i >= 0; i--) {
        lh__param *p = e->params.items[i];
        lh__flat *flat = &e->flat[p->tensor.view.dtype == LH_F64];

        if (p->is_buffer)
            continue;
        p->offset = flat->numel;
        flat->numel += (lh__view_numel(&p->tensor.view) + GRAIN - 1) / GRAIN * GRAIN;
    }
}

lh_status lh__params_seal(lh__engine *e) {
    if (e->sealed)
        return lh__fail(e->err, LH_ESTATE, "the parameters are laid out already");
    if (lh__settle(e) != LH_OK)
        return LH_ENOMEM;
    lay_out(e);
    for (int32_t d = 0; d < 2; d++) {
        int64_t bytes = e->flat[d].numel * (d ? 8 : 4);

        e->flat[d].data = alloc_aligned(bytes);
        e->flat[d].grad = alloc_aligned(bytes);
        if (!e->flat[d].data || !e->flat[d].grad)
            return lh__fail(e->err, LH_ENOMEM,
                            "no memory for parameters of %lld bytes and their "
                            "gradients",
                            (long long)bytes);
    }
    for (int64_t i = 0; i < e->params.count; i++) {
        lh__param *p = e->params.items[i];
        lh__view *v = &p->tensor.view;
        int64_t size = lh__dtype_size(v->dtype);
        lh__flat *flat = &e->flat[v->dtype == LH_F64];
        void *own = v->data;

        if (p->is_buffer)
            continue;
        v->data = (char *)flat->data + p->offset * size;
        memcpy(v->data, own, (size_t)(lh__view_numel(v) * size));
        free(own);
        p->grad = *v;
        p->grad.data = (char *)flat->grad + p->offset * size;
    }
    e->sealed = 1;
    lh__step_begin(e, (int32_t)e->phase, e->step);
    return LH_OK;
}

int64_t lh__param_count(const lh__engine *e) {
    return e->params.count;
}

lh__param *lh__param_at(const lh__engine *e, int64_t i) {
    return i >= 0 && i < e->params.count ? e->params.items[i] : NULL;
}

lh__param *lh__param_find(const lh__engine *e, const char *name) {
    for (int64_t i = 0; i < e->params.count; i++)
        if (strcmp(((lh__param *)e->params.items[i])->name, name) == 0)
            return e->params.items[i];
    return NULL;
}

int64_t lh__params_require_grad(lh__engine *e, const char *glob, int32_t on) {
    int64_t matched = 0;

    for (int64_t i = 0; i < e->params.count; i++) {
        lh__param *p = e->params.items[i];

        if (p->is_buffer || fnmatch(glob, p->name, 0) != 0)
            continue;
        p->tensor.requires_grad = on != 0;
        matched++;
    }
    return matched;
}

void lh__param_overwritten(lh__engine *e, lh__param *p) {
    p->written = ++e->writes;
}

void lh__params_zero_grad(lh__engine *e) {
    for (int64_t i = 0; i < e->params.count; i++)
        ((lh__param *)e->params.items[i])->has_grad = 0;
}
