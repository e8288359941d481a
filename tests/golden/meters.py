"""Makes meters.safetensors: what torchmetrics computes of random data, in float64.

    python tests/golden/meters.py          (with the environment that tests/bench/peers makes, and torchmetrics)

Tensors, N rows in B batches of N / B:
    binary.scores, binary.logits (N,), binary.target (N,)       targets of -100 don't count
    classes.scores, classes.logits (N, 5), classes.target (N,)  class 4 is never a target, nor predicted by scores
    tokens.logits (8, 6, 11), tokens.target (8, 6)
    values.preds, values.target (N,)
    CASE        the value after all batches; CASE is DATA/METRIC/AVERAGE or DATA/METRIC
Each batch of *.logits has values outside [0, 1], so that all of it is taken for logits. Scores have ties.
"""

import warnings
from pathlib import Path

import torch
import torchmetrics.classification as tc
from safetensors.torch import save_file
from torchmetrics import MeanMetric, MeanSquaredError, MeanAbsoluteError, R2Score
from torchmetrics.text import Perplexity

N, B, C, IGNORED = 96, 4, 5, -100
AVERAGES = ("micro", "macro", "weighted", "none")

torch.manual_seed(7)
warnings.simplefilter("ignore")
torch.set_default_dtype(torch.float64)


def rounded(x, to):
    """Ties among the scores, exact in binary."""
    return (x * to).round() / to


def over_batches(metric, *operands):
    metric = metric.set_dtype(torch.float64)
    for part in zip(*(x.chunk(B) for x in operands)):
        metric.update(*part)
    return metric.compute()


data, golden = {}, {}
data["binary.scores"] = rounded(torch.rand(N), 16)
data["binary.logits"] = rounded(2 * torch.randn(N), 4)
data["binary.logits"][::8] = 3.0
data["binary.target"] = (torch.rand(N) < 0.4).long()
data["binary.target"][::11] = IGNORED
scores = rounded(torch.rand(N, C), 32)
scores[:, 4] = 0
data["classes.scores"] = scores
data["classes.logits"] = rounded(2 * torch.randn(N, C), 64) + torch.arange(C) / 1000  # no equal logits in a row
data["classes.target"] = torch.randint(0, C - 1, (N,))
data["classes.target"][::7] = IGNORED
data["tokens.logits"] = 3 * torch.randn(8, 6, 11)
data["tokens.target"] = torch.randint(0, 11, (8, 6))
data["tokens.target"][2, 3:] = IGNORED
data["values.preds"] = torch.randn(N)
data["values.target"] = data["values.preds"] + 0.5 * torch.randn(N) + 3

for kind in ("scores", "logits"):
    x, y = data[f"binary.{kind}"], data["binary.target"]
    for name, metric in {
        "accuracy": tc.BinaryAccuracy(ignore_index=IGNORED),
        "accuracy_at_0.7": tc.BinaryAccuracy(threshold=0.7, ignore_index=IGNORED),
        "precision": tc.BinaryPrecision(ignore_index=IGNORED),
        "recall": tc.BinaryRecall(ignore_index=IGNORED),
        "f1": tc.BinaryF1Score(ignore_index=IGNORED),
        "auroc": tc.BinaryAUROC(ignore_index=IGNORED),
        "confusion": tc.BinaryConfusionMatrix(ignore_index=IGNORED),
    }.items():
        golden[f"binary.{kind}/{name}"] = over_batches(metric, x, y)
    x, y = data[f"classes.{kind}"], data["classes.target"]
    for average in AVERAGES:
        options = {"num_classes": C, "average": average, "ignore_index": IGNORED}
        for name, metric in {
            "accuracy": tc.MulticlassAccuracy(**options),
            "precision": tc.MulticlassPrecision(**options),
            "recall": tc.MulticlassRecall(**options),
            "f1": tc.MulticlassF1Score(**options),
        }.items():
            golden[f"classes.{kind}/{name}/{average}"] = over_batches(metric, x, y)
        if average != "micro":
            golden[f"classes.{kind}/auroc/{average}"] = over_batches(tc.MulticlassAUROC(**options), x, y)
        if kind == "logits":
            for k in (2, 3):
                golden[f"classes.{kind}/top{k}/{average}"] = over_batches(tc.MulticlassAccuracy(top_k=k, **options),
                                                                          x, y)
    golden[f"classes.{kind}/confusion"] = over_batches(
        tc.MulticlassConfusionMatrix(num_classes=C, ignore_index=IGNORED), x, y)

golden["tokens.logits/perplexity"] = over_batches(Perplexity(ignore_index=IGNORED), data["tokens.logits"],
                                                  data["tokens.target"])
x, y = data["values.preds"], data["values.target"]
golden["values.preds/mse"] = over_batches(MeanSquaredError(), x, y)
golden["values.preds/mae"] = over_batches(MeanAbsoluteError(), x, y)
golden["values.preds/r2"] = over_batches(R2Score(), x, y)
golden["values.preds/mean"] = over_batches(MeanMetric(), x)

# float() casts inside torchmetrics leave counts' ratios in float32; they are exact to 1e-7.
tensors = {k: v.contiguous() for k, v in {**data, **golden}.items()}
save_file({k: v.long() if v.dtype == torch.int64 or k.endswith("confusion") else v.double() for k, v in tensors.items()},
          str(Path(__file__).with_name("meters.safetensors")))
print(len(golden), "cases")
