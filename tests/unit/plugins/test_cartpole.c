/* test_cartpole.c - the environment of the examples is Gymnasium's CartPole-v1: its equations, its
 * ends, its starts; and the generator is SplitMix64. */
#include "cartpole/cartpole.h"

#include <criterion/criterion.h>

/* gymnasium/envs/classic_control/cartpole.py, step, with the Euler integrator. */
static void gymnasium(double s[4], int action) {
    double x = s[0], x_dot = s[1], theta = s[2], theta_dot = s[3];
    double gravity = 9.8, masscart = 1.0, masspole = 0.1, total_mass = masspole + masscart;
    double length = 0.5, polemass_length = masspole * length, tau = 0.02;
    double force = action == 1 ? 10.0 : -10.0, costheta = cos(theta), sintheta = sin(theta);
    double temp = (force + polemass_length * theta_dot * theta_dot * sintheta) / total_mass;
    double thetaacc = (gravity * sintheta - costheta * temp) /
                      (length * (4.0 / 3.0 - masspole * costheta * costheta / total_mass));
    double xacc = temp - polemass_length * thetaacc * costheta / total_mass;

    s[0] = x + tau * x_dot;
    s[1] = x_dot + tau * xacc;
    s[2] = theta + tau * theta_dot;
    s[3] = theta_dot + tau * thetaacc;
}

static struct cartpole in_state(double x, double v, double angle, double omega) {
    struct cartpole env = {.position = x, .velocity = v, .angle = angle, .angular_velocity = omega};

    return env;
}

Test(cartpole, moves_as_gymnasium_says) {
    uint64_t random = random_start(7, 0);

    for (int k = 0; k < 1000; k++) {
        double s[4] = {random_unit(&random) * 4 - 2, random_unit(&random) * 6 - 3,
                       random_unit(&random) * 0.4 - 0.2, random_unit(&random) * 6 - 3};
        struct cartpole env = in_state(s[0], s[1], s[2], s[3]);
        struct transition t = cartpole_step(&env, k % 2);

        cr_assert_float_eq(t.state[3], s[3], 1e-6);
        gymnasium(s, k % 2);
        cr_assert_float_eq(env.position, s[0], 1e-14);
        cr_assert_float_eq(env.velocity, s[1], 1e-14);
        cr_assert_float_eq(env.angle, s[2], 1e-14);
        cr_assert_float_eq(env.angular_velocity, s[3], 1e-14);
        for (int i = 0; i < 4; i++)
            cr_assert_eq(t.next[i], (float)(&env.position)[i]);
        cr_assert_eq(t.action, k % 2);
        cr_assert_eq(t.reward, 1);
    }
}

/* Beyond 2.4 m or 12 degrees, on either side; the step that gets there still has its reward. */
Test(cartpole, ends_where_the_cart_leaves_or_the_pole_falls) {
    const double degree = 3.14159265358979323846 / 180;
    const struct {
        double x, v, angle;
        int ended;
    } cases[] = {{2.39, 0, 0, 0},
                 {2.39, 1, 0, 1},
                 {-2.39, 0, 0, 0},
                 {-2.39, -1, 0, 1},
                 {0, 0, 11.99 * degree, 0},
                 {0, 0, 12.01 * degree, 1},
                 {0, 0, -11.99 * degree, 0},
                 {0, 0, -12.01 * degree, 1}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct cartpole env = in_state(cases[i].x, cases[i].v, cases[i].angle, 0);
        struct transition t = cartpole_step(&env, 0);

        cr_expect_eq(t.terminated, cases[i].ended, "case %zu", i);
        cr_expect_eq(t.ended, cases[i].ended, "case %zu", i);
        cr_expect_eq(env.total, 1);
    }
}

/* A controller that leans against the fall keeps the pole up until the episode is cut off. */
Test(cartpole, is_cut_off_after_500_steps) {
    struct cartpole env = cartpole_make(random_start(0, 0));
    struct transition t = {0};
    int steps = 0;

    while (t.ended == 0 && ++steps) {
        double lean =
            env.angle + 0.25 * env.angular_velocity + 0.02 * env.position + 0.05 * env.velocity;

        t = cartpole_step(&env, lean > 0);
    }
    cr_expect_eq(steps, 500);
    cr_expect_eq(t.terminated, 0);
    cr_expect_eq(env.total, 500);
    cartpole_reset(&env);
    cr_expect_eq(env.total, 0);
    cr_expect_eq(env.steps, 0);
}

Test(cartpole, starts_near_the_middle) {
    struct cartpole env = cartpole_make(random_start(3, 0));
    double sum[4] = {0}, squares[4] = {0};

    for (int k = 0; k < 10000; k++, cartpole_reset(&env))
        for (int i = 0; i < 4; i++) {
            double x = (&env.position)[i];

            cr_assert(x >= -0.05 && x < 0.05);
            sum[i] += x;
            squares[i] += x * x;
        }
    for (int i = 0; i < 4; i++) { /* uniform: mean 0, variance 0.1^2 / 12 */
        cr_expect_float_eq(sum[i] / 10000, 0, 0.002);
        cr_expect_float_eq(squares[i] / 10000, 0.01 / 12, 0.00003);
    }
}

/* The first outputs that are published for the state 0. */
Test(cartpole, draws_from_splitmix64) {
    const uint64_t published[] = {0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F};
    uint64_t random = 0;

    for (int i = 0; i < 3; i++)
        cr_expect_eq(random_unit(&random), (double)(published[i] >> 11) * 0x1p-53);
    for (int i = 0; i < 1000; i++) {
        int64_t k = random_below(&random, 3);

        cr_assert(k >= 0 && k < 3);
    }
    cr_expect_neq(random_start(0, 0), random_start(0, 1));
    cr_expect_neq(random_start(0, 0), random_start(1, 0));
}
