/* test_clip.c - gradient norms and clipping against their definitions. */
#include "kernels/update.h"
#include "training.h"

static struct training *begin(const char *device, lh__param **a, lh__param **b) {
    struct training *t = training_begin(device, LH_F64);

    *a = add_param(t, "a", LH_F64, 9, 0);
    *b = add_param(t, "b", LH_F32, 16, 0);
    cr_assert_eq(lh__params_seal(t->engine), LH_OK);
    return t;
}

static void check_norm(const char *device) {
    lh__param *a, *b;
    struct training *t = begin(device, &a, &b);
    lh_optimizer *opt = lh_sgd(&t->ctx, .params = "b");

    cr_expect_eq(lh__grad_norm(t->engine, NULL), 0, "no gradients");
    fill_grad(a, 1); /* 9 */
    fill_grad(b, 1); /* 16 */
    cr_expect_float_eq(lh__grad_norm(t->engine, NULL), 5, 1e-15);
    cr_expect_float_eq(lh__grad_norm(t->engine, opt), 4, 1e-15);
    a->has_grad = 0;
    cr_expect_float_eq(lh__grad_norm(t->engine, NULL), 4, 1e-15, "forgotten ones do not count");
    fill_grad(b, 3e30);
    cr_expect_float_eq(lh__grad_norm(t->engine, NULL) / ((double)3e30f * 4), 1, 1e-15,
                       "squares are summed in double");
    training_end(t);
}

Test(clip, norm) {
    check_norm("cpu");
    check_norm("ref");
}

/* Neighbours are summed as one run, whatever lies in it; the result is that of all one by one. */
Test(clip, norm_over_runs) {
    struct training *t = training_begin("cpu", LH_F64);
    double sum = 0;
    lh__param *p[20];

    for (int i = 0; i < 20; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        p[i] = add_param(t, name, i % 5 == 1 ? LH_F32 : LH_F64, 1 + i * 7 % 40, 0);
    }
    lh__buffer_new(t->engine, "running", 0, 1, (const int64_t[]){4}, 100);
    cr_assert_eq(lh__params_seal(t->engine), LH_OK);
    for (int i = 0; i < 20; i++)
        if (i % 4 != 3) {
            fill_grad(p[i], i);
            sum += (double)i * i * (double)lh__view_numel(&p[i]->grad);
        }
    cr_expect_float_eq(lh__grad_norm(t->engine, NULL), sqrt(sum), 1e-12 * sqrt(sum));
    cr_expect_float_eq(lh__grad_norm(t->engine, lh_sgd(&t->ctx)), sqrt(sum), 1e-12 * sqrt(sum));
    training_end(t);
}

Test(clip, by_norm) {
    lh__param *a, *b;
    struct training *t = begin("cpu", &a, &b);
    double norm;

    fill_grad(a, 1);
    fill_grad(b, 1);
    norm = lh__clip_grad_norm(t->engine, NULL, 10);
    cr_expect_float_eq(norm, 5, 1e-15);
    cr_expect_eq(element(&a->grad, 0), 1, "within the limit: as it was");
    norm = lh__clip_grad_norm(t->engine, NULL, 2);
    cr_expect_float_eq(norm, 5, 1e-15);
    cr_expect_float_eq(element(&a->grad, 8), 2 / (5 + 1e-6), 1e-15);
    cr_expect_float_eq(element(&b->grad, 15), 2 / (5 + 1e-6), 1e-7);
    training_end(t);
}

Test(clip, factor) {
    cr_expect_eq(lh__clip_coef(5, 10), 1);
    cr_expect_eq(lh__clip_coef(5, 2), 2 / (5 + 1e-6));
    cr_expect_eq(lh__clip_coef(0, 2), 1);
    cr_expect_eq(lh__clip_coef(INFINITY, 2), 0);
    cr_expect(isnan(lh__clip_coef(NAN, 2)), "PyTorch's gradients become NaN, not unclipped");
}

/* A step with the factor and a step after clipping are the same. */
Test(clip, folds_into_the_step) {
    lh__param *a, *b, *c, *d;
    struct training *t = begin("cpu", &a, &b), *u = begin("cpu", &c, &d);
    lh_optimizer *folded = lh_adam(&t->ctx, .weight_decay = 0.5);
    lh_optimizer *clipped = lh_adam(&u->ctx, .weight_decay = 0.5);

    for (int step = 1; step <= 3; step++) {
        fill_grad(a, step);
        fill_grad(c, step);
        lh__clip_grad_norm(u->engine, clipped, 1);
        lh__optimizer_step(clipped, &(lh__terms){.scale = 1});
        lh__optimizer_step(folded, &(lh__terms){.scale = 1, .max_norm = 1});
        cr_expect_eq(value_at(a, 8), value_at(c, 8));
    }
    training_end(t);
    training_end(u);
}

Test(clip, a_norm_that_is_nan_passes) {
    lh__param *a, *b;
    struct training *t = begin("cpu", &a, &b);

    fill_grad(a, NAN);
    cr_expect(isnan(lh__clip_grad_norm(t->engine, NULL, 1)));
    cr_expect(isnan(element(&a->grad, 0)));
    fill_grad(a, 1);
    cr_expect_float_eq(lh__grad_norm(t->engine, NULL), 3, 1e-15, "nothing is left of it");
    training_end(t);
}

Test(clip, by_value) {
    lh__param *a, *b;
    struct training *t = begin("cpu", &a, &b);

    fill_grad(a, -3);
    fill_grad(b, 0.25);
    set_element(&b->grad, 3, 7);
    lh__clip_grad_value(t->engine, NULL, 0.5);
    cr_expect_eq(element(&a->grad, 8), -0.5);
    cr_expect_eq(element(&b->grad, 2), 0.25);
    cr_expect_eq(element(&b->grad, 3), 0.5);
    training_end(t);
}
