"""Recurrent layers in PyTorch eager, f32: the cases of tests/bench/recurrent.c.

Prints one line of JSON for each: {"case": NAME, "us": FASTEST}.
"""

import argparse
import json
import time

import torch
import torch.nn.functional as F
from torch import nn

KINDS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
SIZES = ((32, 32, 64, 256), (28, 64, 28, 128), (100, 64, 256, 256), (20, 1, 32, 64), (64, 128, 512, 512))
VOCAB, EMBED, HIDDEN, ROWS, STEPS = 65, 64, 256, 32, 32


def fastest_us(step, seconds):
    best, begin, turns = float("inf"), time.perf_counter(), 0
    while turns < 10 or time.perf_counter() - begin < seconds:
        start = time.perf_counter_ns()
        step()
        best = min(best, time.perf_counter_ns() - start)
        turns += 1
    return best / 1e3


def layer_step(kind, t, n, size, hidden, back):
    layer, x = KINDS[kind](size, hidden), torch.rand(t, n, size)

    def forward():
        with torch.no_grad():
            layer(x)

    def both():
        layer.zero_grad()
        layer(x)[0].sum().backward()

    return both if back else forward


def char_step(kind, fused):
    embed, layer = nn.Embedding(VOCAB, EMBED), KINDS[kind](EMBED, HIDDEN, batch_first=True)
    head = nn.Linear(HIDDEN, VOCAB)
    params = [*embed.parameters(), *layer.parameters(), *head.parameters()]
    adam = torch.optim.Adam(params, lr=2e-3, fused=fused)
    text = torch.arange(ROWS * STEPS + 1) ** 2 % VOCAB
    x, y = text[:-1].view(ROWS, STEPS), text[1:].view(ROWS, STEPS)
    h = torch.zeros(1, ROWS, HIDDEN)
    state = (h, h.clone()) if kind == "lstm" else h

    def step():
        adam.zero_grad()
        logits = head(layer(embed(x), state)[0])
        F.cross_entropy(logits.reshape(-1, VOCAB), y.reshape(-1)).backward()
        nn.utils.clip_grad_norm_(params, 5)
        adam.step()

    return step


def cases():
    for kind in KINDS:
        yield f"char-{kind} step", lambda k=kind: [char_step(k, False), char_step(k, True)]
        for size in SIZES:
            for back in (False, True):
                name = f"{kind} t{size[0]} n{size[1]} in{size[2]} h{size[3]} {'back' if back else 'forward'}"
                yield name, lambda k=kind, s=size, b=back: [layer_step(k, *s, b)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each case")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    for name, make in cases():
        if args.only in name:
            us = min(fastest_us(step, args.seconds) for step in make())
            print(json.dumps({"case": name, "us": round(us, 1)}), flush=True)


if __name__ == "__main__":
    main()
