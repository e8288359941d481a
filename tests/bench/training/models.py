"""The training steps that are compared: by name, the example, its options, its data, its cost and its target.

`options` are hyper-parameters of the example's plugin and arguments of its Lightning class alike. `flops` counts the
products and convolutions of one step by formula, a multiply-add as two: once forward, once for the gradient of the
weights and, unless the input is data, once for the gradient of the input. `target` is how many times the step of the
fastest PyTorch lhost's is meant to fit in.
"""

from dataclasses import dataclass, field
from math import prod

STEPS = 1_000_000  # of a run, which ends when nothing more is to be measured
COMPARED = 20  # the first steps, whose losses must agree
MEMORY_TARGET = 0.7  # of the peak memory of the leanest PyTorch


@dataclass(frozen=True)
class Model:
    example: str
    fields: str  # of the data (tests/plugins/golden.c)
    batch_size: int
    flops: float
    target: float
    options: dict = field(default_factory=dict)
    trainer: dict = field(default_factory=dict)  # options of lhost's trainer that lightning.py sees to itself
    images: bool = False  # PyTorch may keep them channels last
    compiled: tuple = ("training_step",)  # the methods that torch.compile takes
    tolerances: dict = field(default_factory=dict)  # of a peer's first losses in float32, where not that of versus

    @property
    def distinct(self):
        """How many different batches there are: twenty, or as many as make 32 MiB."""
        numbers = sum(prod(int(n) for n in shape.split("x") if n) for shape in
                      (part.split(":")[1] for part in self.fields.split(";")))
        return max(2, min(20, 2**23 // (numbers * self.batch_size)))


def layers(*macs):
    """Operations of a step through layers of so many multiply-adds, the first of which reads data."""
    return 2 * (3 * sum(macs) - macs[0])


def linear(*widths):
    return [a * b for a, b in zip(widths, widths[1:])]


def conv(channels_in, channels, kernel, side):
    """A convolution whose smaller image has `side` x `side` points: the output, or the input of a transposed one."""
    return channels_in * channels * kernel**2 * side**2


def mlp(batch_size):
    return batch_size * layers(*linear(784, 128, 256, 10))


def autoencoder(batch_size):
    return batch_size * layers(*linear(784, 64, 3, 64, 784))


def cnn(batch_size):
    return batch_size * layers(conv(1, 32, 5, 24), conv(32, 64, 5, 8), *linear(1024, 128, 10))


def resnet(batch_size, width):
    macs, channels, side = [conv(3, width, 3, 32)], width, 32
    for stage in range(4):
        for block in range(2):
            out = width << stage
            side = side // 2 if stage > 0 and block == 0 else side
            macs += [conv(channels, out, 3, side), conv(out, out, 3, side)]
            macs += [conv(channels, out, 1, side)] if channels != out else []
            channels = out
    return batch_size * layers(*macs, channels * 10)


def char_lstm(batch_size, length, embed=64, hidden=256, classes=65):
    """The embedding is looked up; a gate is a product with the input and one with the state."""
    return batch_size * length * 2 * 3 * (4 * hidden * (embed + hidden) + hidden * classes)


def gpt(batch_size, n_layer, n_embd, block_size, vocab_size=65):
    """Attention is causal: half of the scores, then half of the sums."""
    attention = n_embd * (block_size + 1)
    return batch_size * block_size * 2 * 3 * (n_layer * (12 * n_embd**2 + attention) + n_embd * vocab_size)


def dcgan(batch_size, dim=64, width=32):
    """Forward: the generator once, the discriminator three times. Backward: gradients of the discriminator's weights
    in its own step only, through it to the generator's images in the other."""
    g = [conv(dim, 2 * width, 7, 1), conv(2 * width, width, 4, 7), conv(width, 1, 4, 14)]
    d = [conv(1, width, 4, 14), conv(width, 2 * width, 4, 7), conv(2 * width, 1, 7, 1)]
    return batch_size * (layers(*g) + 2 * layers(*d) + 2 * 2 * sum(d))


# Rates that move the first losses by ten times what they may differ by, and yet don't learn the few batches by heart:
# gradients of nothing left to learn are subnormal numbers, whose arithmetic is slow, on either side.
DIGITS = "half:28x28;10:"
NANO = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64}
SMALL = {"n_layer": 6, "n_head": 6, "n_embd": 384, "block_size": 256}
WIDE = {"width": 64, "lr": 0.02}

MODELS = {
    "mlp": Model("mnist", DIGITS, 64, mlp(64), 3.0, options={"lr": 5e-5}),
    "autoencoder": Model("autoencoder", DIGITS, 64, autoencoder(64), 2.0),
    "char-lstm": Model("char-lstm", "65:128;65:128", 32, char_lstm(32, 128), 2.0, trainer={"gradient_clip_val": 5},
                       compiled=("loss",)),
    "gpt-nano": Model("gpt", "65:64;65:64", 12, gpt(12, 4, 128, 64), 2.0, options=NANO),
    "gpt-small": Model("gpt", "65:256;65:256", 8, gpt(8, 6, 384, 256), 1.2, options=SMALL),
    # Where two values of a pooling window differ by a rounding, either may be the greatest, and get the gradient:
    # PyTorch with channels last parts from PyTorch without by 4e-4.
    "cnn": Model("cnn", DIGITS, 64, cnn(64), 1.5, options={"lr": 1e-4, "dropout": 0.0}, images=True,
                 tolerances={"channels-last": 1e-3}),
    "dcgan": Model("gan", DIGITS, 64, dcgan(64), 1.3, options={"lr": 1e-5}, images=True,
                   compiled=("forward", "judge")),
    "resnet18-32": Model("resnet", "unit:3x32x32;10:", 32, resnet(32, 64), 1.2, options=WIDE, images=True),
    "resnet18-128": Model("resnet", "unit:3x32x32;10:", 128, resnet(128, 64), 1.2, options=WIDE, images=True),
}
