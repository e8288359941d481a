/* precision.h - mixed precision: how products are taken, and loss scaling.
 *
 * Scaling is that of torch.amp.GradScaler with its defaults, at the places where Lightning has it:
 * the loss is multiplied before backward; an optimizer's gradients are divided before its
 * on_before_optimizer_step, if there is one, else by its update; an update with a gradient that is
 * not finite does not happen, though it counts as a step; then the scale is halved, or doubled
 * after 2000 updates in a row that did happen. Invariant: the scale changes between batches only,
 * so all gradients of a batch have the same one. Without `16-mixed` every function here does
 * nothing.
 */
#ifndef LH_TRAINER_PRECISION_H
#define LH_TRAINER_PRECISION_H

#include "engine/optimizer.h"
#include "trainer/options.h"

struct lh__trainer;

enum { LH__SCALED_OPTIMIZERS = 64 }; /* at most */

typedef struct lh__scaler {
    int32_t is_on;
    float scale;
    int64_t tracker; /* batches with updates since the scale last changed */
    /* Since the scale was last updated: optimizers, as bits, whose gradients are divided already;
     * of these, those with gradients that are not finite; whether there was any of both. */
    uint64_t unscaled, overflowed;
    int32_t is_due, found_inf;
    lh_tensor *squares[LH__SCALED_OPTIMIZERS]; /* what updates of this batch hang on; or NULL */
} lh__scaler;

/* What the options ask of the engine. */
lh__products lh__precision_products(const lh__options *o);

/* Once the optimizers are there. */
lh_status lh__scaler_start(struct lh__trainer *t);

/* The loss times the scale; the loss itself without scaling. NULL on an error. */
lh_tensor *lh__scaler_scale(struct lh__trainer *t, lh_tensor *loss);

/* Divides the optimizer's gradients, unless that was done since its last step. */
void lh__scaler_unscale(struct lh__trainer *t, lh_optimizer *opt);

/* 0 if the optimizer may not step: its gradients were divided and are not finite. Those that
 * nobody has divided are by the update itself, whose terms this sets, and which hangs on their
 * being finite: no pass over them of its own. The next gradients count anew. */
int32_t lh__scaler_may_step(struct lh__trainer *t, lh_optimizer *opt, lh__terms *terms);

/* At the end of a batch. An error once the scale is 0: nothing ever was finite. */
lh_status lh__scaler_update(struct lh__trainer *t);

/* Its part of a checkpoint, "MixedPrecision". */
void lh__scaler_save(const lh__scaler *s, json_t *meta);
lh_status lh__scaler_load(struct lh__trainer *t, const json_t *meta);

#endif
