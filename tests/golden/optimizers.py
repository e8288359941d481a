"""Makes optimizers.safetensors: PyTorch's trajectories of 20 updates of one 7x5 parameter.

    python tests/golden/optimizers.py          (with the environment that tests/bench/peers makes)

Tensors, for DTYPE in {float64, float32}:
    init.DTYPE          (7, 5)      the parameter before the first update
    grads.DTYPE         (20, 7, 5)  the gradient given to update i; the same for every case
    CASE.DTYPE.params   (20, 7, 5)  the parameter after update i
Metadata: "about" -> JSON {"torch": VERSION, "cases": {CASE: {"optimizer": NAME, "options": {...}}}}; options
not named are PyTorch's defaults. One metadata entry, so that the file is the same each time it is made. The
float32 inputs are the float64 ones rounded.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

UPDATES, SHAPE = 20, (7, 5)

CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "sgd_weight_decay": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    "sgd_dampening": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    "sgd_maximize": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "maximize": True}),
    "adam": ("Adam", {"lr": 0.01}),
    "adam_amsgrad": ("Adam", {"lr": 0.01, "betas": [0.9, 0.6], "amsgrad": True}),
    "adam_weight_decay": ("Adam", {"lr": 0.01, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.05}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.05}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.01, "alpha": 0.9, "centered": True}),
    "rmsprop_momentum": ("RMSprop", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.05}),
    "adagrad": ("Adagrad", {"lr": 0.1}),
    "adagrad_lr_decay": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.05}),
    "adagrad_accumulator": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5}),
}


def trajectory(name, options, init, grads):
    parameter = torch.nn.Parameter(init.clone())
    optimizer = getattr(torch.optim, name)([parameter], **options)
    steps = []
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()
        steps.append(parameter.detach().clone())
    return torch.stack(steps)


def main():
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(20)
    init = torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    # Gradients that shrink to a tenth, so that amsgrad's maximum (with a short memory) is not the average.
    grads = torch.randn((UPDATES, *SHAPE), generator=generator, dtype=torch.float64)
    grads *= torch.linspace(1.0, 0.1, UPDATES, dtype=torch.float64).view(-1, 1, 1)

    tensors, about = {}, {"torch": torch.__version__, "cases": {}}
    for dtype in (torch.float64, torch.float32):
        kind = str(dtype).removeprefix("torch.")
        tensors[f"init.{kind}"], tensors[f"grads.{kind}"] = init.to(dtype), grads.to(dtype)
        for case, (name, options) in CASES.items():
            tensors[f"{case}.{kind}.params"] = trajectory(name, options, init.to(dtype), grads.to(dtype))
    for case, (name, options) in CASES.items():
        about["cases"][case] = {"optimizer": name, "options": options}
    save_file(tensors, Path(__file__).with_suffix(".safetensors"), {"about": json.dumps(about)})


if __name__ == "__main__":
    main()
