"""What the layers' own gradients share: where they are taken, and the steps that they are made of.

A layer with a gradient of its own keeps less for the backward pass than autograd does with its steps one by one, and
computes there again what is cheap. Graphs that are traced or compiled, and transformations of functions, hold the plain
steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moganet.compat import autocast_dtype, is_traced

_PLAIN_TENSORS = (Tensor, nn.Parameter)


def keeps_little(*tensors: Any) -> bool:
    """Whether a layer that computes with these tensors takes its own gradient: eagerly, and where there is one."""
    if not torch.is_grad_enabled() or any(type(tensor) not in _PLAIN_TENSORS for tensor in tensors):
        return False
    return not is_traced(tensors[0]) and any(tensor.requires_grad for tensor in tensors)


def is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer is what it was made as, so that its weights are all there is to it: not replaced, no hooks."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return type(module) is kind and not any(hooks) and 'forward' not in module.__dict__


def is_untouched_conv(module: nn.Module, kernel: int = 1, groups: int = 1) -> bool:
    """Whether a convolution is such as these layers make: of stride 1, keeping the map's size, with a bias."""
    if not is_untouched(module, nn.Conv2d):
        return False
    assert isinstance(module, nn.Conv2d)  # its very class
    geometry = (module.kernel_size, module.stride, module.padding, module.dilation, module.groups, module.padding_mode)
    made = ((kernel, kernel), (1, 1), (kernel // 2, kernel // 2), (1, 1), groups, 'zeros')
    return geometry == made and module.bias is not None


def compute_dtype(x: Tensor) -> torch.dtype:
    """The dtype in which a convolution computes with a map: autocast's where it is on."""
    return autocast_dtype(x.device.type) or x.dtype


def outside_autocast(x: Tensor) -> AbstractContextManager[Any]:
    """Leave autocast for the device of a map."""
    device = x.device.type
    return nullcontext() if device == 'meta' else torch.autocast(device_type=device, enabled=False)


def scale_fits(x: Tensor) -> bool:
    """Whether the product of a weight and a layer scale of 1e-5 has as many digits as the weight has."""
    return compute_dtype(x) in (torch.float32, torch.float64)


def apply(function: type[torch.autograd.Function], *inputs: Any) -> Tensor:
    """``function.apply(*inputs)``, typed."""
    out: Tensor = function.apply(*inputs)  # type: ignore[no-untyped-call]
    return out


class KeepsInputs(torch.autograd.Function):
    """A step that keeps what it is given for the backward pass; its last argument is no tensor, and kept as option."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.option = inputs
        ctx.save_for_backward(*tensors)


def gradients_of(
    compute: Callable[..., Tensor], inputs: Sequence[Tensor | None], needed: Sequence[bool], gradient: Tensor
) -> tuple[Tensor | None, ...]:
    """Gradients of ``compute(*inputs)`` by autograd, which can be differentiated again."""
    # Views, so that an input that was computed from another one does not count to that one too.
    views = [None if given is None else given.view_as(given) for given in inputs]
    wanted = [view for view, need in zip(views, needed) if need and view is not None]
    found = iter(torch.autograd.grad(compute(*views), wanted, gradient, create_graph=True))
    return tuple(next(found) if need and view is not None else None for view, need in zip(views, needed))


def in_rows(x: Tensor) -> bool:
    """Whether a map's 1x1 convolution is best had as one product of matrices: channels last, on a processor."""
    return x.device.type == 'cpu' and x.is_contiguous(memory_format=torch.channels_last)


def rows(x: Tensor) -> Tensor:
    """``(N, C, H, W)`` as ``(N * H * W, C)``, without a copy where it is channels last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_map(flat: Tensor, like: Tensor) -> Tensor:
    """``(N * H * W, C)`` as a channels-last map of the size of another one."""
    samples, _, height, width = like.shape
    return flat.view(samples, height, width, -1).permute(0, 3, 1, 2)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """1x1 convolution."""
    if not in_rows(x):
        return F.conv2d(x, weight, bias)
    return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)


def call_pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """``conv(x)`` of a 1x1 convolution with a bias; in training on a processor as one product of matrices."""
    plain_steps = not keeps_little(x, conv.weight) or compute_dtype(x) is not conv.weight.dtype
    if not plain_steps and in_rows(x) and is_untouched_conv(conv):
        return pointwise(x, conv.weight, conv.bias)
    out: Tensor = conv(x)
    return out


def pointwise_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, needed: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of :func:`pointwise` for its input, its weight and its bias."""
    if not in_rows(x):
        return conv_backward(gradient, x, weight, needed)
    of_out = rows(gradient)
    of_x = as_map(of_out @ weight.flatten(1), x) if needed[0] else None
    of_weight = (of_out.t() @ rows(x)).view_as(weight) if needed[1] else None
    return of_x, of_weight, of_out.sum(0) if needed[2] else None


def conv_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, needed: Sequence[bool], padding: int = 0, groups: int = 1
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients of a convolution of stride 1 for its input, its weight and its bias."""
    found: tuple[Tensor | None, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], [1, 1], [padding] * 2, [1, 1], False, [0, 0], groups, list(needed)
    )
    return found
