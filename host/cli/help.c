/* help.c - help texts, made from the tables of subcommands, settings and trainer options. */
#include "cli/cli.h"

#include "config/settings.h"

#include <stdio.h>
#include <string.h>

enum { NAME_COLUMN = 36 };

static void entry(const char *name, const char *help) {
    if (strlen(name) < NAME_COLUMN - 2)
        printf("  %-*s%s\n", NAME_COLUMN, name, help);
    else
        printf("  %s\n  %*s%s\n", name, NAME_COLUMN, "", help);
}

void lh__help_program(void) {
    printf("lhost - train deep learning models written in C\n\nusage: lhost SUBCOMMAND ...\n\n");
    for (int32_t i = 0; i < lh__n_commands; i++) {
        const lh__command *c = &lh__commands[i];
        char name[64];
        int aliased = c->alias && c->alias[0] != '-';
        snprintf(name, sizeof name, "%s%s%s", c->name, aliased ? ", " : "",
                 aliased ? c->alias : "");
        printf("  %-16s%s\n", name, c->summary);
    }
    printf("\nA first run: lhost run --model mnist.so --max_epochs 3\n"
           "Options of a subcommand: lhost help SUBCOMMAND\n");
}

static void row_help(const char *prefix, const lh__option_row *row) {
    const char *value = strcmp(row->json, "null") == 0 ? row->unset : row->json;
    char name[96], expects[256];

    snprintf(name, sizeof name, "%s%s", prefix, row->name);
    lh__option_expects(row, expects, sizeof expects);
    entry(name, row->help);
    printf("  %*s%s", NAME_COLUMN, "", expects);
    printf(strcmp(value, "null") == 0 ? "\n" : "; default %s\n", value);
}

static void run_help(const lh__command *command) {
    static const struct {
        const char *name, *help;
    } general[] = {
        {"--model FILE.so", "the model; repeat it to run several, one after the other"},
        {"--model.NAME VALUE", "a hyper-parameter of the model (lhost inspect lists them)"},
        {"--data FILE.so", "a data module, instead of the model's own loaders"},
        {"--data.NAME VALUE", "a hyper-parameter of the data module"},
        {"--callback NAME[:key=value,...]", "add a callback; may be repeated"},
        {"--logger NAME[:key=value,...]",
         "log here instead of csv and tensorboard; may be repeated"},
        {"--logger false", "no loggers"},
        {"-c, --config FILE", "settings in YAML or JSON; may be repeated, later ones win"},
        {"--print_config", "show the settings that result, and stop"},
        {"--json", "results on stdout as JSON, one object per line"},
    };

    for (size_t i = 0; i < sizeof general / sizeof *general; i++)
        entry(general[i].name, general[i].help);
    for (int32_t i = 0; i < lh__n_setting_rows; i++)
        if (command->stage == LH_FIT || strcmp(lh__setting_rows[i].name, "test") != 0)
            row_help("--", &lh__setting_rows[i]);
    printf("\nTrainer options: --trainer.NAME VALUE, or --NAME VALUE for short\n\n");
    for (int32_t i = 0; i < lh__n_option_rows; i++)
        row_help("--", &lh__option_rows[i]);
    printf("\nThe same from the environment: LHOST_TRAINER__MAX_EPOCHS=3, LHOST_MODEL__LR=0.1.\n"
           "Defaults give way to the environment, that to files and options in their order.\n");
}

void lh__help_command(const lh__command *command) {
    printf("usage: lhost %s %s\n\n%s", command->name, command->usage, command->summary);
    if (command->alias && command->alias[0] != '-')
        printf(" (also: lhost %s)", command->alias);
    printf("\n\n%s", command->details ? command->details : "");
    if (command->stage >= 0)
        run_help(command);
}

int lh__cli_helped(const lh__call *call) {
    if (call->argc != 1 ||
        (strcmp(call->argv[0], "--help") != 0 && strcmp(call->argv[0], "-h") != 0))
        return 0;
    lh__help_command(call->command);
    return 1;
}

int lh__cli_help(const lh__call *call) {
    const lh__command *command = call->argc > 0 ? lh__command_find(call->argv[0]) : NULL;

    if (call->argc > 0 && !command)
        return lh__cli_fail(call, LH__EXIT_USAGE, "there is no subcommand '%.80s'", call->argv[0]);
    if (command)
        lh__help_command(command);
    else
        lh__help_program();
    return LH__EXIT_DONE;
}
