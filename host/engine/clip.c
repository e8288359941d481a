/* clip.c - the norm of gradients and clipping them, of optimizer.h.
 *
 * Invariant: the norm is the root of a sum in double over runs of neighbours, in the order of the
 * flat buffers, and so the same for any number of threads. Clipping writes to gradients only, never
 * to the gaps between them: a factor that is NaN must not outlive the step.
 */
#include <math.h>

#include "engine/optimizer.h"
#include "engine/state.h"
#include "kernels/update.h"
#include "kernels/view.h"

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

/* An F64 that a call will make. */
static lh_tensor *number_to_come(lh__engine *e) {
    lh_tensor *t = lh__tensor_alloc(e);

    if (!t)
        return NULL;
    t->view = (lh__view){.dtype = LH_F64};
    t->view.data = e->options.deferred ? lh__result(e, sizeof(double), &t->value)
                                       : lh__arena_alloc(&e->arena, sizeof(double));
    return t->view.data ? t : NULL;
}

/* total, if there is one, + the sum of the run's squares, an F64. */
static lh_tensor *add_squares(lh__engine *e, const struct run *run, lh_tensor *total) {
    const lh__view *grad = run->first ? &run->first->grad : NULL;
    const lh__view x = lh__line(grad ? grad->dtype : LH_F32, grad ? grad->data : NULL, run->n);
    const lh__view *in[] = {&x, total ? &total->view : NULL};
    lh__kernel_call call = {.op = LH__OP_SQUARES, .n_in = total ? 2 : 1, .in = in, .pool = e->pool};
    int32_t values[3] = {0};
    lh_tensor *sum = number_to_come(e);

    if (!sum)
        return NULL;
    if (total)
        values[1] = total->value;
    values[call.n_in] = sum->value;
    call.out = &sum->view;
    return lh__invoke(e, &call, values, 0) == LH_OK ? sum : NULL;
}

/* Appends p to the run when only a gap of placement (under 16 elements) lies between. */
static int extend(struct run *run, const lh__param *p) {
    int64_t gap = run->first ? p->offset - run->first->offset - run->n : -1;

    if (gap < 0 || gap >= 16 || p->grad.dtype != run->first->grad.dtype)
        return 0;
    run->n += gap + lh__view_numel(&p->grad);
    return 1;
}

lh_tensor *lh__grad_squares(lh__engine *e, const lh_optimizer *opt) {
    struct run run = {NULL, 0};
    lh_tensor *total = NULL;

    for (int64_t i = 0, n = count_of(e, opt); i < n; i++) {
        const lh__param *p = graded(e, opt, i);

        if (!p || extend(&run, p))
            continue;
        if (run.first && !(total = add_squares(e, &run, total)))
            return NULL;
        run = (struct run){p, lh__view_numel(&p->grad)};
    }
    return add_squares(e, &run, total);
}

double lh__grad_norm(lh__engine *e, const lh_optimizer *opt) {
    lh_tensor *squares = lh__grad_squares(e, opt);

    return squares ? sqrt(lh__item(e, squares)) : NAN;
}

/* An elementwise operator on each gradient, in place. A call that finds no memory shows when calls
 * are run. */
static void apply(lh__engine *e, const lh_optimizer *opt, uint32_t op, int32_t n_reals,
                  const double *reals) {
    for (int64_t i = 0, n = count_of(e, opt); i < n; i++) {
        const lh__param *p = graded(e, opt, i);
        const lh__view *in[] = {p ? &p->grad : NULL};

        if (p)
            lh__invoke(e,
                       &(lh__kernel_call){.op = op,
                                          .n_in = 1,
                                          .n_reals = n_reals,
                                          .in = in,
                                          .out = &p->grad,
                                          .reals = reals,
                                          .pool = e->pool},
                       (int32_t[]){0, 0}, 0);
    }
}

void lh__grad_scale(lh__engine *e, const lh_optimizer *opt, double factor) {
    apply(e, opt, LH_OP_MUL_SCALAR, 1, &factor);
}

double lh__clip_grad_norm(lh__engine *e, const lh_optimizer *opt, double max_norm) {
    double norm = lh__grad_norm(e, opt), coef = lh__clip_coef(norm, max_norm);

    if (coef != 1)
        lh__grad_scale(e, opt, coef);
    return norm;
}

void lh__clip_grad_value(lh__engine *e, const lh_optimizer *opt, double value) {
    apply(e, opt, LH_OP_CLAMP, 2, (const double[]){-value, value});
}
