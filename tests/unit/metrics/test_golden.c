/* test_golden.c - meters give what torchmetrics gives (tests/golden/meters.py), batch by batch and
 * all at once.
 */
#include "checkpoint/safetensors.h"
#include "fixture.h"

static lh__state *golden;

static void setup(void) {
    lh__error e = {0};

    cr_assert_eq(lh__safetensors_read(GOLDEN_DIR "/meters.safetensors", &golden, &e), LH_OK, "%s",
                 e.text);
}

static void teardown(void) {
    lh__state_free(golden);
}

TestSuite(meters_golden, .init = setup, .fini = teardown, .timeout = 20);

static array find(const char *data, const char *part) {
    const lh__state_tensor *t;
    array a = {0};
    char name[80];

    snprintf(name, sizeof name, "%s%s", data, part);
    t = lh__state_find(golden, name);
    cr_assert_not_null(t, "no %s", name);
    a = (array){t->data, t->dtype, t->ndim, {0}};
    memcpy(a.shape, t->shape, sizeof a.shape);
    return a;
}

/* float() casts in torchmetrics leave ratios of counts in float32. */
#define CLOSE 2e-7

static void assert_equals(lh_meter *m, const char *name) {
    const lh__state_tensor *t = lh__state_find(golden, name);
    lh__meter_value v = value_of(m);
    int64_t n = 1;

    cr_assert_not_null(t, "no %s", name);
    cr_assert_eq(v.ndim, t->ndim, "%s", name);
    cr_assert_eq(v.dtype, t->dtype, "%s", name);
    for (int32_t d = 0; d < v.ndim; d++) {
        cr_assert_eq(v.shape[d], t->shape[d], "%s", name);
        n *= v.shape[d];
    }
    for (int64_t i = 0; i < n; i++) {
        double expected = ((const double *)t->data)[i], got = ((const double *)v.data)[i];

        if (v.dtype == LH_I64)
            cr_assert_eq(((const int64_t *)t->data)[i], ((const int64_t *)v.data)[i], "%s", name);
        else
            cr_assert_float_eq(got, expected, CLOSE * fmax(1, fabs(expected)), "%s[%d]: %.9g %.9g",
                               name, (int)i, got, expected);
    }
}

/* In four batches, as torchmetrics got it; in one; and, where a batch decides what its scores are
 * alike however small, row by row. */
static void check(lh_meter_options o, const char *data, const char *target, const char *name) {
    array x = find(data, ""), y = target ? find(target, "") : (array){0};
    lh_meter *m;

    o.struct_size = (uint32_t)sizeof o;
    o.name = "m";
    o.ignore_index = strncmp(data, "values", 6) == 0 ? 0 : -100;
    m = new_meter(&o);
    for (int cut = 0; cut < 3; cut++) {
        int64_t n = x.shape[0];

        if (cut == 2 && strstr(data, "logits"))
            continue;
        feed(m, x, y, cut == 0 ? n / 4 : cut == 1 ? n : 1);
        assert_equals(m, name);
        lh__meter_reset(m);
    }
    lh__meter_free(m);
}

static const char *const data_kinds[] = {"scores", "logits"};

Test(meters_golden, of_two_classes) {
    static const struct {
        const char *name;
        lh_meter_options o;
    } cases[] = {
        {"accuracy", {.kind = LH_METER_ACCURACY}},
        {"accuracy_at_0.7", {.kind = LH_METER_ACCURACY, .threshold = 0.7}},
        {"precision", {.kind = LH_METER_PRECISION}},
        {"recall", {.kind = LH_METER_RECALL}},
        {"f1", {.kind = LH_METER_F1}},
        {"auroc", {.kind = LH_METER_AUROC}},
        {"confusion", {.kind = LH_METER_CONFUSION}},
    };

    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char data[40], name[80];
            lh_meter_options o = cases[i].o;

            o.classes = 1;
            snprintf(data, sizeof data, "binary.%s", data_kinds[k]);
            snprintf(name, sizeof name, "%s/%s", data, cases[i].name);
            check(o, data, "binary.target", name);
        }
}

Test(meters_golden, of_five_classes) {
    static const struct {
        const char *name;
        uint32_t kind;
        int32_t top_k;
    } cases[] = {
        {"accuracy", LH_METER_ACCURACY, 0}, {"precision", LH_METER_PRECISION, 0},
        {"recall", LH_METER_RECALL, 0},     {"f1", LH_METER_F1, 0},
        {"auroc", LH_METER_AUROC, 0},       {"top2", LH_METER_ACCURACY, 2},
        {"top3", LH_METER_ACCURACY, 3},
    };
    static const char *const averages[] = {"micro", "macro", "weighted", "none"};

    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
            for (uint32_t a = 0; a < 4; a++) {
                char data[40], name[80];

                if ((cases[i].top_k && k == 0) || (cases[i].kind == LH_METER_AUROC && a == 0))
                    continue;
                snprintf(data, sizeof data, "classes.%s", data_kinds[k]);
                snprintf(name, sizeof name, "%s/%s/%s", data, cases[i].name, averages[a]);
                check(
                    (lh_meter_options){
                        .kind = cases[i].kind, .classes = 5, .top_k = cases[i].top_k, .average = a},
                    data, "classes.target", name);
            }
}

Test(meters_golden, confusion_of_five_classes) {
    const lh_meter_options o = {.kind = LH_METER_CONFUSION, .classes = 5};

    check(o, "classes.scores", "classes.target", "classes.scores/confusion");
    check(o, "classes.logits", "classes.target", "classes.logits/confusion");
}

Test(meters_golden, perplexity) {
    check((lh_meter_options){.kind = LH_METER_PERPLEXITY}, "tokens.logits", "tokens.target",
          "tokens.logits/perplexity");
}

Test(meters_golden, regression) {
    check((lh_meter_options){.kind = LH_METER_MSE}, "values.preds", "values.target",
          "values.preds/mse");
    check((lh_meter_options){.kind = LH_METER_MAE}, "values.preds", "values.target",
          "values.preds/mae");
    check((lh_meter_options){.kind = LH_METER_R2}, "values.preds", "values.target",
          "values.preds/r2");
    check((lh_meter_options){.kind = LH_METER_MEAN}, "values.preds", NULL, "values.preds/mean");
}
