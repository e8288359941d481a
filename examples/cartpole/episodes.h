/* episodes.h - what agents that learn CartPole share beside the environment: data that are numbers
 * only, returns, playing without learning, and state in checkpoints.
 */
#ifndef EPISODES_H
#define EPISODES_H

#include "cartpole/cartpole.h"

/* Training: `steps` items, an item a step of training, which acts for itself. Validation and test:
 * an item is the number of an episode to play; 100 each, never the same ones. */
extern const lh_datamodule episodes_data;

/* Returns of the last 100 episodes. */
enum { EPISODES_MEAN = 100 };
struct episodes {
    double returns[EPISODES_MEAN];
    int64_t count; /* of all; `returns` is a ring */
};

/* At the end of an episode: takes its return and starts the next one. */
void episodes_end(struct episodes *e, struct cartpole *env);

/* Logs episode_return and mean_return, once there is an episode. The mean; NaN before there are
 * 100.
 */
double episodes_log(lh_ctx *c, const struct episodes *e);

/* The mean return of the batch's episodes when every action is the one that `forward` scores
 * highest. `picture`: draws the first of them, every 25th step, into a PNG of the run's folder;
 * NULL: none. Learns nothing. NaN on failure. */
double episodes_play(lh_ctx *c, void *self, lh_tensor *(*forward)(lh_ctx *, void *, lh_tensor *),
                     const lh_batch *batch, const char *picture);

/* Column FIELD of rows that are made of `struct TYPE`, all floats: (n, width). */
#define COLUMN(c, rows, type, field)                                   \
    lh_slice(c, rows, 1, offsetof(struct type, field) / sizeof(float), \
             (offsetof(struct type, field) + sizeof(((struct type *)0)->field)) / sizeof(float))

/* The first n structs of floats, `width` floats each, as a tensor (n, width). */
lh_tensor *rows_tensor(lh_ctx *c, const void *rows, int64_t n, int64_t width);

/* Plain data in a checkpoint, in on_save_checkpoint and on_load_checkpoint. The size has to be the
 * same: LH_ECORRUPT. */
lh_status bytes_save(lh_ctx *c, const char *key, const void *data, size_t size);
lh_status bytes_load(lh_ctx *c, const char *key, void *data, size_t size);

#endif
