/* The progress line: its parts, and that it never takes more columns than there are. */
#include "report/bar.h"

#include <criterion/criterion.h>
#include <string.h>

static const lh__terminal ascii = {.fd = -1}, utf8 = {.fd = -1, .utf8 = 1},
                          color = {.fd = -1, .utf8 = 1, .color = 1};

/* Columns of a line with escape sequences. */
static int visible_columns(const char *s) {
    char plain[2048];
    size_t n = 0;

    for (; *s; s++) {
        if (*s == '\x1b')
            s = strchr(s, 'm');
        else
            plain[n++] = *s;
    }
    plain[n] = '\0';
    return lh__columns(plain);
}

Test(bar, half_way) {
    lh__bar b = {"Epoch 0/2", 430, 860, 0.2, "train_loss 0.213  v_num 3"};
    char line[1024];

    lh__bar_draw(&b, &ascii, 120, line, sizeof line);
    cr_expect_str_eq(line, "Epoch 0/2  ####################--------------------  430/860  2150 it/s"
                           "  eta 0:00  train_loss 0.213  v_num 3");
}

Test(bar, unicode_has_a_head) {
    lh__bar b = {"Epoch 0", 1, 2, 1, ""};
    char line[1024];

    lh__bar_draw(&b, &utf8, 60, line, sizeof line);
    cr_expect(strstr(line, "━╺─"), "%s", line);
    cr_expect_eq(strstr(line, "\x1b"), NULL);
    lh__bar_draw(&b, &color, 60, line, sizeof line);
    cr_expect(strstr(line, "\x1b[36m") && strstr(line, "\x1b[0m"), "%s", line);
}

Test(bar, rates_and_times) {
    static const struct {
        lh__bar bar;
        const char *part;
    } cases[] = {
        {{"x", 10, 100, 20, ""}, "2.00 s/it  eta 3:00"},
        {{"x", 10, 100, 1, ""}, "10.0 it/s  eta 0:09"},
        {{"x", 1, 7201, 1, ""}, "1.0 it/s  eta 2:00:00"},
        {{"x", 100, 100, 65, ""}, "100/100  1.5 it/s  in 1:05"},
        {{"x", 0, 100, 0, ""}, "0/100  - it/s  eta -"},
        {{"x", 7, 0, 1, ""}, "x  7  7.0 it/s"},
        {{"x", 7, -1, 1, "a 1"}, "7.0 it/s  a 1"},
    };
    char line[512];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__bar_draw(&cases[i].bar, &ascii, 100, line, sizeof line);
        cr_expect(strstr(line, cases[i].part), "'%s' is not in '%s'", cases[i].part, line);
    }
}

Test(bar, fits_any_width) {
    lh__bar b = {"Epoch 12/999", 123456, 999999, 77.7,
                 "train_loss 0.213  val_loss 0.145  val_acc 0.987  v_num 3"};
    const lh__terminal *terminals[] = {&ascii, &utf8, &color};
    char line[2048];

    for (int width = 1; width < 200; width++)
        for (int i = 0; i < 3; i++) {
            lh__bar_draw(&b, terminals[i], width, line, sizeof line);
            cr_expect_leq(visible_columns(line), width, "%d: %s", width, line);
        }
}

Test(bar, whole_metrics_are_left_out) {
    lh__bar b = {"Epoch 0/2", 1, 2, 1, "train_loss 0.213  v_num 3"};
    char line[512];

    for (int width = 30; width < 120; width++) {
        const char *m;
        lh__bar_draw(&b, &ascii, width, line, sizeof line);
        m = strstr(line, "train");
        cr_expect(!m || strncmp(m, "train_loss 0.213", 16) == 0, "%s", line);
    }
}

Test(bar, plain_line) {
    lh__bar b = {"Epoch 0/2", 430, 860, 0.2, "train_loss 0.213  v_num 3"};
    char line[512];

    lh__bar_line(&b, line, sizeof line);
    cr_expect_str_eq(line, "Epoch 0/2: 430/860, 2150 it/s, train_loss 0.213, v_num 3");
}

Test(bar, small_buffers_are_respected) {
    lh__bar b = {"Epoch 0/2", 430, 860, 0.2, "train_loss 0.213  v_num 3"};
    char line[40];

    memset(line, 'x', sizeof line);
    cr_expect_lt(lh__bar_draw(&b, &color, 200, line, 32), 32);
    cr_expect_eq(line[32], 'x');
}
