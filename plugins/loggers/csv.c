/* csv.c - metrics.csv and hparams.yaml in the run's folder: CSVLogger.
 *
 * metrics.csv has a column for every metric and one for the step, sorted by name, and a row per
 * call; a cell is empty where a row has no such metric. Invariants: rows wait in memory until they
 * are saved, so that metrics which appear together cost one new header; a file that needs more
 * columns is read, completed and replaced atomically, at most once per save; otherwise rows are
 * appended. A reader at any time sees a header and whole rows under it. Quoting is that of RFC
 * 4180.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("flush_logs_every_n_steps", 100, 1, 1e9, "rows kept in memory at most"),
    LH_HPARAM_TEXT("prefix", "", "before every metric's name, with a dash"),
};

/* A value of a waiting row. */
struct cell {
    int64_t row;
    int32_t column;
    double value;
};

struct csv {
    char path[PATH_MAX];
    int fd; /* metrics.csv, for appending; 0: not open (never the standard input) */
    int64_t flush_every;

    char **columns;   /* names, in order of appearance; owned */
    int32_t *sorted;  /* columns[sorted[i]] ascend */
    int32_t *written; /* likewise, of the header that is in the file; n_written of them */
    int32_t n_columns, n_written, column_capacity;

    struct cell *cells; /* of the rows that wait, by row */
    int64_t n_cells, cell_capacity, n_rows;
};

static void release(struct csv *m) {
    for (int32_t i = 0; i < m->n_columns; i++)
        free(m->columns[i]);
    free(m->columns);
    free(m->sorted);
    free(m->written);
    free(m->cells);
    if (m->fd > 0)
        close(m->fd);
    memset(m, 0, sizeof *m);
}

/* ---- columns and cells */

/* Makes the three arrays of columns longer together. */
static int grow_columns(struct csv *m) {
    int32_t capacity = m->column_capacity ? 2 * m->column_capacity : 16;
    char **columns = realloc(m->columns, (size_t)capacity * sizeof *columns);
    int32_t *sorted = realloc(m->sorted, (size_t)capacity * sizeof *sorted);
    int32_t *written = realloc(m->written, (size_t)capacity * sizeof *written);

    m->columns = columns ? columns : m->columns;
    m->sorted = sorted ? sorted : m->sorted;
    m->written = written ? written : m->written;
    if (!columns || !sorted || !written)
        return 0;
    m->column_capacity = capacity;
    return 1;
}

/* Index of the column of that name, made if need be; -1: out of memory. O(log columns) if it is
 * there. */
static int32_t column_of(struct csv *m, const char *name) {
    int32_t low = 0, high = m->n_columns;

    while (low < high) {
        int32_t middle = (low + high) / 2;
        int order = strcmp(m->columns[m->sorted[middle]], name);

        if (order == 0)
            return m->sorted[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (m->n_columns == m->column_capacity && !grow_columns(m))
        return -1;
    m->columns[m->n_columns] = strdup(name);
    if (!m->columns[m->n_columns])
        return -1;
    memmove(m->sorted + low + 1, m->sorted + low, (size_t)(m->n_columns - low) * sizeof *m->sorted);
    m->sorted[low] = m->n_columns;
    return m->n_columns++;
}

/* Sets a value of the row that is being made; the last one of a name counts. */
static int set_cell(struct csv *m, const char *name, double value) {
    int32_t column = column_of(m, name);

    for (int64_t i = m->n_cells; i > 0 && m->cells[i - 1].row == m->n_rows; i--)
        if (m->cells[i - 1].column == column) {
            m->cells[i - 1].value = value;
            return 1;
        }
    if (m->n_cells == m->cell_capacity) {
        int64_t capacity = m->cell_capacity ? 2 * m->cell_capacity : 64;
        struct cell *grown = realloc(m->cells, (size_t)capacity * sizeof *grown);

        if (!grown)
            return 0;
        m->cells = grown;
        m->cell_capacity = capacity;
    }
    m->cells[m->n_cells++] = (struct cell){m->n_rows, column, value};
    return column >= 0;
}

/* ---- writing */

static void add_name(struct output *o, const char *name) {
    if (!strpbrk(name, ",\"\r\n")) {
        output_text(o, name);
        return;
    }
    output_text(o, "\"");
    for (; *name; name++)
        output_add(o, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
    output_text(o, "\"");
}

static void add_header(struct output *o, const struct csv *m) {
    for (int32_t i = 0; i < m->n_columns; i++) {
        if (i)
            output_text(o, ",");
        add_name(o, m->columns[m->sorted[i]]);
    }
    output_text(o, "\n");
}

/* The waiting rows, in the order of the header. Work: columns times rows. */
static lh_status add_rows(lh_ctx *c, struct output *o, const struct csv *m) {
    const struct cell **row = calloc((size_t)m->n_columns, sizeof *row);
    const struct cell *next = m->cells, *end = m->cells + m->n_cells;
    char number[LH_REAL_SIZE];

    if (!row)
        return lh_fail(c, LH_ENOMEM, "out of memory for %s", m->path);
    while (next < end) {
        int64_t r = next->row;

        memset(row, 0, (size_t)m->n_columns * sizeof *row);
        for (; next < end && next->row == r; next++)
            row[next->column] = next;
        for (int32_t i = 0; i < m->n_columns; i++) {
            if (i)
                output_text(o, ",");
            if (!row[m->sorted[i]])
                continue;
            lh_real_text(number, row[m->sorted[i]]->value);
            output_text(o, number);
        }
        output_text(o, "\n");
    }
    free(row);
    return LH_OK;
}

/* One row of the file, without its end, in the columns of now. Cells are numbers: no quotes. */
static void add_old_row(struct output *o, const struct csv *m, const char *line) {
    int32_t old = 0;

    for (int32_t i = 0; i < m->n_columns; i++) {
        if (i)
            output_text(o, ",");
        if (old == m->n_written || m->written[old] != m->sorted[i])
            continue;
        output_add(o, line, strcspn(line, ","));
        line += strcspn(line, ",");
        line += *line == ',';
        old++;
    }
    output_text(o, "\n");
}

/* Passes the header of a file, which may have quoted names with line ends in them. */
static void skip_header(FILE *f) {
    int is_quoted = 0, ch;

    while ((ch = getc(f)) != EOF && (ch != '\n' || is_quoted))
        is_quoted ^= ch == '"';
}

/* The whole file anew, with the columns of now. */
static lh_status rewrite(lh_ctx *c, struct csv *m) {
    struct output o = {0};
    FILE *old = m->n_written ? fopen(m->path, "re") : NULL;
    lh_status status = LH_OK;
    char *line = NULL;
    size_t size = 0;
    ssize_t n;

    if (m->n_written && !old)
        return lh_fail(c, LH_EIO, "cannot read %s: %s", m->path, strerror(errno));
    add_header(&o, m);
    if (old)
        skip_header(old);
    while (old && (n = getline(&line, &size, old)) > 0) {
        line[n - (line[n - 1] == '\n')] = 0;
        add_old_row(&o, m, line);
    }
    if (old && ferror(old))
        status = lh_fail(c, LH_EIO, "cannot read %s: %s", m->path, strerror(errno));
    if (status == LH_OK)
        status = add_rows(c, &o, m);
    if (status == LH_OK)
        status = output_replace(c, &o, m->path);
    if (old)
        fclose(old);
    free(line);
    output_free(&o);
    return status;
}

/* The waiting rows after those in the file, whose columns are those of now. */
static lh_status append(lh_ctx *c, struct csv *m) {
    struct output o = {0};
    lh_status status = add_rows(c, &o, m);

    if (status == LH_OK)
        status = output_append(c, &o, m->fd, m->path);
    output_free(&o);
    return status;
}

static lh_status write_out(lh_ctx *c, struct csv *m) {
    lh_status status;

    if (m->n_rows == 0)
        return LH_OK;
    if (m->n_written == m->n_columns) {
        status = append(c, m);
    } else {
        status = rewrite(c, m);
        if (m->fd > 0)
            close(m->fd);
        m->fd = status == LH_OK ? open(m->path, O_WRONLY | O_APPEND | O_CLOEXEC) : 0;
        if (m->fd < 0)
            status = lh_fail(c, LH_EIO, "cannot write %s: %s", m->path, strerror(errno));
        m->n_written = m->n_columns;
        memcpy(m->written, m->sorted, (size_t)m->n_columns * sizeof *m->written);
    }
    m->n_cells = m->n_rows = 0;
    return status;
}

/* ---- hooks; one that fails is the last, so it gives back what the logger holds */

static lh_status done(struct csv *m, lh_status status) {
    if (status != LH_OK)
        release(m);
    return status;
}

static lh_status setup(lh_ctx *c, void *self) {
    struct csv *m = self;

    m->flush_every = lh_hparam_int(c, "flush_logs_every_n_steps");
    if (output_path(c, "metrics.csv", m->path) != LH_OK)
        return lh_status_of(c);
    if (access(m->path, F_OK) == 0) {
        lh_print(c, LH_WARNING, "%s is of an earlier run and is replaced", m->path);
        if (unlink(m->path) != 0)
            return lh_fail(c, LH_EIO, "cannot remove %s: %s", m->path, strerror(errno));
    }
    return LH_OK;
}

static lh_status log_metrics(lh_ctx *c, void *self, const lh_scalar *metrics, int32_t n,
                             int64_t step) {
    const char *prefix = lh_hparam_text(c, "prefix");
    struct csv *m = self;
    int ok = set_cell(m, "step", (double)step);
    char name[512];

    for (int32_t i = 0; i < n && ok; i++) {
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "-" : "", metrics[i].name);
        ok = set_cell(m, name, metrics[i].value);
    }
    if (!ok)
        return done(m, lh_fail(c, LH_ENOMEM, "out of memory for %s", m->path));
    m->n_rows++;
    return m->n_rows < m->flush_every ? LH_OK : done(m, write_out(c, m));
}

static lh_status log_hyperparams(lh_ctx *c, void *self, const lh_setting *settings, int32_t n) {
    return done(self, output_hparams(c, settings, n));
}

static lh_status save(lh_ctx *c, void *self) {
    return done(self, write_out(c, self));
}

static lh_status finalize(lh_ctx *c, void *self, int32_t outcome) {
    lh_status status = write_out(c, self);

    release(self);
    return status;
}

/* clang-format off */
LH_EXPORT_LOGGER("csv", "1.0.0",
    .state_size = sizeof(struct csv),
    LH_HPARAMS(hparams),
    .setup = setup,
    .log_metrics = log_metrics,
    .log_hyperparams = log_hyperparams,
    .save = save,
    .finalize = finalize);
