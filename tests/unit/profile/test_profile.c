/* test_profile.c - spans and phases: what the table adds up, what the trace keeps. */
#include "profile/profile.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(profile, .timeout = 20);

static void pass_time(int64_t ns) {
    int64_t end = lh__profile_clock() + ns;

    while (lh__profile_clock() < end)
        ;
}

static char *text_of(void (*print)(const lh__profile *p, FILE *out), const lh__profile *p) {
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    print(p, f);
    cr_assert_eq(fclose(f), 0);
    return text;
}

/* A row of the table: calls, total and mean. 0: there is none. */
static int row(const char *table, const char *name, double number[3]) {
    char start[100];
    const char *at;

    snprintf(start, sizeof start, "\n%.90s ", name);
    at = strstr(table, start);
    return at && sscanf(at + strlen(start), "%lf %lf %lf", &number[0], &number[1], &number[2]) == 3;
}

Test(profile, nobody_profiles) {
    lh__lane *lane = lh__profile_lane(NULL, "none");

    cr_assert_null(lane);
    lh__phase_begin(lane, "phase");
    cr_assert_eq(lh__span_begin(lane), 0);
    lh__span_end(lane, LH__SPAN_HOOK, "plugin", "hook", 0);
    lh__phase_end(lane);
    lh__profile_free(NULL);
}

Test(profile, spans_add_up_by_name) {
    lh__profile *p = lh__profile_new(0);
    lh__lane *lane = lh__profile_lane(p, "Training thread");
    double add[3], hook[3];
    char *table;

    for (int i = 0; i < 5; i++) {
        int64_t began = lh__span_begin(lane), inner = lh__span_begin(lane);

        pass_time(1000000);
        lh__span_end(lane, LH__SPAN_OPERATOR, NULL, "add", inner);
        lh__span_end(lane, LH__SPAN_HOOK, "plugin", "hook", began);
    }
    lh__profile_stop(p);
    table = text_of(lh__profile_print, p);
    cr_assert(row(table, "add", add) && row(table, "plugin.hook", hook), "%s", table);
    cr_assert_eq(add[0], 5);
    cr_assert_geq(add[1], 5);
    cr_assert_float_eq(add[2], add[1] * 1e3 / 5, 0.2);
    cr_assert_geq(hook[1], add[1]);
    free(table);
    lh__profile_free(p);
}

/* Of phases only the innermost counts; the first wait for data is told apart. */
Test(profile, phases_do_not_overlap) {
    lh__profile *p = lh__profile_new(0);
    lh__lane *lane = lh__profile_lane(p, "Training thread");
    double outer[3], inner[3], share;
    const char *at;
    char *table;

    for (int i = 0; i < 3; i++) {
        lh__phase_begin(lane, "outer");
        pass_time(1000000);
        lh__phase_begin(lane, LH__PHASE_WAIT);
        pass_time(i == 0 ? 20000000 : 2000000);
        lh__phase_end(lane);
        pass_time(1000000);
        lh__phase_end(lane);
    }
    lh__profile_stop(p);
    table = text_of(lh__profile_print, p);
    cr_assert(row(table, "outer", outer) && row(table, LH__PHASE_WAIT, inner), "%s", table);
    cr_assert_eq(outer[0], 3);
    cr_assert_geq(outer[1], 6);
    cr_assert_geq(inner[1], 24);
    cr_assert_eq(sscanf(table, "Profile of %lf s", &share), 1);
    cr_assert_leq(outer[1] + inner[1], share * 1e3 + 1);
    at = strstr(table, "first batch took ");
    cr_assert_not_null(at);
    cr_assert_geq(atof(at + strlen("first batch took ")), 20);
    at = strstr(table, "training waited ");
    cr_assert_not_null(at);
    cr_assert_geq(atof(at + strlen("training waited ")), 2000);
    cr_assert_lt(atof(at + strlen("training waited ")), inner[1] * 1e3 - 20000);
    free(table);
    lh__profile_free(p);
}

/* What is recorded is what was asked for, however many names there are; none is lost. */
Test(profile, more_names_than_rows) {
    static char names[5000][16];
    lh__profile *p = lh__profile_new(0);
    lh__lane *lane = lh__profile_lane(p, "Training thread");
    double number[3], calls = 0;
    char *table;

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5000; i++) {
            snprintf(names[i], sizeof names[i], "n%d", i);
            lh__span_end(lane, LH__SPAN_OPERATOR, NULL, names[i], lh__span_begin(lane));
        }
    lh__profile_stop(p);
    table = text_of(lh__profile_print, p);
    for (int i = 0; i < 5000; i++)
        if (row(table, names[i], number)) {
            cr_assert_eq(number[0], 2, "%s", names[i]);
            calls += number[0];
        }
    cr_assert_eq(calls, 2 * 1023);
    free(table);
    lh__profile_free(p);
}

/* The newest spans stay. Names need not be plain. */
Test(profile, trace_is_bounded) {
    lh__profile *p = lh__profile_new(1);
    lh__lane *lane = lh__profile_lane(p, "Training thread"), *helper;
    json_error_t e;
    json_t *trace, *events, *event;
    int64_t spans = 0, hooks = 0;
    char *text;
    size_t i;

    helper = lh__profile_lane(p, "a \"helper\"\n");
    lh__span_end(helper, LH__SPAN_WORK, NULL, "oldest", lh__span_begin(helper));
    for (int k = 0; k < 40000; k++)
        lh__span_end(helper, LH__SPAN_WORK, NULL, "work", lh__span_begin(helper));
    lh__span_end(lane, LH__SPAN_HOOK, "plugin", "hook\\", lh__span_begin(lane));
    lh__profile_stop(p);
    text = text_of(lh__profile_trace, p);
    trace = json_loads(text, 0, &e);
    cr_assert_not_null(trace, "line %d: %s", e.line, e.text);
    events = json_object_get(trace, "traceEvents");
    json_array_foreach(events, i, event) {
        const char *name = json_string_value(json_object_get(event, "name"));

        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0)
            continue;
        spans++;
        hooks += strcmp(name, "plugin.hook\\") == 0;
        cr_assert_str_neq(name, "oldest");
    }
    cr_assert_eq(hooks, 1);
    cr_assert_eq(spans + lh__profile_dropped(p), 40002);
    cr_assert_gt(lh__profile_dropped(p), 0);
    cr_assert_eq(
        json_integer_value(json_object_get(json_object_get(trace, "otherData"), "dropped_events")),
        lh__profile_dropped(p));
    json_decref(trace);
    free(text);
    lh__profile_free(p);
}

/* Threads beyond the last lane work unrecorded, and the table says so. */
Test(profile, lanes_are_bounded) {
    lh__profile *p = lh__profile_new(0);
    int lanes = 0;
    char *table;

    for (int i = 0; i < 100; i++)
        lanes += lh__profile_lane(p, "thread") != NULL;
    lh__profile_stop(p);
    table = text_of(lh__profile_print, p);
    cr_assert_lt(lanes, 100);
    cr_assert_not_null(strstr(table, "more threads were not recorded"), "%s", table);
    free(table);
    lh__profile_free(p);
}
