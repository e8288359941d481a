/* main.c - the program's entry: finds the subcommand's row and calls it. */
#include "cli/cli.h"

#include "config/nearest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

const lh__command lh__commands[] = {
    {"run", "fit", lh__cli_run, "--model FILE.so [OPTION]...",
     "train a model, validating as it goes", NULL, LH_FIT},
    {"validate", NULL, lh__cli_run, "--model FILE.so --ckpt_path FILE [OPTION]...",
     "run the validation loop on a checkpoint", NULL, LH_VALIDATE},
    {"test", NULL, lh__cli_run, "--model FILE.so --ckpt_path FILE [OPTION]...",
     "run the test loop on a checkpoint", NULL, LH_TEST},
    {"predict", NULL, lh__cli_run, "--model FILE.so --ckpt_path FILE [OPTION]...",
     "run the model on the prediction data", NULL, LH_PREDICT},
    {"export", NULL, lh__cli_export,
     "--model FILE.so --ckpt_path FILE --onnx FILE|--torchscript FILE [OPTION]...",
     "write the model's forward pass as an ONNX or TorchScript file",
     "Records forward in evaluation mode; the batch, axis 0 of the input, stays of any size.\n\n"
     "  --onnx FILE                         write ONNX\n"
     "  --torchscript FILE                  write what torch.jit.load reads\n"
     "  --exporter NAME --output FILE       write with an exporter plugin\n"
     "  --input_shape N,C,H,W               record with zeros of this shape instead of a batch of\n"
     "                                      the predict loader (else test, val, train)\n"
     "  --dtype NAME                        of the zeros: float32, float64, int64, uint8, bool\n",
     LH_PREDICT},
    {"inspect", NULL, lh__cli_inspect, "PLUGIN... [--json]",
     "tell what a plugin is, without letting it near the host", NULL, -1},
    {"new", NULL, lh__cli_new, "module|callback NAME", "write a plugin that builds, to start from",
     "Makes the folder NAME with the source and a Makefile. NAME is of a-z, 0-9, _.\n", -1},
    {"ckpt", NULL, lh__cli_ckpt, "show FILE [--json]", "tell what is in a checkpoint", NULL, -1},
    {"version", "--version", lh__cli_version, "[--json]", "tell what this lhost is made of", NULL,
     -1},
    {"help", "--help", lh__cli_help, "[SUBCOMMAND]", "explain a subcommand and its options", NULL,
     -1},
};
const int32_t lh__n_commands = sizeof lh__commands / sizeof *lh__commands;

const lh__command *lh__command_find(const char *name) {
    for (int32_t i = 0; i < lh__n_commands; i++) {
        const lh__command *c = &lh__commands[i];
        if (strcmp(c->name, name) == 0 || (c->alias && strcmp(c->alias, name) == 0))
            return c;
    }
    return strcmp(name, "-h") == 0 ? lh__command_find("help") : NULL;
}

static int unknown_command(const lh__call *call, const char *name) {
    lh__nearest n = lh__nearest_start(name);
    char hint[128];

    for (int32_t i = 0; i < lh__n_commands; i++) {
        lh__nearest_try(&n, lh__commands[i].name);
        if (lh__commands[i].alias)
            lh__nearest_try(&n, lh__commands[i].alias);
    }
    return lh__cli_fail(call, LH__EXIT_USAGE, "there is no subcommand '%.80s'%s\nSee: lhost help",
                        name, lh__nearest_text(&n, hint, sizeof hint));
}

int main(int argc, char **argv) {
    lh__call call = {.argc = argc - 2, .argv = argv + 2, .env = environ};
    int exit_code;

    if (argc < 2) {
        lh__help_program();
        return LH__EXIT_USAGE;
    }
    call.report = lh__report_new(STDERR_FILENO, STDOUT_FILENO);
    if (!call.report)
        return LH__EXIT_FAILED;
    call.observer = lh__report_observer(call.report);
    call.command = lh__command_find(argv[1]);
    exit_code = call.command ? call.command->main(&call) : unknown_command(&call, argv[1]);
    lh__report_free(call.report);
    if (fflush(stdout) != 0 && exit_code == LH__EXIT_DONE)
        exit_code = LH__EXIT_FAILED;
    return exit_code;
}
