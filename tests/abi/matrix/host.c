/* host.c - the least host that trains, built around the real loader against the contract as it is
 * and, with NEXT, as the next minor would be.
 *
 *     host PLUGIN.so WORDS     loads the plugin and runs a step; succeeds if what it then prints,
 *                              metrics or the reason of a refusal, begins with WORDS
 */
#include "plugin/plugin.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The context as the host knows it; what was logged gathers in `text`. */
typedef struct run {
    lh_ctx ctx;
    char text[1200];
} run;

static lh_status log_value(lh_ctx *c, const char *name, double value, const lh_log_options *o) {
    run *r = (run *)(void *)c;
    size_t used = strlen(r->text);

    snprintf(r->text + used, sizeof r->text - used, " %s=%g", name, value);
    return LH_OK;
}

static int64_t get_int(lh_ctx *c, int32_t what) {
    return what == LH_GLOBAL_STEP ? 7 : 0;
}

#ifdef NEXT
static double tomorrow(lh_ctx *c) {
    return 42;
}
#endif

static const lh_host host = {
    LH_SIZED(lh_host),      .abi_major = LH_ABI_MAJOR, .abi_minor = LH_ABI_MINOR,
    .log_value = log_value, .get_int = get_int,
#ifdef NEXT
    .tomorrow = tomorrow,
#endif
};

int main(int argc, char **argv) {
    run r = {.ctx = {&host}, .text = "trained:"};
    lh__error err = {0};
    uint64_t self = 0;
    lh__plugin *p;
    int ok;

    if (argc != 3)
        return 2;
    p = lh__plugin_load(argv[1], NULL, &err);
    if (!p) {
        const char *reason = strstr(err.text, ".so: "); /* after the path, which varies */
        snprintf(r.text, sizeof r.text, "REFUSED: %s", reason ? reason + 5 : err.text);
    } else if (p->module.configure_model(&r.ctx, &self) != LH_OK ||
               !p->module.training_step(&r.ctx, &self, NULL, 0)) {
        strcpy(r.text, "FAILED");
    }
#ifdef NEXT
    if (p && p->module.on_tomorrow)
        p->module.on_tomorrow(&r.ctx, &self);
#endif
    lh__plugin_free(p);
    printf("%s\n", r.text);
    ok = strncmp(r.text, argv[2], strlen(argv[2])) == 0;
    if (!ok)
        printf("expected: %s\n", argv[2]);
    return !ok;
}
