"""The environment of examples/cartpole/cartpole.c and its generator, with the interfaces of Gymnasium and `random`."""

import math

import numpy as np

MASK = 2**64 - 1


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ x >> 27) * 0x94D049BB133111EB & MASK
    return x ^ x >> 31


class Random:
    """SplitMix64: one of the streams of a seed."""

    def __init__(self, seed, stream):
        self.at = mix(mix(seed) + stream & MASK)

    def random(self):
        self.at = self.at + 0x9E3779B97F4A7C15 & MASK
        return (mix(self.at) >> 11) / 2**53

    def randrange(self, n):
        return int(self.random() * n)

    def shuffle(self, values):
        for i in reversed(range(1, len(values))):
            j = self.randrange(i + 1)
            values[i], values[j] = values[j], values[i]


class CartPole:
    """CartPole-v1: gymnasium/envs/classic_control/cartpole.py under a TimeLimit of 500."""

    def __init__(self, rng):
        self.rng = rng

    def observe(self):
        return np.array([self.x, self.x_dot, self.theta, self.theta_dot], dtype=np.float32)

    def reset(self):
        self.x, self.x_dot, self.theta, self.theta_dot = (self.rng.random() * 0.1 - 0.05 for _ in range(4))
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        force = 10.0 if action == 1 else -10.0
        costheta, sintheta = math.cos(self.theta), math.sin(self.theta)
        temp = (force + 0.05 * self.theta_dot**2 * sintheta) / 1.1
        theta_acc = (9.8 * sintheta - costheta * temp) / (0.5 * (4.0 / 3.0 - 0.1 * costheta**2 / 1.1))
        x_acc = temp - 0.05 * theta_acc * costheta / 1.1
        self.x += 0.02 * self.x_dot
        self.x_dot += 0.02 * x_acc
        self.theta += 0.02 * self.theta_dot
        self.theta_dot += 0.02 * theta_acc
        self.steps += 1
        terminated = abs(self.x) > 2.4 or abs(self.theta) > 12 * 2 * math.pi / 360
        return self.observe(), 1.0, terminated, self.steps >= 500, {}
