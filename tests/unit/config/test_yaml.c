/* YAML 1.2 core scalars, what is refused and where, and the way back. */
#include "config/yaml.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Expected JSON from the tables of YAML 1.2.2, section 10.3.2. */
static const struct {
    const char *yaml, *json;
} scalars[] = {
    {"null", "null"},
    {"~", "null"},
    {"", "null"},
    {"Null", "null"},
    {"true", "true"},
    {"True", "true"},
    {"FALSE", "false"},
    {"tRUE", "\"tRUE\""},
    {"yes", "\"yes\""},
    {"no", "\"no\""},
    {"on", "\"on\""},
    {"Off", "\"Off\""},
    {"y", "\"y\""},
    {"0", "0"},
    {"-7", "-7"},
    {"+12", "12"},
    {"007", "7"},
    {"0o17", "15"},
    {"0x1F", "31"},
    {"0b11", "\"0b11\""},
    {"1_000", "\"1_000\""},
    {"12:30", "\"12:30\""},
    {"1e-3", "0.001"},
    {"1.", "1.0"},
    {".5", "0.5"},
    {"-0.0", "-0.0"},
    {"+1.5E+2", "150.0"},
    {"1e", "\"1e\""},
    {".", "\".\""},
    {"1.2.3", "\"1.2.3\""},
    {"2026-01-01", "\"2026-01-01\""},
    {"'no'", "\"no\""},
    {"\"1\"", "\"1\""},
    {"'null'", "\"null\""},
    {"!!str 5", "\"5\""},
    {"- 1\n- a", "[1,\"a\"]"},
    {"{a: 1, b: [x, 2.0]}", "{\"a\":1,\"b\":[\"x\",2.0]}"},
    {"a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}"},
    {"a:\nb: 1", "{\"a\":null,\"b\":1}"},
    {"9223372036854775807", "9223372036854775807"},
    {"9223372036854775808", "9.2233720368547758e18"},
    {"# nothing\n", "null"},
    {"---\na: 1\n...\n", "{\"a\":1}"},
};

Test(yaml, scalars_follow_the_core_schema) {
    for (size_t i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        lh__error e = {0};
        json_t *got = lh__yaml_parse(scalars[i].yaml, strlen(scalars[i].yaml), "f", NULL, &e);
        json_t *want = json_loads(scalars[i].json, JSON_DECODE_ANY, NULL);
        cr_assert(got, "%s: %s", scalars[i].yaml, e.text);
        cr_expect(json_equal(got, want), "%s is not %s", scalars[i].yaml, scalars[i].json);
        json_decref(got);
        json_decref(want);
    }
}

static const struct {
    const char *yaml, *where, *what;
} bad[] = {
    {"a: 1\nb: 2\na: 3\n", "f:3:1", "given twice"},
    {"a: &x 1\nb: *x\n", "f:1:4", "anchors"},
    {"a: !!python/object x\n", "f:1:4", "tags"},
    {"a: .inf\n", "f:1:4", "finite"},
    {"a: 1e999\n", "f:1:4", "finite"},
    {"a: .nan\n", "f:1:4", "finite"},
    {"a: \"x\\0y\"\n", "f:1:4", "zero byte"},
    {"? [1, 2]\n: 3\n", "f:1:3", "key"},
    {"a: 1\n---\nb: 2\n", "f:2:1", "second document"},
    {"a: [1, 2\n", "f:2:1", ""},
    {"a: 1\n b: 2\n", "f:2:3", ""},
    {"\tx: 1\n", "f:1:1", ""},
    {"a: \xff\xfe\n", "f", "UTF-8"},
};

Test(yaml, what_is_refused_says_where) {
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        lh__error e = {0};
        json_t *got = lh__yaml_parse(bad[i].yaml, strlen(bad[i].yaml), "f", NULL, &e);
        cr_expect_null(got, "%s was read", bad[i].yaml);
        cr_expect(strncmp(e.text, bad[i].where, strlen(bad[i].where)) == 0, "%s: %s", bad[i].where,
                  e.text);
        cr_expect(strstr(e.text, bad[i].what), "%s: %s", bad[i].what, e.text);
    }
}

Test(yaml, depth_is_bounded) {
    char text[200];
    lh__error e = {0};

    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    cr_expect_null(lh__yaml_parse(text, 200, "f", NULL, &e));
    cr_expect(strstr(e.text, "deep"), "%s", e.text);
    e = (lh__error){0};
    cr_expect_null(lh__json_parse(text, 200, "f", NULL, &e));
    cr_expect(strstr(e.text, "deep"), "%s", e.text);
}

Test(yaml, origins_are_lines_and_columns) {
    const char *text = "a: 1\nb:\n  c: x\n  d: [1, 2]\n";
    json_t *origins = json_object();
    lh__error e = {0};
    json_t *tree = lh__yaml_parse(text, strlen(text), "f.yaml", origins, &e);

    cr_assert(tree);
    cr_expect_str_eq(json_string_value(json_object_get(origins, "b.c")), "f.yaml:3:6");
    cr_expect_str_eq(json_string_value(json_object_get(origins, "b.d.1")), "f.yaml:4:10");
    json_decref(tree);
    json_decref(origins);
}

Test(yaml, json_refuses_duplicates_too) {
    lh__error e = {0};

    cr_expect_null(lh__json_parse("{\"a\":1,\"a\":2}", 13, "f.json", NULL, &e));
    cr_expect(strstr(e.text, "f.json:1:"), "%s", e.text);
}

Test(yaml, a_dump_reads_back_as_the_same_tree) {
    static const char *const trees[] = {
        "{\"a\":null,\"b\":[true,false,0,-1,9223372036854775807],\"c\":{\"d\":[],\"e\":{}}}",
        "[0.001,1e-5,1e300,0.1,1.0,-0.0,123456789.123456789,1.7976931348623157e308,5e-324]",
        "[\"no\",\"yes\",\"null\",\"~\",\"\",\"1\",\"1.5\",\"1e3\",\"true\",\"0x1\",\"12:30\","
        "\"007\"]",
        "[\" lead\",\"trail \",\"a: b\",\"- x\",\"#c\",\"a "
        "#c\",\"'\",\"\\\"\",\"\\\\\",\"a\\nb\",\"\\n\","
        "\"tab\\t\",\"\\u00e4\\u4e2d\",\"{x}\",\"[x\",\"*a\",\"&a\",\"!t\",\"%d\",\"@\",\"`\",\"---"
        "\",\"...\",\"?\",\"\\u0001\","
        "\"a\\u0085b\",\"\\u2028\",\"\\ufeffx\"]",
        "{\"no\":1,\"1\":2,\"a b\":3,\"\":4,\"a: b\":5}",
        "\"just a text\"",
        "3",
        "{}",
        "[]",
    };

    for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
        json_t *tree = json_loads(trees[i], JSON_DECODE_ANY, NULL), *again;
        char *text = lh__yaml_dump(tree);
        lh__error e = {0};
        cr_assert(tree && text);
        again = lh__yaml_parse(text, strlen(text), "dump", NULL, &e);
        cr_assert(again, "%s\n%s", text, e.text);
        cr_expect(json_equal(tree, again), "not the same:\n%s", text);
        free(text);
        json_decref(tree);
        json_decref(again);
    }
}

/* PyYAML's resolver for YAML 1.1 wants a point in the mantissa and quotes around its booleans. */
Test(yaml, scalars_are_safe_for_readers_of_1_1) {
    static const struct {
        const char *json, *yaml;
    } cases[] = {{"1e-5", "1.0e-05"},      {"2.0", "2.0"},        {"\"no\"", "'no'"},
                 {"\"12:30\"", "'12:30'"}, {"0.001", "0.001"},    {"true", "true"},
                 {"\"adam\"", "adam"},     {"\"1e-3\"", "'1e-3'"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *v = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        char *text = lh__yaml_scalar_dump(v);
        cr_expect_str_eq(text, cases[i].yaml);
        free(text);
        json_decref(v);
    }
}
