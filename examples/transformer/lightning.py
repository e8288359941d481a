"""The model of transformer.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn

PAD, START = 0, 1
SOURCE_SYMBOLS, TARGET_SYMBOLS, SOURCE, STEPS = 96, 14, 28, 11


class LitModel(L.LightningModule):
    def __init__(self, width=64, layers=2, dropout=0.1, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        options = dict(dim_feedforward=4 * width, dropout=dropout, batch_first=True, norm_first=True)
        self.source = nn.Embedding(SOURCE_SYMBOLS, width)
        self.target = nn.Embedding(TARGET_SYMBOLS, width)
        self.source_position = nn.Embedding(SOURCE, width)
        self.target_position = nn.Embedding(STEPS, width)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(width, 4, **options), layers, enable_nested_tensor=False
        )
        self.decoder = nn.TransformerDecoder(
            nn.TransformerDecoderLayer(width, 4, **options), layers, nn.LayerNorm(width)
        )
        self.output = nn.Linear(width, TARGET_SYMBOLS)

    def encode(self, source):
        position = torch.arange(source.shape[1], device=source.device)
        x = self.source(source) + self.source_position(position)
        return self.encoder(x, src_key_padding_mask=source == PAD)

    def decode(self, memory, source, tokens):
        position = torch.arange(tokens.shape[1], device=tokens.device)
        later = position[:, None] < position
        x = self.target(tokens) + self.target_position(position)
        x = self.decoder(x, memory, tgt_mask=later, memory_key_padding_mask=source == PAD)
        return self.output(x)

    def loss(self, batch):
        source, target = batch
        logits = self.decode(self.encode(source), source, target[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=PAD)

    def forward(self, source):
        memory = self.encode(source)
        tokens = torch.full((len(source), 1), START, device=source.device)
        for _ in range(STEPS):
            logits = self.decode(memory, source, tokens)
            tokens = torch.cat([tokens, logits[:, -1:].argmax(2)], 1)
        return tokens[:, 1:]

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
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
