/* test_csv.c - metrics.csv and hparams.yaml, read back by a parser of RFC 4180. */
#include "host.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN(...) host_open(LOGGERS "/csv.so", scratch(), __VA_ARGS__, NULL)
#define LOG(h, step, ...)                                                                       \
    host_done((h), (h)->logger->log_metrics(                                                    \
                       &(h)->ctx, (h)->self, (const lh_scalar[]){__VA_ARGS__},                  \
                       (int32_t)(sizeof((const lh_scalar[]){__VA_ARGS__}) / sizeof(lh_scalar)), \
                       (step)))

enum { MAX_CELLS = 8192 };

struct table {
    char text[1 << 16], cells[MAX_CELLS][64];
    int columns, rows; /* the header is a row */
};

static const char *slurp(const char *name, char *out, size_t size) {
    char path[512];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", scratch(), name);
    f = fopen(path, "r");
    if (!f)
        return NULL;
    n = fread(out, 1, size - 1, f);
    out[n] = 0;
    fclose(f);
    return out;
}

/* Parses quoted and plain cells; checks that all rows are whole and of one length. */
static void parse(struct table *t) {
    int n = 0, column = 0;

    t->columns = t->rows = 0;
    cr_assert_not_null(slurp("metrics.csv", t->text, sizeof t->text));
    for (const char *p = t->text; *p;) {
        char *out = t->cells[n];

        cr_assert_lt(n, MAX_CELLS);
        if (*p == '"') {
            for (p++; *p != '"' || p[1] == '"'; p++) {
                p += *p == '"';
                *out++ = *p;
            }
            p++;
        } else {
            while (*p != ',' && *p != '\n') {
                cr_assert(*p && *p != '"');
                *out++ = *p++;
            }
        }
        *out = 0;
        n++;
        column++;
        cr_assert(*p == ',' || *p == '\n', "the last row is not whole");
        if (*p++ == '\n') {
            t->columns = t->columns ? t->columns : column;
            cr_assert_eq(column, t->columns, "row %d", t->rows);
            column = 0;
            t->rows++;
        }
    }
}

static const char *cell(struct table *t, int row, const char *name) {
    for (int i = 0; i < t->columns; i++)
        if (strcmp(t->cells[i], name) == 0)
            return t->cells[row * t->columns + i];
    cr_assert_fail("no column %s", name);
    return NULL;
}

static struct table t;

Test(csv, sorts_columns_and_leaves_cells_empty) {
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(LOG(h, 49, {"train_loss", 0.1}, {"epoch", 0}), LH_OK);
    cr_assert_eq(LOG(h, 50, {"val_loss", 1.0 / 3}, {"acc", NAN}, {"epoch", 0}), LH_OK);
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    parse(&t);
    cr_expect_str_eq(t.text, "acc,epoch,step,train_loss,val_loss\n"
                             ",0,49,0.1,\n"
                             "nan,0,50,,0.3333333333333333\n");
    cr_expect_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    host_close(h);
}

/* Every double comes back as the same bits. */
Test(csv, numbers_survive) {
    static const double values[] = {
        0.1,      1e-300,   4.9e-324,   1.7976931348623157e308,  -0.0, 1e22,
        1e15,     1e16,     123456.789, 2.2250738585072014e-308, 3e-5, 0.0001,
        INFINITY, -INFINITY};
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        cr_assert_eq(LOG(h, (int64_t)i, {"x", values[i]}), LH_OK);
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    parse(&t);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        double back = strtod(cell(&t, (int)i + 1, "x"), NULL);

        cr_expect(memcmp(&back, &values[i], sizeof back) == 0, "%.17g came back as %.17g",
                  values[i], back);
    }
    host_close(h);
}

Test(csv, quotes_names) {
    static const char *const names[] = {"a,b", "say \"x\"", "two\nlines", "plain", "\"", "ends\r"};
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(LOG(h, i, {names[i], i}), LH_OK);
        cr_assert_eq(CALL(h, logger, save), LH_OK); /* the file is read and rewritten each time */
    }
    parse(&t);
    cr_expect_eq(t.rows, 7);
    for (int row = 1; row < 7; row++)
        for (int i = 0; i < 6; i++) {
            const char digit[] = {(char)('0' + i), 0};

            cr_expect_str_eq(cell(&t, row, names[i]), i == row - 1 ? digit : "");
        }
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    host_close(h);
}

static ino_t file_number(void) {
    char path[512];
    struct stat st;

    snprintf(path, sizeof path, "%s/metrics.csv", scratch());
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Many new metrics between two saves cost one new file; none, no new file. */
Test(csv, rewrites_at_most_once_per_save) {
    struct host *h = OPEN("flush_logs_every_n_steps=1000");
    char name[32];
    ino_t first, second;

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(LOG(h, 0, {"a", 1}), LH_OK);
    cr_expect_eq(file_number(), 0, "nothing was saved yet");
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    first = file_number();
    for (int i = 1; i < 50; i++) {
        cr_assert_eq(LOG(h, i, {"a", i}), LH_OK);
        cr_assert_eq(CALL(h, logger, save), LH_OK);
    }
    cr_expect_eq(file_number(), first, "rows of known metrics are appended");
    for (int i = 50; i < 100; i++) {
        snprintf(name, sizeof name, "new_%d", i);
        cr_assert_eq(LOG(h, i, {name, i}), LH_OK);
        cr_expect_eq(file_number(), first);
    }
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    second = file_number();
    cr_expect_neq(second, first);
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    cr_expect_eq(file_number(), second);
    parse(&t);
    cr_expect_eq(t.rows, 101);
    cr_expect_eq(t.columns, 52);
    cr_expect_str_eq(cell(&t, 31, "a"), "30");
    cr_expect_str_eq(cell(&t, 31, "step"), "30");
    cr_expect_str_eq(cell(&t, 71, "new_70"), "70");
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    host_close(h);
}

Test(csv, writes_after_so_many_rows) {
    struct host *h = OPEN("flush_logs_every_n_steps=3", "prefix=run");

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(LOG(h, i, {"a", i}), LH_OK);
    parse(&t);
    cr_expect_eq(t.rows, 1 + 3);
    cr_expect_str_eq(cell(&t, 3, "run-a"), "2");
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    parse(&t);
    cr_expect_eq(t.rows, 1 + 5);
    host_close(h);
}

/* A metric called step is the step; of a name given twice the last value counts. */
Test(csv, step_can_be_logged) {
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(LOG(h, 5, {"a", 1}, {"step", 7}, {"a", 2}), LH_OK);
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    parse(&t);
    cr_expect_str_eq(t.text, "a,step\n2,7\n");
    host_close(h);
}

Test(csv, writes_hyperparameters) {
    static const lh_setting settings[] = {{"lr", "0.001"}, {"name", "\"a: b\""}};
    struct host *h = OPEN(NULL);
    char text[256];

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(h->logger->log_hyperparams(&h->ctx, h->self, settings, 2), LH_OK);
    cr_expect_str_eq(slurp("hparams.yaml", text, sizeof text), "lr: 0.001\nname: \"a: b\"\n");
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    host_close(h);
}

Test(csv, replaces_a_file_of_an_earlier_run) {
    struct host *h = OPEN(NULL);
    char path[512];

    snprintf(path, sizeof path, "%s/metrics.csv", scratch());
    fclose(fopen(path, "w"));
    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_expect_not_null(strstr(h->said, "earlier run"), "%s", h->said);
    cr_expect_eq(file_number(), 0);
    host_close(h);
}

/* A disk without room: the error names file and reason, and what was written before is whole. */
Test(csv, tells_of_a_full_disk) {
    struct host *h = OPEN(NULL);
    struct rlimit limit = {200, 200};

    signal(SIGXFSZ, SIG_IGN); /* write() fails with EFBIG instead */
    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(LOG(h, 0, {"a", 1}), LH_OK);
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 90; i++)
        cr_assert_eq(LOG(h, i, {"b", 0.125 * i}), LH_OK);
    cr_expect_eq(CALL(h, logger, save), LH_EIO);
    cr_expect_not_null(strstr(h->error, "metrics.csv"), "%s", h->error);
    cr_expect_not_null(strstr(h->error, "File too large"), "%s", h->error);
    parse(&t);
    cr_expect_str_eq(t.text, "a,step\n1,0\n");
    host_close(h);
}
