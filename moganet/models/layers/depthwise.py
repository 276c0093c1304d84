"""Depthwise convolutions that keep the map's size, in the steps that a processor runs fastest."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moganet.compat import cpu_autocast_enabled, is_traced


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of stride 1 that keeps the map's size.

    Function and parameters are those of ``nn.Conv2d`` with ``groups=channels``. On a processor a dilated one takes
    other steps to the same sums, see :func:`dilated_depthwise`.

    Args:
        channels: number of channels.
        kernel: side of the kernel, odd.
        dilation: spacing of the kernel's points.
    """

    def __init__(self, channels: int, kernel: int, dilation: int = 1) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(channels, channels, kernel, padding=padding, dilation=dilation, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        dilation = self.dilation[0]
        if dilation == 1:
            return super().forward(x)
        padding = dilation * (self.kernel_size[0] - 1) // 2
        return dilated_depthwise(x, self.weight, self.bias, padding, dilation, self.groups)


# A leaf for torch.fx: a tensor's device and dtype are known only when it is there.
@torch.fx.wrap
def dilated_depthwise(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int, groups: int
) -> Tensor:
    """Convolve each channel with its own dilated kernel; the borders are padded with zeros.

    oneDNN, torch's library for processors, has fast kernels for depthwise convolutions, but leaves them where dilation
    meets wide padding, and in the backward pass wherever there is dilation. On a processor the same sums are
    therefore had in other steps (:class:`_DilatedDepthwise`). Everything else goes to ``conv2d`` as it is.

    Args:
        x: (N, C, H, W).
        weight: (C, 1, k, k), k odd.
        bias: (C,) or None.
        padding: zeros on each side, ``dilation * (k - 1) / 2``.
        dilation: spacing of the kernel's points.
        groups: C. It and the padding are given as numbers because shapes are no numbers where a graph is traced.

    Returns:
        (N, C, H, W); channels last where the steps for a processor were taken.
    """
    if not takes_fast_path(x) or weight.dtype != x.dtype:
        return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=groups)
    channels_last = x.contiguous(memory_format=torch.channels_last)
    out: Tensor = _DilatedDepthwise.apply(channels_last, weight, bias, dilation)  # type: ignore[no-untyped-call]
    return out


def to_fast_layout(x: Tensor) -> Tensor:
    """Return the map in the memory format in which the network runs fastest: channels last on a processor."""
    return x.contiguous(memory_format=torch.channels_last) if takes_fast_path(x) else x


def to_layout_of(given: Tensor, x: Tensor) -> Tensor:
    """Return a map in the memory format of the picture that was given, where :func:`to_fast_layout` changed it.

    mmcv's operators, deformable convolutions among them, refuse a map that is not contiguous.
    """
    return x.contiguous() if takes_fast_path(given) and given.is_contiguous() else x


def takes_fast_path(x: Tensor) -> bool:
    """Whether the steps chosen for a processor apply: in float32 there, outside autocast, tracing and vmap.

    A traced or exported graph so holds plain convolutions, which every reader of such graphs knows.
    """
    return is_on_processor(x, (torch.float32,))


def is_on_processor(x: Tensor, dtypes: tuple[torch.dtype, ...]) -> bool:
    """Whether a map is there and has one of these precisions, outside autocast, tracing and vmap."""
    return x.device.type == 'cpu' and x.dtype in dtypes and not (is_traced(x) or cpu_autocast_enabled())


class _DilatedDepthwise(torch.autograd.Function):
    """A dilated depthwise convolution of a channels-last map, by fast kernels in both directions.

    - Forward: some of the zeros are laid around the map first, so that the convolution itself pads less.
    - Gradient of the input: the same convolution of the output's gradient, with the kernel turned by 180 degrees.
    - Gradient of the weight: points of a map that the dilation never brings together fall into ``dilation ** 2``
      interleaved maps, its phases. On each of them the convolution has no dilation.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        return convolve_padded(x, weight, bias, dilation)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.dilation = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = convolve_padded(gradient, weight.flip(2, 3), None, ctx.dilation)
        if ctx.needs_input_grad[1]:
            of_weight = _weight_gradient(x, weight, gradient, ctx.dilation)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None


def _same_padding(weight: Tensor, dilation: int) -> int:
    return dilation * (weight.shape[-1] - 1) // 2


def convolve_padded(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """Convolve each channel with its own dilated kernel, in the forward steps of :class:`_DilatedDepthwise`."""
    padding = _same_padding(weight, dilation)
    around = _zeros_to_lay(padding, x.shape[3])
    padded = F.pad(x, (around, around, around, around)) if around else x
    return F.conv2d(padded, weight, bias, padding=padding - around, dilation=dilation, groups=x.shape[1])


def _zeros_to_lay(padding: int, width: int) -> int:
    """How many of the zeros to lay around a map so that oneDNN takes its fast kernel; the rest it pads itself.

    The kernel keeps six pixels of a row in registers, and takes no more padding than that; of narrow maps less. The
    bounds were measured with 32 to 256 channels, AVX-512.
    """
    padded_inside = 6 if width >= 14 else 4 if width >= 5 else 0
    return max(0, padding - padded_inside)


def _weight_gradient(x: Tensor, weight: Tensor, gradient: Tensor, dilation: int) -> Tensor:
    # A phase smaller than the kernel is mostly border; there the dilated form, channels first, is the faster one.
    if min(x.shape[2:]) >= dilation * weight.shape[-1]:
        x, gradient, dilation = _phases(x, dilation), _phases(gradient, dilation), 1
    else:
        x, gradient = x.contiguous(), gradient.contiguous()
    of_weight: Tensor = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        bias_sizes=None,
        stride=[1, 1],
        padding=[_same_padding(weight, dilation)] * 2,
        dilation=[dilation] * 2,
        transposed=False,
        output_padding=[0, 0],
        groups=x.shape[1],
        output_mask=[False, True, False],
    )[1]
    return of_weight


def _phases(x: Tensor, step: int) -> Tensor:
    """Split a map into the ``step ** 2`` maps of every ``step``-th row and column, as further samples.

    Args:
        x: (N, C, H, W); zeros are added below and to the right until ``step`` divides H and W.
        step: spacing of the rows and columns of one map.

    Returns:
        (N * step ** 2, C, ceil(H / step), ceil(W / step)), channels last.
    """
    samples, channels, height, width = x.shape
    x = F.pad(x, (0, -width % step, 0, -height % step))
    rows, columns = x.shape[2] // step, x.shape[3] // step
    x = x.permute(0, 2, 3, 1).reshape(samples, rows, step, columns, step, channels).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(samples * step**2, rows, columns, channels).permute(0, 3, 1, 2)
