/* cli.h - from the words of the command line to a subcommand.
 *
 * Invariant: one row of lh__commands per subcommand; dispatch, help and suggestions read it. What a
 * subcommand returns is the exit code: 0 done, 1 failed while running, 2 bad usage or input before
 * anything ran, 130 and 143 after SIGINT and SIGTERM.
 */
#ifndef LH_CLI_CLI_H
#define LH_CLI_CLI_H

#include "engine/error.h"
#include "report/report.h"

enum { LH__EXIT_DONE = 0, LH__EXIT_FAILED = 1, LH__EXIT_USAGE = 2 };

typedef struct lh__command lh__command;
struct lh__export;

/* One call of the program. argv holds what follows the subcommand. */
typedef struct lh__call {
    const lh__command *command;
    int argc;
    char **argv;
    char **env;
    lh__report *report;
    lh__observer observer;
    const struct lh__export *exports; /* of lhost export; NULL elsewhere */
} lh__call;

struct lh__command {
    const char *name, *alias; /* alias may be NULL */
    int (*main)(const lh__call *call);
    const char *usage;   /* what follows the name */
    const char *summary; /* one line */
    const char *details; /* paragraphs of the command's own help; may be NULL */
    int32_t stage;       /* LH_FIT ...; -1: takes none of a run's options */
};

extern const lh__command lh__commands[];
extern const int32_t lh__n_commands;
const lh__command *lh__command_find(const char *name);

/* Prints the message as an error and returns the exit code given. */
int lh__cli_fail(const lh__call *call, int exit_code, const char *fmt, ...) LH_PRINTF(3, 4);

/* The same for a subcommand that was called in a wrong way; points to its help. */
int lh__cli_usage(const lh__call *call, const char *fmt, ...) LH_PRINTF(2, 3);

/* 1 if the only argument asks for help, which has then been printed. */
int lh__cli_helped(const lh__call *call);

/* help.c: the program's and a subcommand's help, made from the tables of options. */
void lh__help_program(void);
void lh__help_command(const lh__command *command);

/* One per file of this room. */
int lh__cli_run(const lh__call *call); /* run, validate, test, predict */
int lh__cli_export(const lh__call *call);
int lh__cli_inspect(const lh__call *call);
int lh__cli_ckpt(const lh__call *call);
int lh__cli_new(const lh__call *call);
int lh__cli_version(const lh__call *call);
int lh__cli_help(const lh__call *call);

#endif
