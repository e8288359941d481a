"""The model of vae.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class LitModel(L.LightningModule):
    def __init__(self, dim=12, hidden=400, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = nn.Sequential(
            nn.Linear(28 * 28, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.mean = nn.Linear(hidden, dim)
        self.log_var = nn.Linear(hidden, dim)
        self.decoder = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 28 * 28),
        )

    def forward(self, x):
        return self.encode(x)[0]

    def encode(self, x):
        h = self.encoder(x.flatten(1))
        return self.mean(h), self.log_var(h)

    def draw(self, mean, log_var):
        return mean + torch.exp(log_var / 2) * torch.randn_like(mean)

    def images(self, z):
        return torch.sigmoid(self.decoder(z)).reshape(-1, 1, 28, 28)

    def loss(self, batch):
        x = batch[0].flatten(1)
        mean, log_var = self.encode(x)
        logits = self.decoder(self.draw(mean, log_var))
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        divergence = 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum(1).mean()
        return reconstruction + divergence

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        if batch_idx == 0 and not self.trainer.sanity_checking:
            x = batch[0][:16].reshape(-1, 1, 28, 28)
            z = torch.randn(64, self.hparams.dim, device=self.device)
            board = self.logger.experiment
            pairs = torch.cat([x, self.images(self.draw(*self.encode(x)))])
            board.add_images("reconstructions", pairs, self.current_epoch)
            board.add_images("samples", self.images(z), self.current_epoch)
        self.log("val_loss", self.loss(batch), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
