"""Steps of the gated aggregation that kernels of our own do on a GPU, in fewer passes over the maps.

:mod:`.gpu_choice` says when they are taken. Everywhere else the functions here return None, and the caller goes on with
the plain form; a graph that is compiled, exported or traced holds nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from moganet.compat import autocast_dtype

from . import gpu_functions as functions
from .depthwise import DepthwiseConv2d
from .gpu_choice import DTYPES, is_faster, may_take
from .recompute import is_untouched

# The kernels count with 32 bits.
_MOST_ELEMENTS = 2**31 - 1


def multi_order_context(x: Tensor, layers: Sequence[nn.Conv2d]) -> Tensor | None:
    """Return what the three depthwise convolutions of :class:`.MultiOrderDWConv` make of a map, or None.

    Args:
        x: (N, C, H, W); taken where it is channels last.
        layers: ``DW_conv0`` of all channels, ``DW_conv1`` of the middle ones, ``DW_conv2`` of the last ones.

    Returns:
        (N, C, H, W), channels last: the low channels as they come from ``DW_conv0``, the others convolved once more.
    """
    if not may_take(x) or x.dim() != 4:
        return None
    dtype = autocast_dtype(x.device.type)
    parameters = _depthwise_parameters(x.shape[1], layers)
    if parameters is None or not _fits(x, parameters, dtype):
        return None
    x = x if dtype is None else x.to(dtype)
    dilations = [int(layer.dilation[0]) for layer in layers]
    shapes = tuple(tuple(weight.shape) for weight in parameters[::2])
    pixels = x.numel() // x.shape[1]
    key = ('depthwise', x.dtype, parameters[0].dtype, shapes, tuple(dilations), pixels.bit_length())

    def ours(x: Tensor, *parameters: Tensor) -> Tensor:
        return functions.multi_order_depthwise(x, parameters, dilations)

    def plain(x: Tensor, *parameters: Tensor) -> Tensor:
        return functions.plain_depthwise(x, parameters, dilations)

    given = (x, *parameters)
    return ours(*given) if is_faster(key, ours, plain, given) else None


def gate_product(gate: Tensor, value: Tensor, act_twice: bool) -> Tensor | None:
    """Return ``SiLU(gate) * SiLU(value)``, with ``act_twice`` SiLU of SiLU in both places, or None.

    The kernel rounds the product alone; the backward pass computes everything again from gate and value.
    """
    if not may_take(gate) or type(value) is not Tensor:
        return None
    alike = gate.dtype == value.dtype and gate.device == value.device and gate.shape == value.shape
    if not alike or gate.dtype not in DTYPES or gate.dim() != 4 or not 1 <= gate.numel() <= _MOST_ELEMENTS:
        return None
    if not functions.is_dense(gate) or gate.stride() != value.stride():
        return None
    key = ('gate', gate.dtype, act_twice, gate.numel().bit_length())

    def ours(gate: Tensor, value: Tensor) -> Tensor:
        return functions.gate_product(gate, value, act_twice)

    def plain(gate: Tensor, value: Tensor) -> Tensor:
        return functions.plain_gate(gate, value, act_twice)

    return ours(gate, value) if is_faster(key, ours, plain, (gate, value)) else None


def _depthwise_parameters(channels: int, layers: Sequence[nn.Conv2d]) -> list[Tensor] | None:
    """Return weights and biases in turn, or None where somebody replaced, hooked or changed a layer."""
    parameters: list[Tensor] = []
    for layer in layers:
        if type(layer) not in (DepthwiseConv2d, nn.Conv2d) or not is_untouched(layer, type(layer)):
            return None
        weight, bias = layer.weight, layer.bias
        if bias is None or not {type(weight), type(bias)} <= {nn.Parameter, Tensor}:
            return None
        side, dilation = layer.kernel_size[0], layer.dilation[0]
        padding = dilation * (side - 1) // 2
        geometry = (layer.kernel_size, layer.dilation, layer.stride, layer.padding, layer.padding_mode)
        if geometry != ((side, side), (dilation, dilation), (1, 1), (padding, padding), 'zeros') or side % 2 == 0:
            return None
        if weight.shape != (layer.groups, 1, side, side):
            return None
        parameters += [weight, bias]
    whole, _, middle, _, high, _ = parameters
    return parameters if len(whole) == channels and len(middle) + len(high) < channels else None


def _fits(x: Tensor, parameters: Sequence[Tensor], dtype: torch.dtype | None) -> bool:
    """Whether the kernels can have a map and weights: without autocast all are of one precision, as layers want it."""
    kinds = {value.dtype for value in parameters}
    if len(kinds) > 1 or not kinds <= set(DTYPES) or x.dtype not in DTYPES:
        return False
    if (x.dtype not in kinds) if dtype is None else (dtype not in DTYPES):
        return False
    if any(value.device != x.device for value in parameters):
        return False
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return channels_last and 1 <= x.numel() <= _MOST_ELEMENTS
