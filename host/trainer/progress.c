/* progress.c - the table of progress.h. */
#include "trainer/progress.h"

#include "checkpoint/json.h"

#include <string.h>

#define COUNT(name, field)                                                  \
    {name ".ready", offsetof(lh__fit_progress, field.ready)},               \
        {name ".started", offsetof(lh__fit_progress, field.started)},       \
        {name ".processed", offsetof(lh__fit_progress, field.processed)}, { \
        name ".completed", offsetof(lh__fit_progress, field.completed)      \
    }
#define COUNTS(name, field) COUNT(name ".total", field.total), COUNT(name ".current", field.current)

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    COUNTS("epoch_progress", epoch),
    COUNTS("batch_progress", batch),
    COUNTS("val_batch_progress", val_batch),
    COUNTS("optimizer.step", optimizer_step),
    COUNTS("optimizer.zero_grad", zero_grad),
    {"batches_that_stepped", offsetof(lh__fit_progress, batches_that_stepped)},
    {"val_runs", offsetof(lh__fit_progress, val_runs)},
    {"position", offsetof(lh__fit_progress, position)},
    {"is_last_batch", offsetof(lh__fit_progress, is_last_batch)},
};

json_t *lh__progress_save(const lh__fit_progress *p) {
    json_t *saved = json_object();

    for (size_t i = 0; saved && i < sizeof fields / sizeof *fields; i++) {
        int64_t value;

        memcpy(&value, (const char *)p + fields[i].offset, sizeof value);
        lh__json_put_int(saved, fields[i].name, value);
    }
    return saved;
}

lh_status lh__progress_load(lh__fit_progress *p, const json_t *saved, lh__error *e) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        int64_t value = 0;

        if (lh__json_get_int(saved, fields[i].name, &value, e) != LH_OK)
            return LH_ECORRUPT;
        if (value < 0)
            return lh__fail(e, LH_ECORRUPT, "the counter %s is negative", fields[i].name);
        memcpy((char *)p + fields[i].offset, &value, sizeof value);
    }
    return LH_OK;
}
