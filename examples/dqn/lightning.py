"""The model of dqn.c in PyTorch Lightning. The environment is Gymnasium's; a test passes its own, and its own chance."""

import collections
import random

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


def net(hidden):
    return nn.Sequential(nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 2))


class LitModel(L.LightningModule):
    def __init__(self, env, test_env=None, rng=random, hidden=128, lr=2.5e-4, gamma=0.99, batch_size=64, capacity=50000,
                 warm_start=1000, sync=100, eps_end=0.01, eps_steps=5000, solved=490):
        super().__init__()
        self.save_hyperparameters(ignore=["env", "test_env", "rng"])
        self.online, self.target = net(hidden), net(hidden).requires_grad_(False)
        self.env, self.test_env, self.rng = env, test_env, rng
        self.memory = collections.deque(maxlen=capacity)
        self.returns = collections.deque(maxlen=100)
        self.state, self.total = env.reset()[0], 0.0

    def forward(self, x):
        return self.online(x)

    @torch.no_grad()
    def greedy(self, state):
        return self(torch.as_tensor(state, device=self.device, dtype=self.online[0].weight.dtype)).argmax().item()

    def act(self, epsilon):
        action = self.rng.randrange(2) if self.rng.random() < epsilon else self.greedy(self.state)
        state, reward, terminated, truncated, _ = self.env.step(action)
        self.memory.append((self.state, action, reward, terminated, state))
        self.state, self.total = state, self.total + reward
        if terminated or truncated:
            self.returns.append(self.total)
            self.state, self.total = self.env.reset()[0], 0.0

    def sample(self):
        rows = [self.memory[self.rng.randrange(len(self.memory))] for _ in range(self.hparams.batch_size)]
        state, action, reward, terminated, following = (torch.as_tensor(np.array(column)) for column in zip(*rows))
        dtype = self.online[0].weight.dtype
        return [x.to(self.device, dtype) for x in (state, following, reward, terminated)] + [action.to(self.device)]

    def loss(self):
        state, following, reward, terminated, action = self.sample()
        q = self(state).gather(1, action[:, None])[:, 0]
        with torch.no_grad():
            best = self(following).argmax(1, keepdim=True)
            follows = self.target(following).gather(1, best)[:, 0] * (1 - terminated)
        return F.smooth_l1_loss(q, reward + self.hparams.gamma * follows)

    def training_step(self, batch, batch_idx):
        hp = self.hparams
        epsilon = 1 + (hp.eps_end - 1) * min(1, self.global_step / hp.eps_steps)
        if self.global_step % hp.sync == 0:
            self.target.load_state_dict(self.online.state_dict())
        while len(self.memory) < hp.warm_start:
            self.act(1)
        self.act(epsilon)
        loss = self.loss()
        self.log_dict({"train_loss": loss, "epsilon": epsilon})
        if self.returns:
            self.log("mean_return", float(np.mean(self.returns)), prog_bar=True)
        return loss

    def play(self, numbers):
        total = 0.0
        for number in numbers.tolist():
            state, ended = self.test_env.reset(seed=number)[0], False
            while not ended:
                state, reward, terminated, truncated, _ = self.test_env.step(self.greedy(state))
                total, ended = total + reward, terminated or truncated
        return total / len(numbers)

    def validation_step(self, batch, batch_idx):
        self.log("val_return", self.play(batch), prog_bar=True)

    def on_validation_end(self):
        if self.trainer.callback_metrics["val_return"] >= self.hparams.solved:
            self.trainer.should_stop = True

    def test_step(self, batch, batch_idx):
        self.log("test_return", self.play(batch), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.online.parameters(), lr=self.hparams.lr)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")


if __name__ == "__main__":
    import gymnasium

    model = LitModel(gymnasium.make("CartPole-v1"), gymnasium.make("CartPole-v1"))
    trainer = L.Trainer(max_epochs=100, callbacks=L.pytorch.callbacks.ModelCheckpoint(monitor="val_return", mode="max"))
    trainer.fit(model, DataLoader(range(1000)), DataLoader(range(100), batch_size=20))
    trainer.test(model, DataLoader(range(1000, 1100), batch_size=20), ckpt_path="best")
