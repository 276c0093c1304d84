"""The kernels of :mod:`.triton_kernels` as steps of autograd, each with the plain form of the same."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .recompute import gradients_of


def multi_order_depthwise(x: Tensor, parameters: Sequence[Tensor], dilations: Sequence[int]) -> Tensor:
    """Convolve all channels, and of the result the middle and the high ones once more, into one map.

    Args:
        x: (N, C, H, W), float32, bfloat16 or float16; copied if it is not channels last.
        parameters: weight (C_i, 1, k, k), k odd, and bias (C_i,) of each convolution in turn.
        dilations: of each.

    Returns:
        (N, C, H, W), channels last.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    parameters = [value.contiguous() for value in parameters]
    out: Tensor = _MultiOrderDepthwise.apply(x, *parameters, tuple(dilations))  # type: ignore[no-untyped-call]
    return out


def plain_depthwise(x: Tensor, parameters: Sequence[Tensor], dilations: Sequence[int]) -> Tensor:
    """Do what :func:`multi_order_depthwise` does, by torch's convolutions."""
    weights, biases = ([value.to(x.dtype) for value in parameters[start::2]] for start in (0, 1))
    layers = [*zip(weights, biases, dilations)]
    middle, high = len(weights[1]), len(weights[2])
    parts = torch.split(_convolved(x, *layers[0]), [x.shape[1] - middle - high, middle, high], dim=1)
    return torch.cat([parts[0], _convolved(parts[1], *layers[1]), _convolved(parts[2], *layers[2])], dim=1)


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=len(weight))


def gate_product(gate: Tensor, value: Tensor, act_twice: bool) -> Tensor:
    """Return ``SiLU(gate) * SiLU(value)``, with ``act_twice`` SiLU of SiLU in both places.

    Args:
        gate, value: of one shape and precision: float32, bfloat16 or float16.
        act_twice: see :class:`.MultiOrderGatedAggregation`.

    Returns:
        A map that lies in memory as the gate does; its value is rounded once.
    """
    if not is_dense(gate):
        gate = gate.contiguous()
    out: Tensor = _GateProduct.apply(gate, _laid_like(gate, value), act_twice)  # type: ignore[no-untyped-call]
    return out


def plain_gate(gate: Tensor, value: Tensor, act_twice: bool) -> Tensor:
    """Do what :func:`gate_product` does, by torch's own steps."""
    gate, value = F.silu(gate), F.silu(value)
    if act_twice:
        gate, value = F.silu(gate), F.silu(value)
    return gate * value


def is_dense(x: Tensor) -> bool:
    """Whether a map fills its memory without gaps, channels first or last."""
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


class _MultiOrderDepthwise(torch.autograd.Function):
    """Three depthwise convolutions; beside what it is given it keeps the part of the first one's output that goes on.

    A backward pass that is itself differentiated takes the plain form.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Any) -> Tensor:
        *parameters, dilations = given
        samples, channels, *size = x.shape
        out = torch.empty_like(x)
        first = torch.empty(
            (samples, len(parameters[2]) + len(parameters[4]), *size),
            dtype=x.dtype,
            device=x.device,
            memory_format=torch.channels_last,
        )
        kernels = _kernels()
        for groups in _groups(x, first, out, parameters, dilations):
            kernels.convolve(groups)
        ctx.save_for_backward(x, first, *parameters)
        ctx.dilations = dilations
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, first, *parameters = ctx.saved_tensors
        needed, dilations = ctx.needs_input_grad[:-1], ctx.dilations
        if torch.is_grad_enabled():

            def plain(x: Tensor, *parameters: Tensor) -> Tensor:
                return plain_depthwise(x, parameters, dilations)

            return (*gradients_of(plain, (x, *parameters), needed, gradients[0]), None)
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x, of_first = torch.empty_like(x), torch.empty_like(first)
        of_parameters = [torch.empty_like(value) for value in parameters]
        kernels = _kernels()
        into_x, into_first = _groups(of_x, of_first, gradient, parameters, dilations)
        if any(needed[:3]):
            kernels.convolve_back(into_first)
        if needed[0]:
            kernels.convolve_back(into_x)
        if any(needed[1:3]):
            kernels.weight_gradients(_groups(x, of_first, gradient, of_parameters, dilations)[0])
        if any(needed[3:]):
            kernels.weight_gradients(_groups(x, first, gradient, of_parameters, dilations)[1])
        return (*(value if need else None for value, need in zip((of_x, *of_parameters), needed)), None)


class _GateProduct(torch.autograd.Function):
    """The product of two activated maps, which keeps the maps alone."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor, act_twice: bool) -> Tensor:
        ctx.save_for_backward(gate, value)
        ctx.act_twice = act_twice
        out: Tensor = _kernels().gate(gate, value, act_twice)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gate, value = ctx.saved_tensors
        needed, act_twice = ctx.needs_input_grad[:2], ctx.act_twice
        if torch.is_grad_enabled():

            def plain(gate: Tensor, value: Tensor) -> Tensor:
                return plain_gate(gate, value, act_twice)

            return (*gradients_of(plain, (gate, value), needed, gradients[0]), None)
        of_gate, of_value = _kernels().gate_gradients(gate, value, _laid_like(gate, gradients[0]), act_twice)
        return of_gate if needed[0] else None, of_value if needed[1] else None, None


def _groups(
    x: Tensor, first: Tensor, out: Tensor, parameters: Sequence[Tensor], dilations: Sequence[int]
) -> tuple[list[Any], list[Any]]:
    """Return what goes from where to where in the first launch, and in the second.

    Args:
        x, out: what goes in and comes out, or the gradients of that.
        first: the middle and high channels between the two launches, or their gradient.
        parameters: weights and biases in turn, or their gradients.
        dilations: of each convolution.
    """
    kind = _kernels().Group
    weight, bias, *others = parameters
    middle, high = len(others[0]), len(others[2])
    low = x.shape[1] - middle - high
    return [
        kind(x[:, :low], out[:, :low], weight[:low], bias[:low], dilations[0]),
        kind(x[:, low:], first, weight[low:], bias[low:], dilations[0]),
    ], [
        kind(first[:, :middle], out[:, low : low + middle], others[0], others[1], dilations[1]),
        kind(first[:, middle:], out[:, low + middle :], others[2], others[3], dilations[2]),
    ]


def _laid_like(given: Tensor, x: Tensor) -> Tensor:
    """Return a map as another one of its shape lies in memory."""
    return x if x.stride() == given.stride() else torch.empty_like(given, dtype=x.dtype).copy_(x)


def _kernels() -> ModuleType:
    from . import triton_kernels

    return triton_kernels
