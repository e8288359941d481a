/* test_profiler.c - `profiler` on whole runs: what it shows and leaves, and that by default it
 * does neither. */
#include "lhost.h"

TestSuite(profiler, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define RUN                                                                           \
    "run --model $W " QUIET "--max_epochs 2 --model.workers 1 --limit_val_batches 1 " \
    "--model.optimizer adam "
#define RUN_FOLDER "lightning_logs/version_0/"

/* A row of the table: calls, milliseconds in all, microseconds each. */
static void row(const char *table, const char *name, double number[3]) {
    char start[100];
    const char *at;

    snprintf(start, sizeof start, "\n%s ", name);
    at = strstr(table, start);
    cr_assert_not_null(at, "no %s in: %s", name, table);
    cr_assert_eq(sscanf(at + strlen(start), "%lf %lf %lf", &number[0], &number[1], &number[2]), 3,
                 "%s: %.80s", name, at);
}

Test(profiler, off_by_default) {
    lhost_works(RUN);
    cr_assert_neq(access(RUN_FOLDER "profile.txt", F_OK), 0);
    cr_assert_neq(access(RUN_FOLDER "trace.json", F_OK), 0);
    cr_assert_null(strstr(slurp("err"), "Profile of"));
}

Test(profiler, table) {
    static const char *const phases[] = {"set-up",
                                         "sanity check",
                                         "data wait",
                                         "backward",
                                         "training_step",
                                         "compute",
                                         "optimizer",
                                         "validation",
                                         "checkpoint snapshot",
                                         "finish",
                                         "evaluation's data wait",
                                         "logging"};
    double number[3], whole, sum = 0;
    const char *between;
    char *table;

    lhost_works(RUN "--profiler simple --log_every_n_steps 1");
    table = slurp(RUN_FOLDER "profile.txt");
    cr_assert_not_null(strstr(slurp("err"), table));
    cr_assert_neq(access(RUN_FOLDER "trace.json", F_OK), 0);
    cr_assert_eq(sscanf(table, "Profile of %lf s", &whole), 1);
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        row(table, phases[i], number);
        sum += number[1];
    }
    between = strstr(table, "(between them)");
    cr_assert_not_null(between);
    sum += atof(between + strlen("(between them)"));
    cr_assert_float_eq(sum, whole * 1e3, 1); /* the table's last digits */
    row(table, "data wait", number);
    cr_assert_eq(number[0], 12);
    row(table, "workbench.training_step", number);
    cr_assert_eq(number[0], 12);
    cr_assert_float_eq(number[2], number[1] * 1e3 / 12, 0.1);
    row(table, "linear", number); /* 2 layers; 12 steps, 2 validations and the sanity check */
    cr_assert_eq(number[0], 2 * (12 + 2 + 1));
    row(table, "csv.log_metrics", number);
    cr_assert_gt(number[0], 0);
    row(table, "write", number);
    cr_assert_gt(number[0], 0);
    row(table, "batch", number);
    cr_assert_gt(number[0], 0);
    cr_assert_not_null(strstr(table, "training waited "));
}

static const char *text_of(const json_t *event, const char *key) {
    const char *text = json_string_value(json_object_get(event, key));

    return text ? text : "";
}

static double real_of(const json_t *event, const char *key) {
    return json_number_value(json_object_get(event, key));
}

/* Spans of one thread lie beside or within one another, and hooks within the phase that calls
 * them. */
static void check_nesting(const json_t *events) {
    size_t i, k;
    json_t *a, *b;

    json_array_foreach(events, i, a) json_array_foreach(events, k, b) {
        double a0 = real_of(a, "ts"), a1 = a0 + real_of(a, "dur");
        double b0 = real_of(b, "ts"), b1 = b0 + real_of(b, "dur");

        if (real_of(a, "tid") == 1 && real_of(b, "tid") == 1 && a0 < b0)
            cr_assert(b0 >= a1 - 0.002 || b1 <= a1 + 0.002, "%s and %s overlap", text_of(a, "name"),
                      text_of(b, "name"));
    }
}

Test(profiler, trace) {
    json_error_t e;
    json_t *trace, *event, *events;
    int steps = 0, names = 0, fetched = 0, written = 0, operators = 0;
    size_t i;

    lhost_works(RUN "--trainer.profiler trace --max_epochs 1");
    cr_assert_eq(access(RUN_FOLDER "profile.txt", F_OK), 0);
    trace = json_load_file(RUN_FOLDER "trace.json", 0, &e);
    cr_assert_not_null(trace, "%s", e.text);
    keep(trace, release_json);
    events = json_object_get(trace, "traceEvents");
    json_array_foreach(events, i, event) {
        const char *name = text_of(event, "name"), *kind = text_of(event, "cat");

        cr_assert(json_is_integer(json_object_get(event, "pid")));
        cr_assert(json_is_integer(json_object_get(event, "tid")));
        names += strcmp(name, "thread_name") == 0;
        if (strcmp(text_of(event, "ph"), "X") != 0)
            continue;
        cr_assert_geq(real_of(event, "ts"), 0);
        cr_assert_geq(real_of(event, "dur"), 0);
        steps += strcmp(name, "workbench.training_step") == 0 && strcmp(kind, "hook") == 0;
        operators += strcmp(name, "linear") == 0 && strcmp(kind, "operator") == 0;
        fetched += strcmp(name, "batch") == 0 && strcmp(kind, "work") == 0;
        written += strcmp(name, "write") == 0 && strcmp(kind, "work") == 0;
    }
    cr_assert_eq(steps, 6);
    cr_assert_eq(operators, 2 * (6 + 1 + 1));
    cr_assert_geq(fetched, 6);
    cr_assert_eq(written, 1);
    cr_assert_geq(names, 4); /* training, fetch, checkpoints, loggers */
    check_nesting(events);
}

/* A run without a folder shows the table and says what it can't leave. */
Test(profiler, without_a_folder) {
    lhost_works("validate --model $W " BARE "--profiler trace");
    assert_says("no trace.json");
    assert_says("Profile of");
}

/* A run that fails is profiled as well. */
Test(profiler, of_a_failure) {
    cr_assert_eq(lhost(RUN "--profiler simple --model.loss fails --model.loss_at 2"), 1);
    cr_assert_not_null(strstr(slurp(RUN_FOLDER "profile.txt"), "training_step"));
}

Test(profiler, not_with_barebones) {
    cr_assert_eq(lhost("run --model $W --barebones true --profiler simple"), 2);
    assert_says("trainer.profiler");
    cr_assert_eq(lhost("run --model $W " BARE "--profiler advanced"), 2);
    assert_says("none, simple or trace");
}
