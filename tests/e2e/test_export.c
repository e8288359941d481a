/* test_export.c - `lhost export`: files of the right build, which other programs run to the same
 * results. The latter needs LHOST_PEERS_PYTHON: a Python that has onnxruntime, or torch, and numpy.
 */
#include "folder.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { N_GROUPS = 6 };
#define EXPORTED "export --model p/exported.so --model.group %d --%s f%d"

TestSuite(export, .init = enter_folder, .fini = leave_folder, .timeout = 600);

/* ---- ONNX: fields of protocol buffers */

typedef struct field {
    uint64_t number, type, value; /* the size of what follows where the type is 2 */
    const unsigned char *data;
} field;

static uint64_t varint(const unsigned char **p, const unsigned char *end) {
    uint64_t v = 0;

    for (int shift = 0; *p < end; shift += 7) {
        cr_assert_lt(shift, 64);
        v |= (uint64_t)(**p & 0x7f) << shift;
        if (!(*(*p)++ & 0x80))
            return v;
    }
    cr_assert_fail("a varint is cut off");
    return 0;
}

/* The next field; 0 at the end. Fails the test if a field does not lie within. */
static int next_field(const unsigned char **p, const unsigned char *end, field *f) {
    uint64_t tag;

    if (*p == end)
        return 0;
    tag = varint(p, end);
    f->number = tag >> 3, f->type = tag & 7;
    cr_assert(f->type == 0 || f->type == 2 || f->type == 5, "wire type %d", (int)f->type);
    f->value = f->type == 5 ? 4 : varint(p, end);
    f->data = *p;
    if (f->type != 0) {
        cr_assert_leq(f->value, (uint64_t)(end - *p));
        *p += f->value;
    }
    return 1;
}

/* How many fields of a number a message has; the last one is left in *f. */
static int count_fields(const unsigned char *data, size_t size, uint64_t number, field *f) {
    const unsigned char *p = data;
    field next;
    int n = 0;

    while (next_field(&p, data + size, &next))
        if (next.number == number)
            *f = next, n++;
    return n;
}

/* Is there an initializer of that name? */
static int has_initializer(const field *graph, const char *name) {
    const unsigned char *p = graph->data;
    field f, text;

    while (next_field(&p, graph->data + graph->value, &f))
        if (f.number == 5 && count_fields(f.data, f.value, 8, &text) == 1 &&
            text.value == strlen(name) && memcmp(text.data, name, text.value) == 0)
            return 1;
    return 0;
}

#define NORMS "export --model p/exported.so --model.group 4 "
static const char *const parameters[] = {"norm.weight",      "norm.bias",  "norm.running_mean",
                                         "norm.running_var", "row.weight", "row.bias"};
enum { N_PARAMETERS = sizeof parameters / sizeof *parameters };

Test(export, onnx_is_a_model_with_the_parameters_in_use) {
    size_t size;
    char *data;
    field f, graph;

    expect(0, "operators are in m.onnx", NORMS "--onnx m.onnx");
    data = read_text("m.onnx", &size);
    cr_assert(data);
    cr_assert_eq(count_fields((void *)data, size, 1, &f), 1); /* ir_version */
    cr_assert_eq(f.value, 9);
    cr_assert_eq(count_fields((void *)data, size, 8, &f), 1); /* opset_import */
    cr_assert_eq(count_fields((void *)data, size, 7, &graph), 1);
    cr_assert_gt(count_fields(graph.data, graph.value, 1, &f), 20); /* node */
    cr_assert_eq(count_fields(f.data, f.value, 2, &f), 1);          /* its output */
    cr_assert_eq(f.value, strlen("output"));
    cr_assert_eq(count_fields(graph.data, graph.value, 11, &f), 1); /* input */
    cr_assert_eq(count_fields(graph.data, graph.value, 12, &f), 1); /* output */
    for (int i = 0; i < N_PARAMETERS; i++)
        cr_assert(has_initializer(&graph, parameters[i]), "%s", parameters[i]);
    cr_assert_not(has_initializer(&graph, "head.weight"), "forward doesn't use it");
    free(data);
}

/* ---- TorchScript: a zip archive */

static uint32_t number_at(const unsigned char *p, int size) {
    uint32_t v = 0;

    for (int i = 0; i < size; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

/* Checks the entry at `p` of the directory, and what it refers to; returns the next. */
static const unsigned char *check_entry(const unsigned char *zip, size_t size,
                                        const unsigned char *p, char name[128]) {
    uint32_t crc = number_at(p + 16, 4), length = number_at(p + 24, 4);
    uint32_t name_size = number_at(p + 28, 2), offset = number_at(p + 42, 4), begin;

    cr_assert_eq(number_at(p, 4), 0x02014b50);
    cr_assert_eq(number_at(p + 20, 4), length, "stored, not compressed");
    cr_assert_lt(name_size, 128);
    memcpy(name, p + 46, name_size);
    name[name_size] = 0;
    cr_assert_eq(number_at(zip + offset, 4), 0x04034b50);
    begin = offset + 30 + number_at(zip + offset + 26, 2) + number_at(zip + offset + 28, 2);
    cr_assert_eq(begin % 64, 0, "%s begins at %u", name, begin);
    cr_assert_leq(begin + length, size);
    cr_assert_eq(crc32(0, zip + begin, length), crc, "%s", name);
    return p + 46 + name_size;
}

Test(export, torchscript_is_an_archive_of_aligned_entries) {
    const unsigned char *zip, *end, *p;
    char name[128], names[2048] = "";
    size_t size;
    int n;

    expect(0, "operators are in m.pt", NORMS "--torchscript m.pt");
    zip = (unsigned char *)read_text("m.pt", &size);
    cr_assert(zip && size > 22);
    end = zip + size - 22;
    cr_assert_eq(number_at(end, 4), 0x06054b50);
    n = (int)number_at(end + 10, 2);
    cr_assert_eq(n, 5 + N_PARAMETERS);
    p = zip + number_at(end + 16, 4);
    for (int i = 0; i < n; i++) {
        p = check_entry(zip, size, p, name);
        strcat(strcat(names, name), " ");
    }
    cr_assert_eq(p, end);
    cr_assert(strstr(names, "archive/data.pkl ") && strstr(names, "archive/constants.pkl ") &&
                  strstr(names, "archive/code/__torch__.py ") && strstr(names, "archive/version "),
              "%s", names);
    free((void *)zip);
}

/* ---- other programs run them */

/* Runs the command, ended by what it takes to see what it says. Skips the test where a Python
 * package is missing. */
static void run_reader(char *command, size_t size) {
    size_t n = strlen(command);
    char text[2048] = "";
    FILE *pipe;

    snprintf(command + n, size - n, " 2>&1");
    pipe = popen(command, "r");
    cr_assert(pipe);
    n = fread(text, 1, sizeof text - 1, pipe);
    text[n] = 0;
    cr_assert_eq(pclose(pipe), 0, "%s", text);
    if (strncmp(text, "skipped", 7) == 0)
        cr_skip_test("no Python package that runs it: %s", text);
}

static const char *reader(void) {
    const char *python = getenv("LHOST_PEERS_PYTHON");

    if (!python || !*python)
        cr_skip_test("LHOST_PEERS_PYTHON names no Python that could run it");
    return python;
}

/* Runs every group of operators in batches of 7 and of 3, 3 and 1, and has the reader, a Python
 * program, run the exported files on the same samples. Skips the test where there is none. */
static void compare_groups(const char *format) {
    static const int batches[] = {7, 3};
    char command[4096];
    size_t n = (size_t)snprintf(command, sizeof command, "'%s' '%s' %s", reader(),
                                getenv("LHOST_TEST_EXPORT_READER"), format);

    for (int i = 0; i < 2 * N_GROUPS; i++) {
        int group = i / 2, batch = batches[i % 2];

        cr_assert_eq(run(EXPORTED, group, format, group), 0, "%s", said());
        cr_assert_eq(run("predict --model p/exported.so --model.group %d --data.batch_size %d "
                         "--default_root_dir r --enable_progress_bar false",
                         group, batch),
                     0, "%s", said());
        n += (size_t)snprintf(command + n, sizeof command - n,
                              " 4,6,6 f%d r/lightning_logs/version_%d/predictions.safetensors %d",
                              group, i, batch);
    }
    run_reader(command, sizeof command);
}

/* Every example that has a forward, in batches of 4 and of 3. */
static void compare_examples(const char *format) {
    json_t *entries = json_load_file(getenv("LHOST_TEST_GOLDEN"), 0, NULL), *entry;
    const char *name;
    char command[8192];
    size_t n = (size_t)snprintf(command, sizeof command, "'%s' '%s' %s", reader(),
                                getenv("LHOST_TEST_EXPORT_READER"), format);

    cr_assert(entries);
    without_data();
    cr_assert_eq(symlink(getenv("LHOST_TEST_EXAMPLES"), "x"), 0);
    json_object_foreach(entries, name, entry) {
        const char *fields = json_string_value(json_object_get(entry, "forward"));
        const char *options = json_string_value(json_object_get(entry, "options"));

        if (!fields)
            continue;
        cr_assert_eq(
            run("export --model x/%s.so --data p/golden.so --data.fields %s --%s %s.out %s", name,
                fields, format, name, options),
            0, "%s: %s", name, said());
        for (int batch = 4; batch >= 3; batch--) {
            cr_assert_eq(run("predict --model x/%s.so --data p/golden.so --data.fields %s "
                             "--data.batch_size %d --data.batches 2 --default_root_dir %s-%d "
                             "--enable_progress_bar false %s",
                             name, fields, batch, name, batch, options),
                         0, "%s: %s", name, said());
            n += (size_t)snprintf(
                command + n, sizeof command - n,
                " '%s' %s.out %s-%d/lightning_logs/version_0/predictions.safetensors %d", fields,
                name, name, batch, batch);
        }
    }
    run_reader(command, sizeof command);
    json_decref(entries);
}

Test(export, onnxruntime_runs_the_examples) {
    compare_examples("onnx");
}

Test(export, torch_runs_the_examples) {
    compare_examples("torchscript");
}

Test(export, onnxruntime_gives_the_same_results) {
    compare_groups("onnx");
}

Test(export, torch_gives_the_same_results) {
    compare_groups("torchscript");
}

/* ---- what can't be exported */

Test(export, an_operator_without_a_mapping_is_named_with_its_line) {
    expect(2, "exported.c:|uniform", EXPORTED, 6, "onnx", 6);
    expect(2, "exported.c:|uniform", EXPORTED, 6, "torchscript", 6);
}

Test(export, what_depends_on_the_batch_in_no_simple_way_is_refused) {
    struct stat s;

    expect(2, "exported.c:|mul_scalar|depends on the size of the batch", EXPORTED, 7, "onnx", 7);
    expect(2, "exported.c:|reshape|depends on the size of the batch", EXPORTED, 8, "torchscript",
           8);
    cr_assert_neq(stat("f7", &s), 0, "a file was written all the same");
}

Test(export, wrong_calls_say_what_to_do) {
    expect(2, "--onnx FILE", "export --model p/exported.so");
    expect(2, "no model was given", "export --onnx f");
    expect(2, "--onnx needs a value", "export --model p/exported.so --onnx");
    expect(2, "1,3,224,224", "export --model p/exported.so --onnx f --input_shape 4x6");
    expect(2, "float32", "export --model p/exported.so --onnx f --dtype real");
    expect(2, "is no exporter", "export --model p/exported.so --exporter csv --output f");
    expect(2, "no plugin tflite", "export --model p/exported.so --exporter tflite --output f");
    expect(2, "cannot write", "export --model p/exported.so --onnx nowhere/f");
    expect(2, "forward", "export --model p/steady.so --onnx f --input_shape 1,4");
}

/* No run's folder, and parameters as a checkpoint has them. */
Test(export, leaves_nothing_but_the_file) {
    struct stat s;

    expect(0, "operators are in f4", EXPORTED, 4, "onnx", 4);
    cr_assert_eq(stat("f4", &s), 0);
    cr_assert_neq(stat("lightning_logs", &s), 0);
}
