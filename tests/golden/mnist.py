"""Makes mnist.safetensors: the first 20 training steps of LitMNIST in PyTorch.

    python tests/golden/mnist.py          (with the environment that tests/bench/peers makes)

Nothing large is stored: weights and inputs come from an integer hash that any language repeats exactly.

    hash(stream, i):  h = (stream * 0x9E3779B9 + i) mod 2^32
                      h ^= h >> 16;  h *= 0x7FEB352D;  h ^= h >> 15;  h *= 0x846CA68B;  h ^= h >> 16
    unit(stream, i) = (hash >> 8) / 2^23 - 1        in [-1, 1), exact in float32

    parameter p (0 = weight of layer 1, 1 = its bias, 2 = weight of layer 2, ...), element i of the row-major
    array: float32(unit(p, i) / sqrt(fan_in)), the division in float64; fan_in is the layer's input size.
    step s (from 0): x[i] = unit(100 + s, i), i over (64, 784); label of row r = hash(200 + s, r) mod 10.

Model 784-128-256-10, relu, log_softmax, nll_loss (mean), Adam(lr=1e-3), one thread. For DTYPE in
{float64, float32} (float64 starts from the float32 numbers):
    losses.DTYPE        (20,)  the loss of step s, before its update
    sum.DTYPE           (6,)   sum of each parameter after the last update, added in float64
    sum_squares.DTYPE   (6,)   sum of squares likewise
    update_norm.DTYPE   (6,)   Euclidean norm of (final - initial) likewise: what training has changed
Twenty steps are short enough to compare closely: rounding stays rounding. Over a hundred steps and more, a
difference of 1e-7 may grow to 1e-2 without any fault, so longer runs have no exact answer.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

STEPS, BATCH = 20, 64
LAYERS = [(784, 128), (128, 256), (256, 10)]


def hash_u32(stream, count):
    mask = np.uint64(0xFFFFFFFF)
    h = (np.uint64(stream * 0x9E3779B9 & 0xFFFFFFFF) + np.arange(count, dtype=np.uint64)) & mask
    h ^= h >> np.uint64(16)
    h = h * np.uint64(0x7FEB352D) & mask
    h ^= h >> np.uint64(15)
    h = h * np.uint64(0x846CA68B) & mask
    return h ^ (h >> np.uint64(16))


def unit(stream, shape):
    values = (hash_u32(stream, int(np.prod(shape))) >> np.uint64(8)).astype(np.float64)
    return (values / 2**23 - 1).reshape(shape)


def initial_parameters():
    parameters = []
    for fan_in, fan_out in LAYERS:
        for shape in ((fan_out, fan_in), (fan_out,)):
            values = unit(len(parameters), shape) / np.sqrt(fan_in)
            parameters.append(torch.from_numpy(values.astype(np.float32)))
    return parameters


def batch(step):
    x = torch.from_numpy(unit(100 + step, (BATCH, 784)).astype(np.float32))
    return x, torch.from_numpy((hash_u32(200 + step, BATCH) % np.uint64(10)).astype(np.int64))


def loss_of(parameters, x, y):
    for layer in range(0, len(parameters), 2):
        x = F.linear(torch.relu(x) if layer else x, parameters[layer], parameters[layer + 1])
    return F.nll_loss(F.log_softmax(x, dim=1), y)


def train(dtype):
    initial = [value.to(dtype) for value in initial_parameters()]
    parameters = [torch.nn.Parameter(value.clone()) for value in initial]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    losses = []
    for step in range(STEPS):
        x, y = batch(step)
        optimizer.zero_grad()
        loss = loss_of(parameters, x.to(dtype), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    final = [value.detach().double() for value in parameters]
    kind = str(dtype).removeprefix("torch.")
    return {
        f"losses.{kind}": torch.stack(losses),
        f"sum.{kind}": torch.stack([value.sum() for value in final]),
        f"sum_squares.{kind}": torch.stack([value.square().sum() for value in final]),
        f"update_norm.{kind}": torch.stack([(a - b.double()).norm() for a, b in zip(final, initial)]),
    }


def main():
    torch.set_num_threads(1)
    tensors = train(torch.float64) | train(torch.float32)
    save_file(tensors, Path(__file__).with_suffix(".safetensors"), {"torch": torch.__version__})


if __name__ == "__main__":
    main()
