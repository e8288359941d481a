/* test_idx.c - IDX files are read exactly, and every defect is named. */
#include "data/idx.h"

#include "files.h"

enum { N = 5 * 4 * 3 };

static uint8_t file[256];
static size_t length;

/* 5 images of 4 x 3 in `file`. */
static void setup(void) {
    length = idx_header(file, LH__IDX_U8, 3, (uint32_t[]){5, 4, 3});
    for (int i = 0; i < N; i++)
        file[length++] = (uint8_t)(3 * i);
}

static void expect_defect(const void *bytes, size_t size, const char *text) {
    lh__error e = {0};
    lh__idx idx;

    cr_assert_eq(lh__idx_parse(bytes, size, "the-file", &idx, &e), LH_ECORRUPT, "%s", text);
    cr_expect(strstr(e.text, "the-file") && strstr(e.text, text), "%s: %s", text, e.text);
}

static void expect_content(const lh__idx *idx) {
    cr_assert_eq(idx->ndim, 3);
    cr_assert(idx->shape[0] == 5 && idx->shape[1] == 4 && idx->shape[2] == 3);
    cr_assert_eq(idx->size, N);
    for (int i = 0; i < N; i++)
        cr_assert_eq(idx->data[i], (uint8_t)(3 * i));
}

Test(idx, whole_file, .init = setup) {
    lh__error e = {0};
    lh__idx idx;

    cr_assert_eq(lh__idx_parse(file, length, "f", &idx, &e), LH_OK, "%s", e.text);
    expect_content(&idx);
}

Test(idx, truncated_anywhere, .init = setup) {
    for (size_t n = 0; n < length; n++)
        expect_defect(file, n, "truncated");
}

Test(idx, trailing_bytes, .init = setup) {
    expect_defect(file, length + 1, "1 bytes too many");
}

Test(idx, wrong_header, .init = setup) {
    file[0] = 0x50;
    expect_defect(file, length, "not an IDX file");
    file[0] = 0;
    file[1] = 1;
    expect_defect(file, length, "not an IDX file");
    file[1] = 0;
    file[2] = 0x0A;
    expect_defect(file, length, "type code 0x0a");
    file[2] = LH__IDX_U8;
    file[3] = 0;
    expect_defect(file, length, "0 dimensions");
    file[3] = 9;
    expect_defect(file, length, "9 dimensions");
}

Test(idx, dimensions_that_overflow) {
    uint8_t huge[64];
    size_t n = idx_header(huge, LH__IDX_F64, 3, (uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff});

    expect_defect(huge, n, "impossibly large");
    n = idx_header(huge, LH__IDX_U8, 3, (uint32_t[]){0, 0xffffffff, 1});
    cr_assert_eq(lh__idx_parse(huge, n, "empty", &(lh__idx){0}, NULL), LH_OK);
}

Test(idx, plain_and_gzip_by_content, .init = setup) {
    const char *folder = new_folder(), *names[] = {"plain.gz", "packed"};
    lh__error e = {0};

    write_file(folder, names[0], file, length);
    write_gzip(folder, names[1], file, length);
    for (int i = 0; i < 2; i++) {
        lh__idx_content c;
        char path[PATH_MAX];

        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert_eq(lh__idx_read(path, &c, &e), LH_OK, "%s", e.text);
        expect_content(&c.idx);
        lh__idx_release(&c);
    }
    remove_folder(folder);
}

/* Compresses `n` bytes as one gzip member behind out[*at]. */
static void append_member(uint8_t *out, size_t *at, const void *bytes, size_t n) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes,
                  .avail_in = (uInt)n,
                  .next_out = out + *at,
                  .avail_out = 1024};

    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    *at += z.total_out;
    deflateEnd(&z);
}

static lh_status inflate_of(const uint8_t *bytes, size_t n, lh__error *e) {
    lh__idx_content c;
    lh_status status;

    e->code = LH_OK;
    status = lh__idx_inflate(bytes, n, "the-file", &c, e);
    if (status == LH_OK)
        expect_content(&c.idx);
    else
        cr_assert_null(c.blob.memory);
    lh__idx_release(&c);
    return status;
}

Test(idx, several_members_are_one_file, .init = setup) {
    for (size_t cut = 1; cut < length; cut++) {
        uint8_t gz[2048];
        size_t n = 0;
        lh__error e;

        append_member(gz, &n, file, cut);
        append_member(gz, &n, file + cut, length - cut);
        cr_assert_eq(inflate_of(gz, n, &e), LH_OK, "cut %zu: %s", cut, e.text);
    }
}

Test(idx, damaged_gzip, .init = setup) {
    uint8_t gz[2048];
    size_t n = 0;
    lh__error e;

    append_member(gz, &n, file, length);
    cr_assert_eq(inflate_of(gz, n, &e), LH_OK);
    for (size_t cut = 0; cut < n; cut++) {
        cr_assert_eq(inflate_of(gz, cut, &e), LH_ECORRUPT, "cut %zu", cut);
        cr_expect(strstr(e.text, "the-file: trunc"), "%s", e.text);
    }
    for (size_t i = 10; i < n; i++) { /* behind the gzip header, which holds free fields */
        gz[i] ^= 0x10;
        cr_assert_eq(inflate_of(gz, n, &e), LH_ECORRUPT, "flipped byte %zu", i);
        gz[i] ^= 0x10;
    }
    gz[n] = 0;
    cr_assert_eq(inflate_of(gz, n + 1, &e), LH_ECORRUPT, "a byte behind the data");
}

Test(idx, gzip_of_the_wrong_length, .init = setup) {
    uint8_t gz[2048], bomb[64];
    size_t n = 0, m;
    lh__error e;

    append_member(gz, &n, file, length - 1);
    cr_assert_eq(inflate_of(gz, n, &e), LH_ECORRUPT);
    cr_expect(strstr(e.text, "truncated"), "%s", e.text);
    n = 0;
    append_member(gz, &n, file, length + 1);
    cr_assert_eq(inflate_of(gz, n, &e), LH_ECORRUPT);
    cr_expect(strstr(e.text, "too many"), "%s", e.text);
    m = idx_header(bomb, LH__IDX_U8, 2, (uint32_t[]){1u << 31, 1u << 20});
    n = 0;
    append_member(gz, &n, bomb, m);
    cr_assert_eq(inflate_of(gz, n, &e), LH_ECORRUPT);
    cr_expect(strstr(e.text, "truncated: the header announces"), "%s", e.text);
}

Test(idx, files_that_cannot_be_read) {
    const char *folder = new_folder();
    char path[PATH_MAX];
    lh__idx_content c;
    lh__error e = {0};

    cr_assert_eq(lh__idx_read(folder, &c, &e), LH_ECORRUPT);
    cr_expect(strstr(e.text, "not a file"), "%s", e.text);
    write_file(folder, "empty", "", 0);
    snprintf(path, sizeof path, "%s/empty", folder);
    e.code = LH_OK;
    cr_assert_eq(lh__idx_read(path, &c, &e), LH_ECORRUPT);
    cr_expect(strstr(e.text, "empty"), "%s", e.text);
    strcat(path, "-or-not");
    e.code = LH_OK;
    cr_assert_eq(lh__idx_read(path, &c, &e), LH_ENOTFOUND);
    cr_expect(strstr(e.text, path), "%s", e.text);
    remove_folder(folder);
}
