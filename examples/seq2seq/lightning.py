"""The model of seq2seq.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PAD, START = 0, 1
SOURCE_SYMBOLS, TARGET_SYMBOLS, STEPS = 96, 14, 11


class LitModel(L.LightningModule):
    def __init__(self, embedding=64, hidden=128, lr=2e-3):
        super().__init__()
        self.save_hyperparameters()
        self.source = nn.Embedding(SOURCE_SYMBOLS, embedding)
        self.target = nn.Embedding(TARGET_SYMBOLS, embedding)
        self.encoder = nn.GRU(embedding, hidden // 2, bidirectional=True, batch_first=True)
        self.decoder = nn.GRU(embedding, hidden, batch_first=True)
        self.attention = nn.Linear(hidden, hidden, bias=False)
        self.combine = nn.Linear(2 * hidden, hidden)
        self.output = nn.Linear(hidden, TARGET_SYMBOLS)

    def encode(self, source):
        length = (source != PAD).sum(1)
        x = pack_padded_sequence(self.source(source), length.cpu(), batch_first=True, enforce_sorted=False)
        states, last = self.encoder(x)
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])
        padding = torch.arange(source.shape[1], device=source.device) >= length[:, None]
        return (states, self.attention(states), padding[:, None]), torch.cat([*last], 1)[None]

    def decode(self, memory, tokens, state):
        states, keys, padding = memory
        x, state = self.decoder(self.target(tokens), state)
        scores = x @ keys.transpose(1, 2)
        weights = scores.masked_fill(padding, -torch.inf).softmax(2)
        x = torch.tanh(self.combine(torch.cat([x, weights @ states], 2)))
        return self.output(x), state

    def loss(self, batch):
        source, target = batch
        memory, state = self.encode(source)
        logits, _ = self.decode(memory, target[:, :-1], state)
        return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)

    def forward(self, source):
        memory, state = self.encode(source)
        tokens = [torch.full((len(source), 1), START, device=source.device)]
        for _ in range(STEPS):
            logits, state = self.decode(memory, tokens[-1], state)
            tokens.append(logits.argmax(2))
        return torch.cat(tokens[1:], 1)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def evaluate(self, batch, stage):
        source, target = batch
        labels = target[:, 1:]
        right = (self(source).masked_fill(labels == PAD, PAD) == labels).all(1)
        self.log(f"{stage}_exact", right.float().mean(), prog_bar=True)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))
        self.evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self.evaluate(batch, "test")

    def configure_optimizers(self):
        adam = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        halve = torch.optim.lr_scheduler.ExponentialLR(adam, 0.5)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": halve}}
