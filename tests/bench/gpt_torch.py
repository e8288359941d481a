"""One training step of a Transformer (the model of examples/gpt) in PyTorch, f32: zero_grad, forward,
cross-entropy, backward, AdamW(fused=True).

The characters are in memory. Prints one line of JSON with the median time of a step in milliseconds,
eager and, with --compile, of torch.compile.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time
import types
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent


def lightning_model():
    """The classes of examples/gpt/lightning.py, which needs no more of Lightning than a module here."""
    stand_in = types.ModuleType("lightning")
    stand_in.LightningModule = torch.nn.Module
    sys.modules.setdefault("lightning", stand_in)
    spec = importlib.util.spec_from_file_location("gpt", HERE.parents[1] / "examples/gpt/lightning.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.LitModel.save_hyperparameters = lambda self: None
    return module.LitModel


def step_ms(model, batch, context, steps, warm_up):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    text = torch.randint(65, (batch * context + 1,))
    x, y = text[:-1].view(batch, context), text[1:]
    times = []
    for _ in range(warm_up + steps):
        start = time.perf_counter_ns()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y)
        loss.backward()
        optimizer.step()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times[warm_up:]) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"threads": 1, "steps": 100, "warm_up": 5, "layers": 4, "width": 128, "heads": 4,
                          "context": 64, "batch": 12}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    make = lightning_model()
    forms = {"eager": lambda model: model}
    if args.compile:
        forms["compile"] = torch.compile
    result = {}
    for name, form in forms.items():
        model = make(n_layer=args.layers, n_head=args.heads, n_embd=args.width, block_size=args.context)
        result[name] = round(step_ms(form(model), args.batch, args.context, args.steps, args.warm_up), 3)
    print(json.dumps({"peer": f"torch {torch.__version__}", "threads": args.threads, "step_ms": result}))


if __name__ == "__main__":
    main()
