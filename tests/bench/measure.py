"""Running programs side by side and comparing them: what the benches share. Standard library only.

A ratio is always taken within one run of a bench: the contenders take turns, so that a machine that is
busier for a while is so for all of them. Times are the minimum over the rounds, which is the least
disturbed one.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get("LHOST_PEERS") or Path.home() / ".cache/lhost/peers")
PYTHON = PEERS / "bin/python"

# A BLAS that the environment ties to another machine's kernels measures that machine: every contender
# chooses for this one.
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("OPENBLAS_", "MKL_"))}


@dataclass
class Contender:
    """One program under measurement. `command` must not be empty; `missing` says why it cannot run."""

    name: str
    command: list
    missing: str = ""
    seconds: list = field(default_factory=list)
    peak_mib: list = field(default_factory=list)
    output: str = ""


def peer(name, *command):
    """A contender that runs a script of this folder in the peers' virtual environment."""
    module = "lightning" if "lightning" in name.lower() else "torch"
    probe = f"import importlib.metadata as m; m.version({module!r})"
    found = PYTHON.exists() and not subprocess.run([PYTHON, "-c", probe], capture_output=True).returncode
    missing = "" if found else f"{module} is not in {PEERS}: run tests/bench/peers"
    return Contender(name, [PYTHON, HERE / command[0], *command[1:]], missing)


def host(name, *command):
    """A contender that is a program of the build tree."""
    missing = "" if Path(command[0]).exists() else f"{command[0]} is not built"
    return Contender(name, list(command), missing)


def spawn(contender):
    """Runs the contender once; notes wall seconds from start to exit, peak resident MiB and its stdout.

    The peak is the kernel's ru_maxrss. It starts at this process's own size (about 15 MiB), which
    can only make the smaller contender look worse. A failure makes the contender missing.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen([str(part) for part in contender.command], stdout=out, stderr=err,
                                 env=ENVIRONMENT)
        _, status, usage = os.wait4(child.pid, 0)
        elapsed = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        contender.output = out.read().decode()
        if child.returncode:
            tail = err.read().decode().strip().splitlines()[-1:]
            contender.missing = f"exit status {child.returncode}: {''.join(tail)}"
            return
    contender.seconds.append(elapsed)
    contender.peak_mib.append(usage.ru_maxrss / 1024)


def take_turns(contenders, rounds):
    """Runs every contender once per round, round after round."""
    for number in range(rounds):
        for contender in contenders:
            if not contender.missing:
                print(f"  round {number + 1}/{rounds}: {contender.name}", file=sys.stderr)
                spawn(contender)


def last_json(contender):
    """The last line of the contender's stdout as JSON, or {} when there is none."""
    lines = contender.output.strip().splitlines()
    return json.loads(lines[-1]) if lines else {}


def row(name, *cells):
    print(f"{name:<36}" + "".join(f"{cell:>14}" for cell in cells))


def ratio(value, base):
    """How many times `base` fits in `value`, as text."""
    return f"{value / base:.1f} x" if base else "-"


def summary(values):
    """(minimum, median) of the values."""
    return min(values), statistics.median(values)
