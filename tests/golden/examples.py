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


def example(name, fields, batch_size=4, options="", metrics=("train_loss",), **arguments):
    """An example whose Lightning class is LitModel and whose loop is the automatic one."""
    EXAMPLES_TO_TRY[name] = lambda: trajectory(name, fields, batch_size, options, metrics, arguments)


def trajectory(name, fields, batch_size, options, metrics, arguments):
    model = load(name).LitModel(**arguments).double()
    logged = {metric: [] for metric in metrics}

    def log(metric, value, *_, **__):
        if metric in logged:
            logged[metric].append(float(value))

    model.log = log
    fill(model)
    configured = model.configure_optimizers()
    optimizers = list(configured) if isinstance(configured, (list, tuple)) else [configured]
    model.optimizers = lambda: optimizers if len(optimizers) > 1 else optimizers[0]
    model.manual_backward = lambda loss: loss.backward()
    model.train()
    for step in range(STEPS):
        loss = model.training_step(batch(fields, batch_size, step), step)
        if model.automatic_optimization:
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
    return {"options": options, "fields": fields, "batch_size": batch_size, "metrics": logged}


example("autoencoder", "half:28x28;10:")
example("cnn", "half:28x28;10:", options="--model.dropout 0", dropout=0.0)


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    path = HERE / "examples.json"
    entries = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or EXAMPLES_TO_TRY:
        entries[name] = EXAMPLES_TO_TRY[name]()
        print(name, {metric: values[:: STEPS - 1] for metric, values in entries[name]["metrics"].items()})
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
