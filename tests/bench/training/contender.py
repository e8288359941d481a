"""Programs that train and are timed in turns: started together, each goes on when and for how long it is told.

The protocol is clock.c's. Whatever goes wrong makes a contender missing, with the reason; the others go on.
"""

import json
import re
import statistics
import subprocess
import tempfile

from measure import ENVIRONMENT


class Contender:
    def __init__(self, name, command, missing="", **environment):
        self.name, self.command, self.missing = name, [str(part) for part in command], missing
        self.environment = {**ENVIRONMENT, **environment}
        self.process = None
        self.losses = []  # of the first steps
        self.stretches = []  # of steps in microseconds
        self.peak_mib = 0.0

    def start(self):
        if not self.missing:
            self.errors = tempfile.TemporaryFile(mode="w+")
            self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.errors, env=self.environment, text=True)

    def go_on(self, seconds, least):
        """Trains for so long and so many steps at least; what it said of them, or None."""
        if self.missing:
            return None
        try:
            print(seconds, least, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended, and there is nothing to read either
        for line in self.process.stdout:
            if line.startswith('{"step_us"'):
                said = json.loads(line)
                self.peak_mib = said["peak_mib"]
                return said
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()] or [f"exit status {self.process.wait()}"]
        errors = [line for line in lines if re.match(r"(error|[\w.]+Error): ", line)]
        self.missing = (errors or lines)[-1]
        return None

    def warm_up(self, seconds, least):
        if said := self.go_on(seconds, least):
            self.losses = said["losses"]

    def measure(self, seconds):
        if said := self.go_on(seconds, 1):
            self.stretches.append(said["step_us"])

    def finish(self):
        if self.process:
            self.process.communicate()
            self.errors.close()

    def step_us(self):
        """The median of all steps."""
        return statistics.median([step for steps in self.stretches for step in steps])

    def spread(self):
        """Half the range of the stretches' medians, as a share of the median."""
        medians = [statistics.median(steps) for steps in self.stretches]
        return (max(medians) - min(medians)) / 2 / self.step_us()

    def loss_gap(self, other, compared):
        """The greatest difference of the first losses, in units of the loss or of one."""
        pairs = list(zip(self.losses[:compared], other.losses[:compared]))
        gaps = [abs(a - b) / max(1, abs(b)) for a, b in pairs]
        return max(gaps) if all(gap == gap for gap in gaps) else float("nan")

    def as_json(self):
        if self.missing:
            return {"missing": self.missing}
        return {"step_us": round(self.step_us(), 1), "spread": round(self.spread(), 4),
                "steps": sum(map(len, self.stretches)), "peak_mib": round(self.peak_mib, 1)}
