"""Training steps of an example in PyTorch, timed when and for how long it is told: clock.c's counterpart.

The model is that of examples/NAME/lightning.py; weights and batches are those that tests/plugins/golden.c makes, and
so are the random numbers of the first steps. Optimizers are fused, PyTorch's fastest on a CPU. Variants:

    eager           as it is
    channels-last   images and filters with the channels last
    compile         the step, or what of it can be, through torch.compile
    lightning       Lightning's Trainer, without logger, checkpoints and progress bar
"""

import argparse
import functools
import itertools
import json
import resource
import sys
import time
import warnings
from pathlib import Path

import torch

import plain_lightning
from models import COMPARED, MODELS, STEPS

sys.path.append(str(Path(__file__).resolve().parents[2] / "golden"))
import examples  # noqa: E402


class Clock:
    """clock.c's protocol."""

    def __init__(self):
        self.index = 0
        self.await_command()

    def await_command(self):
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        seconds, least = line.split()
        self.seconds, self.least = float(seconds), int(least)
        self.step_us, self.losses = [], []
        self.start = self.last = time.perf_counter()

    def step_ended(self, loss):
        self.losses.append(float(loss))
        now = time.perf_counter()
        self.step_us.append(1e6 * (now - self.last))
        self.last = now
        if self.index == 0:
            self.start = now
        self.index += 1
        if len(self.step_us) >= self.least and now - self.start >= self.seconds:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({"step_us": self.step_us, "losses": self.losses, "peak_mib": peak}), flush=True)
            self.await_command()


class Noise:
    """lhost's random numbers in the steps whose losses are compared, PyTorch's own afterwards."""

    def __init__(self):
        self.own, self.matched = torch.randn, examples.Noise()
        torch.randn = lambda *shape, **_: self.matched.randn(*shape).float()

    def begin(self, index):
        self.matched.begin(index)
        if index == COMPARED:
            torch.randn = self.own


class Batches:
    """The batches of a run, one after the other, all in memory."""

    def __init__(self, row, channels_last):
        self.batches = [[self.convert(t, channels_last) for t in examples.batch(row.fields, row.batch_size, i)]
                        for i in range(row.distinct)]

    @staticmethod
    def convert(t, channels_last):
        t = t.float() if t.is_floating_point() else t
        return t.to(memory_format=torch.channels_last) if channels_last and t.ndim == 4 else t

    def __iter__(self):
        return itertools.islice(itertools.cycle(self.batches), STEPS)

    def __len__(self):
        return STEPS


def run_plain(row, model, batches, precision):
    optimizers, schedulers = examples.configure(model, STEPS)
    noise, clock = Noise(), Clock()
    for index, batch in enumerate(batches):
        noise.begin(index)
        with plain_lightning.precision_context(precision):
            loss = model.training_step(batch, index)
        if model.automatic_optimization:
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
        for scheduler in schedulers:
            scheduler.step()
        clock.step_ended(loss if model.automatic_optimization else model.logged)


def run_lightning(row, model, batches, precision):
    from lightning.pytorch import Callback, Trainer

    class Timed(Callback):
        def on_train_start(self, trainer, module):
            self.noise, self.clock = Noise(), Clock()

        def on_train_batch_start(self, trainer, module, batch, index):
            self.noise.begin(index)

        def on_train_batch_end(self, trainer, module, outputs, batch, index):
            self.clock.step_ended(outputs["loss"] if module.automatic_optimization else module.logged)

    if not model.automatic_optimization:
        log = model.log

        def keep(name, value, **options):
            model.logged = value.detach()
            log(name, value, **options)

        model.log = keep
    trainer = Trainer(accelerator="cpu", max_epochs=1, precision=precision, logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0, callbacks=[Timed()])
    trainer.fit(model, batches)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("variant", choices=["eager", "channels-last", "compile", "lightning"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["32", "bf16-mixed"], default="32")
    args = parser.parse_args()

    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)
    for name in ("Adam", "AdamW", "SGD"):
        setattr(torch.optim, name, functools.partial(getattr(torch.optim, name), fused=True))
    if args.variant != "lightning":
        plain_lightning.install()
    row = MODELS[args.model]
    model = examples.load(row.example).LitModel(**row.options)
    examples.fill(model)
    if args.variant == "channels-last":
        model.to(memory_format=torch.channels_last)
    if args.variant == "compile":
        for method in row.compiled:
            setattr(model, method, torch.compile(getattr(model, method)))
    model.train()
    run = run_lightning if args.variant == "lightning" else run_plain
    run(row, model, Batches(row, args.variant == "channels-last"), args.precision)


if __name__ == "__main__":
    main()
