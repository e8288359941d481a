/* test_tensorboard.c - event files, read by TensorBoard itself and by a reader of the format here.
 */
#include "host.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OPEN(...) host_open(LOGGERS "/tensorboard.so", scratch(), __VA_ARGS__, NULL)
#define LOG(h, step, ...)                                                                       \
    host_done((h), (h)->logger->log_metrics(                                                    \
                       &(h)->ctx, (h)->self, (const lh_scalar[]){__VA_ARGS__},                  \
                       (int32_t)(sizeof((const lh_scalar[]){__VA_ARGS__}) / sizeof(lh_scalar)), \
                       (step)))

/* CRC-32C by its definition: the remainder of division by the polynomial 0x1EDC6F41, bits of each
 * byte lowest first, the register kept the other way round than in the plugin. */
static uint32_t crc32c(const uint8_t *p, size_t n) {
    uint32_t crc = 0xffffffff, out = 0;

    for (size_t i = 0; i < 8 * n; i++) {
        uint32_t bit = p[i / 8] >> i % 8 & 1;

        crc = (crc >> 31) ^ bit ? crc << 1 ^ 0x1edc6f41 : crc << 1;
    }
    for (int i = 0; i < 32; i++)
        out |= (crc >> i & 1) << (31 - i);
    return ~out;
}

static uint32_t unmasked(const uint8_t *p) {
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

    v -= 0xa282ead8;
    return v >> 17 | v << 15;
}

struct records {
    uint8_t data[1 << 20];
    size_t size, n;
    size_t at[4096], length[4096];
};

static void find_file(char path[1200]) {
    DIR *d = opendir(scratch());
    struct dirent *e;

    *path = 0;
    while ((e = readdir(d)))
        if (strncmp(e->d_name, "events.out.tfevents.", 20) == 0) {
            cr_assert_eq(*path, 0, "two event files");
            snprintf(path, 1200, "%s/%s", scratch(), e->d_name);
        }
    closedir(d);
    cr_assert_neq(*path, 0, "no event file");
}

/* Reads the framing and checks every sum. */
static void read_records(struct records *r) {
    char path[1200];
    FILE *f;

    find_file(path);
    f = fopen(path, "r");
    r->size = fread(r->data, 1, sizeof r->data, f);
    fclose(f);
    r->n = 0;
    for (size_t p = 0; p < r->size;) {
        uint64_t length = 0;

        cr_assert_leq(p + 16, r->size);
        for (int i = 7; i >= 0; i--)
            length = length << 8 | r->data[p + (size_t)i];
        cr_assert_leq(p + 16 + length, r->size, "a record is cut off");
        cr_assert_eq(unmasked(r->data + p + 8), crc32c(r->data + p, 8));
        cr_assert_eq(unmasked(r->data + p + 12 + length), crc32c(r->data + p + 12, length));
        r->at[r->n] = p + 12;
        r->length[r->n++] = length;
        p += 16 + length;
    }
}

static struct records r;

/* The check value of CRC-32C in every catalogue of such sums. */
Test(tensorboard, the_readers_sum_is_right) {
    cr_assert_eq(crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
}

Test(tensorboard, frames_records_and_grows_while_it_is_read) {
    static const uint8_t version[] = "\x1a\x0d"
                                     "brain.Event:2";
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK, "%s", h->error);
    read_records(&r);
    cr_assert_eq(r.n, 1, "the version is there at once");
    cr_expect_eq(r.length[0], 9 + 15);
    cr_expect_arr_eq(r.data + r.at[0] + 9, version, 15);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(LOG(h, i, {"a", i}, {"epoch", 0}), LH_OK);
        if (i % 10 == 9) {
            cr_assert_eq(CALL(h, logger, save), LH_OK);
            read_records(&r);
            cr_expect_eq(r.n, (size_t)i + 2);
        }
    }
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    read_records(&r);
    host_close(h);
}

/* What the tensorboard package makes of the folder, as text. */
static const char *read_by_tensorboard(char *out, size_t size) {
    const char *python = getenv("LHOST_PEERS_PYTHON");
    char command[1024];
    size_t n;
    FILE *p;

    if (!python || !*python)
        cr_skip_test("LHOST_PEERS_PYTHON is not set");
    snprintf(command, sizeof command, "%s %s %s 2>/dev/null", python, EVENTS_PY, scratch());
    p = popen(command, "r");
    cr_assert_not_null(p);
    n = fread(out, 1, size - 1, p);
    out[n] = 0;
    n = (size_t)pclose(p);
    if (WIFEXITED((int)n) && WEXITSTATUS((int)n) == 77)
        cr_skip_test("the tensorboard package is not installed");
    cr_assert_eq(n, 0, "events.py failed: %s", out);
    return out;
}

Test(tensorboard, is_read_by_tensorboard) {
    static const lh_setting settings[] = {
        {"lr", "0.001"}, {"kind", "\"deep\""}, {"wide", "true"}, {"size", "128"}};
    static char text[1 << 16];
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    cr_assert_eq(h->logger->log_hyperparams(&h->ctx, h->self, settings, 4), LH_OK);
    cr_assert_eq(LOG(h, 49, {"train_loss", 0.25}, {"epoch", 0}), LH_OK);
    cr_assert_eq(LOG(h, 1LL << 40, {"train_loss", -1e30}, {"val/acc", INFINITY}, {"epoch", 300}),
                 LH_OK);
    cr_assert_eq(CALL(h, logger, save), LH_OK);
    cr_expect_str_eq(read_by_tensorboard(text, sizeof text),
                     "scalar epoch 49 0.0\n"
                     "scalar epoch 1099511627776 300.0\n"
                     "scalar hp_metric 0 -1.0\n"
                     "scalar train_loss 49 0.25\n"
                     "scalar train_loss 1099511627776 -1.0000000150474662e+30\n"
                     "scalar val/acc 1099511627776 inf\n"
                     "hparam kind 'deep'\n"
                     "hparam lr 0.001\n"
                     "hparam size 128.0\n"
                     "hparam wide True\n",
                     "while the file is open for writing");
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_FAILED), LH_OK);
    cr_expect_not_null(strstr(read_by_tensorboard(text, sizeof text), "status 2\n"), "%s", text);
    host_close(h);
}

/* Rows without end do not gather in memory. */
Test(tensorboard, writes_when_much_is_waiting) {
    struct host *h = OPEN(NULL);

    cr_assert_eq(CALL(h, logger, setup), LH_OK);
    for (int i = 0; i < 3000; i++)
        cr_assert_eq(LOG(h, i, {"a_metric_with_a_name", i}), LH_OK);
    read_records(&r);
    cr_expect_gt(r.n, 1000);
    cr_assert_eq(h->logger->finalize(&h->ctx, h->self, LH_SUCCESS), LH_OK);
    read_records(&r);
    cr_expect_eq(r.n, 3002);
    host_close(h);
}

Test(tensorboard, tells_what_it_cannot_open) {
    struct host *h = OPEN(NULL);

    snprintf(h->texts[LH_LOG_DIR], sizeof h->texts[0], "%s/nowhere", scratch());
    cr_expect_eq(CALL(h, logger, setup), LH_EIO);
    cr_expect_not_null(strstr(h->error, "nowhere/events.out.tfevents."), "%s", h->error);
    cr_expect_not_null(strstr(h->error, "No such file"), "%s", h->error);
    host_close(h);
}
