/* version.c - `lhost version`: what this program is made of. Must not cost more than starting it.
 */
#include "cli/cli.h"

#include <jansson.h>
#include <lhost/abi.h>
#include <stdio.h>
#include <string.h>

#ifndef LH__VERSION
#define LH__VERSION "unknown"
#endif
#ifdef LH_HAVE_CURL
#define DOWNLOADS "yes (libcurl)"
#else
#define DOWNLOADS "no (built without libcurl)"
#endif
#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static const struct {
    const char *name, *value;
} facts[] = {
    {"lhost", LH__VERSION},
    {"plugin abi", TEXT(LH_ABI_MAJOR) "." TEXT(LH_ABI_MINOR)},
    {"compiler", COMPILER},
    {"devices", "cpu, ref"},
    {"downloads", DOWNLOADS},
    {"cuda", "no"},
    {"mpi", "no"},
};

int lh__cli_version(const lh__call *call) {
    int as_json = call->argc == 1 && strcmp(call->argv[0], "--json") == 0;
    json_t *object;

    if (lh__cli_helped(call))
        return LH__EXIT_DONE;
    if (call->argc > 0 && !as_json)
        return lh__cli_usage(call, "version takes no '%.80s'", call->argv[0]);
    if (!as_json) {
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
            printf("%-12s%s\n", facts[i].name, facts[i].value);
        return LH__EXIT_DONE;
    }
    object = json_object();
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        json_object_set_new(object, facts[i].name, json_string(facts[i].value));
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
    return LH__EXIT_DONE;
}
