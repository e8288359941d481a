"""The model of ppo.c in PyTorch Lightning. Environments are Gymnasium's; a test passes its own, and its own chance."""

import collections
import random

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


def mlp(hidden, out):
    return nn.Sequential(nn.Linear(4, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, out))


class LitModel(L.LightningModule):
    def __init__(self, envs, test_env=None, rng=random, hidden=64, lr=1e-3, gamma=0.99, decay=0.95, clip=0.2,
                 entropy=0.01, steps=128, batch_size=256, passes=4, solved=475):
        super().__init__()
        self.save_hyperparameters(ignore=["envs", "test_env", "rng"])
        self.actor, self.critic = mlp(hidden, 2), mlp(hidden, 1)
        self.envs, self.test_env, self.rng = envs, test_env, rng
        self.returns = collections.deque(maxlen=100)
        self.states, self.totals = [env.reset()[0] for env in envs], [0.0] * len(envs)
        self.update = 0

    def forward(self, x):
        return self.actor(x)

    def tensor(self, x):
        return torch.as_tensor(np.array(x), device=self.device).to(self.actor[0].weight.dtype)

    def step(self, i, action):
        state, reward, terminated, truncated, _ = self.envs[i].step(action)
        row = (self.states[i], state, action, reward, terminated, terminated or truncated)
        self.states[i], self.totals[i] = state, self.totals[i] + reward
        if terminated or truncated:
            self.returns.append(self.totals[i])
            self.states[i], self.totals[i] = self.envs[i].reset()[0], 0.0
        return row

    @torch.no_grad()
    def play_on(self):
        """A rollout: steps x envs rows of state, action, log-probability, advantage, the critic's target."""
        hp, rows = self.hparams, []
        for _ in range(hp.steps):
            probs = self(self.tensor(self.states)).softmax(1)[:, 1].tolist()
            rows += [self.step(i, int(self.rng.random() < p)) for i, p in enumerate(probs)]
        state, following, action, reward, terminated, ended = (self.tensor(column) for column in zip(*rows))
        log_prob = self(state).log_softmax(1).gather(1, action[:, None].long())[:, 0]
        value = self.critic(state)[:, 0]
        delta = reward + hp.gamma * self.critic(following)[:, 0] * (1 - terminated) - value
        delta, ended = delta.view(hp.steps, -1), ended.view(hp.steps, -1)
        advantage = torch.zeros_like(delta)
        for k in reversed(range(hp.steps)):
            later = advantage[k + 1] * (1 - ended[k]) if k + 1 < hp.steps else 0
            advantage[k] = delta[k] + hp.gamma * hp.decay * later
        advantage = advantage.flatten()
        return list(zip(state, action, log_prob, advantage, advantage + value))

    def next_samples(self):
        hp, n = self.hparams, self.hparams.batch_size
        if self.update == 0:
            self.rollout = self.play_on()
        at = self.update * n % len(self.rollout)
        if at == 0:
            self.rng.shuffle(self.rollout)
        self.update = (self.update + 1) % (hp.passes * len(self.rollout) // n)
        return (torch.stack(column) for column in zip(*self.rollout[at:at + n]))

    def training_step(self, batch, batch_idx):
        hp = self.hparams
        state, action, old, advantage, target = self.next_samples()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        log_probs = self(state).log_softmax(1)
        ratio = (log_probs.gather(1, action[:, None].long())[:, 0] - old).exp()
        gain = torch.min(ratio * advantage, ratio.clamp(1 - hp.clip, 1 + hp.clip) * advantage).mean()
        error = F.mse_loss(self.critic(state)[:, 0], target)
        entropy = -(log_probs.exp() * log_probs).sum(1).mean()
        loss = 0.5 * error - gain - hp.entropy * entropy
        self.log_dict({"train_loss": loss, "value_loss": error, "entropy": entropy})
        if self.returns:
            self.log("mean_return", float(np.mean(self.returns)), prog_bar=True)
            if len(self.returns) == 100 and np.mean(self.returns) >= hp.solved:
                self.trainer.should_stop = True
        return loss

    @torch.no_grad()
    def play(self, numbers):
        total = 0.0
        for number in numbers.tolist():
            state, ended = self.test_env.reset(seed=number)[0], False
            while not ended:
                state, reward, terminated, truncated, _ = self.test_env.step(self(self.tensor(state)).argmax().item())
                total, ended = total + reward, terminated or truncated
        return total / len(numbers)

    def validation_step(self, batch, batch_idx):
        self.log("val_return", self.play(batch), prog_bar=True)

    def test_step(self, batch, batch_idx):
        self.log("test_return", self.play(batch), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr, eps=1e-5)

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.clip_gradients(optimizer, gradient_clip_val=0.5, gradient_clip_algorithm="norm")


if __name__ == "__main__":
    import gymnasium

    model = LitModel([gymnasium.make("CartPole-v1") for _ in range(8)], gymnasium.make("CartPole-v1"))
    trainer = L.Trainer(max_epochs=50, callbacks=L.pytorch.callbacks.ModelCheckpoint(monitor="val_return", mode="max"))
    trainer.fit(model, DataLoader(range(250)), DataLoader(range(100), batch_size=20))
    trainer.test(model, DataLoader(range(1000, 1100), batch_size=20), ckpt_path="best")
