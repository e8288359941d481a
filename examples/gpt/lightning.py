"""The model of gpt.c in PyTorch Lightning."""

import math

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR


class Attention(nn.Module):
    def __init__(self, n_embd, n_head):
        super().__init__()
        self.n_head = n_head
        self.c_attn = nn.Linear(n_embd, 3 * n_embd, bias=False)
        self.c_proj = nn.Linear(n_embd, n_embd, bias=False)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (y.view(n, t, self.n_head, -1).transpose(1, 2) for y in self.c_attn(x).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(n, t, width))


class MLP(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.c_fc = nn.Linear(n_embd, 4 * n_embd, bias=False)
        self.c_proj = nn.Linear(4 * n_embd, n_embd, bias=False)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, n_embd, n_head, dropout):
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd, bias=False)
        self.attn = Attention(n_embd, n_head)
        self.ln_2 = nn.LayerNorm(n_embd, bias=False)
        self.mlp = MLP(n_embd)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class LitModel(L.LightningModule):
    def __init__(self, n_layer=4, n_head=4, n_embd=128, block_size=64, vocab_size=65, dropout=0.0, lr=1e-3,
                 min_lr=1e-4, warmup=100, decay=2000):
        super().__init__()
        self.save_hyperparameters()
        self.wte = nn.Embedding(vocab_size, n_embd)
        self.wpe = nn.Embedding(block_size, n_embd)
        self.h = nn.ModuleList(Block(n_embd, n_head, dropout) for _ in range(n_layer))
        self.ln_f = nn.LayerNorm(n_embd, bias=False)
        self.lm_head = nn.Linear(n_embd, vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight
        self.dropout = nn.Dropout(dropout)
        for name, parameter in self.named_parameters():
            if parameter.ndim >= 2:
                last = name.endswith("c_proj.weight")
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * n_layer) if last else 0.02)

    def forward(self, x):
        x = self.dropout(self.wte(x) + self.wpe.weight[: x.shape[1]])
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))

    def loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x).flatten(0, 1), y.flatten())

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch), prog_bar=True)

    @torch.no_grad()
    def generate(self, x, length, temperature=0.8, top_k=200):
        for _ in range(length):
            logits = self(x[:, -self.hparams.block_size :])[:, -1] / temperature
            best = logits.topk(min(top_k, logits.shape[-1]))
            drawn = torch.multinomial(best.values.softmax(-1), 1)
            x = torch.cat([x, best.indices.gather(1, drawn)], 1)
        return x

    def configure_optimizers(self):
        hp = self.hparams
        norms = [p for name, p in self.named_parameters() if "ln_" in name]
        others = [p for name, p in self.named_parameters() if "ln_" not in name]
        optimizer = torch.optim.AdamW([{"params": others}, {"params": norms, "weight_decay": 0.0}], lr=hp.lr,
                                      betas=(0.9, 0.99), weight_decay=0.1)
        warmup = LinearLR(optimizer, 0.01, total_iters=hp.warmup)
        cosine = CosineAnnealingLR(optimizer, hp.decay - hp.warmup, hp.min_lr)
        scheduler = SequentialLR(optimizer, [warmup, cosine], [hp.warmup])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
