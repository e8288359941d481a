/* host_meter.c - meters, as plugins call them. */
#include "kernels/view.h"
#include "trainer/host_table.h"

#include <stdio.h>

#define ERROR(c) (&lh__of(c)->error)

static lh_meter *meter(lh_ctx *c, const lh_meter_options *options) {
    lh__instance *i = lh__of(c);
    lh_meter_options o;
    char key[800];
    lh_meter *m;

    lh__known(&o, sizeof o, options);
    if (i->hook != LH__HOOK_setup && i->hook != LH__HOOK_configure_model &&
        i->hook != LH__HOOK_configure_sharded_model) {
        lh__fail(ERROR(c), LH_ESTATE, "lh_meter \"%s\": only in setup and configure_model",
                 o.name ? o.name : "");
        return NULL;
    }
    snprintf(key, sizeof key, "%s.%s", i->key, o.name ? o.name : "");
    m = lh__meter_new(&o, key, ERROR(c));
    if (m && lh__meters_add(&i->trainer->meters, m, ERROR(c)) == LH_OK)
        return m;
    lh__meter_free(m);
    return NULL;
}

/* A meter that could not be made has left its error; LH_OK when there is one. */
static lh_status check(lh_ctx *c, const lh_meter *m, const char *function) {
    if (m)
        return LH_OK;
    return lh__fail(ERROR(c), LH_EINVAL, "%s: no meter was given", function);
}

/* The tensor as meters read it: contiguous, F32, F64 or I64, without history. */
static lh_tensor *readable(lh__engine *e, lh_tensor *x) {
    int32_t from = x->view.dtype;
    const int64_t to = from == LH_F64 ? LH_F64 : lh__dtype_is_real(from) ? LH_F32 : LH_I64;
    lh_op_call call = {LH_SIZED(lh_op_call),      .op = LH_OP_CAST, .n_inputs = 1, .n_ints = 1,
                       .file = "lh_meter_update", .inputs = &x,     .ints = &to};
    int32_t grad = lh__set_grad_enabled(e, 0);

    if (to != from)
        x = lh__op(e, &call);
    call.op = LH_OP_CONTIGUOUS;
    call.n_ints = 0;
    x = x ? lh__op(e, &call) : NULL;
    lh__set_grad_enabled(e, grad);
    return x;
}

static lh_status meter_update(lh_ctx *c, lh_meter *m, lh_tensor *scores, lh_tensor *target) {
    lh__trainer *t = lh__of(c)->trainer;
    lh_tensor *x, *y = NULL;

    if (ERROR(c)->code != LH_OK || check(c, m, "lh_meter_update") != LH_OK)
        return ERROR(c)->code;
    if (!scores)
        return lh__fail(ERROR(c), LH_EINVAL, "lh_meter_update: meter \"%s\" was given no tensor",
                        lh__meter_name(m));
    x = readable(t->engine, scores);
    if (!x || (target && !(y = readable(t->engine, target))))
        return ERROR(c)->code;
    return lh__look_update(t, lh__of(c), m, x, y);
}

static lh_tensor *meter_compute(lh_ctx *c, lh_meter *m) {
    lh__meter_value v;

    if (check(c, m, "lh_meter_compute") != LH_OK || lh__look_all(lh__of(c)->trainer) != LH_OK ||
        lh__meter_compute(m, &v, ERROR(c)) != LH_OK)
        return NULL;
    return lh__tensor_new(LH__ENGINE(c), v.dtype, v.ndim, v.shape, v.data);
}

static lh_status meter_reset(lh_ctx *c, lh_meter *m) {
    if (check(c, m, "lh_meter_reset") != LH_OK || lh__look_all(lh__of(c)->trainer) != LH_OK)
        return ERROR(c)->code;
    lh__meter_reset(m);
    return LH_OK;
}

static lh_status log_meter(lh_ctx *c, const char *name, lh_meter *m, uint32_t flags) {
    const lh_log_options o = {LH_SIZED(lh_log_options),
                              .flags = flags | LH_LOG_EPOCH | LH_LOG_STEP_OFF};

    if (check(c, m, "lh_log_meter") != LH_OK)
        return ERROR(c)->code;
    if (flags & (LH_LOG_STEP | LH_LOG_EPOCH_OFF))
        return lh__fail(ERROR(c), LH_EINVAL,
                        "lh_log_meter \"%s\": a meter is logged per epoch: drop LH_LOG_STEP and "
                        "LH_LOG_EPOCH_OFF; lh_log takes what lh_meter_compute gives",
                        name);
    return lh__log(lh__of(c), (lh__logged){.name = name, .meter = m, .options = &o}, NULL);
}

void lh__host_meter(lh_host *h) {
    h->meter = meter;
    h->meter_update = meter_update;
    h->meter_compute = meter_compute;
    h->meter_reset = meter_reset;
    h->log_meter = log_meter;
}
