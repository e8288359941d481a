"""lhost as versus and scaling run it: an example's plugin on data in memory, from weights known to its peers."""

from pathlib import Path

QUIET = {"logger": "false", "enable_checkpointing": "false", "enable_progress_bar": "false",
         "enable_model_summary": "false", "log_every_n_steps": 0, "limit_val_batches": 0}


def options(prefix, values):
    return [part for name, value in values.items() for part in (f"--{prefix}{name}", str(value))]


def command(build, example, data, model, trainer, callbacks=()):
    """The command line, and what of it is not built, if anything. `data`, `model` and `trainer` are options."""
    program, golden = build / "host/cli/lhost", build / "tests/plugins/golden.so"
    plugin = build / f"examples/{example}.so"
    callbacks = [golden, *(build / callback for callback in callbacks)]
    absent = [str(path) for path in (program, plugin, *callbacks) if not path.exists()]
    words = [program, "run", "--model", plugin.resolve(), "--data", golden.resolve()]
    for callback in callbacks:
        words += ["--callback", callback.resolve()]
    words += options("model.", model) + options("data.", data) + options("", trainer)
    return words, f"{absent[0]} is not built" if absent else ""


def make_data(root):
    """What the examples look for and don't use here: the start of an MNIST and a text."""
    root = Path(root)
    for folder in ("mnist", "tinyshakespeare"):
        (root / folder).mkdir()
    (root / "tinyshakespeare/input.txt").write_text("To be, or not to be, that is the question:\n" * 200)
    for part, n in {"train": 24, "t10k": 12}.items():
        images = bytes([0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(n * 784)
        (root / f"mnist/{part}-images-idx3-ubyte").write_bytes(images)
        (root / f"mnist/{part}-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, n]) + bytes(n))
