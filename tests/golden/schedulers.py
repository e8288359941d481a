"""Makes schedulers.safetensors: PyTorch's learning rates over 60 scheduler steps, float64.

    python tests/golden/schedulers.py          (with the environment that tests/bench/peers makes)

Tensors:
    CASE        (60,)  the rate in force for step i, before the scheduler's step i (entry 0: at the start)
    metric      (60,)  what the reduce-on-plateau cases are given at step i
Metadata: "about" -> JSON {"torch": VERSION, "cases": {CASE: DESCRIPTION}}, where DESCRIPTION is {"scheduler":
NAME, "base_lr": R, "options": {...}}, and of a chain {"scheduler": "SequentialLR", "base_lr": R,
"milestones": [...], "parts": [{"scheduler", "options"}, ...]}. Options not named are PyTorch's defaults.
"""

import json
import warnings
from pathlib import Path

import torch
from safetensors.torch import save_file

STEPS, BASE_LR = 60, 0.1

WARMUP = ("LinearLR", {"start_factor": 0.1, "total_iters": 8})
CASES = {
    "step": ("StepLR", {"step_size": 7, "gamma": 0.5}),
    "multi_step": ("MultiStepLR", {"milestones": [5, 6, 20, 20, 41], "gamma": 0.3}),
    "exponential": ("ExponentialLR", {"gamma": 0.93}),
    "cosine": ("CosineAnnealingLR", {"T_max": 60, "eta_min": 0.002}),
    "cosine_past_end": ("CosineAnnealingLR", {"T_max": 25}),
    "linear": ("LinearLR", {"start_factor": 0.25, "end_factor": 0.8, "total_iters": 30}),
    "linear_default": ("LinearLR", {}),
    "one_cycle_cos": ("OneCycleLR", {"max_lr": 0.4, "total_steps": 60}),
    "one_cycle_linear": ("OneCycleLR", {"max_lr": 0.4, "total_steps": 60, "anneal_strategy": "linear",
                                        "pct_start": 0.4, "div_factor": 10.0, "final_div_factor": 100.0}),
    "one_cycle_three_phase": ("OneCycleLR", {"max_lr": 0.4, "total_steps": 60, "three_phase": True}),
    "plateau": ("ReduceLROnPlateau", {"patience": 3}),
    "plateau_abs_cooldown": ("ReduceLROnPlateau", {"factor": 0.5, "patience": 2, "threshold": 0.05,
                                                   "threshold_mode": "abs", "cooldown": 4}),
    "plateau_max_min_lr": ("ReduceLROnPlateau", {"mode": "max", "factor": 0.4, "patience": 2,
                                                 "threshold": 0.01, "min_lr": 0.005}),
    "warmup_cosine": [WARMUP, ("CosineAnnealingLR", {"T_max": 52})],
    "warmup_step": [WARMUP, ("StepLR", {"step_size": 10, "gamma": 0.5})],
    "warmup_exponential": [WARMUP, ("ExponentialLR", {"gamma": 0.95})],
}


def metric_sequence():
    """Falls, stalls with small wobbles, falls again, then rises: exact multiples of 1/64."""
    falls = [64 - 4 * i for i in range(10)]
    stalls = [28 + (i * 5) % 3 for i in range(18)]
    falls_again = [26 - i for i in range(12)]
    rises = [15 + i // 2 for i in range(20)]
    return [value / 64 for value in falls + stalls + falls_again + rises]


def make_scheduler(optimizer, case):
    build = torch.optim.lr_scheduler
    if isinstance(case, tuple):
        name, options = case
        return getattr(build, name)(optimizer, **options)
    parts = [getattr(build, name)(optimizer, **options) for name, options in case]
    return build.SequentialLR(optimizer, parts, milestones=[WARMUP[1]["total_iters"]])


def rates(case, metric):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE_LR)
    scheduler = make_scheduler(optimizer, case)
    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    seen = []
    for step in range(STEPS):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if step + 1 < STEPS:
            scheduler.step(*([metric[step]] if plateau else []))
    return torch.tensor(seen, dtype=torch.float64)


def describe(case):
    if isinstance(case, tuple):
        return {"scheduler": case[0], "base_lr": BASE_LR, "options": case[1]}
    parts = [{"scheduler": name, "options": options} for name, options in case]
    return {"scheduler": "SequentialLR", "base_lr": BASE_LR,
            "milestones": [WARMUP[1]["total_iters"]], "parts": parts}


def main():
    warnings.simplefilter("ignore")
    metric = metric_sequence()
    tensors = {name: rates(case, metric) for name, case in CASES.items()}
    tensors["metric"] = torch.tensor(metric, dtype=torch.float64)
    about = {"torch": torch.__version__, "cases": {name: describe(case) for name, case in CASES.items()}}
    save_file(tensors, Path(__file__).with_suffix(".safetensors"), {"about": json.dumps(about)})


if __name__ == "__main__":
    main()
