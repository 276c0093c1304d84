"""Convolutions with what follows them done in the same pass: oneDNN's post-operations, on a processor, in evaluation.

torch's compiler uses these operators; they are called here without it. Where they do not apply, the same is done in
two steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .depthwise import takes_fast_path


def conv_gelu(x: Tensor, conv: nn.Conv2d, act: nn.Module) -> Tensor:
    """``act(conv(x))``; one pass where ``act`` is GELU."""
    if not (type(act) is nn.GELU and has_post_operations(x)):
        return act(conv(x))
    algorithm = 'none' if act.approximate == 'none' else 'tanh'
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups, 'gelu', [], algorithm
    )
    return out


def conv_add(x: Tensor, conv: nn.Conv2d, other: Tensor) -> Tensor:
    """``conv(x) + other``, in one pass."""
    if not has_post_operations(x):
        return conv(x) + other
    geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
    out: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
        x, other, conv.weight, conv.bias, *geometry, 'add', None, None, [], None
    )
    return out


def has_post_operations(x: Tensor) -> bool:
    """Whether oneDNN's operators may be called: float32 on a processor, untraced, and no gradient through them."""
    return takes_fast_path(x) and not (x.requires_grad and torch.is_grad_enabled()) and _AVAILABLE


# Both are internal to torch, and were seen in 2.1 and in 2.13. mkldnn is oneDNN's former name.
_AVAILABLE = bool(torch._C._has_mkldnn) and hasattr(torch.ops.mkldnn, '_convolution_pointwise')
