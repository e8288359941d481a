"""The model of transfer.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, channels_in, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)


class LitModel(L.LightningModule):
    def __init__(self, backbone="", unfreeze_every=10, lr=3e-3, train_norm=False):
        super().__init__()
        self.save_hyperparameters()
        self.backbone = nn.Sequential(Block(1, 16), Block(16, 32), Block(32, 64))
        self.head = nn.Linear(64, 5)
        if backbone:
            weights = torch.load(backbone)["state_dict"]
            weights = {k: v for k, v in weights.items() if k.startswith("backbone.")}
            self.load_state_dict(weights, strict=False)
            self.backbone.requires_grad_(False)

    def configure_optimizers(self):
        lr = self.hparams.lr
        if not self.hparams.backbone:
            return torch.optim.Adam(self.parameters(), lr=lr)
        groups = [{"params": self.head.parameters(), "lr": lr}]
        for k, block in enumerate(reversed(self.backbone)):
            groups.append({"params": block.parameters(), "lr": lr / 3 ** (k + 1)})
        return torch.optim.Adam(groups)

    def on_train_epoch_start(self):
        if not self.hparams.backbone:
            return
        every = self.hparams.unfreeze_every
        for k, block in enumerate(reversed(self.backbone)):
            frozen = every == 0 or self.current_epoch < (k + 1) * every
            block.requires_grad_(not frozen)
            block.norm.train(not frozen or self.hparams.train_norm)

    def forward(self, x):
        return self.head(self.backbone(x.reshape(-1, 1, 28, 28)).mean((2, 3)))

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def evaluate(self, batch, stage):
        images, labels = batch
        logits = self(images)
        self.log(f"{stage}_loss", F.cross_entropy(logits, labels))
        self.log(f"{stage}_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True)

    def validation_step(self, batch, batch_idx):
        self.evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self.evaluate(batch, "test")
