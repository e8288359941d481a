/* replay.h - what an agent has lived through: a ring of transitions, the oldest forgotten first. */
#ifndef REPLAY_H
#define REPLAY_H

#include "cartpole/episodes.h"

struct replay {
    struct transition *rows, *drawn; /* of `capacity`; of the last sample, `largest` */
    int64_t capacity, largest, size, next;
};

/* An empty memory, which gives samples of up to `largest`; it lives with the run. */
struct replay replay_make(lh_ctx *c, int64_t capacity, int64_t largest);

void replay_add(struct replay *r, const struct transition *t);

/* n <= largest transitions, uniformly with replacement: (n, floats of a transition). */
lh_tensor *replay_sample(lh_ctx *c, struct replay *r, int64_t n, uint64_t *random);

/* In on_save_checkpoint and on_load_checkpoint. Another capacity is an error. */
lh_status replay_save(lh_ctx *c, const struct replay *r);
lh_status replay_load(lh_ctx *c, struct replay *r);

#endif
