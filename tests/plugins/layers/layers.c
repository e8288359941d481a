/* layers.c - every layer of nn.h, one case per run: for tests of names, shapes and initial values,
 * and of results and gradients against PyTorch's (tests/golden/layers.py has the same cases).
 *
 * With `golden` the case's weights come from that file, strictly by name, and so do x, y, r and the
 * gradients, as buffers; the one step then compares what it computes. Without it the step only
 * runs.
 */
#include "layers.h"
#include "../one_step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("case", "linear", "of the table"),
    LH_HPARAM_TEXT("golden", "", "the file to load and compare with"),
    LH_HPARAM_TEXT("weights", "", "a file to load weights from, in place of golden"),
    LH_HPARAM_TEXT("from", "", "how names in it begin"),
    LH_HPARAM_TEXT("to", "", "how they begin here"),
    LH_HPARAM_FLAG("strict", 1, "both sides have to match"),
    LH_HPARAM_INT("expect", -1, -1, 1000, "how many weights that loads"),
};

static lh_tensor *buffer(lh_ctx *c, const char *name, const int64_t *shape, int32_t dtype,
                         double fill) {
    int32_t ndim = 0;

    while (shape[ndim] >= 0)
        ndim++;
    return c->host->buffer(c, name, dtype, ndim, shape, fill);
}

/* Places for what golden says. */
static void expectations(lh_ctx *c, bench *b) {
    lh_tensor_info info = {LH_SIZED(lh_tensor_info)};
    int64_t n = c->host->param_count(c);

    for (int64_t i = 0; i < n; i++) {
        lh_tensor *p = c->host->param_at(c, i);

        if (c->host->tensor_info(c, p, &info) != LH_OK || !info.requires_grad)
            continue;
        b->params[b->n_params] = p;
        b->grads[b->n_params++] = c->host->buffer(
            c, lh_name(c, "grad.%s", c->host->param_name(c, i)), 0, info.ndim, info.shape, 0);
    }
    if (!b->t->is_index)
        b->grad_x = buffer(c, "grad.x", b->t->x, 0, 0);
    b->x = buffer(c, "x", b->t->x, b->t->is_index ? LH_I64 : 0, 1);
    b->y = buffer(c, "y", b->t->y, 0, 0);
    b->r = buffer(c, "r", b->t->y, 0, 0);
}

/* NULL: there is no such case. */
static const test_case *find(const char *name) {
    const test_case *tables[] = {feedforward_cases, sequence_cases, other_cases};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const test_case *t = tables[i]; t->name; t++)
            if (strcmp(t->name, name) == 0)
                return t;
    return NULL;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    bench *b = self;
    const char *name = lh_hparam_text(c, "case"), *golden = lh_hparam_text(c, "golden");
    const char *weights = lh_hparam_text(c, "weights");

    b->t = find(name);
    if (!b->t)
        return lh_fail(c, LH_ENOTFOUND, "there is no case %s", name);
    b->t->make(c, b);
    if (*golden) {
        expectations(c, b);
        lh_load_weights_from(c, golden, lh_name(c, "%s.", name), "", 1);
    }
    if (*weights) {
        int64_t n = lh_load_weights_from(c, weights, lh_hparam_text(c, "from"),
                                         lh_hparam_text(c, "to"), (int)lh_hparam(c, "strict"));

        if (n >= 0 && n != lh_hparam_int(c, "expect"))
            lh_fail(c, LH_EINVAL, "%d weights were loaded", (int)n);
    }
    if (b->t->is_bare)
        lh_param(c, "unused", NULL, 1); /* for the optimizer */
    return LH_OK;
}

/* `got` is `expected` to 1e-10 of its size, element by element. */
static void compare(lh_ctx *c, const char *what, lh_tensor *got, lh_tensor *expected) {
    size_t n = (size_t)lh_numel(c, expected);
    double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);

    if (!got)
        lh_fail(c, LH_EINVAL, "there is no %s", what);
    else if (c->host->read(c, got, a, n * sizeof *a) == LH_OK &&
             c->host->read(c, expected, b, n * sizeof *b) == LH_OK)
        for (size_t i = 0; i < n; i++)
            if (!(fabs(a[i] - b[i]) <= 1e-10 * (1 + fabs(b[i])))) {
                lh_fail(c, LH_ENAN, "%s: element %d is %.12g, PyTorch's is %.12g", what, (int)i,
                        a[i], b[i]);
                break;
            }
    free(a);
    free(b);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t idx) {
    bench *b = self;
    int is_golden = b->y != NULL;
    lh_tensor *x, *y, *loss;
    double ones[4096];

    for (int i = 0; i < 4096; i++)
        ones[i] = 1;
    if (is_golden) {
        x = b->t->is_index ? b->x : lh_require_grad(c, b->x);
    } else {
        int32_t ndim = 0;

        while (b->t->x[ndim] >= 0)
            ndim++;
        x = c->host->tensor(c, LH_F64, ndim, b->t->x, ones);
    }
    if (b->t->is_evaluation)
        lh_eval(c);
    y = b->t->apply(c, b, x);
    lh_train(c);
    if (!is_golden)
        return NULL;
    compare(c, "y", y, b->y);
    loss = lh_sum_all(c, lh_mul(c, y, b->r));
    if (b->grad_x)
        compare(c, "grad.x", lh_grad_of(c, loss, x, 0), b->grad_x);
    if (b->n_params)
        lh_backward(c, loss);
    for (int i = 0; i < b->n_params; i++)
        compare(c, "the gradient of a parameter", c->host->grad(c, b->params[i]), b->grads[i]);
    return NULL;
}

LH_EXPORT_MODULE("layers", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(bench),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step,
                 .manual_optimization = 1);
