/* clip.c - the norm of gradients and clipping them, of optimizer.h.
 *
 * Invariant: the norm is the root of a sum in double over runs of neighbours, in the order of the
 * flat buffers, and so the same for any number of threads. Clipping writes to gradients only, never
 * to the gaps between them: a factor that is NaN must not outlive the step.
 */
#include <math.h>

#include "engine/optimizer.h"
#include "engine/state.h"

static int64_t count_of(const lh__engine *e, const lh_optimizer *opt) {
    return opt ? lh__optimizer_param_count(opt) : lh__param_count(e);
}

/* Parameter i, about in the order of the flat buffers (last declared first), or NULL when it has
 * no gradient. */
static const lh__param *graded(const lh__engine *e, const lh_optimizer *opt, int64_t i) {
    const lh__param *p =
        opt ? lh__optimizer_param(opt, i) : lh__param_at(e, lh__param_count(e) - 1 - i);

    return p->is_buffer || !p->has_grad ? NULL : p;
}

/* Gradients from `first` on, `n` elements with the zeros between them. */
struct run {
    const lh__param *first;
    int64_t n;
};

static double run_squares(const lh__engine *e, const struct run *run) {
    if (!run->first || run->n == 0)
        return 0;
    return e->device->sum_squares(run->first->grad.dtype, run->first->grad.data, run->n, e->pool);
}

/* Appends p to the run when only a gap of placement (under 16 elements) lies between. */
static int extend(struct run *run, const lh__param *p) {
    int64_t gap = run->first ? p->offset - run->first->offset - run->n : -1;

    if (gap < 0 || gap >= 16 || p->grad.dtype != run->first->grad.dtype)
        return 0;
    run->n += gap + lh__view_numel(&p->grad);
    return 1;
}

double lh__grad_norm(lh__engine *e, const lh_optimizer *opt) {
    struct run run = {NULL, 0};
    double sum = 0;

    if (lh__settle(e) != LH_OK)
        return NAN;
    for (int64_t i = 0, n = count_of(e, opt); i < n; i++) {
        const lh__param *p = graded(e, opt, i);

        if (!p || extend(&run, p))
            continue;
        sum += run_squares(e, &run);
        run = (struct run){p, lh__view_numel(&p->grad)};
    }
    return sqrt(sum + run_squares(e, &run));
}

void lh__grad_scale(lh__engine *e, const lh_optimizer *opt, double factor) {
    for (int64_t i = 0, n = lh__settle(e) == LH_OK ? count_of(e, opt) : 0; i < n; i++) {
        const lh__param *p = graded(e, opt, i);

        if (p)
            e->device->scale(p->grad.dtype, p->grad.data, lh__view_numel(&p->grad), factor,
                             e->pool);
    }
}

double lh__clip_coef(double norm, double max_norm) {
    double coef = max_norm / (norm + 1e-6);

    return coef > 1 ? 1 : coef;
}

double lh__clip_grad_norm(lh__engine *e, const lh_optimizer *opt, double max_norm) {
    double norm = lh__grad_norm(e, opt), coef = lh__clip_coef(norm, max_norm);

    if (coef != 1)
        lh__grad_scale(e, opt, coef);
    return norm;
}

void lh__clip_grad_value(lh__engine *e, const lh_optimizer *opt, double value) {
    for (int64_t i = 0, n = lh__settle(e) == LH_OK ? count_of(e, opt) : 0; i < n; i++) {
        const lh__param *p = graded(e, opt, i);

        if (p)
            e->device->clamp(p->grad.dtype, p->grad.data, lh__view_numel(&p->grad), -value, value,
                             e->pool);
    }
}
