/* call.c - how every subcommand says that something is wrong. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdio.h>

static void complain(const lh__call *call, const char *fmt, va_list args, const char *behind) {
    char text[2048];
    int n = vsnprintf(text, sizeof text, fmt, args);

    if (n >= 0 && (size_t)n < sizeof text)
        snprintf(text + n, sizeof text - (size_t)n, "%s", behind);
    call->observer.message(call->observer.self, LH_ERROR, text);
}

int lh__cli_fail(const lh__call *call, int exit_code, const char *fmt, ...) {
    va_list args;

    va_start(args, fmt);
    complain(call, fmt, args, "");
    va_end(args);
    return exit_code;
}

int lh__cli_usage(const lh__call *call, const char *fmt, ...) {
    char behind[128];
    va_list args;

    snprintf(behind, sizeof behind, "\nSee: lhost help %s", call->command->name);
    va_start(args, fmt);
    complain(call, fmt, args, behind);
    va_end(args);
    return LH__EXIT_USAGE;
}
