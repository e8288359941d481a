/* test_weights.c - weights from safetensors files by name: lh_load_weights and --weights. All or
 * nothing: what does not fit is named, and nothing is loaded then.
 */
#include "lhost.h"

TestSuite(weights, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define LAYERS                                                            \
    "run --model " PLUGINS "/trainer_layers.so " SAVING "--max_epochs 1 " \
    "--callback $S:dir=$D/saved,hooks=on_train_start,weights_only=true "

/* A file of tensors l.weight (5, columns) and l.bias (5) of that dtype; element i is i of `of`. */
static void write_linear(const char *path, const char *prefix, int32_t dtype, int64_t columns,
                         const void *of, const char *third) {
    const int64_t weight[] = {5, columns};
    lh__state *s = keep(lh__state_new(), release_state);
    char name[64];

    snprintf(name, sizeof name, "%sweight", prefix);
    cr_assert_eq(lh__state_put(s, name, dtype, 2, weight, of, NULL), LH_OK);
    snprintf(name, sizeof name, "%sbias", prefix);
    cr_assert_eq(lh__state_put(s, name, dtype, 1, weight, of, NULL), LH_OK);
    if (third)
        cr_assert_eq(lh__state_put(s, third, dtype, 1, weight, of, NULL), LH_OK);
    cr_assert_eq(lh__safetensors_write(path, s, NULL), LH_OK);
}

static float numbers[64];

static void write_floats(const char *path, const char *prefix, int64_t columns, const char *third) {
    for (int i = 0; i < 64; i++)
        numbers[i] = (float)i / 4;
    write_linear(path, prefix, LH_F32, columns, numbers, third);
}

/* The run saved l.weight and l.bias with these numbers (F32). */
static void expect_loaded(void) {
    lh__state *s = checkpoint("saved/on_train_start-0.safetensors");
    const lh__state_tensor *w = lh__state_find(s, "l.weight"), *b = lh__state_find(s, "l.bias");

    cr_assert(w && b && w->size == 35 * 4 && b->size == 5 * 4);
    cr_expect_arr_eq(w->data, numbers, 35 * 4);
    cr_expect_arr_eq(b->data, numbers, 5 * 4);
}

Test(weights, option_starts_a_run) {
    write_floats("w.safetensors", "l.", 7, NULL);
    lhost_works(LAYERS "--weights w.safetensors");
    expect_loaded();
    assert_says("weights from w.safetensors");
}

Test(weights, function_loads_by_name) {
    write_floats("w.safetensors", "l.", 7, NULL);
    lhost_works(LAYERS "--model.weights w.safetensors --model.expect 2");
    expect_loaded();
}

Test(weights, beginnings_of_names_are_exchanged) {
    write_floats("w.safetensors", "model.body.", 7, "head.bias");
    lhost_works(LAYERS "--model.weights w.safetensors --model.from model.body. --model.to l. "
                       "--model.expect 2");
    expect_loaded();
}

Test(weights, every_dtype_becomes_the_models) {
    static uint16_t bf16[64], f16[64];
    static double f64[64];
    static int64_t i64[64];

    write_floats("w.safetensors", "l.", 7, NULL);
    for (int i = 0; i < 64; i++) {
        uint32_t bits;
        int k = 0;

        memcpy(&bits, &numbers[i], 4);
        bf16[i] = (uint16_t)(bits >> 16); /* 64 numbers of 6 bits: exact */
        for (k = 0; i && (i >> k) > 1; k++)
            ;
        f16[i] = i ? (uint16_t)((k - 2 + 15) << 10 | ((i << (10 - k)) & 1023)) : 0;
        f64[i] = numbers[i];
        i64[i] = i;
    }
    write_linear("f64.safetensors", "l.", LH_F64, 7, f64, NULL);
    lhost_works(LAYERS "--weights f64.safetensors");
    expect_loaded();
    write_linear("bf16.safetensors", "l.", LH_BF16, 7, bf16, NULL);
    lhost_works(LAYERS "--weights bf16.safetensors");
    expect_loaded();
    write_linear("f16.safetensors", "l.", LH_F16, 7, f16, NULL);
    lhost_works(LAYERS "--weights f16.safetensors");
    expect_loaded();
    write_linear("i64.safetensors", "l.", LH_I64, 7, i64, NULL);
    for (int i = 0; i < 64; i++)
        numbers[i] = (float)i;
    lhost_works(LAYERS "--weights i64.safetensors");
    expect_loaded();
}

Test(weights, misfits_are_named_together) {
    write_floats("w.safetensors", "l.", 6, "extra.bias");
    cr_expect_eq(lhost(LAYERS "--weights w.safetensors"), 2);
    assert_says("w.safetensors");
    assert_says("F32 5x6 instead of F32 5x7: l.weight");
    assert_says("unexpected extra.bias");
    assert_says("(2 in all)");
    write_floats("other.safetensors", "m.", 7, NULL);
    cr_expect_eq(lhost(LAYERS "--weights other.safetensors"), 2);
    assert_says("missing l.weight, missing l.bias, unexpected m.weight, unexpected m.bias");
}

Test(weights, nothing_is_loaded_unless_all_fits) {
    const lh__state_tensor *w, *fresh;

    write_floats("w.safetensors", "l.", 7, "extra.bias");
    lhost_works(LAYERS);
    fresh = lh__state_find(checkpoint("saved/on_train_start-0.safetensors"), "l.weight");
    cr_expect_eq(lhost(LAYERS "--model.weights w.safetensors"), 2);
    assert_says("nothing was loaded");
    /* Not strict: both sides may have more, but shapes have to be equal. */
    lhost_works(LAYERS "--model.weights w.safetensors --model.strict false --model.expect 2");
    expect_loaded();
    write_floats("w.safetensors", "l.", 6, NULL);
    cr_expect_eq(lhost(LAYERS "--model.weights w.safetensors --model.strict false"), 2);
    assert_says("5x6 instead of F32 5x7: l.weight");
    lhost_works(LAYERS "--model.weights w.safetensors --model.strict false --model.from x. "
                       "--model.expect 0");
    assert_says("nothing was loaded");
    w = lh__state_find(checkpoint("saved/on_train_start-0.safetensors"), "l.weight");
    cr_expect_arr_eq(w->data, fresh->data, fresh->size);
}

Test(weights, integers_do_not_take_reals) {
    static float one[3] = {1, 1, 1};
    static const char *const names[] = {"l.weight", "l.bias", "l.running_mean", "l.running_var",
                                        "l.num_batches_tracked"};
    const int64_t shape[] = {3};
    lh__state *s = keep(lh__state_new(), release_state);

    for (int i = 0; i < 5; i++)
        cr_assert_eq(lh__state_put(s, names[i], LH_F32, i < 4, shape, one, NULL), LH_OK);
    cr_assert_eq(lh__safetensors_write("w.safetensors", s, NULL), LH_OK);
    cr_expect_eq(lhost(LAYERS "--model.case batch_norm --weights w.safetensors"), 2);
    assert_says("F32 instead of I64: l.num_batches_tracked");
}

Test(weights, checkpoints_of_ours_are_weights_too) {
    lhost_works("fit --model $W " SAVING "--model.optimizer adam --max_steps 3 "
                "--callback $S:dir=$D/a,hooks=on_train_end");
    lhost_works("fit --model $W " SAVING "--model.lr 0 --max_steps 1 --weights "
                "a/on_train_end-0.safetensors --callback $S:dir=$D/b,hooks=on_train_start");
    cr_expect_arr_eq(
        lh__state_find(checkpoint("a/on_train_end-0.safetensors"), "first.weight")->data,
        lh__state_find(checkpoint("b/on_train_start-0.safetensors"), "first.weight")->data,
        32 * 8 * 4);
}

Test(weights, unusable_files_are_refused) {
    FILE *f = fopen("bad.safetensors", "w");

    fputs("nothing of the kind", f);
    fclose(f);
    cr_expect_eq(lhost(LAYERS "--weights bad.safetensors"), 2);
    assert_says("bad.safetensors");
    cr_expect_eq(lhost(LAYERS "--weights absent.safetensors"), 2);
    assert_says("absent.safetensors");
    cr_expect_eq(lhost(LAYERS "--weights a.safetensors --ckpt_path b.safetensors"), 2);
    assert_says("give one of them");
}

/* Runs weights.py of the Python that has PyTorch. */
static void python(const char *args) {
    char command[1024];

    if (!getenv("LHOST_PEERS_PYTHON") || !*getenv("LHOST_PEERS_PYTHON") ||
        system("\"$LHOST_PEERS_PYTHON\" -c 'import torch' 2>/dev/null") != 0)
        cr_skip_test("LHOST_PEERS_PYTHON names no Python with PyTorch");
    snprintf(command, sizeof command, "\"$LHOST_PEERS_PYTHON\" '%s' %s", WEIGHTS_PY, args);
    cr_assert_eq(system(command), 0, "%s", command);
}

Test(weights, state_dicts_of_pytorch_start_a_run) {
    static const char *const dtypes[] = {"float32", "float64", "bfloat16", "float16"};

    python("save float32 float64 bfloat16 float16");
    for (int d = 0; d < 4; d++) {
        lh__state *s;

        lhost_works(LAYERS "--weights %s.safetensors", dtypes[d]);
        s = checkpoint("saved/on_train_start-0.safetensors");
        for (int i = 0; i < 35; i++) {
            cr_expect_eq(((const float *)lh__state_find(s, "l.weight")->data)[i], (float)i / 4);
            if (i < 5)
                cr_expect_eq(((const float *)lh__state_find(s, "l.bias")->data)[i],
                             (float)(i - 8) / 4);
        }
    }
}

Test(weights, pytorch_loads_ours) {
    lhost_works(LAYERS "--precision 64-true --model.case conv2d");
    python("load saved/on_train_start-0.safetensors");
}
