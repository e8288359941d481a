"""What examples/*/lightning.py take from Lightning, without Lightning: their models as plain PyTorch has them.

`install()` puts this in the place of the modules `lightning` and `torchmetrics`, so that neither their time nor
their memory is counted against PyTorch.
"""

import contextlib
import inspect
import sys
import types

import torch
from torch import nn


class LightningModule(nn.Module):
    automatic_optimization = True
    device = torch.device("cpu")
    logged = None  # the latest value, of a model that optimizes by hand

    @property
    def trainer(self):
        return self._trainer

    def save_hyperparameters(self):
        given = inspect.currentframe().f_back.f_locals
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        self.hparams = types.SimpleNamespace(**{name: given[name] for name in names})

    def log(self, name, value, **_):
        if not self.automatic_optimization:
            self.logged = value.detach()

    def manual_backward(self, loss):
        loss.backward()

    def toggle_optimizer(self, optimizer):
        """Gradients go to the optimizer's parameters alone."""
        own = {p for group in optimizer.param_groups for p in group["params"]}
        self.toggled = [p for p in self.parameters() if p.requires_grad and p not in own]
        for p in self.toggled:
            p.requires_grad_(False)

    def untoggle_optimizer(self, optimizer):
        for p in self.toggled:
            p.requires_grad_(True)


def install():
    sys.modules["lightning"] = types.SimpleNamespace(LightningModule=LightningModule)
    sys.modules["torchmetrics"] = types.SimpleNamespace(ConfusionMatrix=lambda *_, **__: nn.Identity())


def precision_context(precision):
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16-mixed" else contextlib.nullcontext()
