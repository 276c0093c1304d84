"""Convolutions with what follows them done in the same pass: oneDNN's post-operations, on a processor, in evaluation.

torch's compiler uses these operators; they are called here without it. Where they do not apply, the same is done in
two steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .depthwise import is_on_processor, to_fast_layout, to_layout_of


def conv(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """``layer(x)``, by oneDNN: of a single small map torch takes a kernel of its own, which is channels first."""
    return _pointwise(x, layer, 'none', '') if has_post_operations(x) else layer(x)


def conv_gelu(x: Tensor, layer: nn.Conv2d, act: nn.Module) -> Tensor:
    """``act(layer(x))``; one pass where ``act`` is GELU."""
    if not (type(act) is nn.GELU and has_post_operations(x)):
        return act(layer(x))
    return _pointwise(x, layer, 'gelu', 'none' if act.approximate == 'none' else 'tanh')


def conv_add(x: Tensor, layer: nn.Conv2d, other: Tensor) -> Tensor:
    """``layer(x) + other``, in one pass."""
    if not has_post_operations(x):
        return layer(x) + other
    out: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, layer.weight, layer.bias, *_geometry(layer), 'add', None, None, [], None
    )
    return out


def _pointwise(x: Tensor, layer: nn.Conv2d, act: str, algorithm: str) -> Tensor:
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, layer.weight, layer.bias, *_geometry(layer), act, [], algorithm
    )
    return out


def _geometry(layer: nn.Conv2d) -> tuple[object, ...]:
    return layer.padding, layer.stride, layer.dilation, layer.groups


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
