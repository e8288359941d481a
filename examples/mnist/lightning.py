"""The model of mnist.c in PyTorch Lightning."""

import math

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class LitModel(L.LightningModule):
    def __init__(self, layer_1_dim=128, layer_2_dim=256, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.layer_1 = nn.Linear(28 * 28, layer_1_dim)
        self.layer_2 = nn.Linear(layer_1_dim, layer_2_dim)
        self.layer_3 = nn.Linear(layer_2_dim, 10)

    def forward(self, x):
        x = F.relu(self.layer_1(x.flatten(1)))
        x = F.relu(self.layer_2(x))
        return F.log_softmax(self.layer_3(x), 1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.nll_loss(self(x), y)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def evaluate(self, batch, stage):
        x, y = batch
        scores = self(x)
        self.log(f"{stage}_loss", F.nll_loss(scores, y))
        self.log(f"{stage}_acc", (scores.argmax(1) == y).float().mean(), prog_bar=True)

    def validation_step(self, batch, batch_idx):
        self.evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self.evaluate(batch, "test")

    def configure_optimizers(self):
        lr, steps = self.hparams.lr, self.trainer.estimated_stepping_batches
        adam = torch.optim.Adam(self.parameters(), lr)
        if steps == math.inf:
            return adam
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, 3 * lr, steps, div_factor=3)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
