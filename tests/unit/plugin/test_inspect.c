/* test_inspect.c - the report, for people and for machines. */
#include "plugin/inspect.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

#include "files.h"

static char *report(const char *file, int json, lh__error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    lh__inspect(file, json, out, err);
    fclose(out);
    return text;
}

static int holds(const json_t *list, const char *name) {
    const json_t *item;
    size_t i;

    json_array_foreach(list, i, item) {
        if (strcmp(json_string_value(item), name) == 0)
            return 1;
    }
    return 0;
}

Test(inspect, json_says_all) {
    lh__error err = {0};
    char *text = report(PLUGINS "/good.so", 1, &err);
    json_t *r = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *module = json_array_get(json_object_get(r, "tables"), 0);
    json_t *hparam;

    cr_assert_eq(err.code, LH_OK, "%s", err.text);
    cr_assert_str_eq(json_string_value(json_object_get(r, "name")), "good");
    cr_assert_eq(strlen(json_string_value(json_object_get(r, "sha256"))), 64);
    cr_assert(json_is_null(json_object_get(r, "error")));
    cr_assert_eq(json_array_size(json_object_get(r, "tables")), 2);
    cr_assert_str_eq(json_string_value(json_object_get(module, "kind")), "module");
    cr_assert(holds(json_object_get(module, "set"), "forward"));
    cr_assert(holds(json_object_get(module, "unset"), "training_step"));
    cr_assert(!holds(json_object_get(module, "unset"), "forward"));
    hparam = json_array_get(json_object_get(module, "hparams"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(hparam, "name")), "hidden");
    cr_assert_str_eq(json_string_value(json_object_get(hparam, "type")), "int");
    cr_assert_eq(json_integer_value(json_object_get(hparam, "default")), 128);
    cr_assert_eq(json_number_value(json_object_get(hparam, "max")), 4096);
    json_decref(r);
    free(text);
}

Test(inspect, text_says_it_to_people) {
    static const char *const words[] = {"good 1.2.3 (ABI 1.0)",
                                        "module, callback",
                                        "sha256",
                                        "configure_model, forward",
                                        "hidden",
                                        "1 to 4096",
                                        "\"relu\""};
    char *text = report(PLUGINS "/good.so", 0, NULL);

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        cr_assert(strstr(text, words[i]), "'%s' is not in:\n%s", words[i], text);
    free(text);
}

/* What cannot be loaded still gets its static part, and the error. */
Test(inspect, reports_on_the_broken) {
    lh__error crash = {0}, hook = {0}, magic = {0};
    char *text = report(PLUGINS "/constructor_crash.so", 0, &crash);

    cr_assert_eq(crash.code, LH_EPLUGIN);
    assert_says(crash, "a constructor of it crashed with SIGSEGV");
    cr_assert(strstr(text, "constructor-crash 1"), "%s", text);
    cr_assert(strstr(text, "error: "), "%s", text);
    free(text);

    text = report(PLUGINS "/missing_hook.so", 1, &hook);
    assert_says(hook, "lacks configure_model");
    cr_assert(strstr(text, "lacks configure_model"), "%s", text);
    free(text);

    text = report(PLUGINS "/wrong_magic.so", 1, &magic);
    assert_says(magic, "magic");
    cr_assert_str_empty(text);
    free(text);
}
