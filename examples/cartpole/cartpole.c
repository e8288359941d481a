/* cartpole.c - see cartpole.h. */
#include "cartpole.h"

#include <math.h>

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

uint64_t random_start(int64_t seed, int64_t stream) {
    return mix(mix((uint64_t)seed) + (uint64_t)stream);
}

double random_unit(uint64_t *random) {
    *random += 0x9E3779B97F4A7C15u;
    return (double)(mix(*random) >> 11) * 0x1p-53;
}

int64_t random_below(uint64_t *random, int64_t n) {
    return (int64_t)(random_unit(random) * (double)n);
}

struct cartpole cartpole_make(uint64_t random) {
    struct cartpole env = {.random = random};

    cartpole_reset(&env);
    return env;
}

void cartpole_reset(struct cartpole *env) {
    env->position = random_unit(&env->random) * 0.1 - 0.05;
    env->velocity = random_unit(&env->random) * 0.1 - 0.05;
    env->angle = random_unit(&env->random) * 0.1 - 0.05;
    env->angular_velocity = random_unit(&env->random) * 0.1 - 0.05;
    env->total = 0;
    env->steps = 0;
}

void cartpole_observe(const struct cartpole *env, float state[CARTPOLE_STATE]) {
    state[0] = (float)env->position;
    state[1] = (float)env->velocity;
    state[2] = (float)env->angle;
    state[3] = (float)env->angular_velocity;
}

/* Barto, Sutton and Anderson 1983, equations of Florian 2007 without friction; Euler's method. */
static void move(struct cartpole *env, double force) {
    const double gravity = 9.8, pole_mass = 0.1, mass = 1.0 + pole_mass, tau = 0.02;
    const double half_length = 0.5, sine = sin(env->angle), cosine = cos(env->angle);
    const double square = env->angular_velocity * env->angular_velocity;
    double temp = (force + pole_mass * half_length * square * sine) / mass;
    double angular = (gravity * sine - cosine * temp) /
                     (half_length * (4.0 / 3.0 - pole_mass * cosine * cosine / mass));
    double linear = temp - pole_mass * half_length * angular * cosine / mass;

    env->position += tau * env->velocity;
    env->velocity += tau * linear;
    env->angle += tau * env->angular_velocity;
    env->angular_velocity += tau * angular;
}

struct transition cartpole_step(struct cartpole *env, int64_t action) {
    const double far = 2.4, fallen = 12 * 2 * 3.14159265358979323846 / 360;
    struct transition t = {.action = (float)action, .reward = 1};

    cartpole_observe(env, t.state);
    move(env, action == 1 ? 10 : -10);
    cartpole_observe(env, t.next);
    env->total += (double)t.reward;
    env->steps++;
    t.terminated = fabs(env->position) > far || fabs(env->angle) > fallen;
    t.ended = t.terminated != 0 || env->steps >= CARTPOLE_LIMIT;
    return t;
}

/* 1 inside, 0 outside, the edge one pixel soft. */
static double inside(double distance) {
    return distance <= -0.5 ? 1 : distance >= 0.5 ? 0 : 0.5 - distance;
}

void cartpole_draw(const struct cartpole *env, int64_t h, int64_t w, float *pixels) {
    const double scale = (double)w / 5, ground = (double)h * 0.8; /* 5 m wide */
    const double cart = (double)w / 2 + env->position * scale;
    const double tip_x = sin(env->angle), tip_y = -cos(env->angle); /* the pole is 1 m long */

    for (int64_t k = 0; k < h * w; k++) {
        double x = (double)(k % w) + 0.5 - cart, y = (double)(k / w) + 0.5 - ground;
        double along = fmin(fmax(x * tip_x + y * tip_y, 0), scale);
        double pole = hypot(x - along * tip_x, y - along * tip_y) - 1.5;
        double box = fmax(fabs(x) - scale * 0.25, fabs(y) - scale * 0.12);
        double rail = fabs(y) - 0.5;

        pixels[k] = (float)(1 - fmax(inside(box), fmax(inside(pole), 0.4 * inside(rail))));
    }
}
