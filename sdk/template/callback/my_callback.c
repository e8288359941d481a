/* my_callback.c - says when a metric is better than ever: the smallest callback that keeps state.
 *
 *     make
 *     lhost inspect my_callback.so
 *     lhost run --model model.so --callback ./my_callback.so:monitor=val_loss
 */
#include <lhost/lhost.h>

/* What one instance remembers. The host allocates it, zeroed, and frees it. */
struct my_callback {
    double best;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("monitor", "val_loss", "metric to watch; lower is better"),
};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    ((struct my_callback *)self)->best = INFINITY;
    return LH_OK;
}

static lh_status on_validation_end(lh_ctx *c, void *self) {
    struct my_callback *m = self;
    const char *monitor = lh_hparam_text(c, "monitor");
    double value = lh_metric(c, monitor);

    if (!lh_int(c, LH_SANITY_CHECKING) && value < m->best) {
        m->best = value;
        lh_print(c, LH_INFO, "epoch %lld: best %s so far, %g", (long long)lh_current_epoch(c),
                 monitor, value);
    }
    return LH_OK;
}

/* Checkpoints keep the best value, so that a resumed run goes on from it. */
static lh_status state_dict(lh_ctx *c, void *self) {
    return lh_state_put(c, "best", ((struct my_callback *)self)->best);
}

static lh_status load_state_dict(lh_ctx *c, void *self) {
    lh_state_get(c, "best", &((struct my_callback *)self)->best);
    return LH_OK;
}

LH_EXPORT_CALLBACK("my-callback", "0.1.0",
    .state_size = sizeof(struct my_callback),
    LH_HPARAMS(hparams),
    .state_key = "monitor",
    .setup = setup,
    .on_validation_end = on_validation_end,
    .state_dict = state_dict,
    .load_state_dict = load_state_dict);
