"""Convolutions in PyTorch: forward, gradient to the data, gradient to the weight, each alone.

Shapes and output are those of convolutions.c, without the ceiling. --bf16 gives bfloat16 operands' time as
autocast takes it: float32 tensors in and out, the casts counted.
"""

import argparse
import json
import time

import torch


def fastest_ms(run, ms):
    best, begin = float("inf"), time.perf_counter()
    while best == float("inf") or (time.perf_counter() - begin) * 1e3 < ms:
        start = time.perf_counter()
        run()
        best = min(best, (time.perf_counter() - start) * 1e3)
    return best


def measure(text, bf16, ms):
    n, c, size, out, kernel, stride, padding, transposed = (int(field) for field in text.split(","))
    x = torch.rand(n, c, size, size) - 0.5
    w = torch.rand(*((c, out) if transposed else (out, c)), kernel, kernel) - 0.5
    lower = (lambda t: t.bfloat16()) if bf16 else (lambda t: t)
    options = ((stride, stride), (padding, padding), (1, 1), bool(transposed), (0, 0), 1)
    large = (x.shape[2] - 1) * stride - 2 * padding + kernel if transposed else size
    small = size if transposed else (size + 2 * padding - kernel) // stride + 1

    def forward():
        return torch.ops.aten.convolution(lower(x), lower(w), None, *options).float()

    def backward(mask):
        found = torch.ops.aten.convolution_backward(lower(g), lower(x), lower(w), None, *options, mask)
        return [t.float() for t in found if t is not None]

    g = torch.rand_like(forward())
    assert g.shape[2] == (large if transposed else small)
    took = [fastest_ms(forward, ms), fastest_ms(lambda: backward([True, False, False]), ms),
            fastest_ms(lambda: backward([False, True, False]), ms)]
    gflop = 2e-9 * n * c * out * kernel * kernel * small * small
    return {"shape": text, "gflop": gflop, "ms": [round(t, 4) for t in took]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ms", type=float, default=300, help="time for each")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("shapes", nargs="*")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    with torch.no_grad():
        for text in args.shapes:
            print(json.dumps(measure(text, args.bf16, args.ms)), flush=True)


if __name__ == "__main__":
    main()
