/* test_foreign.c - files that others wrote: every rule of the format, one file for each. */
#include "checkpoint/safetensors.h"
#include "fixture.h"

/* Decodes a file of that header and so many zero bytes of data. */
static lh_status decode(const char *header, size_t data_size, lh__state **read, lh__error *e) {
    size_t length = strlen(header), size = 8 + length + data_size;
    unsigned char *file = calloc(1, size);
    lh_status status;

    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(file + 8, header, length);
    status = lh__safetensors_decode(file, size, "some.file", read, e);
    if (status == LH_OK)
        (*read)->storage = file;
    else
        free(file);
    return status;
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end \
    "]}"

Test(foreign, valid_files_load_as_weights) {
    static const struct {
        const char *header;
        size_t data_size, n;
    } cases[] = {
        {"{}", 0, 0},
        {"{}     ", 0, 0},
        {"{\"__metadata__\":{}}", 0, 0},
        {"{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("w", "F32", "[2]", 0, 8) "}", 8, 1},
        {"{" TENSOR("scalar", "F64", "[]", 0, 8) "}", 8, 1},
        {"{" TENSOR("none", "F32", "[0]", 0, 0) "}", 0, 1},
        {"{" TENSOR("none", "F32", "[9223372036854775807,0]", 0, 0) "}", 0, 1},
        {"{" TENSOR("none", "F32", "[2,0]", 4,
                    4) "," TENSOR("b", "F32", "[1]", 4, 8) "," TENSOR("a", "F32", "[1]", 0, 4) "}",
         8, 3},
        /* F32 behind one byte: misaligned, yet legal */
        {"{" TENSOR("u", "U8", "[1]", 0, 1) "," TENSOR("w", "F32", "[1]", 1, 5) "}", 5, 2},
        {"{" TENSOR("", "U8", "[1]", 0, 1) "}", 1, 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__state *s;
        lh__error e = {0};
        cr_assert_eq(decode(cases[i].header, cases[i].data_size, &s, &e), LH_OK, "%s: %s",
                     cases[i].header, e.text);
        cr_assert(s->foreign);
        cr_assert_eq(json_object_size(s->meta), 0);
        cr_assert_eq(s->n_tensors, cases[i].n);
        for (size_t j = 0; j < s->n_tensors; j++)
            cr_assert_eq(
                (uintptr_t)s->tensors[j].data % lh__stored_dtype_of(s->tensors[j].dtype)->size, 0);
        lh__state_free(s);
    }
}

Test(foreign, broken_files_are_refused) {
    static const struct {
        const char *header;
        size_t data_size;
        lh_status status;
        const char *words;
    } cases[] = {
        {"", 0, LH_ECORRUPT, "begin with '{'"},
        {" {}", 0, LH_ECORRUPT, "begin with '{'"},
        {"[]", 0, LH_ECORRUPT, "begin with '{'"},
        {"{", 0, LH_ECORRUPT, "not valid JSON"},
        {"{}x", 0, LH_ECORRUPT, "not valid JSON"},
        {"{}", 1, LH_ECORRUPT, "1 bytes at the end"},
        {"{\"__metadata__\":[]}", 0, LH_ECORRUPT, "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"epoch\":3}}", 0, LH_ECORRUPT, "\"epoch\" of __metadata__"},
        {"{\"__metadata__\":{\"format\":\"lhost/2\"}}", 0, LH_EUNSUPPORTED, "lhost/2"},
        {"{\"__metadata__\":{\"format\":\"lhost/1\"}}", 0, LH_ECORRUPT, "changed"},
        {"{\"__metadata__\":{\"lhost\":\"{}\"}}", 0, LH_ECORRUPT, "changed"},
        {"{\"__metadata__\":{\"lhost.crc32\":\"00000000\"}}", 0, LH_ECORRUPT, "changed"},
        {"{" TENSOR("a", "U8", "[1]", 0, 1) "," TENSOR("a", "U8", "[1]", 1, 2) "}", 2, LH_ECORRUPT,
         "duplicate"},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
         LH_ECORRUPT, "duplicate"},
        {"{\"a\":1}", 0, LH_ECORRUPT, "no dtype"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, LH_ECORRUPT, "no dtype"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, LH_ECORRUPT, "no valid shape"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, LH_ECORRUPT, "no valid data_offsets"},
        {"{" TENSOR("a", "F8_E4M3", "[1]", 0, 1) "}", 1, LH_EUNSUPPORTED, "F8_E4M3"},
        {"{" TENSOR("a", "f32", "[1]", 0, 4) "}", 4, LH_EUNSUPPORTED, "f32"},
        {"{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", 0, 1) "}", 1, LH_EUNSUPPORTED,
         "9 dimensions"},
        {"{" TENSOR("a", "U8", "[-1]", 0, 1) "}", 1, LH_ECORRUPT, "no valid shape"},
        {"{" TENSOR("a", "U8", "[1.0]", 0, 1) "}", 1, LH_ECORRUPT, "no valid shape"},
        {"{" TENSOR("a", "U8", "1", 0, 1) "}", 1, LH_ECORRUPT, "no valid shape"},
        {"{" TENSOR("a", "F32", "[4611686018427387904,2]", 0, 0) "}", 0, LH_ECORRUPT,
         "no valid shape"}, /* 2^65: 0 in 64 bits */
        {"{" TENSOR("a", "U8", "[99999999999999999999]", 0, 1) "}", 1, LH_ECORRUPT,
         "not valid JSON"},
        {"{" TENSOR("a", "U8", "[1]", 1, 0) "}", 1, LH_ECORRUPT, "no valid data_offsets"},
        {"{" TENSOR("a", "U8", "[1]", -1, 0) "}", 1, LH_ECORRUPT, "no valid data_offsets"},
        {"{" TENSOR("a", "U8", "[2]", 0, 2) "}", 1, LH_ECORRUPT, "no valid data_offsets"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", 1, LH_ECORRUPT,
         "no valid data_offsets"},
        {"{" TENSOR("a", "F32", "[2]", 0, 4) "}", 4, LH_ECORRUPT, "asks for 8"},
        {"{" TENSOR("a", "F32", "[]", 0, 0) "}", 0, LH_ECORRUPT, "asks for 4"},
        {"{" TENSOR("a", "U8", "[1]", 1, 2) "}", 2, LH_ECORRUPT, "after a hole"},
        {"{" TENSOR("a", "U8", "[1]", 0, 1) "," TENSOR("b", "U8", "[1]", 2, 3) "}", 3, LH_ECORRUPT,
         "\"b\" comes after a hole"},
        {"{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 1, 3) "}", 3, LH_ECORRUPT,
         "\"b\" overlaps"},
        {"{" TENSOR("a", "U8", "[2]", 0, 2) "," TENSOR("b", "U8", "[2]", 0, 2) "}", 2, LH_ECORRUPT,
         "overlaps"},
        {"{" TENSOR("a", "U8", "[1]", 0, 1) "}", 2, LH_ECORRUPT, "1 bytes at the end"},
        {"{" TENSOR("\\u001b[2J", "U8", "[2]", 0, 1) "}", 1, LH_ECORRUPT, "\"?[2J\""},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__state *s;
        lh__error e = {0};
        lh_status status = decode(cases[i].header, cases[i].data_size, &s, &e);
        cr_assert_eq(status, cases[i].status, "%s: %d %s", cases[i].header, status, e.text);
        cr_assert(strstr(e.text, cases[i].words), "%s: %s", cases[i].header, e.text);
        cr_assert(strncmp(e.text, "some.file: ", 11) == 0, "%s", e.text);
        cr_assert(status != LH_ECORRUPT || strstr(e.text, "choose another"), "%s", e.text);
    }
}

Test(foreign, bools_are_0_or_1) {
    static const char header[] = "{" TENSOR("on", "BOOL", "[1]", 0, 1) "}";
    unsigned char file[8 + sizeof header] = {sizeof header - 1};
    lh__state *s;
    lh__error e = {0};

    memcpy(file + 8, header, sizeof header - 1);
    file[8 + sizeof header - 1] = 2;
    cr_assert_eq(lh__safetensors_decode(file, sizeof file, "some.file", &s, &e), LH_ECORRUPT);
    cr_assert(strstr(e.text, "\"on\": a BOOL has the value 2"), "%s", e.text);
}

Test(foreign, lengths_beyond_the_file_are_refused) {
    static const unsigned char lengths[][8] = {{3},
                                               {0, 0, 0, 0, 0, 0, 0, 0x80},
                                               {255, 255, 255, 255, 255, 255, 255, 255},
                                               {0, 0xe1, 0xf5, 0x05}}; /* 100 000 000 */

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        unsigned char file[10] = {0};
        lh__state *s;
        memcpy(file, lengths[i], 8);
        memcpy(file + 8, "{}", 2);
        cr_assert_eq(lh__safetensors_decode(file, sizeof file, "some.file", &s, NULL), LH_ECORRUPT);
    }
}
