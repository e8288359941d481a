"""The model of feature-maps.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class LitModel(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.features = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1) for i, o in [(1, 8), (8, 16), (16, 32)]
        )
        self.classifier = nn.Linear(32 * 3 * 3, 10)

    def compute(self, x):
        x = x.reshape(-1, 1, 28, 28)
        maps = []
        for layer in self.features:
            maps.append(F.relu(layer(x)))
            x = F.max_pool2d(maps[-1], 2)
        return self.classifier(x.flatten(1)), maps

    def forward(self, x):
        return self.compute(x)[0]

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.log("val_acc", (logits.argmax(1) == labels).float().mean(), prog_bar=True)

    def predict_step(self, batch, batch_idx):
        return self.compute(batch[0])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
