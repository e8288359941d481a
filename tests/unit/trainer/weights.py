"""PyTorch on the other side of test_weights.c.

weights.py save DTYPE...    DTYPE.safetensors: the state_dict of a Linear(7, 5) called l
weights.py load FILE        loads a checkpoint of ours into a Conv2d, strictly, and applies it
"""
import sys

import torch
from safetensors.torch import load_file, save_file


def save(*dtypes):
    model = torch.nn.ModuleDict({"l": torch.nn.Linear(7, 5)})
    for i, p in enumerate(model.parameters()):
        p.data = (torch.arange(p.numel()).reshape(p.shape) - 8.0 * i) / 4
    for dtype in dtypes:
        save_file(model.to(getattr(torch, dtype)).state_dict(), f"{dtype}.safetensors")


def load(path):
    model = torch.nn.ModuleDict({"l": torch.nn.Conv2d(3, 4, (3, 2), dtype=torch.float64)})
    tensors = load_file(path)
    model.load_state_dict(tensors, strict=True)
    model["l"](torch.ones(1, 3, 7, 6, dtype=torch.float64))


{"save": save, "load": load}[sys.argv[1]](*sys.argv[2:])
