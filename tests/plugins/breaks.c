/* breaks.c - a callback that misbehaves in one hook: --callback
 * breaks.so:in=on_fit_start,how=crash.
 */
#include <lhost/lhost.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("in", "on_train_batch_start", "the hook"),
    LH_HPARAM_TEXT("how", "error", "error, status, crash, abort, exit, hang or, harmless, say"),
    LH_HPARAM_INT("code", 0, 0, 255, "what exit is called with"),
    LH_HPARAM_INT("step", 0, 0, 1000000, "from this step on"),
};

static int *volatile nowhere;

#ifdef __clang__
__attribute__((no_sanitize("undefined", "address")))
#else
__attribute__((no_sanitize("undefined"), no_sanitize_address))
#endif
static void
crash(void) {
    *nowhere = 1;
}

static lh_status reach(lh_ctx *c, const char *hook) {
    const char *how = lh_hparam_text(c, "how");

    if (strcmp(hook, lh_hparam_text(c, "in")) != 0 || lh_global_step(c) < lh_hparam_int(c, "step"))
        return LH_OK;
    lh_print(c, LH_INFO, "%s reached", hook);
    if (strcmp(how, "say") == 0)
        return LH_OK;
    if (strcmp(how, "crash") == 0)
        crash();
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "exit") == 0)
        exit((int)lh_hparam_int(c, "code"));
    while (strcmp(how, "hang") == 0)
        pause();
    return strcmp(how, "status") == 0 ? LH_EIO : lh_fail(c, LH_EIO, "the tape is full");
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    return reach(c, __func__);
}

static lh_status on_fit_start(lh_ctx *c, void *self) {
    return reach(c, __func__);
}

static lh_status on_train_batch_start(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return reach(c, __func__);
}

static lh_status on_validation_epoch_end(lh_ctx *c, void *self) {
    return reach(c, __func__);
}

static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    return reach(c, __func__);
}

static lh_status on_save_checkpoint(lh_ctx *c, void *self) {
    return reach(c, __func__);
}

static lh_status teardown(lh_ctx *c, void *self, int32_t stage) {
    return reach(c, __func__);
}

LH_EXPORT_CALLBACK("breaks", "1.0.0", LH_HPARAMS(hparams), .setup = setup,
                   .on_fit_start = on_fit_start, .on_train_batch_start = on_train_batch_start,
                   .on_validation_epoch_end = on_validation_epoch_end,
                   .on_train_epoch_end = on_train_epoch_end,
                   .on_save_checkpoint = on_save_checkpoint, .teardown = teardown);
