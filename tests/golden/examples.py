"""Makes examples.json: the first 20 losses of every example's model in PyTorch.

    python tests/golden/examples.py [NAME...]          (with the environment that tests/bench/peers makes)

The models are those of examples/NAME/lightning.py. Batches and initial weights come from the integer hash that
tests/plugins/golden.c describes, so nothing large is stored; everything is computed in float64 from numbers that are
exact in float32, on one thread. tests/e2e/test_golden.c runs lhost on the same. An entry: `options` of lhost's command
line, `fields` and `batch_size` of the data, and by metric the values of the 20 steps.
"""

import importlib.util
import json
import math
import pathlib
import sys
import types

import cartpole
import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples"
STEPS = 20

# name: fields and batch size of the data, options of lhost, arguments of the Lightning module
EXAMPLES_TO_TRY = {}


def hash_u32(stream, indices):
    mask = np.uint64(0xFFFFFFFF)
    h = (np.uint64(stream * 0x9E3779B9 & 0xFFFFFFFF) + indices.astype(np.uint64)) & mask
    h ^= h >> np.uint64(16)
    h = h * np.uint64(0x7FEB352D) & mask
    h ^= h >> np.uint64(15)
    h = h * np.uint64(0x846CA68B) & mask
    return h ^ (h >> np.uint64(16))


def unit(stream, start, count):
    return (hash_u32(stream, np.arange(start, start + count)) >> np.uint64(8)).astype(np.float64) / 2**23 - 1


def fill(model):
    """Weights by name; buffers stay as they are."""
    seen = set()
    for name, parameter in model.named_parameters():
        if parameter in seen:
            continue
        seen.add(parameter)
        stream = 2166136261
        for byte in name.encode():
            stream = (stream ^ byte) * 16777619 & 0xFFFFFFFF
        values = unit(stream, 0, parameter.numel())
        if parameter.ndim >= 2:
            values = values / math.sqrt(parameter.numel() // parameter.shape[0])
        else:
            values = values / 10 + name.endswith("weight")
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(values.astype(np.float32).astype(np.float64)).reshape(parameter.shape))


def batch(fields, size, step):
    tensors = []
    for k, field in enumerate(fields.split(";")):
        kind, shape = field.split(":")
        shape = [int(n) for n in shape.split("x")] if shape else []
        count = size * math.prod(shape)
        if kind in ("unit", "half"):
            values = unit(100 + k, step * count, count)
            values = ((values + 1) / 2 if kind == "half" else values).astype(np.float32).astype(np.float64)
        else:
            values = (hash_u32(100 + k, np.arange(step * count, (step + 1) * count)) % np.uint64(int(kind))).astype(np.int64)
        tensors.append(torch.from_numpy(values).reshape([size] + shape))
    return tensors


def load(name):
    """The module of examples/NAME/lightning.py."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / name / "lightning.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def philox(step, ordinal, count):
    """The standard normal numbers of kernels/philox.h for seed 0 and a random operator of a training step."""
    mask = np.uint64(0xFFFFFFFF)
    pairs = np.arange((count + 1) // 2, dtype=np.uint64)
    x = [pairs, np.zeros_like(pairs), np.full_like(pairs, step), np.zeros_like(pairs)]
    key = (ordinal + 1) * 0x9E3779B97F4A7C15 % 2**64
    k0, k1 = key % 2**32, key >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * x[0], np.uint64(0xCD9E8D57) * x[2]
        x = [p1 >> np.uint64(32) ^ x[1] ^ np.uint64(k0), p1 & mask, p0 >> np.uint64(32) ^ x[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    radius = np.sqrt(-2 * np.log((x[0] + 1.0) / 2**32))
    angle = 2 * np.pi * (x[1] / 2**32)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


class Noise:
    """torch.randn and randn_like as lhost's lh_randn(c, LH_F32, ...) draws them in step `step`."""

    def __init__(self):
        self.step = self.ordinal = 0

    def begin(self, step):
        self.step, self.ordinal = step, 0

    def randn(self, *shape, **_):
        values = philox(self.step, self.ordinal, math.prod(shape)).astype(np.float32).astype(np.float64)
        self.ordinal += 1
        return torch.from_numpy(values).reshape(shape)

    def randn_like(self, x):
        return self.randn(*x.shape)


def example(name, fields, batch_size=4, options="", metrics=("train_loss",), folder=None, **arguments):
    """An example whose Lightning class is LitModel and whose loop is the automatic one; `name` is the plugin's."""
    folder = folder or name
    EXAMPLES_TO_TRY[name] = lambda: trajectory(folder, fields, batch_size, options, metrics, arguments)


def configure(model, steps):
    """The optimizers of a model that is to train for so many steps, and the schedulers that go on at every step."""
    model._trainer = types.SimpleNamespace(estimated_stepping_batches=steps)
    configured = model.configure_optimizers()
    schedulers = []
    if isinstance(configured, dict):
        schedule, configured = configured["lr_scheduler"], configured["optimizer"]
        schedulers = [schedule["scheduler"]] if schedule.get("interval") == "step" else []
    if isinstance(configured, tuple) and isinstance(configured[0], list):
        configured = configured[0]  # beside schedules of epochs
    optimizers = list(configured) if isinstance(configured, (list, tuple)) else [configured]
    model.optimizers = lambda: optimizers if len(optimizers) > 1 else optimizers[0]
    return optimizers, schedulers


def trajectory(name, fields, batch_size, options, metrics, arguments):
    model = load(name).LitModel(**arguments).double()
    logged = {metric: [] for metric in metrics}

    def log(metric, value, *_, **__):
        if metric in logged:
            logged[metric].append(float(value.detach()))

    model.log = log
    fill(model)
    optimizers, schedulers = configure(model, STEPS)
    model.manual_backward = lambda loss: loss.backward()
    model.toggle_optimizer = model.untoggle_optimizer = lambda optimizer: None
    model.train()
    noise = Noise()
    torch.randn, torch.randn_like = noise.randn, noise.randn_like
    for step in range(STEPS):
        noise.begin(step)
        loss = model.training_step(batch(fields, batch_size, step), step)
        if model.automatic_optimization:
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
        for scheduler in schedulers:
            scheduler.step()
    return {"options": options, "fields": fields, "batch_size": batch_size, "metrics": logged}


example("autoencoder", "half:28x28;10:")
example("cnn", "half:28x28;10:", options="--model.dropout 0", dropout=0.0)
for backbone in ("lenet", "mlp", "resmlp"):
    example(backbone, "half:28x28;10:", folder="classification-task", backbone=backbone)
example("feature-maps", "half:28x28;10:")
example("mnist", "half:28x28;10:")
example("vae", "half:28x28;10:")
example("resnet", "unit:3x32x32;10:", 8, "--model.width 4 --model.lr 0.0003", width=4, lr=0.0003)
example("seq2seq", "96:28;14:12")
example("transfer", "half:28x28;5:", 8)
example("transformer", "96:28;14:12", options="--model.dropout 0", dropout=0.0)
example("gpt", "65:64;65:64", options="--model.warmup 5 --model.decay 20", warmup=5, decay=20)
# Four pieces of a batch, an optimizer step each.
example("char-lstm", "65:32;65:32", options="--max_steps 80 --gradient_clip_val 5 --model.batch_size 4 --model.steps 8",
        steps=8)
# Two optimizer steps in each of the 20. Of few images and quick steps, rounding grows too fast to say anything.
example("gan", "half:28x28;10:", 8, "--max_steps 40 --model.lr 2e-5", ("d_loss", "g_loss"), lr=2e-5)


def agent(name, options, **arguments):
    """An example that acts in examples/cartpole: seed 0, as lhost's default; `arguments` are the names of `options`."""
    EXAMPLES_TO_TRY[name] = lambda: episodes(name, options, arguments)


def episodes(name, options, arguments):
    chance, LitModel, losses = cartpole.Random(0, 1), load(name).LitModel, []
    world = cartpole.CartPole(cartpole.Random(0, 0))
    worlds = [cartpole.CartPole(cartpole.Random(0, 100 + i)) for i in range(8)]
    model = type("Numbered", (LitModel,), {"global_step": 0})(world if name == "dqn" else worlds, rng=chance, **arguments)
    model.double()
    model.log = lambda *_, **__: None
    model.log_dict = lambda metrics: losses.append(float(metrics["train_loss"].detach()))
    model.clip_gradients = lambda optimizer, gradient_clip_val, **_: torch.nn.utils.clip_grad_norm_(
        optimizer.param_groups[0]["params"], gradient_clip_val)
    fill(model)
    optimizer = model.configure_optimizers()
    for step in range(STEPS):
        type(model).global_step = step
        loss = model.training_step(None, step)
        optimizer.zero_grad()
        loss.backward()
        model.configure_gradient_clipping(optimizer)
        optimizer.step()
    return {"options": options, "fields": "10:", "batch_size": 1, "metrics": {"train_loss": losses}}


# Small enough for what is seldom to happen: a full memory, a copied target network, three rollouts.
agent("dqn", "--model.capacity 64 --model.warm_start 60 --model.batch_size 8 --model.sync 6 --model.eps_steps 20",
      capacity=64, warm_start=60, batch_size=8, sync=6, eps_steps=20)
agent("ppo", "--model.steps 16 --model.batch_size 32 --model.passes 2", steps=16, batch_size=32, passes=2)

# What test_export.c feeds to a model's forward, where that isn't the data's first field; False: it has none.
FORWARD = {"char-lstm": False, "dqn": "unit:4", "gan": "unit:64", "ppo": "unit:4"}


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    path = HERE / "examples.json"
    entries = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or EXAMPLES_TO_TRY:
        entries[name] = EXAMPLES_TO_TRY[name]()
        entries[name]["forward"] = FORWARD.get(name, entries[name]["fields"].split(";")[0])
        print(name, {metric: values[:: STEPS - 1] for metric, values in entries[name]["metrics"].items()})
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
