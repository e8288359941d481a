"""Runs what `lhost export` wrote, on the other side of test_export.c.

export.py onnx|torchscript ITEM [FILE PREDICTIONS BATCH]...

PREDICTIONS, a safetensors file, holds lhost's own results: rows whose first columns are a sample of
shape ITEM ("4,6,6"), then the rest of the output. FILE has to give the same for batches of BATCH
samples, as lhost had them.
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
    return numpy.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])


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
    x = expected[:, : numpy.prod(item)].reshape([-1, *item]).copy()
    got = numpy.concatenate([model(x[i : i + batch]) for i in range(0, len(x), batch)])
    assert got.shape == expected.shape, (got.shape, expected.shape)
    wrong = ~numpy.isclose(got, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    columns = numpy.flatnonzero(wrong.any(axis=0))
    assert columns.size == 0, f"columns {columns[:20]} of {wrong.shape[1]} differ: " + ", ".join(
        f"{got[0, c]} instead of {expected[0, c]}" for c in columns[:5]
    )


def main():
    load = {"onnx": onnx_model, "torchscript": torchscript_model}[sys.argv[1]]
    item = [int(length) for length in sys.argv[2].split(",")]
    for i in range(3, len(sys.argv), 3):
        file, results, batch = sys.argv[i : i + 3]
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
