"""The MNIST job in plain PyTorch: the loop that one writes by hand, with nothing around it.

One process from start to exit, like mnist_lightning.py: validation, a checkpoint with model and optimizer,
CSV and TensorBoard logs every 50 steps, final metrics as one line of JSON.
"""

import argparse
import csv
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.tensorboard import SummaryWriter

import mnist_idx

LOG_EVERY_N_STEPS = 50


def make_model():
    return torch.nn.Sequential(
        torch.nn.Linear(28 * 28, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 10),
        torch.nn.LogSoftmax(dim=1),
    )


@torch.no_grad()
def evaluate(model, loader, stage):
    model.eval()
    loss = hits = rows = 0
    for x, y in loader:
        logits = model(x)
        loss += F.nll_loss(logits, y, reduction="sum")
        hits += (logits.argmax(1) == y).sum()
        rows += len(y)
    model.train()
    return {f"{stage}_loss": float(loss) / rows, f"{stage}_acc": float(hits) / rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--root", default=".", help="folder that receives the logs and the checkpoint")
    parser.add_argument("--batched", action="store_true", help="index whole batches at once")
    parser.add_argument("--fused", action="store_true", help="Adam(fused=True)")
    parser.add_argument("--test", action="store_true", help="test afterwards")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    train, val = mnist_idx.split(args.seed)
    train = mnist_idx.loader(train, args.batch_size, True, args.batched)
    val = mnist_idx.loader(val, args.batch_size, False, args.batched)
    root = Path(args.root) / "torch_logs"
    root.mkdir(parents=True, exist_ok=True)
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=args.fused)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-3, total_steps=args.epochs * len(train), div_factor=3)

    step = 0
    with SummaryWriter(root) as events, open(root / "metrics.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "step", "train_loss", "val_loss", "val_acc"])
        for epoch in range(args.epochs):
            for x, y in train:
                optimizer.zero_grad()
                loss = F.nll_loss(model(x), y)
                loss.backward()
                optimizer.step()
                cycle.step()
                step += 1
                if step % LOG_EVERY_N_STEPS == 0:
                    events.add_scalar("train_loss", loss.item(), step)
                    rows.writerow([epoch, step, loss.item(), "", ""])
            metrics = evaluate(model, val, "val")
            for name, value in metrics.items():
                events.add_scalar(name, value, step)
            rows.writerow([epoch, step, "", metrics["val_loss"], metrics["val_acc"]])
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(),
                        "schedule": cycle.state_dict(), "epoch": epoch, "step": step}, root / "checkpoint.pt")
    metrics["train_loss"] = loss.item()
    if args.test:
        data = mnist_idx.load("t10k")
        metrics.update(evaluate(model, mnist_idx.loader(data, args.batch_size, False, args.batched), "test"))
    print(json.dumps(metrics))


if __name__ == "__main__":
    main()
