"""Runs what `lhost export` wrote, on the other side of test_export.c.

export.py onnx|torchscript [ITEM FILE PREDICTIONS BATCH]...

PREDICTIONS, a safetensors file, holds lhost's own results: rows whose first columns are a sample of
shape ITEM ("4,6,6"), then the rest of the output. FILE has to give the same for batches of BATCH
samples, as lhost had them. ITEM may also be a field of tests/plugins/golden.c, "half:28x28": the
samples are then those of that data module, and PREDICTIONS is all output.
"""
import json
import struct
import sys
import warnings

import numpy


def predictions(path):
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + length])["prediction"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    dtype = {"F32": "<f4", "I64": "<i8"}[entry["dtype"]]
    return numpy.frombuffer(data[begin:end], dtype).reshape(entry["shape"])


def samples(field, count):
    """The first samples of the golden data module's first field; see tests/plugins/golden.c."""
    kind, shape = field.split(":")
    shape = [int(n) for n in shape.split("x")] if shape else []
    i = numpy.arange(count * int(numpy.prod(shape)), dtype=numpy.uint64)
    mask = numpy.uint64(0xFFFFFFFF)
    h = (numpy.uint64(100 * 0x9E3779B9 & 0xFFFFFFFF) + i) & mask
    for factor, shift in ((0x7FEB352D, 16), (0x846CA68B, 15), (1, 16)):
        h = ((h ^ (h >> numpy.uint64(shift))) * numpy.uint64(factor)) & mask
    if kind in ("unit", "half"):
        x = (h >> numpy.uint64(8)).astype(numpy.float64) / 2**23 - 1
        x = ((x + 1) / 2 if kind == "half" else x).astype(numpy.float32)
    else:
        x = (h % numpy.uint64(int(kind))).astype(numpy.int64)
    return x.reshape([count, *shape])


def onnx_model(path):
    import onnx
    import onnxruntime

    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options)
    return lambda x: session.run(None, {"input": x})[0]


def torchscript_model(path):
    import torch

    warnings.simplefilter("ignore")
    module = torch.jit.load(path)
    return lambda x: module(torch.from_numpy(x)).detach().numpy()


def compare(model, expected, batch, item):
    if isinstance(item, str):
        x = samples(item, len(expected))
    else:
        x = expected[:, : numpy.prod(item)].reshape([-1, *item]).copy()
    got = numpy.concatenate([model(x[i : i + batch]) for i in range(0, len(x), batch)])
    assert got.shape == expected.shape, (got.shape, expected.shape)
    wrong = ~numpy.isclose(got, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    columns = numpy.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=0))
    assert columns.size == 0, f"columns {columns[:20]} of {wrong[0].size} differ: " + ", ".join(
        f"{got[0].flat[c]} instead of {expected[0].flat[c]}" for c in columns[:5]
    )


def main():
    load = {"onnx": onnx_model, "torchscript": torchscript_model}[sys.argv[1]]
    for i in range(2, len(sys.argv), 4):
        item, file, results, batch = sys.argv[i : i + 4]
        if ":" not in item:
            item = [int(length) for length in item.split(",")]
        try:
            model = load(file)
        except ImportError as e:
            print(f"skipped: {e}")
            return
        try:
            compare(model, predictions(results), int(batch), item)
        except Exception as e:
            sys.exit(f"{file}, batches of {batch}: {e}")


main()
