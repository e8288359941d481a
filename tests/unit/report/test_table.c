/* The tables, against what Lightning prints for the same numbers. */
#include "report/table.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(void (*print)(FILE *)) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    print(f);
    fclose(f);
    return text;
}

/* The examples in the documentation of Lightning's get_human_readable_count. */
Test(table, counts_are_lightnings) {
    static const struct {
        int64_t count;
        const char *text;
    } cases[] = {{123, "123"},
                 {1234, "1.2 K"},
                 {2000000, "2.0 M"},
                 {3000000000, "3.0 B"},
                 {400000000000000, "400 T"},
                 {5000000000000000, "5000 T"},
                 {101770, "101 K"},
                 {0, "0"},
                 {999, "999"}};
    char buf[32];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__count_text(cases[i].count, buf, sizeof buf);
        cr_expect_str_eq(buf, cases[i].text);
    }
}

static void print_summary(FILE *out) {
    lh__summary_row rows[] = {{"fc1", "128 x 784", 100480, 100480}, {"head", "10", 10, 0}};
    lh__summary s = {"mnist", rows, 2, 100490, 100480, 401960};

    lh__summary_print(&s, out);
}

Test(table, summary) {
    char *text = text_of(print_summary);

    cr_expect_str_eq(text, "  | Name | Shape     | Params\n"
                           "------------------------------\n"
                           "0 | fc1  | 128 x 784 | 100 K\n"
                           "1 | head | 10        | 10\n"
                           "------------------------------\n"
                           "100 K     Trainable params\n"
                           "10        Non-trainable params\n"
                           "100 K     Total params\n"
                           "0.402     Total estimated model params size (MB)\n");
    free(text);
}

static const lh_scalar first[] = {{"val_acc/dataloader_idx_0", 0.9753},
                                  {"val_loss/dataloader_idx_0", 0.08123}};
static const lh_scalar second[] = {{"val_acc/dataloader_idx_1", 0.5}, {"total", NAN}};
static const lh__result results[] = {{"validate", 0, 2, first}, {"validate", 1, 2, second}};

static void print_results(FILE *out) {
    lh__results_print(results, 2, 0, out);
}

Test(table, one_column_per_loader) {
    char *text = text_of(print_results);

    cr_expect_str_eq(text, "+-----------------+--------------+--------------+\n"
                           "| Validate metric | DataLoader 0 | DataLoader 1 |\n"
                           "+-----------------+--------------+--------------+\n"
                           "| val_acc         | 0.9753       | 0.5          |\n"
                           "| val_loss        | 0.08123      |              |\n"
                           "| total           |              | nan          |\n"
                           "+-----------------+--------------+--------------+\n");
    free(text);
}

static void print_boxes(FILE *out) {
    lh__results_print(results, 1, 1, out);
}

Test(table, unicode_lines_are_as_wide) {
    char *text = text_of(print_boxes), *line = strtok(text, "\n");
    int width = 0;

    for (; line; line = strtok(NULL, "\n")) {
        int n = 0;
        for (const char *p = line; *p; p++)
            n += (*p & 0xC0) != 0x80;
        cr_expect(width == 0 || n == width, "%s", line);
        width = n;
    }
    cr_expect_gt(width, 20);
    free(text);
}

static void print_comparison(FILE *out) {
    json_t *models = json_loads("[{\"model\":\"a\",\"parameters\":1234567,\"seconds\":3.25,"
                                "\"metrics\":{\"test_acc\":0.975}},"
                                "{\"model\":\"longer\",\"parameters\":10,\"seconds\":1,"
                                "\"metrics\":{\"test_loss\":2,\"test_acc\":null}}]",
                                0, NULL);

    lh__comparison_print(models, 0, out);
    json_decref(models);
}

Test(table, one_row_per_model) {
    char *text = text_of(print_comparison);

    cr_expect_str_eq(text, "+--------+------------+------------+------------+------------+\n"
                           "| Model  | Params     | Seconds    | test_acc   | test_loss  |\n"
                           "+--------+------------+------------+------------+------------+\n"
                           "| a      | 1.2 M      | 3.2        | 0.975      |            |\n"
                           "| longer | 10         | 1.0        |            | 2          |\n"
                           "+--------+------------+------------+------------+------------+\n");
    free(text);
}

Test(table, json_has_full_names_and_no_nan) {
    json_t *got = lh__results_json(results, 2);
    json_t *want =
        json_loads("{\"stage\":\"validate\",\"results\":[{\"val_acc/dataloader_idx_0\":0.9753,"
                   "\"val_loss/dataloader_idx_0\":0.08123},{\"val_acc/dataloader_idx_1\":0.5,"
                   "\"total\":null}]}",
                   0, NULL);

    cr_expect(json_equal(got, want));
    json_decref(got);
    json_decref(want);
}
