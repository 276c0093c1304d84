"""Convolutions with what follows them done in the same pass: oneDNN's post-operations, on a processor, in evaluation.

torch's compiler uses these operators; they are called here without it. Where they do not apply, the same is done in
two steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .depthwise import is_on_processor, to_fast_layout, to_layout_of


def conv(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """``layer(x)``; a 1x1 convolution of a channels-last map is one product of matrices, and is had as that."""
    if not (_is_pointwise(layer) and has_post_operations(x)):
        return layer(x)
    return F.linear(x.permute(0, 2, 3, 1), layer.weight.flatten(1), layer.bias).permute(0, 3, 1, 2)


def conv_add(x: Tensor, layer: nn.Conv2d, other: Tensor, overwrite: bool = False) -> Tensor:
    """``layer(x) + other`` of a 1x1 convolution without bias, in one pass.

    Args:
        x: its input.
        layer: the convolution.
        other: a map of its output's shape.
        overwrite: the sum may take its place.
    """
    if not has_post_operations(x):
        return layer(x) + other
    rows, sums = (part.permute(0, 2, 3, 1) for part in (x, other))
    weight = layer.weight.flatten(1).t()
    flat = sums.reshape(-1, sums.shape[-1])
    added = torch.addmm(flat, rows.reshape(-1, rows.shape[-1]), weight, out=flat if overwrite else None)
    return added.view(sums.shape).permute(0, 3, 1, 2)


def conv_gelu(x: Tensor, layer: nn.Conv2d, act: nn.Module) -> Tensor:
    """``act(layer(x))``; one pass where ``act`` is GELU."""
    if not (type(act) is nn.GELU and has_post_operations(x)):
        return act(layer(x))
    algorithm = 'none' if act.approximate == 'none' else 'tanh'
    geometry = (layer.padding, layer.stride, layer.dilation, layer.groups)
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(x, layer.weight, layer.bias, *geometry, 'gelu', [], algorithm)
    return out


def _is_pointwise(layer: nn.Conv2d) -> bool:
    return layer.kernel_size == (1, 1) and layer.groups == 1


def has_post_operations(x: Tensor) -> bool:
    """Whether oneDNN's operators may be called: on a processor, untraced, and no gradient through them."""
    return _AVAILABLE and is_on_processor(x, _DTYPES) and not (x.requires_grad and torch.is_grad_enabled())


def to_post_operations_layout(x: Tensor) -> Tensor:
    """Return a map channels last where :func:`has_post_operations`; else as the plain form takes it."""
    return x.contiguous(memory_format=torch.channels_last) if has_post_operations(x) else to_fast_layout(x)


def from_post_operations_layout(given: Tensor, x: Tensor) -> Tensor:
    """Return a map in the memory format of the picture, where :func:`to_post_operations_layout` changed it."""
    return x.contiguous() if has_post_operations(given) and given.is_contiguous() else to_layout_of(given, x)


# Both are internal to torch, and were seen in 2.1 and in 2.13. mkldnn is oneDNN's former name.
_AVAILABLE = bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, '_convolution_pointwise')


def has_arithmetic(dtype: str) -> bool:
    """Whether oneDNN computes in ``bf16`` or ``fp16`` on this processor."""
    return bool(getattr(torch.ops.mkldnn, f'_is_mkldnn_{dtype}_supported', lambda: False)())


# float16 is left to torch: few processors compute in it.
_DTYPES = (torch.float32, torch.bfloat16) if _AVAILABLE and has_arithmetic('bf16') else (torch.float32,)
