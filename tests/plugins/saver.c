/* saver.c - a callback that saves a checkpoint in the hooks that it is told:
 * DIR/HOOK-N.safetensors, N counting the calls of that hook in this run.
 */
#include <lhost/lhost.h>

#include <stdio.h>
#include <string.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("dir", ".", "where to"),
    LH_HPARAM_TEXT("hooks", "on_train_epoch_end", "in which hooks: their names, one space between"),
    LH_HPARAM_FLAG("weights_only", 0, "weights only"),
};

enum { N_HOOKS = 16 };
struct saver {
    const char *name[N_HOOKS];
    int calls[N_HOOKS];
};

/* 1 if `hook` is one of the words of `words`. */
static int among(const char *words, const char *hook) {
    size_t n = strlen(hook);

    for (const char *w = words; w; w = strchr(w, ' ') ? strchr(w, ' ') + 1 : NULL)
        if (strncmp(w, hook, n) == 0 && (w[n] == ' ' || w[n] == 0))
            return 1;
    return 0;
}

static lh_status save(lh_ctx *c, void *self, const char *hook) {
    struct saver *s = self;
    char path[1024];
    int i = 0;

    if (lh_int(c, LH_SANITY_CHECKING) || !among(lh_hparam_text(c, "hooks"), hook))
        return LH_OK;
    while (s->name[i] && strcmp(s->name[i], hook) != 0)
        i++;
    s->name[i] = hook;
    snprintf(path, sizeof path, "%s/%s-%d.safetensors", lh_hparam_text(c, "dir"), hook,
             s->calls[i]++);
    return c->host->save_checkpoint(c, path, lh_hparam(c, "weights_only") != 0);
}

#define PLAIN(hook)                                \
    static lh_status hook(lh_ctx *c, void *self) { \
        return save(c, self, #hook);               \
    }
#define BATCH(hook)                                                          \
    static lh_status hook(lh_ctx *c, void *self, lh_batch *b, int64_t idx) { \
        return save(c, self, #hook);                                         \
    }
#define BATCH_END(hook)                                                                           \
    static lh_status hook(lh_ctx *c, void *self, const lh_outputs *o, lh_batch *b, int64_t idx) { \
        return save(c, self, #hook);                                                              \
    }

PLAIN(on_train_start)
PLAIN(on_train_epoch_start)
BATCH(on_train_batch_start)
PLAIN(on_after_backward)
BATCH_END(on_train_batch_end)
PLAIN(on_validation_start)
BATCH_END(on_validation_batch_end)
PLAIN(on_validation_epoch_end)
PLAIN(on_validation_end)
PLAIN(on_train_epoch_end)
PLAIN(on_train_end)
PLAIN(on_exception)

LH_EXPORT_CALLBACK("saver", "1.0.0", .order = LH_ORDER_CHECKPOINT, LH_HPARAMS(hparams),
                   .state_size = sizeof(struct saver), .state_key = "dir",
                   .on_train_start = on_train_start, .on_train_epoch_start = on_train_epoch_start,
                   .on_train_batch_start = on_train_batch_start,
                   .on_after_backward = on_after_backward, .on_train_batch_end = on_train_batch_end,
                   .on_validation_start = on_validation_start,
                   .on_validation_batch_end = on_validation_batch_end,
                   .on_validation_epoch_end = on_validation_epoch_end,
                   .on_validation_end = on_validation_end, .on_train_epoch_end = on_train_epoch_end,
                   .on_train_end = on_train_end, .on_exception = on_exception);
