"""The safetensors package on the other side of test_peer.c.

peer.py read FILE         prints the file as JSON: metadata, and each tensor's dtype, shape, hex data
peer.py write FILE        writes the tensors that test_peer.c expects
"""
import json
import struct
import sys

import numpy
import safetensors
from safetensors.numpy import save_file


def read(path):
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    tensors = {
        name: {"dtype": t["dtype"], "shape": t["shape"], "data": bytes(t["data"]).hex()}
        for name, t in safetensors.deserialize(data)
    }
    with safetensors.safe_open(path, framework="numpy") as f:
        assert f.metadata() == metadata
        assert set(f.keys()) == set(tensors)
        assert all(
            f.get_tensor(name).tobytes().hex() == t["data"]
            for name, t in tensors.items()
            if t["dtype"] != "BF16"  # which numpy lacks
        )
    json.dump({"metadata": metadata, "tensors": tensors}, sys.stdout)


def write(path):
    tensors = {
        dtype: numpy.arange(6).reshape(2, 3).astype(dtype)
        for dtype in ("float32", "float64", "float16", "int64", "int32", "uint8")
    }
    tensors["bool"] = numpy.array([True, False, True])
    tensors["scalar"] = numpy.array(0.1)
    tensors["empty"] = numpy.zeros((2, 0, 3), dtype="float32")
    save_file(tensors, path, metadata={"format": "np"})


{"read": read, "write": write}[sys.argv[1]](sys.argv[2])
