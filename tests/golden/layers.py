"""Makes layers.safetensors: what PyTorch's layers compute, and their gradients, in float64.

    python tests/golden/layers.py          (with the environment that tests/bench/peers makes)

Tensors of CASE, whose layer in lhost is made by tests/plugins/layers:
    CASE.l.NAME         the layer's state_dict before it is applied, random
    CASE.x              the input; cases cut it where a layer has several
    CASE.y              the result; where there are several, flattened and one after the other
    CASE.r              random, of the shape of y
    CASE.grad.x         the gradient of sum(y r) to the input, if it is real
    CASE.grad.l.NAME    and to each parameter
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


def flat(*tensors):
    return torch.cat([t.flatten().double() for t in tensors])


def plain(layer, x):
    return layer(x)


def after_training(layer, x):
    y = layer(x)
    return flat(y, layer.running_mean, layer.running_var, layer.num_batches_tracked)


def recurrent(layer, x):
    y, state = layer(x)
    return flat(y, *state) if isinstance(state, tuple) else flat(y, state)


def with_state(layer, x):
    n = layer.num_layers * (2 if layer.bidirectional else 1)
    steps = x.shape[0] - 2 * n
    h, c = x[steps : steps + n].contiguous(), x[steps + n :].contiguous()
    return recurrent(lambda y: layer(y, (h, c) if isinstance(layer, nn.LSTM) else h), x[:steps])


def masks(x, time, batch):
    """attn_mask: not oneself, unless one is first; key_padding_mask: the last key of sequence 1."""
    attn = torch.eye(x.shape[time], dtype=torch.bool)
    attn[0, 0] = False
    padding = torch.zeros(x.shape[batch], x.shape[time], dtype=torch.bool)
    padding[1, -1] = True
    return attn, padding


def attend(layer, x):
    return layer(x, x, x, need_weights=False)[0]


def attend_masked(layer, x):
    attn, padding = masks(x, 1, 0)
    return layer(x, x, x, attn_mask=attn, key_padding_mask=padding, need_weights=False)[0]


def attend_added(layer, x):
    bias = torch.arange(25.0, dtype=torch.float64).reshape(5, 5) / 10
    return layer(x, x, x, attn_mask=bias.repeat(4, 1, 1), need_weights=False)[0]


def attend_causal(layer, x):
    forbidden = torch.ones(x.shape[0], x.shape[0], dtype=torch.bool).triu(1)
    return layer(x, x, x, attn_mask=forbidden, need_weights=False)[0]


def attend_across(layer, x):
    return layer(x[:3], x[3:, :, :3], x[3:, :, :5], need_weights=False)[0]


def encode_causal(layer, x):
    forbidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    return layer(x, forbidden)


def encode_padded(layer, x):
    return layer(x, src_key_padding_mask=masks(x, 1, 0)[1])


def decode(layer, x):
    forbidden = torch.ones(3, 3, dtype=torch.bool).triu(1)
    return layer(x[:3], x[3:], forbidden)


def decode_stack(layer, x):
    return layer(x[:, :3], x[:, 3:])


def tied(layer, x):
    return layer(x) @ layer.weight.T


class Net(nn.Sequential):
    """Names as those of the modules in a list."""


def image(*shape):
    return lambda: torch.randn(shape, dtype=torch.float64)


def words(*shape):
    return lambda: torch.randint(0, 11, shape)


CASES = {
    "linear": (lambda: nn.Linear(7, 5), image(2, 3, 7), plain),
    "linear_nobias": (lambda: nn.Linear(7, 5, bias=False), image(4, 7), plain),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), image(2, 4, 9), plain),
    "conv2d": (lambda: nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 0), (1, 2)), image(2, 3, 7, 6), plain),
    "conv2d_nobias": (lambda: nn.Conv2d(2, 3, 3, padding=1, bias=False), image(1, 2, 5, 5), plain),
    "conv1d_same": (lambda: nn.Conv1d(4, 6, 4, padding="same", groups=2), image(2, 4, 7), plain),
    "conv2d_same": (lambda: nn.Conv2d(3, 4, (3, 2), padding="same", dilation=(2, 3)), image(2, 3, 5, 6), plain),
    "conv3d_same": (lambda: nn.Conv3d(2, 3, (2, 3, 4), padding="same"), image(1, 2, 3, 4, 5), plain),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding=1), image(2, 2, 3, 4, 3), plain),
    "conv_transpose1d": (lambda: nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2), image(2, 4, 5), plain),
    "conv_transpose2d": (lambda: nn.ConvTranspose2d(3, 4, (3, 2), (2, 1), dilation=2), image(2, 3, 4, 3), plain),
    "conv_transpose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, bias=False), image(1, 2, 2, 3, 2), plain),
    "batch_norm": (lambda: nn.BatchNorm2d(3), image(2, 3, 4, 5), after_training),
    "batch_norm_plain": (lambda: nn.BatchNorm1d(3, eps=1e-3, momentum=0.3, affine=False), image(6, 3), after_training),
    "batch_norm_eval": (lambda: nn.BatchNorm1d(3).eval(), image(4, 3, 5), after_training),
    "layer_norm": (lambda: nn.LayerNorm(6), image(2, 3, 6), plain),
    "layer_norm_shape": (lambda: nn.LayerNorm((3, 6), eps=1e-3), image(2, 3, 6), plain),
    "layer_norm_nobias": (lambda: nn.LayerNorm(6, bias=False), image(2, 3, 6), plain),
    "layer_norm_plain": (lambda: nn.LayerNorm(6, elementwise_affine=False), image(2, 3, 6), plain),
    "rms_norm": (lambda: nn.RMSNorm(6), image(2, 3, 6), plain),
    "group_norm": (lambda: nn.GroupNorm(2, 6), image(2, 6, 3, 2), plain),
    "instance_norm": (lambda: nn.InstanceNorm2d(3), image(2, 3, 4, 2), plain),
    "instance_norm_affine": (lambda: nn.InstanceNorm1d(3, affine=True), image(2, 3, 5), plain),
    "embedding": (lambda: nn.Embedding(11, 4), words(3, 5), plain),
    "embedding_padded": (lambda: nn.Embedding(11, 4, padding_idx=2), lambda: torch.tensor([[2, 1, 7], [7, 2, 0]]), plain),
    "tied": (lambda: nn.Embedding(11, 4), words(2, 3), tied),
    "rnn": (lambda: nn.RNN(3, 4), image(5, 2, 3), recurrent),
    "rnn_relu": (lambda: nn.RNN(3, 4, 2, "relu", bidirectional=True, bias=False), image(5, 2, 3), recurrent),
    "lstm": (lambda: nn.LSTM(3, 4), image(5, 2, 3), recurrent),
    "lstm_deep": (lambda: nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True), image(2, 5, 3), recurrent),
    "lstm_state": (lambda: nn.LSTM(4, 4, 2, bidirectional=True), image(11, 2, 4), with_state),
    "lstm_nobias": (lambda: nn.LSTM(3, 4, bias=False), image(1, 1, 3), recurrent),
    "gru": (lambda: nn.GRU(3, 4), image(5, 2, 3), recurrent),
    "gru_deep": (lambda: nn.GRU(3, 4, 3, batch_first=True, bidirectional=True, dropout=0.5).eval(), image(2, 5, 3), recurrent),
    "gru_state": (lambda: nn.GRU(4, 4), image(5, 2, 4), with_state),
    "attention": (lambda: nn.MultiheadAttention(6, 2), image(5, 2, 6), attend),
    "attention_masked": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), image(2, 5, 6), attend_masked),
    "attention_added": (lambda: nn.MultiheadAttention(6, 2, bias=False), image(5, 2, 6), attend_added),
    "attention_causal": (lambda: nn.MultiheadAttention(6, 3, dropout=0.5).eval(), image(5, 2, 6), attend_causal),
    "attention_across": (lambda: nn.MultiheadAttention(6, 2, kdim=3, vdim=5), image(7, 2, 6), attend_across),
    "encoder_layer": (
        lambda: nn.TransformerEncoderLayer(6, 2, 10, batch_first=True).eval(),
        image(2, 5, 6), encode_causal),
    "encoder_layer_first": (
        lambda: nn.TransformerEncoderLayer(6, 2, 10, 0.0, "gelu", norm_first=True, bias=False, batch_first=True),
        image(2, 5, 6), encode_padded),
    "decoder_layer": (lambda: nn.TransformerDecoderLayer(6, 3, 10, 0.0), image(7, 2, 6), decode),
    "encoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(6, 2, 8, 0.0, norm_first=True), 2, nn.LayerNorm(6), enable_nested_tensor=False),
        image(4, 2, 6), plain),
    "decoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, 0.0, batch_first=True), 2),
        image(2, 7, 6), decode_stack),
    "sequential": (
        lambda: Net(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Dropout(0.0), nn.Linear(18, 4)),
        image(3, 1, 5, 5), plain),
}


def golden(name, make, draw, apply):
    layer = make().double()
    for key, tensor in layer.state_dict().items():
        if key.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
        elif tensor.is_floating_point():
            tensor.normal_(0.0, 0.5)
    out = {f"l.{key}": tensor.clone() for key, tensor in layer.state_dict().items()}
    x = draw()
    x.requires_grad_(x.is_floating_point())
    y = apply(layer, x)
    r = torch.randn(y.shape, dtype=torch.float64)
    (y * r).sum().backward()
    out |= {"x": x.detach(), "y": y.detach(), "r": r}
    if x.requires_grad:
        out["grad.x"] = x.grad
    for key, parameter in layer.named_parameters():
        out[f"grad.l.{key}"] = parameter.grad
    return {f"{name}.{key}": tensor.contiguous() for key, tensor in out.items()}


def main():
    torch.set_num_threads(1)
    torch.manual_seed(57)
    tensors = {}
    for name, (make, draw, apply) in CASES.items():
        tensors |= golden(name, make, draw, apply)
    save_file(tensors, Path(__file__).with_suffix(".safetensors"))


if __name__ == "__main__":
    main()
