"""The task of task.h and its backbones in PyTorch Lightning."""

import lightning as L
import torch
import torch.nn.functional as F
from torch import nn
from torchmetrics import Accuracy, F1Score


class MLP(nn.Module):
    def __init__(self, width=256):
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, width)
        self.fc2 = nn.Linear(width, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = x.reshape(-1, 1, 28, 28)
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, width)
        self.fc2 = nn.Linear(width, width)

    def forward(self, x):
        return x + self.fc2(F.gelu(self.fc1(self.norm(x))))


class ResMLP(nn.Module):
    def __init__(self, width=128, depth=3):
        super().__init__()
        self.stem = nn.Linear(28 * 28, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x.flatten(1))))


BACKBONES = {"mlp": MLP, "lenet": LeNet, "resmlp": ResMLP}


class LitModel(L.LightningModule):
    def __init__(self, backbone, lr=1e-3, weight_decay=1e-2, label_smoothing=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.model = BACKBONES[backbone]()
        self.val_acc = Accuracy("multiclass", num_classes=10)
        self.test_acc = Accuracy("multiclass", num_classes=10)
        self.test_f1 = F1Score("multiclass", num_classes=10, average="macro")

    def forward(self, x):
        return self.model(x)

    def training_step(self, batch, batch_idx):
        images, labels = batch
        loss = F.cross_entropy(self(images), labels, label_smoothing=self.hparams.label_smoothing)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        logits = self(images)
        self.log("val_loss", F.cross_entropy(logits, labels))
        self.val_acc(logits, labels)
        self.log("val_acc", self.val_acc, prog_bar=True)

    def test_step(self, batch, batch_idx):
        images, labels = batch
        logits = self(images)
        self.test_acc(logits, labels)
        self.test_f1(logits, labels)
        self.log_dict({"test_acc": self.test_acc, "test_f1": self.test_f1})

    def predict_step(self, batch, batch_idx):
        logits = self(batch[0])
        return logits.argmax(1), logits.softmax(1)

    def configure_optimizers(self):
        hparams = self.hparams
        return torch.optim.AdamW(self.parameters(), hparams.lr, weight_decay=hparams.weight_decay)
