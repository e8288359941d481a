"""The model of gan.c in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn


def init(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0, 0.02)


class LitModel(L.LightningModule):
    def __init__(self, dim=64, width=32, lr=2e-4, beta1=0.5):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.ConvTranspose2d(dim, 2 * width, 7, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1, bias=False),
            nn.Tanh(),
        )
        self.discriminator = nn.Sequential(
            nn.Conv2d(1, width, 4, stride=2, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 7, bias=False),
        )
        self.apply(init)
        self.register_buffer("shown_z", torch.randn(64, dim))

    def forward(self, z):
        return self.generator(z[:, :, None, None])

    def judge(self, x, target):
        logits = self.discriminator(x)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    def training_step(self, batch, batch_idx):
        opt_g, opt_d = self.optimizers()
        real = batch[0].reshape(-1, 1, 28, 28) * 2 - 1
        fake = self(torch.randn(len(real), self.hparams.dim, device=self.device))

        self.toggle_optimizer(opt_d)
        d_loss = self.judge(real, 1.0) + self.judge(fake.detach(), 0.0)
        opt_d.zero_grad()
        self.manual_backward(d_loss)
        opt_d.step()
        self.untoggle_optimizer(opt_d)

        self.toggle_optimizer(opt_g)
        g_loss = self.judge(fake, 1.0)
        opt_g.zero_grad()
        self.manual_backward(g_loss)
        opt_g.step()
        self.untoggle_optimizer(opt_g)

        self.log("d_loss", d_loss, prog_bar=True)
        self.log("g_loss", g_loss, prog_bar=True)

    def on_train_epoch_end(self):
        self.eval()
        with torch.no_grad():
            images = self(self.shown_z) / 2 + 0.5
        self.train()
        self.logger.experiment.add_images("samples", images, self.current_epoch)

    def configure_optimizers(self):
        betas = (self.hparams.beta1, 0.999)
        return [
            torch.optim.Adam(self.generator.parameters(), lr=self.hparams.lr, betas=betas),
            torch.optim.Adam(self.discriminator.parameters(), lr=self.hparams.lr, betas=betas),
        ]
