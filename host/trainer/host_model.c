/* host_model.c - parameters, tensors, operators, optimizers, as plugins call them. */
#include "trainer/host_table.h"

#include <math.h>
#include <string.h>

/* In which hook an object may be made; elsewhere it is an error that says so. */
static int only_in(lh_ctx *c, lh__hook hook, const char *what) {
    lh__instance *i = lh__of(c);

    if (i->table == LH__TABLE_MODULE && i->hook == hook)
        return 1;
    lh__fail(&i->error, LH_ESTATE, "%s is made in %s of the module only", what,
             lh__hooks[hook].name);
    return 0;
}

static lh_tensor *param(lh_ctx *c, const char *name, int32_t dtype, int32_t ndim,
                        const int64_t *shape, const lh_init *init) {
    if (!only_in(c, LH__HOOK_configure_model, "a parameter"))
        return NULL;
    return lh__param_new(LH__ENGINE(c), name, dtype, ndim, shape, init);
}

static lh_tensor *buffer(lh_ctx *c, const char *name, int32_t dtype, int32_t ndim,
                         const int64_t *shape, double fill) {
    if (!only_in(c, LH__HOOK_configure_model, "a buffer"))
        return NULL;
    return lh__buffer_new(LH__ENGINE(c), name, dtype, ndim, shape, fill);
}

static int64_t param_count(lh_ctx *c) {
    return lh__param_count(LH__ENGINE(c));
}

static lh_tensor *param_at(lh_ctx *c, int64_t i) {
    lh__engine *e = LH__ENGINE(c);

    return i >= 0 && i < lh__param_count(e) ? &lh__param_at(e, i)->tensor : NULL;
}

static const char *param_name(lh_ctx *c, int64_t i) {
    lh__engine *e = LH__ENGINE(c);

    return i >= 0 && i < lh__param_count(e) ? lh__param_at(e, i)->name : NULL;
}

static int64_t set_requires_grad(lh_ctx *c, const char *glob, int32_t on) {
    int64_t n = lh__params_require_grad(LH__ENGINE(c), glob, on);

    if (n == 0)
        lh__fail(&lh__of(c)->error, LH_ENOTFOUND, "no parameter matches \"%s\"", glob);
    return n;
}

static void set_training(lh_ctx *c, int32_t on) {
    lh__set_training(LH__ENGINE(c), on);
}

static lh_tensor *op(lh_ctx *c, const lh_op_call *call) {
    return lh__op(LH__ENGINE(c), call);
}

static lh_tensor *tensor(lh_ctx *c, int32_t dtype, int32_t ndim, const int64_t *shape,
                         const void *data) {
    return lh__tensor_new(LH__ENGINE(c), dtype, ndim, shape, data);
}

static lh_status tensor_info(lh_ctx *c, const lh_tensor *t, lh_tensor_info *info) {
    lh_tensor_info full = {.struct_size = info->struct_size};
    size_t size = info->struct_size < sizeof full ? info->struct_size : sizeof full;

    if (!t)
        return LH_EINVAL;
    full.dtype = t->view.dtype;
    full.ndim = t->view.ndim;
    full.requires_grad = t->requires_grad;
    full.numel = lh__view_numel(&t->view);
    memcpy(full.shape, t->view.shape, sizeof full.shape);
    memcpy(info, &full, size);
    return LH_OK;
}

static double item(lh_ctx *c, const lh_tensor *t) {
    return t ? lh__item(LH__ENGINE(c), t) : NAN;
}

static lh_status read_tensor(lh_ctx *c, const lh_tensor *t, void *dst, uint64_t size) {
    return t ? lh__tensor_read(LH__ENGINE(c), t, dst, size) : LH_EINVAL;
}

static lh_status write_tensor(lh_ctx *c, lh_tensor *t, const void *src, uint64_t size) {
    return t ? lh__tensor_write(LH__ENGINE(c), t, src, size) : LH_EINVAL;
}

static lh_status assign(lh_ctx *c, lh_tensor *dst, const lh_tensor *src) {
    return dst && src ? lh__tensor_assign(LH__ENGINE(c), dst, src) : LH_EINVAL;
}

static int32_t set_grad_enabled(lh_ctx *c, int32_t on) {
    return lh__set_grad_enabled(LH__ENGINE(c), on);
}

/* By hand the loss is scaled here; else that of the `backward` hook is scaled already. */
static lh_status backward(lh_ctx *c, lh_tensor *loss, int32_t retain_graph) {
    lh__trainer *t = lh__of(c)->trainer;
    const lh_module *module = t->cast.module->hooks;
    double scale = t->scaler.is_on && module->manual_optimization ? (double)t->scaler.scale : 1;

    return loss ? lh__backward(LH__ENGINE(c), loss, scale, retain_graph) : LH_EINVAL;
}

static lh_tensor *grad_of(lh_ctx *c, lh_tensor *loss, lh_tensor *x, int32_t create_graph) {
    return lh__grad_of(LH__ENGINE(c), loss, x, create_graph);
}

static lh_tensor *grad(lh_ctx *c, lh_tensor *t) {
    lh__param *p = t ? t->param : NULL;

    if (!p || p->is_buffer || !p->has_grad)
        return NULL;
    return lh__tensor_wrap(LH__ENGINE(c), p->grad.dtype, p->grad.ndim, p->grad.shape, p->grad.data);
}

static lh_optimizer *optimizer(lh_ctx *c, const lh_optimizer_options *o) {
    if (!only_in(c, LH__HOOK_configure_optimizers, "an optimizer"))
        return NULL;
    return lh__optimizer_new(LH__ENGINE(c), o);
}

static lh_status param_group(lh_ctx *c, lh_optimizer *opt, const lh_optimizer_options *o) {
    return opt ? lh__optimizer_add_group(opt, o) : LH_EINVAL;
}

static lh_status scheduler(lh_ctx *c, lh_optimizer *opt, const lh_scheduler_options *o) {
    if (!opt || !only_in(c, LH__HOOK_configure_optimizers, "a learning-rate schedule"))
        return LH_ESTATE;
    return lh__scheduler_new(opt, o) ? LH_OK : LH_EINVAL;
}

static lh_optimizer *optimizer_at(lh_ctx *c, int32_t i) {
    lh__engine *e = LH__ENGINE(c);

    return i >= 0 && i < lh__optimizer_count(e) ? lh__optimizer_at(e, i) : NULL;
}

/* In automatic optimization the update belongs to the batch under way. */
static lh_status optimizer_step(lh_ctx *c, lh_optimizer *opt) {
    lh__instance *i = lh__of(c);
    const lh_module *module = i->trainer->cast.module->hooks;

    if (!opt)
        return LH_EINVAL;
    if (!module->manual_optimization && i->hook != LH__HOOK_optimizer_step)
        return lh__fail(&i->error, LH_ESTATE,
                        "lh_optimizer_step: in the optimizer_step hook only, or set "
                        ".manual_optimization = 1");
    return lh__step_optimizer(i->trainer, opt);
}

static lh_status zero_grad(lh_ctx *c, lh_optimizer *opt) {
    if (opt)
        lh__optimizer_zero_grad(opt);
    else
        lh__params_zero_grad(LH__ENGINE(c));
    return LH_OK;
}

static lh_status toggle_optimizer(lh_ctx *c, lh_optimizer *opt, int32_t on) {
    if (!opt)
        return LH_EINVAL;
    lh__optimizer_toggle(opt, on);
    return LH_OK;
}

static lh_status scheduler_step(lh_ctx *c, int32_t i, double metric) {
    lh__engine *e = LH__ENGINE(c);

    if (i < 0 || i >= lh__scheduler_count(e))
        return lh__fail(&lh__of(c)->error, LH_EINVAL, "there is no schedule %d: the module has %d",
                        (int)i, (int)lh__scheduler_count(e));
    return lh__scheduler_step(lh__scheduler_at(e, i), metric);
}

static lh_status clip_gradients(lh_ctx *c, lh_optimizer *opt, double value, int32_t by_value) {
    return lh__clip(lh__of(c)->trainer, opt, value, by_value);
}

static int32_t group_count(lh_ctx *c, const lh_optimizer *opt) {
    return opt ? lh__group_count(opt) : 0;
}

static double group_get(lh_ctx *c, const lh_optimizer *opt, int32_t group, const char *key) {
    return opt ? lh__group_get(opt, group, key) : NAN;
}

static lh_status group_set(lh_ctx *c, lh_optimizer *opt, int32_t group, const char *key,
                           double value) {
    return opt ? lh__group_set(opt, group, key, value) : LH_EINVAL;
}

static const char *optimizer_name(lh_ctx *c, const lh_optimizer *opt) {
    return opt ? lh__optimizer_name(opt) : "";
}

static int32_t scheduler_of(lh_ctx *c, const lh_optimizer *opt, int32_t i, const char **name,
                            int32_t *interval) {
    lh__engine *e = LH__ENGINE(c);

    for (int32_t k = 0; k < lh__scheduler_count(e); k++) {
        lh__scheduler *s = lh__scheduler_at(e, k);

        if (lh__scheduler_optimizer(s) != opt || i-- != 0)
            continue;
        *name = lh__scheduler_options_of(s)->name;
        *interval = (int32_t)lh__scheduler_options_of(s)->interval;
        return 1;
    }
    return 0;
}

void lh__host_model(lh_host *h) {
    h->param = param;
    h->buffer = buffer;
    h->param_count = param_count;
    h->param_at = param_at;
    h->param_name = param_name;
    h->set_requires_grad = set_requires_grad;
    h->set_training = set_training;
    h->op = op;
    h->tensor = tensor;
    h->tensor_info = tensor_info;
    h->item = item;
    h->read = read_tensor;
    h->write = write_tensor;
    h->assign = assign;
    h->set_grad_enabled = set_grad_enabled;
    h->backward = backward;
    h->grad = grad;
    h->grad_of = grad_of;
    h->optimizer = optimizer;
    h->param_group = param_group;
    h->scheduler = scheduler;
    h->optimizer_at = optimizer_at;
    h->optimizer_step = optimizer_step;
    h->zero_grad = zero_grad;
    h->toggle_optimizer = toggle_optimizer;
    h->scheduler_step = scheduler_step;
    h->clip_gradients = clip_gradients;
    h->group_count = group_count;
    h->group_get = group_get;
    h->group_set = group_set;
    h->optimizer_name = optimizer_name;
    h->scheduler_of = scheduler_of;
}
