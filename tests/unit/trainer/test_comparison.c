/* test_comparison.c - several models in one call: after their runs a table has a row for each. */
#include "lhost.h"

TestSuite(comparison, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define TWO "fit --model $V --model $W --max_epochs 1 " BARE

/* The line of stdout that has the word, "" if none has. */
static const char *row_with(const char *word) {
    char *rest, *line = strtok_r(slurp("out"), "\n", &rest);

    while (line && !strstr(line, word))
        line = strtok_r(NULL, "\n", &rest);
    return line ? line : "";
}

/* Of the model `several`: two layers from 32 to 2 with a bias. */
Test(comparison, a_row_has_parameters_seconds_and_metrics) {
    lhost_works(TWO);
    cr_expect_not_null(strstr(row_with("Seconds"), "val_loss"), "%s", slurp("out"));
    cr_expect_not_null(strstr(row_with("several"), " 132 "), "%s", slurp("out"));
    cr_expect_str_not_empty(row_with("workbench"));
    cr_expect_eq(json_integer_value(json_object_get(result_of(0), "parameters")), 132);
}

Test(comparison, of_the_test_where_there_is_one) {
    lhost_works("run --model $W --model $W --test --max_epochs 1 " BARE);
    cr_expect_not_null(strstr(row_with("Seconds"), "test_loss"), "%s", slurp("out"));
    cr_expect_null(strstr(row_with("Seconds"), "train_loss"), "%s", slurp("out"));
}

Test(comparison, not_of_one_model_nor_as_json) {
    lhost_works("fit --model $V --max_epochs 1 " BARE);
    cr_expect_str_empty(row_with("Seconds"));
    lhost_works(TWO "--json");
    cr_expect_str_empty(row_with("Seconds"));
}

Test(comparison, not_after_a_failure) {
    cr_expect_eq(lhost("fit --model $V --model nothing.so --max_epochs 1 " BARE), 2);
    cr_expect_str_empty(row_with("Seconds"));
}
