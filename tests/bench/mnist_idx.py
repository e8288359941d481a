"""MNIST from IDX files, for the PyTorch and Lightning peers of the benches.

Both peers read, normalise and split the data here, so that they differ in their loops only.
Returned tensors: images float32 (n, 784), normalised by MNIST's mean and deviation; labels int64 (n,).
"""

import gzip
import os
import sys
from pathlib import Path

import numpy as np
import torch

MEAN, DEVIATION = 0.1307, 0.3081
TRAIN_ROWS, VAL_ROWS = 55_000, 5_000


def _read_idx(folder, name):
    """One IDX file of unsigned bytes, plain or gzip, as a numpy array of its own shape."""
    path = folder / name
    opener = open
    if not path.exists():
        path, opener = folder / f"{name}.gz", gzip.open
    with opener(path, "rb") as file:
        data = file.read()
    if data[:3] != b"\0\0\x08":
        sys.exit(f"{path}: not an IDX file of unsigned bytes")
    dims = data[3]
    shape = np.frombuffer(data, ">u4", dims, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)


def folder():
    """The folder with the four files; ends the program with advice when there is none."""
    root = os.environ.get("LHOST_DATA_DIR")
    if not root or not (Path(root) / "mnist").is_dir():
        sys.exit("set LHOST_DATA_DIR to a folder that holds mnist/train-images-idx3-ubyte[.gz] and its kin")
    return Path(root) / "mnist"


def load(stage):
    """Images and labels of "train" (60,000 rows) or "t10k" (10,000 rows)."""
    images = _read_idx(folder(), f"{stage}-images-idx3-ubyte").reshape(-1, 784)
    labels = _read_idx(folder(), f"{stage}-labels-idx1-ubyte")
    x = torch.from_numpy(images.copy()).float().div_(255).sub_(MEAN).div_(DEVIATION)
    return x, torch.from_numpy(labels.astype(np.int64))


def split(seed):
    """The 55,000/5,000 split of the training rows: two (images, labels) pairs."""
    x, y = load("train")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, val = order.split([TRAIN_ROWS, VAL_ROWS])
    return (x[train], y[train]), (x[val], y[val])


def loader(pair, batch_size, shuffle, batched):
    """A DataLoader over tensors in memory, without worker processes: for rows this small a worker's
    hand-over costs more than the row (with one or two of them an epoch of loading took several times as long).

    batched=False is the DataLoader of every tutorial: one row at a time, then collation.
    batched=True lets the sampler pick whole batches by one index operation: about half the loading time of
    an epoch, which is a few hundredths of the job and often below its noise.
    """
    from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, TensorDataset

    data = TensorDataset(*pair)
    if not batched:
        return DataLoader(data, batch_size=batch_size, shuffle=shuffle, num_workers=0)
    rows = RandomSampler(data) if shuffle else SequentialSampler(data)
    return DataLoader(data, batch_size=None, sampler=BatchSampler(rows, batch_size, drop_last=False))
