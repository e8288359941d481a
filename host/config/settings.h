/* settings.h - inside host/config: putting one value in its place in the tree.
 *
 * Every source (environment, file, command line) ends here, so that a value is checked in one way
 * wherever it comes from.
 */
#ifndef LH_CONFIG_SETTINGS_H
#define LH_CONFIG_SETTINGS_H

#include "config/config.h"

/* Where values come from: the same for all (`fixed`), or as a file's reader noted it. */
typedef struct lh__source {
    const char *fixed;
    const json_t *origins;
} lh__source;

typedef struct lh__settings {
    lh__config *c;
    const lh__observer *obs;
    lh__error *e;
    int32_t chose_models, chose_loggers; /* by the command line: the next one is appended */
} lh__settings;

/* Settings of the host beside the trainer's; offsets into lh__config. */
extern const lh__option_row lh__setting_rows[];
extern const int32_t lh__n_setting_rows;
const lh__option_row *lh__setting_find(const char *name);

/* The tree of defaults, and the fields. */
lh_status lh__settings_init(lh__settings *s);

/* Puts `value` (borrowed) at `path`: "seed_everything", "trainer", "trainer.max_epochs",
 * "model.lr", "callbacks". A mapping at a section's path puts each of its entries. */
lh_status lh__settings_put(lh__settings *s, const char *path, const json_t *value,
                           const lh__source *from);

/* The same for a text of the environment or the command line, read as its option's type wants. */
lh_status lh__settings_put_text(lh__settings *s, const char *path, const char *text,
                                const char *origin);

/* One more model, callback or logger: --model, --callback, --logger. */
lh_status lh__settings_add(lh__settings *s, const char *list, const char *text);

/* The whole path of an option's short name ("max_epochs" -> "trainer.max_epochs"), in buf; NULL
 * with the nearest names in the message if there is none. */
const char *lh__settings_full_name(lh__settings *s, const char *name, char *buf, size_t size);

#endif
