/* test_optimizer_golden.c - updates equal PyTorch's, update by update (tests/golden/optimizers.py).
 *
 * Bounds: F64 1e-12 of the value (or of 0.01, if smaller). F32 F32_ULPS units in the last place of
 * 1: PyTorch rounds every operation, the devices fewer of them.
 */
#include "training.h"

enum { UPDATES = 20, NUMEL = 35, F32_ULPS = 16 };

/* PyTorch's option of the case, put into our struct; everything has to find its place. */
static void set_option(lh_optimizer_options *o, const char *key, const json_t *value) {
    const struct {
        const char *key;
        double *real;
        int32_t *flag;
    } places[] = {
        {"lr", &o->lr, NULL},
        {"weight_decay", &o->weight_decay, NULL},
        {"momentum", &o->momentum, NULL},
        {"dampening", &o->dampening, NULL},
        {"eps", &o->eps, NULL},
        {"alpha", &o->alpha, NULL},
        {"lr_decay", &o->lr_decay, NULL},
        {"initial_accumulator_value", &o->initial_accumulator, NULL},
        {"nesterov", NULL, &o->nesterov},
        {"amsgrad", NULL, &o->amsgrad},
        {"centered", NULL, &o->centered},
        {"maximize", NULL, &o->maximize},
    };

    if (strcmp(key, "betas") == 0) {
        o->beta1 = json_value(json_array_get(value, 0));
        o->beta2 = json_value(json_array_get(value, 1));
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(key, places[i].key) == 0) {
            if (places[i].real)
                *places[i].real = json_value(value);
            else
                *places[i].flag = (int32_t)json_value(value);
            return;
        }
    cr_assert_fail("option %s is unknown", key);
}

/* Catches what a macro of optim.h gives to the host, its defaults. */
static lh_optimizer_options caught;
static lh_optimizer *catch_options(lh_ctx *c, const lh_optimizer_options *o) {
    caught = *o;
    return NULL;
}

static lh_optimizer_options options_of(const json_t *about) {
    const lh_host host = {.struct_size = sizeof host, .optimizer = catch_options};
    lh_ctx ctx = {&host};
    const char *name = json_string_value(json_object_get(about, "optimizer")), *key;
    json_t *value;

    if (strcmp(name, "SGD") == 0)
        lh_sgd(&ctx);
    else if (strcmp(name, "Adam") == 0)
        lh_adam(&ctx);
    else if (strcmp(name, "AdamW") == 0)
        lh_adamw(&ctx);
    else if (strcmp(name, "RMSprop") == 0)
        lh_rmsprop(&ctx);
    else if (strcmp(name, "Adagrad") == 0)
        lh_adagrad(&ctx);
    else
        cr_assert_fail("optimizer %s is unknown", name);
    json_object_foreach(json_object_get(about, "options"), key, value)
        set_option(&caught, key, value);
    return caught;
}

/* Two parameters with the golden trajectory, with gaps around; the second one's gradients come two
 * updates later, so that it is in a run of its own. */
struct pair {
    struct training *t;
    lh__param *a, *b;
    lh_optimizer *opt;
};

static struct pair pair_begin(const char *device, int32_t dtype, const lh_optimizer_options *o,
                              const void *init) {
    struct pair p = {training_begin(device, dtype), NULL, NULL, NULL};

    p.a = add_param(p.t, "a", 0, NUMEL, 0);
    p.b = add_param(p.t, "b", 0, NUMEL, 0);
    add_param(p.t, "c", 0, 3, 1);
    cr_assert_eq(lh__params_seal(p.t->engine), LH_OK);
    memcpy(p.a->tensor.view.data, init, (size_t)(NUMEL * lh__dtype_size(dtype)));
    memcpy(p.b->tensor.view.data, init, (size_t)(NUMEL * lh__dtype_size(dtype)));
    p.opt = lh__optimizer_new(p.t->engine, o);
    cr_assert(p.opt, "%s", p.t->err.text);
    return p;
}

/* Update i of a, i - 2 of b. */
static void pair_step(const struct pair *p, int i, const char *grads, size_t size) {
    if (i < UPDATES)
        give_grad(p->a, grads + (size_t)i * size);
    if (i >= 2)
        give_grad(p->b, grads + (size_t)(i - 2) * size);
    cr_assert_eq(lh__optimizer_step(p->opt, &(lh__terms){.scale = 1}), LH_OK);
    lh__optimizer_zero_grad(p->opt);
}

static double worst(const lh__param *p, const char *expected) {
    lh__view want = p->tensor.view;
    double most = 0;

    want.data = (void *)(uintptr_t)expected;
    for (int64_t i = 0; i < NUMEL; i++) {
        double e = element(&want, i), off = fabs(value_at(p, i) - e);

        off /= want.dtype == LH_F64 ? 1e-12 * fmax(fabs(e), 0.01)
                                    : ldexp(F32_ULPS, -23) * fmax(fabs(e), 1);
        if (!(off <= most))
            most = off;
    }
    return most;
}

static void check_case(const struct golden *g, const char *device, int32_t dtype, const char *name,
                       const json_t *about) {
    const char *kind = dtype == LH_F64 ? "float64" : "float32";
    const size_t size = NUMEL * (size_t)lh__dtype_size(dtype);
    lh_optimizer_options o = options_of(about);
    char key[128];
    struct pair p;
    const char *grads, *params;

    snprintf(key, sizeof key, "init.%s", kind);
    p = pair_begin(device, dtype, &o, golden_tensor(g, key));
    snprintf(key, sizeof key, "grads.%s", kind);
    grads = golden_tensor(g, key);
    snprintf(key, sizeof key, "%s.%s.params", name, kind);
    params = golden_tensor(g, key);
    for (int i = 0; i < UPDATES + 2; i++) {
        double a, b;

        pair_step(&p, i, grads, size);
        a = i < UPDATES ? worst(p.a, params + (size_t)i * size) : 0;
        b = i >= 2 ? worst(p.b, params + (size_t)(i - 2) * size) : 0;
        cr_assert(a <= 1 && b <= 1, "%s %s %s, update %d: off by %g and %g of the bound", name,
                  kind, device, i, a, b);
    }
    for (int64_t i = NUMEL; i < 48; i++)
        cr_assert_eq(value_at(p.b, i), 0, "%s: the gap behind b holds %g", name, value_at(p.b, i));
    training_end(p.t);
}

static void check_all(const char *device, int32_t dtype) {
    struct golden g = golden_open("optimizers");
    const char *name;
    json_t *about;

    cr_assert_geq(json_object_size(json_object_get(g.about, "cases")), 16);
    json_object_foreach(json_object_get(g.about, "cases"), name, about)
        check_case(&g, device, dtype, name, about);
    golden_close(&g);
}

Test(optimizer_golden, ref_f64) {
    check_all("ref", LH_F64);
}

Test(optimizer_golden, ref_f32) {
    check_all("ref", LH_F32);
}

Test(optimizer_golden, cpu_f64) {
    check_all("cpu", LH_F64);
}

Test(optimizer_golden, cpu_f32) {
    check_all("cpu", LH_F32);
}

/* ---- Resume: what visit shows is all there is */

struct saved {
    int32_t n;
    struct {
        char param[8], name[32];
        char bytes[NUMEL * 8];
    } tensors[16];
};

static size_t size_of(const lh__view *v) {
    return (size_t)(lh__view_numel(v) * lh__dtype_size(v->dtype));
}

static lh_status save(void *arg, const lh__param *param, const char *name, const lh__view *v) {
    struct saved *s = arg;

    snprintf(s->tensors[s->n].param, sizeof s->tensors->param, "%s", param->name);
    snprintf(s->tensors[s->n].name, sizeof s->tensors->name, "%s", name);
    memcpy(s->tensors[s->n++].bytes, v->data, size_of(v));
    return LH_OK;
}

static lh_status load(void *arg, const lh__param *param, const char *name, const lh__view *v) {
    struct saved *s = arg;

    for (int32_t i = 0; i < s->n; i++)
        if (!strcmp(s->tensors[i].param, param->name) && !strcmp(s->tensors[i].name, name))
            memcpy(v->data, s->tensors[i].bytes, size_of(v));
    return LH_OK;
}

Test(optimizer_golden, resumes_with_the_same_bits) {
    struct golden g = golden_open("optimizers");
    const void *init = golden_tensor(&g, "init.float64"),
               *grads = golden_tensor(&g, "grads.float64");
    const char *name;
    json_t *about;

    json_object_foreach(json_object_get(g.about, "cases"), name, about) {
        lh_optimizer_options o = options_of(about);
        struct pair whole = pair_begin("cpu", LH_F64, &o, init), rest;
        struct saved state = {0};

        for (int i = 0; i < 9; i++)
            pair_step(&whole, i, grads, NUMEL * 8);
        cr_assert_eq(lh__optimizer_visit(whole.opt, 0, save, &state), LH_OK);
        rest = pair_begin("cpu", LH_F64, &o, whole.a->tensor.view.data);
        memcpy(rest.b->tensor.view.data, whole.b->tensor.view.data, NUMEL * 8);
        cr_assert_eq(lh__optimizer_visit(rest.opt, 1, load, &state), LH_OK);
        for (int i = 9; i < UPDATES; i++) {
            pair_step(&whole, i, grads, NUMEL * 8);
            pair_step(&rest, i, grads, NUMEL * 8);
        }
        cr_assert_arr_eq(rest.a->tensor.view.data, whole.a->tensor.view.data, NUMEL * 8, "%s",
                         name);
        cr_assert_arr_eq(rest.b->tensor.view.data, whole.b->tensor.view.data, NUMEL * 8, "%s",
                         name);
        training_end(whole.t);
        training_end(rest.t);
    }
    golden_close(&g);
}
