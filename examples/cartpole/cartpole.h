/* cartpole.h - balance a pole on a cart: Gymnasium's CartPole-v1, and the numbers of chance that it
 * and those who learn it draw.
 *
 * An environment is plain data without pointers, its generator included: a copy of it goes on as
 * the original does.
 */
#ifndef CARTPOLE_H
#define CARTPOLE_H

#include <lhost/lhost.h>

/* SplitMix64 (Steele, Lea and Flood 2014). Its state is one number; streams of a seed differ. */
uint64_t random_start(int64_t seed, int64_t stream);
double random_unit(uint64_t *random); /* in [0, 1), 53 bits */
int64_t random_below(uint64_t *random, int64_t n);

enum { CARTPOLE_STATE = 4, CARTPOLE_ACTIONS = 2, CARTPOLE_LIMIT = 500 };

struct cartpole {
    double position, velocity, angle, angular_velocity; /* m, m/s, rad, rad/s */
    double total;                                       /* reward of the episode so far */
    int64_t steps;
    uint64_t random;
};

/* One step of an agent, in numbers that can be the row of a tensor. */
struct transition {
    float state[CARTPOLE_STATE], next[CARTPOLE_STATE];
    float action, reward;
    float terminated; /* 1: the pole fell or the cart left; nothing follows on `next` */
    float ended;      /* 1: terminated, or cut off after CARTPOLE_LIMIT steps */
};

/* A new environment at the start of its first episode. */
struct cartpole cartpole_make(uint64_t random);

/* The next episode: all four numbers uniform in [-0.05, 0.05). */
void cartpole_reset(struct cartpole *env);

/* What the agent sees. */
void cartpole_observe(const struct cartpole *env, float state[CARTPOLE_STATE]);

/* Pushes to the left (action 0) or right (1) for 0.02 s. The reward is 1. The caller resets the
 * environment where the episode has ended. */
struct transition cartpole_step(struct cartpole *env, int64_t action);

/* Draws cart and pole, black on white, into h rows of w numbers from 0 to 1. */
void cartpole_draw(const struct cartpole *env, int64_t h, int64_t w, float *pixels);

#endif
