/* test_golden.c - every example's model follows PyTorch: 20 losses from the same weights and
 * batches (tests/golden/examples.py, tests/plugins/golden.c).
 *
 * In f64 within 1e-6 of the value, or of 1 if that is larger; in f32 within 2e-3: rounding grows
 * from step to step; with products of bfloat16 within 5e-2, and not with float32's bits. One thread
 * and three give the same bits.
 */
#include "folder.h"
#include "process.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 20 };

TestSuite(golden, .init = enter_folder, .fini = leave_folder, .timeout = 1200);

/* Column `name` of the run's metrics.csv, rows that have it; returns how many, at most `room`. */
static size_t column(const char *root, const char *name, double *out, size_t room) {
    char path[512], *text, *line, *rest;
    size_t n = 0, at = 0, i = 0;

    snprintf(path, sizeof path, "%s/lightning_logs/version_0/metrics.csv", root);
    text = read_text(path, NULL);
    cr_assert(text, "%s is missing", path);
    line = strtok_r(text, "\n", &rest);
    for (char *cell = line, *next; cell; cell = next, i++) {
        next = strchr(cell, ',');
        if (next)
            *next++ = '\0';
        if (strcmp(cell, name) == 0)
            at = i + 1;
    }
    cr_assert(at, "%s has no column %s", path, name);
    while ((line = strtok_r(NULL, "\n", &rest))) {
        for (i = 1; i < at && line; i++)
            line = strchr(line, ',') ? strchr(line, ',') + 1 : NULL;
        if (line && *line && *line != ',' && n < room)
            out[n++] = strtod(line, NULL);
    }
    free(text);
    return n;
}

/* The metric's 20 values of one run of an example. */
static void train(const char *name, const json_t *entry, const char *metric, const char *precision,
                  int threads, double *out) {
    char root[256];
    size_t n;

    snprintf(root, sizeof root, "%s-%s-%d", name, precision, threads);
    cr_assert_eq(
        run("run --model x/%s.so --data g/golden.so --data.batch_size %lld --data.fields %s "
            "--callback g/golden.so --max_steps %d --limit_val_batches 0 --log_every_n_steps 1 "
            "--logger csv --enable_checkpointing false --default_root_dir %s --precision %s "
            "--num_threads %d %s",
            name, json_integer_value(json_object_get(entry, "batch_size")),
            json_string_value(json_object_get(entry, "fields")), STEPS, root, precision, threads,
            json_string_value(json_object_get(entry, "options"))),
        0, "%s: %s", name, said());
    n = column(root, metric, out, STEPS);
    cr_assert_eq(n, STEPS, "%s: %zu values of %s", name, n, metric);
}

static void follow(const char *name, const json_t *entry, const char *metric,
                   const json_t *values) {
    double f64[STEPS], f32[STEPS], f32_on_three[STEPS], bf16[STEPS];

    train(name, entry, metric, "64", 1, f64);
    train(name, entry, metric, "32", 1, f32);
    train(name, entry, metric, "32", 3, f32_on_three);
    train(name, entry, metric, "bf16-mixed", 1, bf16);
    cr_expect_arr_eq(f32, f32_on_three, sizeof f32, "%s: the number of threads matters", name);
    cr_expect_arr_neq(bf16, f32, sizeof f32, "%s: no product is rounded", name);
    for (size_t k = 0; k < STEPS; k++) {
        double expected = json_number_value(json_array_get(values, k)), scale;

        scale = fmax(1, fabs(expected));
        cr_expect(fabs(f64[k] - expected) <= 1e-6 * scale, "%s: %s of step %zu is %.12g, not %.12g",
                  name, metric, k, f64[k], expected);
        cr_expect(fabs(f32[k] - expected) <= 2e-3 * scale, "%s: %s of step %zu is %.9g, not %.9g",
                  name, metric, k, f32[k], expected);
        cr_expect(fabs(bf16[k] - expected) <= 5e-2 * scale,
                  "%s: %s of step %zu in bfloat16 is %.9g, not %.9g", name, metric, k, bf16[k],
                  expected);
    }
}

Test(golden, every_example_follows_pytorch) {
    json_t *entries = json_load_file(getenv("LHOST_TEST_GOLDEN"), 0, NULL), *entry, *values;
    const char *name, *metric;

    cr_assert(entries);
    without_data();
    cr_assert_eq(symlink(getenv("LHOST_TEST_EXAMPLES"), "x"), 0);
    cr_assert_eq(symlink(getenv("LHOST_TEST_PLUGINS"), "g"), 0);
    json_object_foreach(entries, name, entry)
        json_object_foreach(json_object_get(entry, "metrics"), metric, values)
            follow(name, entry, metric, values);
    json_decref(entries);
}
