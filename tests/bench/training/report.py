"""Results of versus as a table for the terminal and for the README. A result is what `versus` writes with --json."""

from models import MEMORY_TARGET, MODELS

PEERS = {"eager": "PyTorch", "channels-last": "channels last", "compile": "torch.compile", "lightning": "Lightning"}


def measured(result, names):
    return {name: result["contenders"][name] for name in names
            if "step_us" in result["contenders"].get(name, {})}


def judge(result):
    """Adds what follows from the measurements, where both sides were measured."""
    ours, theirs = measured(result, ["lhost"]).get("lhost"), measured(result, PEERS)
    for kind in ("peak", "product"):
        ceiling = result[f"{kind}_gflops"]
        result[f"fraction_of_{kind}"] = ours and ceiling and result["flops"] / ours["step_us"] / 1e3 / ceiling
    if ours and theirs:
        result["best"] = min(theirs, key=lambda name: theirs[name]["step_us"])
        result["ratio"] = theirs[result["best"]]["step_us"] / ours["step_us"]
        result["memory_ratio"] = ours["peak_mib"] / min(peer["peak_mib"] for peer in theirs.values())
    return result


def time(contender):
    if "step_us" not in contender:
        return "-"
    us = contender["step_us"]
    return f"{us:.0f} us" if us < 1e4 else f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"


def percent(fraction):
    return f"{fraction:.0%}" if fraction else "-"


def head():
    peers = "".join(f"{name:>14}" for name in PEERS)
    print(f"{'':<13}{'':<5}{'thr':>3}{'lhost':>10}{'':<6}{peers}{'ratio':>8}{'target':>7}{'':>6}{'memory':>8}{'':>6}"
          f"{'of peak':>9}{'of product':>12}")


def line(result):
    """A row of the table, and below it why something was not measured, or that losses disagree."""
    contenders = result["contenders"]
    ours = contenders["lhost"]
    spread = f"±{ours['spread']:.0%}" if "spread" in ours else ""
    peers = [time(contenders.get(name, {})) + "*" * (name == result.get("best")) for name in PEERS]
    print(f"{result['model']:<13}{result['precision'][:4]:<5}{result['threads']:>3}{time(ours):>10} {spread:<5}"
          + "".join(f"{peer:>14}" for peer in peers), end="")
    if "ratio" in result:
        target = MODELS[result["model"]].target
        print(f"{result['ratio']:>7.2f}x{target:>7.1f}{result['ratio'] / target - 1:>+6.0%}"
              f"{result['memory_ratio']:>7.2f}x{result['memory_ratio'] / MEMORY_TARGET - 1:>+6.0%}", end="")
    else:
        print(f"{'-':>8}{'':>7}{'':>6}{'-':>8}{'':>6}", end="")
    print(f"{percent(result['fraction_of_peak']):>9}{percent(result['fraction_of_product']):>12}", end="")
    print(flush=True)
    for name, contender in contenders.items():
        if "missing" in contender:
            print(f"    {name}: not measured: {contender['missing']}")
    for name, gap in result["loss_gaps"].items():
        tolerance = result["tolerances"][name]
        if not gap <= tolerance:
            print(f"    {name}: its losses differ from lhost's by {gap:.2g}, more than {tolerance}")


def legend():
    print(f"""
lhost ... lightning: median time of a step; ± half the range of the rounds' medians; * the fastest peer. ratio: its time
over lhost's, and how far that is above or below its target. memory: lhost's peak over that of the leanest peer, target
{MEMORY_TARGET}. of peak: products and convolutions of a step over what the processor can do; of product: over what the
best product of large matrices reaches.""")


def markdown(results):
    """The README's table; Lightning's column where it was measured."""
    results = [result for result in results if "ratio" in result]
    has_lightning = any(measured(result, ["lightning"]) for result in results)
    heads = ["training step", "threads", "lhost", "fastest of PyTorch", *["Lightning"] * has_lightning, "peak memory",
             "of peak, of product"]
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for result in results:
        contenders, lightning = result["contenders"], measured(result, ["lightning"]).get("lightning")
        ours, best = contenders["lhost"], contenders[result["best"]]
        precision = ", bfloat16" if result["precision"] != "32" else ""
        against = f"{time(lightning)}, {lightning['step_us'] / ours['step_us']:.1f} x" if lightning else "-"
        leanest = min(peer["peak_mib"] for peer in measured(result, PEERS).values())
        cells = [f"{result['model']}{precision}", str(result["threads"]), time(ours),
                 f"{time(best)} ({PEERS[result['best']]}), {result['ratio']:.1f} x", *[against] * has_lightning,
                 f"{ours['peak_mib']:.0f} MiB, PyTorch {leanest:.0f}",
                 f"{percent(result['fraction_of_peak'])}, {percent(result['fraction_of_product'])}"]
        print(f"| {' | '.join(cells)} |")
