/* inspect.c - loads a plugin and inspects it; warnings are failures, too. */
#include "plugin/inspect.h"
#include "plugin/plugin.h"

int main(int argc, char **argv) {
    lh__error err = {0};
    lh__plugin *p = argc == 2 ? lh__plugin_load(argv[1], NULL, &err) : NULL;
    int ok = p && p->n_warnings == 0 && lh__inspect(argv[1], 0, stdout, &err) == LH_OK;

    if (!ok)
        fprintf(stderr, "%s\n", p && p->n_warnings ? p->warnings[0] : err.text);
    lh__plugin_free(p);
    return !ok;
}
