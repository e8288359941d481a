/* precision.c - the scaler of precision.h. */
#include "trainer/precision.h"

#include "checkpoint/json.h"
#include "trainer/run.h"

#include <math.h>
#include <string.h>

enum { GROWTH_INTERVAL = 2000 };
static const float init_scale = 65536, growth_factor = 2, backoff_factor = 0.5f;

lh__products lh__precision_products(const lh__options *o) {
    if (strcmp(o->precision, "bf16-mixed") == 0)
        return LH__PRODUCTS_BF16;
    if (strcmp(o->precision, "16-mixed") == 0)
        return LH__PRODUCTS_F16;
    return strcmp(o->float32_matmul_precision, "high") == 0 ? LH__PRODUCTS_BF16X3
                                                            : LH__PRODUCTS_F32;
}

lh_status lh__scaler_start(lh__trainer *t) {
    if (strcmp(t->options->precision, "16-mixed") != 0)
        return LH_OK;
    if (lh__optimizer_count(t->engine) > LH__SCALED_OPTIMIZERS)
        return lh__run_fail(t, LH_EUNSUPPORTED, "precision 16-mixed: more than %d optimizers",
                            (int)LH__SCALED_OPTIMIZERS);
    t->scaler = (lh__scaler){.is_on = 1, .scale = init_scale};
    return LH_OK;
}

lh_tensor *lh__scaler_scale(lh__trainer *t, lh_tensor *loss) {
    const double factor = t->scaler.scale;
    const lh_op_call times = {LH_SIZED(lh_op_call), .op = LH_OP_MUL_SCALAR, .n_inputs = 1,
                              .n_reals = 1,         .file = "the trainer",  .inputs = &loss,
                              .reals = &factor};

    return t->scaler.is_on ? lh__op(t->engine, &times) : loss;
}

static uint64_t bit_of(const lh_optimizer *opt) {
    return UINT64_C(1) << lh__optimizer_index(opt);
}

/* As in torch, the reciprocal of the scale in f32 is what gradients are multiplied by. */
static double inverse(const lh__scaler *s) {
    return (float)(1 / (double)s->scale);
}

/* A sum of squares in f64 of f32 is finite if and only if they all are. */
void lh__scaler_unscale(lh__trainer *t, lh_optimizer *opt) {
    lh__scaler *s = &t->scaler;

    if (!s->is_on || s->unscaled & bit_of(opt))
        return;
    s->unscaled |= bit_of(opt);
    s->is_due = 1;
    lh__grad_scale(t->engine, opt, inverse(s));
    if (!isfinite(lh__grad_norm(t->engine, opt))) {
        s->overflowed |= bit_of(opt);
        s->found_inf = 1;
    }
}

/* Looks whether the gradients of an update that was put off are finite. */
static void look(lh__trainer *t, int32_t optimizer) {
    lh__scaler *s = &t->scaler;

    if (s->squares[optimizer] && !isfinite(lh__item(t->engine, s->squares[optimizer])))
        s->found_inf = 1;
    s->squares[optimizer] = NULL;
}

/* The update divides the gradients, and does not happen unless they are finite. */
static void put_off(lh__trainer *t, lh_optimizer *opt, lh__terms *terms) {
    lh__scaler *s = &t->scaler;
    const int32_t i = lh__optimizer_index(opt);

    look(t, i);
    s->is_due = 1;
    s->squares[i] = lh__grad_squares(t->engine, opt);
    lh__hold(t->engine, s->squares[i]);
    terms->scale = inverse(s);
    terms->squares = terms->guards[1] = s->squares[i];
}

int32_t lh__scaler_may_step(lh__trainer *t, lh_optimizer *opt, lh__terms *terms) {
    lh__scaler *s = &t->scaler;
    int32_t is_finite = !(s->overflowed & bit_of(opt));

    if (s->is_on && !(s->unscaled & bit_of(opt)))
        put_off(t, opt, terms);
    s->unscaled &= ~bit_of(opt);
    s->overflowed &= ~bit_of(opt);
    return is_finite;
}

/* torch._amp_update_scale_: growth beyond what f32 holds is left out. */
lh_status lh__scaler_update(lh__trainer *t) {
    lh__scaler *s = &t->scaler;

    if (!s->is_due)
        return LH_OK;
    for (int32_t i = 0; i < lh__optimizer_count(t->engine); i++)
        look(t, i);
    if (s->found_inf) {
        s->scale *= backoff_factor;
        s->tracker = 0;
    } else if (++s->tracker == GROWTH_INTERVAL) {
        s->scale = isfinite(s->scale * growth_factor) ? s->scale * growth_factor : s->scale;
        s->tracker = 0;
    }
    s->is_due = s->found_inf = 0;
    return s->scale > 0
               ? LH_OK
               : lh__run_fail(t, LH_ENAN,
                              "precision 16-mixed: the gradients are not finite, however small the "
                              "loss is scaled (epoch %lld, batch %lld): the data or the learning "
                              "rate; --trainer.detect_anomaly true names the operator",
                              (long long)lh__current_epoch(t), (long long)t->closure.batch_idx);
}

void lh__scaler_save(const lh__scaler *s, json_t *meta) {
    json_t *state = json_object();

    if (s->is_on) {
        lh__json_put_real(state, "scale", (double)s->scale);
        lh__json_put_real(state, "growth_factor", (double)growth_factor);
        lh__json_put_real(state, "backoff_factor", (double)backoff_factor);
        lh__json_put_int(state, "growth_interval", GROWTH_INTERVAL);
        lh__json_put_int(state, "_growth_tracker", s->tracker);
        json_object_set(meta, "MixedPrecision", state);
    }
    json_decref(state);
}

lh_status lh__scaler_load(lh__trainer *t, const json_t *meta) {
    const json_t *state = json_object_get(meta, "MixedPrecision");
    const char *precision = json_string_value(json_object_get(meta, "precision"));
    lh__scaler *s = &t->scaler;
    double scale;

    if (precision && strcmp(precision, t->options->precision) != 0)
        lh__say(t, LH_WARNING, "the checkpoint was made with precision %s, this run has %s",
                precision, t->options->precision);
    if (!s->is_on || !state)
        return LH_OK;
    if (lh__json_get_real(state, "scale", &scale, &t->failure) != LH_OK ||
        lh__json_get_int(state, "_growth_tracker", &s->tracker, &t->failure) != LH_OK)
        return lh__failed(t);
    if (!(scale > 0) || !isfinite((float)scale) || s->tracker < 0 || s->tracker >= GROWTH_INTERVAL)
        return lh__run_fail(t, LH_ECORRUPT, "MixedPrecision: scale %g, _growth_tracker %lld", scale,
                            (long long)s->tracker);
    s->scale = (float)scale;
    return LH_OK;
}
