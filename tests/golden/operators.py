"""Draws calls of every operator, with PyTorch's results and gradients, for tests/unit/engine/test_peer.c.

    python tests/golden/operators.py                            makes operators.safetensors, a small sample
    python tests/golden/operators.py --check build [--cases 200] [--only conv,gelu] [--seed 1] [--no-halves]
                                                                draws afresh and runs the test of that build on it

(with the environment that tests/bench/peers makes)

The file holds one tensor `data` and, as metadata `about`, the calls in order: [operator, inputs, integers, reals,
dtype of the result, shape of the result, tolerance factor], an input being [dtype, shape, layout, requires gradient].
layout: 0 plain, 1 axes reversed in memory, 2 with gaps. Of each call `data` holds its inputs, its result y, and, if an
input requires a gradient, weights r of y's shape and the gradients of sum(r y) to those inputs, in that order. Real
inputs are numbers of their dtype; PyTorch computes from them in float64.
"""

import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).resolve().parent
OPS_H = (HERE.parent.parent / "sdk/include/lhost/ops.h").read_text()
CODES = {name.lower(): int(code) for name, code in re.findall(r"LH_OP_(\w+) = (\d+)", OPS_H)}
DTYPES = {torch.float32: "f32", torch.float64: "f64", torch.int64: "i64", torch.uint8: "u8", torch.bool: "bool",
          torch.bfloat16: "bf16", torch.float16: "f16", torch.int32: "i32"}
HALVES = [torch.bfloat16, torch.float16]
EXTENTS = [1, 2, 3, 5, 7]
NONE, MEAN, SUM, BATCHMEAN = 0, 1, 2, 3
REDUCTIONS = {NONE: "none", MEAN: "mean", SUM: "sum", BATCHMEAN: "batchmean"}


class Draw:
    """Random choices for one call."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.dtype = self.one([torch.float64, torch.float32, torch.float32] + HALVES)

    def one(self, options):
        return options[self.rng.integers(len(options))]

    def int(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def flag(self):
        return self.int(0, 1)

    def real(self, low, high):
        return float(np.round(self.rng.uniform(low, high), 3))

    def shape(self, low=0, high=3, empty=True):
        extents = EXTENTS + ([0] if empty and self.int(0, 9) == 0 else []) + ([17] if high < 3 else [])
        return [int(self.one(extents)) for _ in range(self.int(low, high))]

    def broadcast(self, shape):
        """A shape that broadcasts with `shape`."""
        kept = shape[self.int(0, len(shape)):] if self.flag() else list(shape)
        return [1 if self.int(0, 3) == 0 else n for n in kept]

    def normal(self, shape, dtype=None):
        return torch.from_numpy(self.rng.normal(size=shape)).to(dtype or self.dtype)

    def away(self, shape):
        """Not near 0."""
        x = self.rng.uniform(0.2, 2, size=shape) * np.where(self.rng.random(size=shape) < 0.5, -1, 1)
        return torch.from_numpy(np.asarray(x)).to(self.dtype)

    def uniform(self, shape, low, high):
        return torch.from_numpy(np.asarray(self.rng.uniform(low, high, size=shape))).to(self.dtype)

    def ints(self, shape, high, low=0):
        return torch.from_numpy(np.asarray(self.rng.integers(low, high, size=shape)))

    def bools(self, shape):
        return torch.from_numpy(np.asarray(self.rng.random(size=shape) < 0.6))

    def axis(self, shape):
        return self.int(-len(shape), len(shape) - 1)

    def axes(self, shape):
        n = len(shape)
        chosen = self.rng.permutation(n)[: self.int(0, n)]
        return [int(a) - (n if self.flag() else 0) for a in chosen]


OPERATORS = {}


def operator(*names):
    def add(function):
        for name in names:
            OPERATORS[name] = (lambda d, f=function, n=name: f(d, n)) if len(names) > 1 else (lambda d, f=function: f(d))
        return function

    return add


# A function draws one call: (inputs, integers, reals, what PyTorch does with the inputs)


@operator("add", "sub", "mul", "maximum", "minimum", "eq", "ne", "lt", "le", "gt", "ge")
def binary(d, name):
    shape = d.shape()
    b = d.ints(d.broadcast(shape), 9) if d.int(0, 4) == 0 else d.normal(d.broadcast(shape))
    return [d.normal(shape), b], [], [], lambda a, b: getattr(torch, name)(a, b)


@operator("div")
def div(d):
    shape = d.shape()
    return [d.normal(shape), d.away(d.broadcast(shape))], [], [], torch.div


@operator("pow")
def pow_(d):
    shape = d.shape()
    return [d.uniform(shape, 0.3, 2), d.normal(d.broadcast(shape))], [], [], torch.pow


@operator("where")
def where(d):
    shape = d.shape()
    return [d.bools(d.broadcast(shape)), d.normal(shape), d.normal(d.broadcast(shape))], [], [], torch.where


@operator("masked_fill")
def masked_fill(d):
    shape, value = d.shape(), d.real(-2, 2)
    return [d.normal(shape), d.bools(d.broadcast(shape))], [], [value], lambda x, m: x.masked_fill(m, value)


@operator("add_scalar", "mul_scalar", "pow_scalar")
def scalar(d, name):
    s = d.real(-2, 2)
    function = {"add_scalar": lambda x: x + s, "mul_scalar": lambda x: x * s, "pow_scalar": lambda x: x**s}[name]
    return [d.uniform(d.shape(), 0.3, 2)], [], [s], function


@operator("neg", "exp", "square", "relu", "sigmoid", "tanh", "sin", "cos", "erf", "silu")
def unary(d, name):
    function = getattr(torch, name, None) or getattr(F, name)
    return [d.normal(d.shape())], [], [], function


@operator("abs", "sign", "floor")
def kinked(d, name):
    return [d.away(d.shape())], [], [], getattr(torch, name)


@operator("log", "sqrt", "rsqrt")
def positive(d, name):
    return [d.uniform(d.shape(), 0.3, 3)], [], [], getattr(torch, name)


@operator("gelu")
def gelu(d):
    tanh = d.flag()
    return [d.normal(d.shape())], [tanh], [], lambda x: F.gelu(x, approximate="tanh" if tanh else "none")


@operator("leaky_relu", "elu")
def sloped(d, name):
    s = d.real(0.05, 1.5)
    return [d.away(d.shape())], [], [s], lambda x: getattr(F, name)(x, s)


@operator("softplus")
def softplus(d):
    beta, threshold = d.real(0.3, 3), d.one([20.0, 1.5])
    return [d.away(d.shape())], [], [beta, threshold], lambda x: F.softplus(x, beta, threshold)


@operator("clamp")
def clamp(d):
    low, high = d.real(-1, 0), d.real(0.001, 1)
    return [d.normal(d.shape())], [], [low, high], lambda x: x.clamp(low, high)


@operator("sum", "mean", "amax", "amin", "prod", "logsumexp", "any", "all")
def reduce(d, name):
    shape = d.shape(empty=False) if name not in ("sum", "prod", "any", "all") else d.shape()
    keep, axes = d.flag(), d.axes(shape)

    def function(x):
        if name in ("prod", "any", "all"):
            for a in sorted((a % len(shape) for a in axes), reverse=True) or range(len(shape) - 1, -1, -1):
                x = getattr(torch, name)(x, a, keepdim=True)
            gone = [a % len(shape) for a in axes] or list(range(len(shape)))
            x = x.clone() if name == "prod" else x.bool()
            return x if keep else x.reshape([n for i, n in enumerate(shape) if i not in gone])
        every = axes or list(range(len(shape)))
        if not shape:
            return torch.logsumexp(x, 0) if name == "logsumexp" else getattr(torch, name)(x)
        return getattr(torch, name)(x, every, keepdim=bool(keep))

    x = d.bools(shape) if name in ("any", "all") else d.normal(shape)
    if name == "sum" and d.int(0, 4) == 0:
        x = d.ints(shape, 9)
    return [x], [keep] + axes, [], function


@operator("var", "std")
def spread(d, name):
    shape = d.shape(1, 3, empty=False)
    keep, correction, axes = d.flag(), d.flag(), d.axes(shape)
    every = axes or list(range(len(shape)))
    if math.prod(shape[a] for a in every) < 3:
        shape[every[0]] = 5
    return [d.normal(shape)], [keep, correction] + axes, [], lambda x: getattr(torch, name)(
        x, every, correction=correction, keepdim=bool(keep))


@operator("norm")
def norm(d):
    shape, p = d.shape(1, 3, empty=False), d.one([1.0, 2.0, 3.0, 2.5, math.inf])
    keep, axes = d.flag(), d.axes(shape)
    return [d.away(shape)], [keep] + axes, [p], lambda x: torch.linalg.vector_norm(
        x, p, axes or list(range(len(shape))), keepdim=bool(keep))


@operator("argmax", "argmin")
def arg(d, name):
    shape = d.shape(1, 3, empty=False)
    axis, keep = d.axis(shape), d.flag()
    return [d.normal(shape, torch.float64)], [axis, keep], [], lambda x: getattr(torch, name)(x, axis, keepdim=bool(keep))


@operator("cumsum")
def cumsum(d):
    shape = d.shape(1, 3)
    axis, back = d.axis(shape), d.flag()
    return [d.normal(shape)], [axis, back], [], lambda x: (
        x.flip(axis).cumsum(axis).flip(axis) if back else x.cumsum(axis))


@operator("argsort")
def argsort(d):
    shape = d.shape(1, 3)
    axis, down = d.axis(shape), d.flag()
    x = d.ints(shape, 4).double() if d.flag() else d.normal(shape)
    return [x], [axis, down], [], lambda x: torch.argsort(
        x, dim=axis, descending=bool(down), stable=True)


@operator("topk")
def topk(d):
    shape = d.shape(1, 3, empty=False)
    axis, largest = d.axis(shape), d.flag()
    k = d.int(1, shape[axis])
    return [d.normal(shape, torch.float64)], [k, axis, largest], [], lambda x: torch.topk(x, k, axis, bool(largest))[1]


@operator("reshape")
def reshape(d):
    shape = d.shape(empty=False)
    target = [int(n) for n in d.rng.permutation(shape)] + [1] * d.flag()
    given = list(target)
    if given and d.flag():
        given[d.int(0, len(given) - 1)] = -1
    return [d.normal(shape)], given, [], lambda x: x.reshape(given)


@operator("permute")
def permute(d):
    shape = d.shape()
    axes = [int(a) - len(shape) * d.flag() for a in d.rng.permutation(len(shape))]
    return [d.normal(shape)], axes, [], lambda x: x.permute(axes)


@operator("expand")
def expand(d):
    target = d.shape(1, 3, empty=False)
    shape = [1 if d.flag() else n for n in target][d.int(0, 1):]
    return [d.normal(shape)], target, [], lambda x: x.expand(target)


@operator("slice")
def slice_(d):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    start = d.int(0, shape[axis])
    end, step = d.int(start, shape[axis]), d.int(1, 3)
    at = [slice(None)] * len(shape)
    at[axis % len(shape)] = slice(start, end, step)
    return [d.normal(shape)], [axis, start, end, step], [], lambda x: x[tuple(at)]


@operator("concat")
def concat(d):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    parts = []
    for _ in range(d.int(1, 3)):
        part = list(shape)
        part[axis] = d.int(0, 3)
        parts.append(d.normal(part))
    return parts, [axis], [], lambda *xs: torch.cat(xs, axis)


@operator("gather", "scatter_add")
def gather(d, name):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    index = [d.int(1, n) for n in shape]
    index[axis] = d.int(1, 6)
    at = d.ints(index, shape[axis])
    if name == "gather":
        return [d.normal(shape), at], [axis], [], lambda x, i: x.gather(axis, i)
    return [d.normal(shape), at, d.normal(index)], [axis], [], lambda x, i, s: x.scatter_add(axis, i, s)


@operator("index_select")
def index_select(d):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    return [d.normal(shape), d.ints([d.int(0, 6)], shape[axis])], [axis], [], lambda x, i: x.index_select(axis, i)


@operator("embedding")
def embedding(d):
    rows, padding = d.int(1, 7), -1
    if d.flag():
        padding = d.int(0, rows - 1)
    return [d.normal([rows, d.int(1, 5)]), d.ints(d.shape(0, 2), rows)], [padding], [], lambda w, i: F.embedding(
        i, w, padding_idx=padding if padding >= 0 else None)


@operator("pad")
def pad(d):
    mode = d.int(0, 2)
    spatial = d.int(1, 2)
    shape = [d.int(1, 3) for _ in range(1 if mode == 0 else 2)] + [d.int(3, 6) for _ in range(spatial)]
    pads = [d.int(0, 2) for _ in range(2 * spatial)]
    value = d.real(-1, 1) if mode == 0 else 0.0
    return [d.normal(shape)], [mode] + pads, [value] if mode == 0 else [], lambda x: F.pad(
        x, pads, ["constant", "reflect", "replicate"][mode], value if mode == 0 else None)


@operator("flip")
def flip(d):
    shape = d.shape()
    axes = d.axes(shape)
    return [d.normal(shape)], axes, [], lambda x: x.flip(axes)


@operator("tril", "triu")
def triangle(d, name):
    diagonal = d.int(-3, 3)
    return [d.normal(d.shape(2, 3))], [diagonal], [], lambda x: getattr(torch, name)(x, diagonal)


@operator("one_hot")
def one_hot(d):
    classes = d.int(1, 7)
    return [d.ints(d.shape(0, 2), classes)], [classes], [], lambda i: F.one_hot(i, classes)


@operator("arange")
def arange(d):
    n, start, step = d.int(0, 20), d.int(-5, 5), d.one([1, 2, -1])
    return [], [3, n], [start, step], lambda: start + step * torch.arange(n)


@operator("contiguous", "detach")
def same(d, name):
    return [d.normal(d.shape())], [], [], lambda x: x.detach() if name == "detach" else x.contiguous()


@operator("cast")
def cast(d):
    to = d.one([(1, torch.float32), (2, torch.float64), (3, torch.int64), (8, torch.int32)])
    d.dtype = torch.float32
    x = d.normal(d.shape()) * 10
    return [x], [to[0]], [], lambda x: x.to(to[1])


@operator("matmul")
def matmul(d):
    m, k, n, batch = d.int(1, 9), d.int(1, 9), d.int(1, 9), d.shape(0, 2, empty=False)
    a, b = (d.broadcast(batch) if len(batch) else []) + [m, k], batch + [k, n]
    kind = d.int(0, 5)
    if kind == 0:
        a = [k]
    if kind == 1:
        b = [k]
    if kind == 2:
        b = [k, n]
    return [d.normal(a), d.normal(b)], [], [], torch.matmul


@operator("linear")
def linear(d):
    i, o = d.int(1, 9), d.int(1, 9)
    tensors = [d.normal(d.shape(0, 2) + [i]), d.normal([o, i])] + ([d.normal([o])] if d.flag() else [])
    return tensors, [], [], F.linear


@operator("softmax", "log_softmax")
def softmax(d, name):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    return [d.normal(shape)], [axis], [], lambda x: getattr(torch, name)(x, axis)


def spatial(d, n):
    return dict(stride=[d.int(1, 3) for _ in range(n)], padding=[d.int(0, 2) for _ in range(n)],
                dilation=[d.int(1, 2) for _ in range(n)])


@operator("conv")
def conv(d):
    n, groups = d.int(1, 3), d.int(1, 3)
    s, k = spatial(d, n), [d.int(1, 3) for _ in range(n)]
    x = [d.int(1, 3), groups * d.int(1, 2)] + [d.int(5, 7 if n < 3 else 5) for _ in range(n)]
    w = [groups * d.int(1, 2), x[1] // groups] + k
    tensors = [d.normal(x), d.normal(w)] + ([d.normal([w[0]])] if d.flag() else [])
    return tensors, s["stride"] + s["padding"] + s["dilation"] + [groups], [], lambda x, w, b=None: getattr(
        F, f"conv{n}d")(x, w, b, groups=groups, **s)


@operator("conv_transpose")
def conv_transpose(d):
    n, groups = d.int(1, 3), d.int(1, 3)
    s, k = spatial(d, n), [d.int(1, 3) for _ in range(n)]
    extra = [d.int(0, max(a, b) - 1) for a, b in zip(s["stride"], s["dilation"])]
    x = [d.int(1, 3), groups * d.int(1, 2)] + [d.int(5, 6) for _ in range(n)]
    w = [x[1], d.int(1, 2)] + k
    tensors = [d.normal(x), d.normal(w)] + ([d.normal([w[1] * groups])] if d.flag() else [])
    ints = s["stride"] + s["padding"] + extra + s["dilation"] + [groups]
    return tensors, ints, [], lambda x, w, b=None: getattr(F, f"conv_transpose{n}d")(
        x, w, b, groups=groups, output_padding=extra, **s)


def pool_window(d, n):
    kernel = [d.int(1, 3) for _ in range(n)]
    return kernel, [d.int(1, 3) for _ in range(n)], [d.int(0, k // 2) for k in kernel]


@operator("max_pool", "max_pool_indices")
def max_pool(d, name):
    n = d.int(1, 3)
    kernel, stride, padding = pool_window(d, n)
    dilation, ceil = [d.int(1, 2) for _ in range(n)], d.flag()
    x = d.normal([d.int(1, 2), d.int(1, 3)] + [d.int(5, 7 if n < 3 else 5) for _ in range(n)], torch.float64)
    which = 1 if name.endswith("indices") else 0
    return [x], kernel + stride + padding + dilation + [ceil], [], lambda x: getattr(F, f"max_pool{n}d")(
        x, kernel, stride, padding, dilation, bool(ceil), return_indices=True)[which]


@operator("avg_pool")
def avg_pool(d):
    n = d.int(1, 3)
    kernel, stride, padding = pool_window(d, n)
    ceil, count = d.flag(), d.flag()
    x = d.normal([d.int(1, 2), d.int(1, 3)] + [d.int(4, 7 if n < 3 else 5) for _ in range(n)])
    return [x], kernel + stride + padding + [ceil, count], [], lambda x: getattr(F, f"avg_pool{n}d")(
        x, kernel, stride, padding, bool(ceil), bool(count))


@operator("adaptive_avg_pool", "adaptive_max_pool")
def adaptive(d, name):
    n = d.int(1, 2)
    out = [d.int(1, 5) for _ in range(n)]
    kind = "avg" if "avg" in name else "max"
    x = d.normal([d.int(1, 2), d.int(1, 3)] + [d.int(1, 8) for _ in range(n)], torch.float64)
    return [x], out, [], lambda x: getattr(F, f"adaptive_{kind}_pool{n}d")(x, out)


@operator("upsample_nearest")
def upsample_nearest(d):
    n = d.int(1, 3)
    out = [d.int(1, 8) for _ in range(n)]
    x = d.normal([d.int(1, 2), d.int(1, 2)] + [d.int(1, 5) for _ in range(n)])
    return [x], out, [], lambda x: F.interpolate(x, out, mode="nearest")


@operator("upsample_linear")
def upsample_linear(d):
    n, align = d.int(1, 3), d.flag()
    out = [d.int(1, 8) for _ in range(n)]
    x = d.normal([d.int(1, 2), d.int(1, 2)] + [d.int(1, 5) for _ in range(n)])
    return [x], [align] + out, [], lambda x: F.interpolate(
        x, out, mode=["linear", "bilinear", "trilinear"][n - 1], align_corners=bool(align))


@operator("batch_norm")
def batch_norm(d):
    c, eps = d.int(1, 5), d.one([1e-5, 1e-2])
    shape = [d.int(2, 5), c] + [d.int(1, 4) for _ in range(d.int(0, 3))]
    tensors = [d.normal(shape), d.normal([c]), d.normal([c]), torch.zeros(c, dtype=torch.float64), torch.ones(
        c, dtype=torch.float64)]
    return tensors, [], [eps, 0.1], lambda x, w, b, m, v: F.batch_norm(
        x, m.clone(), v.clone(), w, b, training=True, eps=eps)


@operator("layer_norm", "rms_norm")
def layer_norm(d, name):
    last, eps = d.int(1, 2), d.one([1e-5, 1e-2])
    shape = d.shape(0, 2, empty=False) + [d.int(2, 7) for _ in range(last)]
    own = shape[-last:]
    if name == "rms_norm":
        tensors = [d.normal(shape)] + ([d.normal(own)] if d.flag() else [])
        return tensors, [last], [eps], lambda x, w=None: F.rms_norm(x, own, w, eps)
    tensors = [d.normal(shape)] + ([d.normal(own), d.normal(own)] if d.flag() else [])
    return tensors, [last], [eps], lambda x, w=None, b=None: F.layer_norm(x, own, w, b, eps)


@operator("group_norm", "instance_norm")
def group_norm(d, name):
    groups, eps = d.int(1, 3), d.one([1e-5, 1e-2])
    c = groups * d.int(1, 3)
    shape = [d.int(1, 3), c] + [d.int(2, 4) for _ in range(d.int(1, 2))]
    tensors = [d.normal(shape)] + ([d.normal([c]), d.normal([c])] if d.flag() else [])
    if name == "instance_norm":
        return tensors, [], [eps], lambda x, w=None, b=None: F.instance_norm(x, weight=w, bias=b, eps=eps)
    return tensors, [groups], [eps], lambda x, w=None, b=None: F.group_norm(x, groups, w, b, eps)


@operator("attention")
def attention(d):
    batch, t, s, width, out = d.shape(0, 2, empty=False), d.int(1, 7), d.int(1, 7), d.int(1, 6), d.int(1, 5)
    kind, scale = d.int(0, 3), d.one([0.0, 0.7])
    tensors = [d.normal(batch + [t, width]), d.normal(batch + [s, width]), d.normal(batch + [s, out])]
    if kind == 2:
        mask = d.bools([t, s])
        mask[:, 0] = True
        tensors.append(mask)
    if kind == 3:
        tensors.append(d.normal([t, s]))
    return tensors, [int(kind == 1)], [scale, 0.0], lambda q, k, v, m=None: F.scaled_dot_product_attention(
        q, k, v, attn_mask=m, is_causal=kind == 1, scale=scale or None)


def recurrent_inputs(d, gates):
    t, n, h = d.int(1, 5), d.int(1, 4), d.int(1, 5)
    return t, n, h, d.normal([t, n, gates * h]), d.normal([n, h]), d.normal([gates * h, h]), d.normal([gates * h])


@operator("rnn")
def rnn(d):
    relu = d.flag()
    t, n, h, x, h0, w, b = recurrent_inputs(d, 1)

    def function(x, h, w, b):
        out = []
        for step in x:
            h = F.relu(step + h @ w.T + b) if relu else torch.tanh(step + h @ w.T + b)
            out.append(h)
        return torch.stack(out)

    return [x, h0, w, b], [relu], [], function


@operator("lstm")
def lstm(d):
    t, n, h, x, h0, w, b = recurrent_inputs(d, 4)
    c0 = d.normal([n, h])

    def function(x, h, c, w, b):
        out = []
        for step in x:
            i, f, g, o = (step + h @ w.T + b).chunk(4, 1)
            i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
            c = f * c + i * g
            h = o * c.tanh()
            out.append(torch.cat([h, c], 1))
        return torch.stack(out)

    # The gates that follow h and c are no part of the definition.
    return [x, h0, c0, w, b], [], [], function


@operator("gru")
def gru(d):
    t, n, h, x, h0, w, b = recurrent_inputs(d, 3)

    def function(x, h, w, b):
        out = []
        for step in x:
            xr, xz, xn = step.chunk(3, 1)
            hr, hz, hn = (h @ w.T + b).chunk(3, 1)
            r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
            cand = (xn + r * hn).tanh()
            h = (1 - z) * cand + z * h
            out.append(h)
        return torch.stack(out)

    return [x, h0, w, b], [], [], function


@operator("rope")
def rope(d):
    width, first, interleaved, base = 2 * d.int(1, 4), d.int(0, 9), d.flag(), d.one([10000.0, 100.0])
    shape = d.shape(0, 2, empty=False) + [d.int(1, 6), width]

    def function(x):
        angle = (first + torch.arange(shape[-2], dtype=torch.float64))[:, None] * base ** (
            -torch.arange(0, width, 2, dtype=torch.float64) / width)
        cos, sin = angle.cos(), angle.sin()
        if interleaved:
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

    return [d.normal(shape)], [first, interleaved], [base], function


@operator("nll_loss", "cross_entropy")
def class_loss(d, name):
    n, classes, rest = d.int(1, 7), d.int(2, 6), d.shape(0, 1, empty=False)
    reduction, ignore = d.one([NONE, MEAN, SUM]), d.one([-100, 0])
    x, target = d.normal([n, classes] + rest), d.ints([n] + rest, classes)
    target.view(-1)[0] = 1
    tensors, ints, reals, options = [x, target], [], [], {}
    if d.flag():
        ints, options = [reduction, ignore], dict(reduction=REDUCTIONS[reduction], ignore_index=ignore)
        if d.flag():
            tensors.append(d.uniform([classes], 0.3, 2))
    if name == "cross_entropy" and ints and d.flag():
        smoothing = d.real(0, 0.5)
        reals, options["label_smoothing"] = [smoothing], smoothing
    if name == "cross_entropy" and d.int(0, 3) == 0:
        tensors[1] = torch.softmax(d.normal([n, classes] + rest).double(), 1).to(d.dtype)
        ints, options["ignore_index"] = ints[:1], -100
    return tensors, ints, reals, lambda x, t, w=None: getattr(F, name)(x, t, w, **options)


@operator("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "bce_loss", "kl_div", "bce_with_logits")
def pair_loss(d, name):
    shape, ints, options, reals = d.shape(1, 3, empty=False), [], {}, []
    if d.flag():
        reduction = d.one([NONE, MEAN, SUM] + ([BATCHMEAN] if name == "kl_div" else []))
        ints, options = [reduction], dict(reduction=REDUCTIONS[reduction])
    a, b = d.normal(shape), d.normal(shape)
    function = getattr(F, {"bce_loss": "binary_cross_entropy",
                           "bce_with_logits": "binary_cross_entropy_with_logits"}.get(name, name))
    if name in ("smooth_l1_loss", "huber_loss"):
        reals = [d.real(0.3, 2)]
        options["beta" if name == "smooth_l1_loss" else "delta"] = reals[0]
    if name == "bce_loss":
        a, b = d.uniform(shape, 0.1, 0.9), d.uniform(shape, 0.1, 0.9)
    if name == "bce_with_logits":
        b = d.uniform(shape, 0.1, 0.9)
        if d.flag():
            return [a, b, d.uniform(shape[-1:], 0.3, 2)], ints, reals, lambda a, b, w: function(
                a, b, pos_weight=w, **options)
    if name == "kl_div":
        log = d.flag()
        b = torch.softmax(b.double(), -1).to(d.dtype)
        b = b.double().log().to(d.dtype) if log else b
        ints = [ints[0] if ints else MEAN, log]
        options["log_target"] = bool(log)
    return [a, b], ints, reals, lambda a, b: function(a, b, **options)


@operator("cosine_similarity")
def cosine_similarity(d):
    shape = d.shape(1, 3, empty=False)
    axis = d.axis(shape)
    return [d.away(shape), d.away(shape)], [axis], [1e-8], lambda a, b: F.cosine_similarity(a, b, axis, 1e-8)


@operator("cosine_embedding_loss")
def cosine_embedding_loss(d):
    n, width, margin, ints = d.int(1, 6), d.int(2, 6), d.real(-0.3, 0.4), []
    options = {}
    if d.flag():
        ints = [d.int(0, 2)]
        options["reduction"] = REDUCTIONS[ints[0]]
    target = d.ints([n], 2) * 2 - 1
    return [d.away([n, width]), d.away([n, width]), target], ints, [margin], lambda a, b, t: F.cosine_embedding_loss(
        a, b, t, margin, **options)


@operator("triplet_margin_loss")
def triplet_margin_loss(d):
    shape, margin, p, ints, options = [d.int(1, 6), d.int(2, 6)], d.real(0.5, 2), d.one([1.0, 2.0]), [], {}
    if d.flag():
        ints = [d.int(0, 2)]
        options["reduction"] = REDUCTIONS[ints[0]]
    return [d.normal(shape) for _ in range(3)], ints, [margin, p], lambda a, b, c: F.triplet_margin_loss(
        a, b, c, margin, p, **options)


@operator("accuracy")
def accuracy(d):
    n, classes = d.int(1, 9), d.int(2, 6)
    return [d.normal([n, classes], torch.float64), d.ints([n], classes)], [], [], lambda x, t: (
        x.argmax(1) == t).float().mean()


@operator("full")
def full(d):
    shape, value = d.shape(), d.real(-2, 2)
    return [], [2] + shape, [value], lambda: torch.full(shape, value, dtype=torch.float64)


# Not here: random operators (no two libraries draw alike) and require_grad (nothing to compare).
WITHOUT_A_PEER = {"uniform", "normal", "bernoulli", "dropout", "randint", "multinomial", "require_grad"}
NO_GRADIENT = {"detach", "argsort", "topk"}
WITHOUT_GRADIENT = {"batch_norm": (3, 4), "nll_loss": (2,), "cross_entropy": (2,), "bce_with_logits": (2,)}
# Sums with cancellation, where half precision says little of a gradient.
ROUGH = {"prod": 8, "var": 4, "std": 8, "norm": 4, "batch_norm": 16, "layer_norm": 16, "group_norm": 200, "rms_norm": 8,
         "instance_norm": 200, "cosine_similarity": 8, "cosine_embedding_loss": 8, "logsumexp": 2, "lstm": 4, "gru": 4,
         "rnn": 4, "attention": 4, "softplus": 4, "triplet_margin_loss": 8, "bce_loss": 4, "pow": 4, "gelu": 4,
         "cross_entropy": 4, "kl_div": 4, "nll_loss": 4}


def double(tensor):
    return tensor.double() if tensor.is_floating_point() else tensor


def numbers(tensor):
    return tensor.detach().to(torch.float64).numpy().reshape(-1)


def make(name, seed):
    """One call: its description and its numbers."""
    d = Draw([seed, zlib.crc32(name.encode())])
    inputs, ints, reals, function = OPERATORS[name](d)
    leaves = [double(x).clone() for x in inputs]
    wants = [x.is_floating_point() and name not in NO_GRADIENT for x in inputs]
    for k in WITHOUT_GRADIENT.get(name, ()):
        if k < len(wants):
            wants[k] = False
    for leaf, want in zip(leaves, wants):
        leaf.requires_grad_(want)
    y = function(*leaves)
    if not y.requires_grad:
        wants = [False] * len(wants)
    dtype = y.dtype
    if dtype == torch.float64 and name not in ("full",):
        reals_in = [x.dtype for x in inputs if x.is_floating_point()]
        dtype = torch.float64
        if reals_in and name != "cast":
            dtype = reals_in[0]
            for other in reals_in[1:]:
                dtype = torch.promote_types(dtype, other)
    described = []
    for k, (x, want) in enumerate(zip(inputs, wants)):
        layout = 0 if name == "batch_norm" and k > 2 else d.one([0, 0, 1, 2])  # what is written to is whole
        described.append([DTYPES[x.dtype], list(x.shape), layout, int(want)])
    parts = [numbers(x) for x in inputs] + [numbers(y)]
    if any(wants):
        r = torch.from_numpy(d.rng.normal(size=y.shape))
        (y * r).sum().backward()
        parts.append(numbers(r))
        parts += [numbers(leaf.grad if leaf.grad is not None else torch.zeros_like(leaf))
                  for leaf, want in zip(leaves, wants) if want]
    reals = [r if math.isfinite(r) else "inf" for r in reals]
    return [CODES[name], described, ints, reals, DTYPES[dtype], list(y.shape), ROUGH.get(name, 1)], np.concatenate(parts)


def make_file(path, names, cases, seed, dtype):
    about, data = [], []
    for name in names:
        for k in range(cases):
            call, values = make(name, seed * 100003 + k)
            about.append(call)
            data.append(values)
    text = json.dumps(about, separators=(",", ":"))
    save_file({"data": np.concatenate(data).astype(dtype)}, path, {"about": text})


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--check", type=pathlib.Path, metavar="BUILD")
    options.add_argument("--cases", type=int)
    options.add_argument("--only")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-halves", action="store_true", help="float32 and float64 only")
    options = options.parse_args()

    torch.set_num_threads(1)
    if options.no_halves:
        HALVES.clear()
    missing = set(CODES) - set(OPERATORS) - WITHOUT_A_PEER
    if missing:
        sys.exit(f"operators without a case: {', '.join(sorted(missing))}")
    names = options.only.split(",") if options.only else list(OPERATORS)
    if not options.check:
        make_file(HERE / "operators.safetensors", names, options.cases or 3, options.seed, np.float32)
        return
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = os.path.join(folder, name + ".safetensors")
            make_file(path, [name], options.cases or 200, options.seed, np.float64)
            result = subprocess.run([options.check / "tests/unit/engine/test_engine_peer", "-j1"], text=True,
                                    env={**os.environ, "LHOST_OPERATOR_CASES": path}, capture_output=True)
            passed = result.returncode == 0
            print(f"{name:<24}{options.cases or 200:>6} cases  {'ok' if passed else 'FAILED'}", flush=True)
            if not passed:
                failed.append(name)
                print("\n".join((result.stderr + result.stdout).splitlines()[:12]))
    print(f"{len(names) - len(failed)} operators agree with PyTorch, {len(failed)} don't")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
