"""One training step of LitMNIST in PyTorch eager, f32: zero_grad, forward, loss, backward, optimizer.

The batch is random and already in memory. Prints one line of JSON with the median time of a step in
microseconds, for Adam as it comes ("adam", foreach) and for Adam(fused=True) ("adam_fused").
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F

from mnist_torch import make_model


def step_us(fused, batch_size, steps, warmup):
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=fused)
    x, y = torch.randn(batch_size, 784), torch.randint(10, (batch_size,))
    times = []
    for _ in range(warmup + steps):
        start = time.perf_counter_ns()
        optimizer.zero_grad()
        loss = F.nll_loss(model(x), y)
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times[warmup:]) / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--warmup", type=int, default=200)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    forms = {"adam": False, "adam_fused": True}
    result = {name: round(step_us(fused, args.batch_size, args.steps, args.warmup), 1)
              for name, fused in forms.items()}
    print(json.dumps({"peer": f"torch {torch.__version__}", "threads": args.threads, "step_us": result}))


if __name__ == "__main__":
    main()
