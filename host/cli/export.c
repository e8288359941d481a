/* export.c - `lhost export`: a model in another format.
 *
 * Takes its own options out of the command line; the rest is a run's, of which only the plugins,
 * the weights and the precision matter.
 */
#include "cli/cli.h"

#include "trainer/trainer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The exporters that have an option of their own: --onnx FILE. */
static const char *const formats[] = {"onnx", "torchscript"};

static const struct {
    const char *name;
    int32_t dtype;
} dtypes[] = {{"float32", LH_F32},
              {"float64", LH_F64},
              {"int64", LH_I64},
              {"uint8", LH_U8},
              {"bool", LH_BOOL}};

/* "4,1,28,28" */
static int read_shape(const char *text, lh__export *out) {
    out->ndim = 0;
    while (out->ndim < LH_MAX_DIMS) {
        char *end;

        errno = 0;
        out->shape[out->ndim] = strtoll(text, &end, 10);
        if (end == text || errno || out->shape[out->ndim++] < 1)
            return 0;
        if (*end == 0)
            return 1;
        if (*end != ',')
            return 0;
        text = end + 1;
    }
    return 0;
}

static int read_dtype(const char *text, lh__export *out) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            out->dtype = dtypes[i].dtype;
            return 1;
        }
    return 0;
}

/* Option `name` with its value: 1: taken; 0: not one of ours; -1: a bad value. */
static int take(const char *name, const char *value, lh__export *out) {
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(name, formats[i]) == 0) {
            out->exporter = formats[i];
            out->path = value;
            return 1;
        }
    if (strcmp(name, "exporter") == 0)
        out->exporter = value;
    else if (strcmp(name, "output") == 0)
        out->path = value;
    else if (strcmp(name, "input_shape") == 0)
        return read_shape(value, out) ? 1 : -1;
    else if (strcmp(name, "dtype") == 0)
        return read_dtype(value, out) ? 1 : -1;
    else
        return 0;
    return 1;
}

/* Moves what is not ours to `rest`. An exit code. */
static int split(const lh__call *call, char **rest, int *n, lh__export *out) {
    for (int i = 0; i < call->argc; i++) {
        const char *word = call->argv[i], *equals = strchr(word, '=');
        char name[32] = "";
        const char *value = equals ? equals + 1 : i + 1 < call->argc ? call->argv[i + 1] : NULL;
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        int taken = 0;

        if (strncmp(word, "--", 2) == 0 && length < sizeof name)
            memcpy(name, word + 2, length - 2);
        if (*name)
            taken = take(name, value ? value : "", out);
        if (taken && (!value || !*value))
            return lh__cli_usage(call, "--%s needs a value", name);
        if (taken < 0)
            return lh__cli_usage(call, "--%s %.80s: %s", name, value,
                                 strcmp(name, "dtype") == 0
                                     ? "use float32, float64, int64, uint8 or bool"
                                     : "write the lengths of the axes, the batch first, like "
                                       "1,3,224,224");
        if (taken)
            i += !equals;
        else
            rest[(*n)++] = call->argv[i];
    }
    return LH__EXIT_DONE;
}

int lh__cli_export(const lh__call *call) {
    lh__call run = *call;
    lh__export request = {.ndim = -1};
    char **rest = calloc((size_t)call->argc + 1, sizeof *rest);
    int is_help = 0, exit_code;

    if (!rest)
        return lh__cli_fail(call, LH__EXIT_FAILED, "out of memory");
    run.argc = 0;
    exit_code = split(call, rest, &run.argc, &request);
    for (int i = 0; i < run.argc; i++)
        is_help |= strcmp(rest[i], "--help") == 0 || strcmp(rest[i], "-h") == 0 ||
                   strcmp(rest[i], "--print_config") == 0;
    if (exit_code == LH__EXIT_DONE && !is_help && (!request.exporter || !request.path))
        exit_code = lh__cli_usage(call, "say what to write: --onnx FILE or --torchscript FILE");
    if (exit_code == LH__EXIT_DONE) {
        run.argv = rest;
        run.exports = &request;
        exit_code = lh__cli_run(&run);
    }
    free(rest);
    return exit_code;
}
