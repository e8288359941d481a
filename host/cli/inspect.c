/* inspect.c - `lhost inspect PLUGIN...`. */
#include "cli/cli.h"

#include "plugin/inspect.h"
#include "plugin/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int inspect_one(const lh__call *call, const char *name, int json) {
    lh__error e = {0};
    char *path = lh__plugin_find(name, &e);
    lh_status s = path ? lh__inspect(path, json, stdout, &e) : e.code;

    free(path);
    return s == LH_OK ? LH__EXIT_DONE : lh__cli_fail(call, LH__EXIT_USAGE, "%s", e.text);
}

int lh__cli_inspect(const lh__call *call) {
    int json = 0, files = 0, exit_code = LH__EXIT_DONE;

    if (lh__cli_helped(call))
        return LH__EXIT_DONE;
    for (int i = 0; i < call->argc; i++) {
        if (strcmp(call->argv[i], "--json") == 0)
            json = 1;
        else if (call->argv[i][0] == '-')
            return lh__cli_usage(call, "inspect has no option '%.80s'", call->argv[i]);
        else
            files++;
    }
    if (files == 0)
        return lh__cli_usage(call, "inspect needs a plugin: a file or a name");
    for (int i = 0; i < call->argc; i++)
        if (call->argv[i][0] != '-' && inspect_one(call, call->argv[i], json) != LH__EXIT_DONE)
            exit_code = LH__EXIT_USAGE;
    return exit_code;
}
