"""The model of char-lstm.c in PyTorch Lightning.

Lightning 2 leaves truncated back-propagation to manual optimization.
"""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


class LitModel(L.LightningModule):
    def __init__(self, vocab_size=65, embed=64, hidden=256, layers=1, steps=32, lr=2e-3, clip=5.0):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.embed = nn.Embedding(vocab_size, embed)
        self.lstm = nn.LSTM(embed, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, vocab_size)
        self.memory = None

    def forward(self, x, memory=None):
        y, memory = self.lstm(self.embed(x), memory)
        return self.head(y), memory

    def loss(self, x, y, memory):
        logits, memory = self(x, memory)
        return F.cross_entropy(logits.flatten(0, 1), y.flatten()), memory

    def on_train_epoch_start(self):
        self.memory = None

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        for x, y in zip(*(field.split(self.hparams.steps, 1) for field in batch)):
            loss, memory = self.loss(x, y, self.memory)
            self.memory = tuple(t.detach() for t in memory)
            optimizer.zero_grad()
            self.manual_backward(loss)
            nn.utils.clip_grad_norm_(self.parameters(), self.hparams.clip)
            optimizer.step()
        self.log("train_loss", loss, prog_bar=True)

    def on_validation_epoch_start(self):
        self.val_memory = None

    def validation_step(self, batch, batch_idx):
        loss, self.val_memory = self.loss(*batch, self.val_memory)
        self.log("val_loss", loss, prog_bar=True)

    @torch.no_grad()
    def generate(self, x, length, temperature=0.8, top_k=200):
        logits, memory = self(x)
        for _ in range(length):
            best = (logits[:, -1] / temperature).topk(min(top_k, logits.shape[-1]))
            drawn = best.indices.gather(1, torch.multinomial(best.values.softmax(-1), 1))
            x = torch.cat([x, drawn], 1)
            logits, memory = self(drawn, memory)
        return x

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
