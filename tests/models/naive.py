"""MogaNet's equations once more, in numpy and float64, with nothing shared with the package: one sum a tap."""

from __future__ import annotations

import numpy as np
from scipy.special import erf, expit

State = dict[str, np.ndarray]


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1.0 + erf(x / np.sqrt(2.0)))


def silu(x: np.ndarray) -> np.ndarray:
    return x * expit(x)


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """A dense convolution as a sum of k x k matrix products."""
    n, _, height, width = x.shape
    k = weight.shape[-1]
    out_h, out_w = ((side + 2 * padding - k) // stride + 1 for side in (height, width))
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    out = np.zeros((n, weight.shape[0], out_h, out_w))
    for i in range(k):
        for j in range(k):
            tap = x[:, :, i : i + stride * (out_h - 1) + 1 : stride, j : j + stride * (out_w - 1) + 1 : stride]
            out += (weight[:, :, i, j] @ tap.reshape(n, tap.shape[1], -1)).reshape(out.shape)
    return out + bias[:, None, None]


def depthwise(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, dilation: int) -> np.ndarray:
    """A depthwise convolution that keeps the size, as a sum of shifted maps."""
    height, width = x.shape[2:]
    k = weight.shape[-1]
    padding = dilation * (k // 2)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    out = np.zeros(x.shape[:2] + (height, width))
    for i in range(k):
        for j in range(k):
            rows, columns = i * dilation, j * dilation
            out += weight[:, 0, i, j][:, None, None] * x[:, :, rows : rows + height, columns : columns + width]
    return out + bias[:, None, None]


def batch_norm(x: np.ndarray, state: State, name: str) -> np.ndarray:
    mean, var, weight, bias = (
        state[f'{name}.{leaf}'][:, None, None] for leaf in ('running_mean', 'running_var', 'weight', 'bias')
    )
    return (x - mean) / np.sqrt(var + 1e-5) * weight + bias


def aggregate(x: np.ndarray, state: State, name: str, dilations: tuple[int, ...], act_twice: bool) -> np.ndarray:
    """Multi-order gated aggregation of a normed map."""

    def pointwise(y: np.ndarray, layer: str) -> np.ndarray:
        return conv(y, state[f'{name}.{layer}.weight'], state[f'{name}.{layer}.bias'], 1, 0)

    def order(y: np.ndarray, index: int) -> np.ndarray:
        layer = f'{name}.value.DW_conv{index}'
        return depthwise(y, state[f'{layer}.weight'], state[f'{layer}.bias'], dilations[index])

    y = pointwise(x, 'proj_1')
    y = silu(y + state[f'{name}.sigma.scale'] * (y - y.mean(axis=(2, 3), keepdims=True)))
    context = order(y, 0)
    eighth = x.shape[1] // 8
    low, middle, high = context[:, :eighth], context[:, eighth : 4 * eighth], context[:, 4 * eighth :]
    context = pointwise(np.concatenate([low, order(middle, 1), order(high, 2)], axis=1), 'value.PW_conv')
    gate = pointwise(y, 'gate')
    for _ in range(2 if act_twice else 1):
        gate, context = silu(gate), silu(context)
    return pointwise(gate * context, 'proj_2') + x


def feed_forward(x: np.ndarray, state: State, name: str) -> np.ndarray:
    """Channel aggregation FFN of a normed map."""

    def pointwise(y: np.ndarray, layer: str) -> np.ndarray:
        return conv(y, state[f'{name}.{layer}.weight'], state[f'{name}.{layer}.bias'], 1, 0)

    h = gelu(depthwise(pointwise(x, 'fc1'), state[f'{name}.dwconv.weight'], state[f'{name}.dwconv.bias'], 1))
    h = h + state[f'{name}.sigma.scale'] * (h - gelu(pointwise(h, 'decompose')))
    return pointwise(h, 'fc2')


def forward(
    x: np.ndarray, state: State, depths: tuple[int, ...], act_twice: bool, final_dilation: bool = True
) -> list[np.ndarray]:
    """The four normed stage maps in evaluation mode."""
    maps = []
    for stage, depth in enumerate(depths, start=1):
        embed = f'patch_embed{stage}.projection'
        if stage == 1:
            for first, activate in ((0, gelu), (3, None)):
                x = conv(x, state[f'{embed}.{first}.weight'], state[f'{embed}.{first}.bias'], 2, 1)
                x = batch_norm(x, state, f'{embed}.{first + 1}')
                x = x if activate is None else activate(x)
        else:
            x = conv(x, state[f'{embed}.weight'], state[f'{embed}.bias'], 2, 1)
            x = batch_norm(x, state, f'patch_embed{stage}.norm')
        dilations = (1, 2, 3) if final_dilation or stage < 4 else (1, 2, 1)
        for index in range(depth):
            block = f'blocks{stage}.{index}'
            normed = batch_norm(x, state, f'{block}.norm1')
            x = x + state[f'{block}.layer_scale_1'] * aggregate(normed, state, f'{block}.attn', dilations, act_twice)
            normed = batch_norm(x, state, f'{block}.norm2')
            x = x + state[f'{block}.layer_scale_2'] * feed_forward(normed, state, f'{block}.mlp')
        x = batch_norm(x, state, f'norm{stage}')
        maps.append(x)
    return maps
