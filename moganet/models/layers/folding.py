"""What is linear, combined: norms with fixed statistics as affine maps, and convolutions that have taken them in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Affine:
    """``scale * x + shift`` of each channel; both ``(C,)``, float64."""

    scale: Tensor
    shift: Tensor

    def after(self, first: Affine) -> Affine:
        """Return the map that does what ``first`` and then this one does."""
        return Affine(self.scale * first.scale, self.scale * first.shift + self.shift)


def affine_of(norm: nn.Module) -> Affine:
    """Return what a batch norm does in evaluation.

    Raises:
        ValueError: it has no fixed statistics.
    """
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.running_var is None:
        raise ValueError(f'{norm} has no fixed statistics')
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    weight = torch.ones_like(mean) if norm.weight is None else norm.weight.detach().double()
    bias = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach().double()
    scale = weight / torch.sqrt(variance + norm.eps)
    return Affine(scale, bias - scale * mean)


def weight_and_bias(conv: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return a convolution's weight ``(C_out, C_in, k, k)`` and bias ``(C_out,)``, both float64."""
    weight = conv.weight.detach().double()
    return weight, weight.new_zeros(len(weight)) if conv.bias is None else conv.bias.detach().double()


def conv_like(conv: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a convolution of the same geometry, precision and device, with these weights, which are not trained."""
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        conv.groups,
        bias is not None,
        device='meta',
    )
    made.weight = frozen(weight, conv.weight)
    if bias is not None:
        made.bias = frozen(bias, conv.weight)
    return made.eval()


def frozen(values: Tensor, like: Tensor) -> nn.Parameter:
    """Return a parameter that is not trained, of the dtype of another one; made of a copy."""
    return nn.Parameter(values.detach().to(like.dtype, copy=True).contiguous(), requires_grad=False)


def with_norm(conv: nn.Conv2d, norm: nn.Module) -> nn.Conv2d:
    """Return a convolution that does what this one and the norm after it do."""
    weight, bias = weight_and_bias(conv)
    affine = affine_of(norm)
    return conv_like(conv, weight * per_output(affine.scale), bias * affine.scale + affine.shift)


def per_output(values: Tensor) -> Tensor:
    """Return ``(C,)`` in a shape that multiplies a weight's output channels."""
    return values[:, None, None, None]


def per_input(values: Tensor) -> Tensor:
    """Return ``(C,)`` in a shape that multiplies a 1x1 weight's input channels."""
    return values[None, :, None, None]


def apply_to(weight: Tensor, values: Tensor) -> Tensor:
    """Return ``weight @ values`` of a 1x1 weight and one number a channel."""
    return weight[:, :, 0, 0] @ values
