"""The MNIST job in PyTorch Lightning, as a practised user writes it: LitMNIST of its introduction.

One process from start to exit: read the data, sanity check, train with validation, checkpoint, CSV and
TensorBoard logs (Lightning's defaults), then print the final metrics as one line of JSON.
"""

import argparse
import json
import logging
import warnings

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

import mnist_idx


class LitMNIST(LightningModule):
    def __init__(self, layer_1_dim=128, layer_2_dim=256, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.layer_1 = torch.nn.Linear(28 * 28, layer_1_dim)
        self.layer_2 = torch.nn.Linear(layer_1_dim, layer_2_dim)
        self.layer_3 = torch.nn.Linear(layer_2_dim, 10)

    def forward(self, x):
        x = torch.relu(self.layer_1(x))
        x = torch.relu(self.layer_2(x))
        return F.log_softmax(self.layer_3(x), dim=1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.nll_loss(self(x), y)
        self.log("train_loss", loss)
        return loss

    def _evaluate(self, batch, stage):
        x, y = batch
        logits = self(x)
        self.log(f"{stage}_loss", F.nll_loss(logits, y))
        self.log(f"{stage}_acc", (logits.argmax(1) == y).float().mean())

    def validation_step(self, batch, batch_idx):
        self._evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self._evaluate(batch, "test")

    def configure_optimizers(self):
        lr = self.hparams.lr
        adam = torch.optim.Adam(self.parameters(), lr=lr)
        steps = self.trainer.estimated_stepping_batches
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=3 * lr, total_steps=steps, div_factor=3)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--root", default=".", help="folder that receives lightning_logs/")
    parser.add_argument("--batched", action="store_true", help="index whole batches at once")
    parser.add_argument("--test", action="store_true", help="test on the best checkpoint afterwards")
    args = parser.parse_args()

    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(args.threads)
    seed_everything(args.seed)
    train, val = mnist_idx.split(args.seed)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=args.epochs,
        default_root_dir=args.root,
        logger=[CSVLogger(args.root), TensorBoardLogger(args.root)],
    )
    trainer.fit(
        LitMNIST(),
        mnist_idx.loader(train, args.batch_size, True, args.batched),
        mnist_idx.loader(val, args.batch_size, False, args.batched),
    )
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if args.test:
        data = mnist_idx.loader(mnist_idx.load("t10k"), args.batch_size, False, args.batched)
        metrics.update(trainer.test(ckpt_path="best", dataloaders=data, verbose=False)[0])
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
