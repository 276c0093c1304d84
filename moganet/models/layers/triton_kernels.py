"""Triton kernels for the multi-order depthwise convolution and for the gate; :mod:`.gpu` decides where they are taken.

Importing this module imports Triton: only :mod:`.gpu` does so, when a kernel is wanted. Maps are channels last and
without gaps, of fewer than ``2 ** 31`` elements; sums are float32, whatever the map's precision. No kernel has an
atomic operation, and each sum has a fixed order: what a kernel gives repeats bit for bit.

The three depthwise convolutions take two launches of one kernel. A launch for all would compute ``DW_conv0`` again for
the halo of each tile, nine pixels on each side for a 7x7 kernel of dilation 3: more than four times over for tiles of
16x16, and with no place to keep it but registers, whose elements Triton cannot address. Two launches cost one more
pass over the map. Each works on two groups of channels that have sources, weights and targets of their own, so that
the parts of a map are read and written where they lie:

================  =========================  =====================================================
launch            first group                second group
================  =========================  =====================================================
``DW_conv0``      low: x to out              middle and high: x to a map of their own
the others        middle: that map to out    high: that map to out
================  =========================  =====================================================

The gradient of the input is the same with turned kernels, and takes these steps backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

# A tile of the convolution, and of its weights' gradient the pixels that one program adds up at least and the number
# of programs that are aimed at. Chosen by reasoning for a GPU of some hundred processors, not by measurement.
_ROWS, _COLUMNS, _CHANNELS = 8, 8, 32
_FEWEST_PIXELS, _PROGRAMS = 64, 2048
_SUM_ROWS, _SUM_BLOCK = 32, 32
_GATE_BLOCK = 1024


class Group(NamedTuple):
    """Channels that are convolved alike.

    Attributes:
        source, target: (N, C, H, W), slices of channels-last maps along their channels.
        weight, bias: (C, 1, k, k) and (C,), contiguous.
        dilation: spacing of the kernel's points.
    """

    source: Tensor
    target: Tensor
    weight: Tensor
    bias: Tensor
    dilation: int


def convolve(groups: Sequence[Group]) -> None:
    """Write the depthwise convolution of each group's source into its target; two groups, in one launch."""
    _convolve(groups, False)


def convolve_back(groups: Sequence[Group]) -> None:
    """Write each group's gradient of the source from that of the target: the same by turned kernels, without bias."""
    _convolve([group._replace(source=group.target, target=group.source) for group in groups], True)


def weight_gradients(groups: Sequence[Group]) -> None:
    """Write each group's gradients of weight and bias to where it has these; two groups.

    There are two stages: sums over parts of the map, and their sum.

    Args:
        groups: ``source`` is what was convolved, ``target`` the gradient of what came of it.
    """
    samples, _, height, width = groups[0].source.shape
    pixels, blocks = samples * height * width, _blocks(groups)
    chunks = max(1, min(triton.cdiv(pixels, _FEWEST_PIXELS), _PROGRAMS // blocks))
    tensors: list[Tensor] = []
    constants: list[int] = []
    partials = []
    for group in groups:
        channels, _, side, _ = group.weight.shape
        # The bias is a tap after the others.
        partials.append(group.source.new_empty((chunks, side**2 + 1, channels), dtype=torch.float32))
        tensors += [group.source, group.target, partials[-1]]
        constants += [*_constants(group), triton.next_power_of_2(side**2 + 1)]
    with _device_of(groups[0].source):
        _partial_kernel[(chunks, blocks)](
            *tensors, pixels, triton.cdiv(pixels, chunks), height, width, *constants, _CHANNELS
        )
        for group, partial in zip(groups, partials):
            _, taps, channels = partial.shape
            grid = (triton.cdiv(taps * channels, _SUM_BLOCK),)
            _sum_kernel[grid](partial, group.weight, group.bias, chunks, channels, taps - 1, _SUM_ROWS, _SUM_BLOCK)


def _convolve(groups: Sequence[Group], turned: bool) -> None:
    samples, _, height, width = groups[0].source.shape
    tiles = samples * triton.cdiv(height, _ROWS) * triton.cdiv(width, _COLUMNS)
    tensors = [tensor for group in groups for tensor in (group.source, group.target, group.weight, group.bias)]
    constants = [number for group in groups for number in _constants(group)]
    with _device_of(groups[0].source):
        _convolve_kernel[(tiles, _blocks(groups))](
            *tensors, height, width, *constants, turned, _ROWS, _COLUMNS, _CHANNELS
        )


def _constants(group: Group) -> list[int]:
    """Return what a kernel is compiled for: with known widths it loads several channels at once."""
    return [len(group.weight), _step(group.source), _step(group.target), group.weight.shape[-1], group.dilation]


def _blocks(groups: Sequence[Group]) -> int:
    """Return how many programs share the channels of all groups."""
    return sum(triton.cdiv(len(group.weight), _CHANNELS) for group in groups)


def gate(gate: Tensor, value: Tensor, act_twice: bool) -> Tensor:
    """Return ``SiLU(gate) * SiLU(value)`` of two maps that lie alike in memory, without gaps."""
    out = torch.empty_like(gate)
    with _device_of(gate):
        _gate_kernel[_gate_grid(gate)](gate, value, out, gate.numel(), act_twice, _GATE_BLOCK)
    return out


def gate_gradients(gate: Tensor, value: Tensor, gradient: Tensor, act_twice: bool) -> tuple[Tensor, Tensor]:
    """Return the gradients of gate and value; all three maps lie alike in memory, without gaps."""
    of_gate, of_value = torch.empty_like(gate), torch.empty_like(value)
    with _device_of(gate):
        _gate_gradient_kernel[_gate_grid(gate)](
            gate, value, gradient, of_gate, of_value, gate.numel(), act_twice, _GATE_BLOCK
        )
    return of_gate, of_value


def _gate_grid(x: Tensor) -> tuple[int]:
    return (triton.cdiv(x.numel(), _GATE_BLOCK),)


def _step(x: Tensor) -> int:
    """How far apart in memory the pixels of a slice of a channels-last map are; its width alone tells when it has one.

    The stride of a dimension of one element says nothing, so that of a longer one is asked, from the innermost.
    """
    _, channels, height, width = x.shape
    if width > 1:
        return x.stride(3)
    if height > 1:
        return x.stride(2)
    return x.stride(0) if len(x) > 1 else channels


def _device_of(x: Tensor) -> Any:
    """Triton launches on the current device, which may be another one; the interpreter has none."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


@triton.jit
def _convolve_kernel(
    source_0: tl.tensor, target_0: tl.tensor, weight_0: tl.tensor, bias_0: tl.tensor,
    source_1: tl.tensor, target_1: tl.tensor, weight_1: tl.tensor, bias_1: tl.tensor,
    height: tl.tensor, width: tl.tensor,
    CHANNELS_0: tl.constexpr, SOURCE_STEP_0: tl.constexpr, TARGET_STEP_0: tl.constexpr,
    KERNEL_0: tl.constexpr, DILATION_0: tl.constexpr,
    CHANNELS_1: tl.constexpr, SOURCE_STEP_1: tl.constexpr, TARGET_STEP_1: tl.constexpr,
    KERNEL_1: tl.constexpr, DILATION_1: tl.constexpr,
    TURNED: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    block = tl.program_id(1)
    if block < tl.cdiv(CHANNELS_0, BLOCK):
        _convolve_tile(
            source_0, target_0, weight_0, bias_0, block, height, width,
            CHANNELS_0, SOURCE_STEP_0, TARGET_STEP_0, KERNEL_0, DILATION_0, TURNED, ROWS, COLUMNS, BLOCK,
        )  # fmt: skip
    else:
        _convolve_tile(
            source_1, target_1, weight_1, bias_1, block - tl.cdiv(CHANNELS_0, BLOCK), height, width,
            CHANNELS_1, SOURCE_STEP_1, TARGET_STEP_1, KERNEL_1, DILATION_1, TURNED, ROWS, COLUMNS, BLOCK,
        )  # fmt: skip


@triton.jit
def _convolve_tile(
    source: tl.tensor, target: tl.tensor, weight: tl.tensor, bias: tl.tensor,
    block: tl.tensor, height: tl.tensor, width: tl.tensor,
    CHANNELS: tl.constexpr, SOURCE_STEP: tl.constexpr, TARGET_STEP: tl.constexpr,
    KERNEL: tl.constexpr, DILATION: tl.constexpr, TURNED: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Convolve the pixels of one tile: each tap is a load of the whole tile, moved; neighbours meet in the cache."""
    tile = tl.program_id(0)
    across = tl.cdiv(width, COLUMNS)
    down = tl.cdiv(height, ROWS)
    sample = tile // (across * down)
    point = tl.arange(0, ROWS * COLUMNS)
    row = tile // across % down * ROWS + point // COLUMNS
    column = tile % across * COLUMNS + point % COLUMNS
    channel = block * BLOCK + tl.arange(0, BLOCK)
    in_channels = channel < CHANNELS
    total = tl.zeros([ROWS * COLUMNS, BLOCK], dtype=tl.float32)
    if not TURNED:
        total += tl.load(bias + channel, mask=in_channels, other=0.0).to(tl.float32)[None, :]
    for tap_row in range(KERNEL):
        from_row = row + (tap_row - KERNEL // 2) * DILATION
        for tap_column in tl.static_range(KERNEL):
            from_column = column + (tap_column - KERNEL // 2) * DILATION
            inside = (from_row >= 0) & (from_row < height) & (from_column >= 0) & (from_column < width)
            pixel = (sample * height + from_row) * width + from_column
            values = tl.load(
                source + pixel[:, None] * SOURCE_STEP + channel[None, :],
                mask=inside[:, None] & in_channels[None, :],
                other=0.0,
            )
            tap = tap_row * KERNEL + tap_column
            if TURNED:
                tap = KERNEL * KERNEL - 1 - tap
            factor = tl.load(weight + channel * (KERNEL * KERNEL) + tap, mask=in_channels, other=0.0)
            total += values.to(tl.float32) * factor.to(tl.float32)[None, :]
    pixel = (sample * height + row) * width + column
    tl.store(
        target + pixel[:, None] * TARGET_STEP + channel[None, :],
        total.to(target.dtype.element_ty),
        mask=((row < height) & (column < width))[:, None] & in_channels[None, :],
    )


@triton.jit
def _partial_kernel(
    source_0: tl.tensor, gradient_0: tl.tensor, partial_0: tl.tensor,
    source_1: tl.tensor, gradient_1: tl.tensor, partial_1: tl.tensor,
    pixels: tl.tensor, chunk_pixels: tl.tensor, height: tl.tensor, width: tl.tensor,
    CHANNELS_0: tl.constexpr, SOURCE_STEP_0: tl.constexpr, GRADIENT_STEP_0: tl.constexpr,
    KERNEL_0: tl.constexpr, DILATION_0: tl.constexpr, TAPS_0: tl.constexpr,
    CHANNELS_1: tl.constexpr, SOURCE_STEP_1: tl.constexpr, GRADIENT_STEP_1: tl.constexpr,
    KERNEL_1: tl.constexpr, DILATION_1: tl.constexpr, TAPS_1: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    block = tl.program_id(1)
    if block < tl.cdiv(CHANNELS_0, BLOCK):
        _partial_sums(
            source_0, gradient_0, partial_0, block, pixels, chunk_pixels, height, width,
            CHANNELS_0, SOURCE_STEP_0, GRADIENT_STEP_0, KERNEL_0, DILATION_0, TAPS_0, BLOCK,
        )  # fmt: skip
    else:
        _partial_sums(
            source_1, gradient_1, partial_1, block - tl.cdiv(CHANNELS_0, BLOCK), pixels, chunk_pixels, height, width,
            CHANNELS_1, SOURCE_STEP_1, GRADIENT_STEP_1, KERNEL_1, DILATION_1, TAPS_1, BLOCK,
        )  # fmt: skip


@triton.jit
def _partial_sums(
    source: tl.tensor, gradient: tl.tensor, partial: tl.tensor, block: tl.tensor,
    pixels: tl.tensor, chunk_pixels: tl.tensor, height: tl.tensor, width: tl.tensor,
    CHANNELS: tl.constexpr, SOURCE_STEP: tl.constexpr, GRADIENT_STEP: tl.constexpr,
    KERNEL: tl.constexpr, DILATION: tl.constexpr, TAPS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Add up one chunk of the pixels, one by one, for all taps at once; nothing is summed across threads."""
    chunk = tl.program_id(0)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    in_channels = channel < CHANNELS
    tap = tl.arange(0, TAPS)
    away_row = (tap // KERNEL - KERNEL // 2) * DILATION
    away_column = (tap % KERNEL - KERNEL // 2) * DILATION
    of_bias = tap == KERNEL * KERNEL
    total = tl.zeros([TAPS, BLOCK], dtype=tl.float32)
    begin = chunk * chunk_pixels
    for pixel in range(begin, tl.minimum(begin + chunk_pixels, pixels)):
        row = pixel // width % height + away_row
        column = pixel % width + away_column
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (tap < KERNEL * KERNEL)
        there = pixel + away_row * width + away_column
        values = tl.load(
            source + there[:, None] * SOURCE_STEP + channel[None, :],
            mask=inside[:, None] & in_channels[None, :],
            other=0.0,
        )
        values = tl.where(of_bias[:, None], 1.0, values.to(tl.float32))
        arrived = tl.load(gradient + pixel * GRADIENT_STEP + channel, mask=in_channels, other=0.0)
        total += values * arrived.to(tl.float32)[None, :]
    at = (chunk * (KERNEL * KERNEL + 1) + tap) * CHANNELS
    tl.store(
        partial + at[:, None] + channel[None, :],
        total,
        mask=(tap <= KERNEL * KERNEL)[:, None] & in_channels[None, :],
    )


@triton.jit
def _sum_kernel(
    partial: tl.tensor, of_weight: tl.tensor, of_bias: tl.tensor, chunks: tl.tensor, channels: tl.tensor,
    TAPS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """Sum (chunks, taps and bias, channels) over its chunks, and write what it gives as the parameters lie."""
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    size = (TAPS + 1) * channels
    total = tl.zeros([ROWS, BLOCK], dtype=tl.float32)
    for begin in range(0, chunks, ROWS):
        chunk = begin + tl.arange(0, ROWS)
        mask = (chunk < chunks)[:, None] & (index < size)[None, :]
        total += tl.load(partial + chunk[:, None] * size + index[None, :], mask=mask, other=0.0)
    summed = tl.sum(total, axis=0)
    tap = index // channels
    channel = index % channels
    tl.store(of_weight + channel * TAPS + tap, summed.to(of_weight.dtype.element_ty), mask=tap < TAPS)
    tl.store(of_bias + channel, summed.to(of_bias.dtype.element_ty), mask=tap == TAPS)


@triton.jit
def _silu(x: tl.tensor) -> tl.tensor:
    return x * tl.sigmoid(x)


@triton.jit
def _silu_slope(x: tl.tensor) -> tl.tensor:
    share = tl.sigmoid(x)
    return share * (1 + x * (1 - share))


@triton.jit
def _gate_kernel(
    gate: tl.tensor, value: tl.tensor, out: tl.tensor, size: tl.tensor, TWICE: tl.constexpr, BLOCK: tl.constexpr
) -> None:  # fmt: skip
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = index < size
    one = _silu(tl.load(gate + index, mask=mask, other=0.0).to(tl.float32))
    other = _silu(tl.load(value + index, mask=mask, other=0.0).to(tl.float32))
    if TWICE:
        one = _silu(one)
        other = _silu(other)
    tl.store(out + index, (one * other).to(out.dtype.element_ty), mask=mask)


@triton.jit
def _gate_gradient_kernel(
    gate: tl.tensor, value: tl.tensor, gradient: tl.tensor, of_gate: tl.tensor, of_value: tl.tensor, size: tl.tensor,
    TWICE: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = index < size
    one = tl.load(gate + index, mask=mask, other=0.0).to(tl.float32)
    other = tl.load(value + index, mask=mask, other=0.0).to(tl.float32)
    arrived = tl.load(gradient + index, mask=mask, other=0.0).to(tl.float32)
    slope = _silu_slope(one)
    other_slope = _silu_slope(other)
    one = _silu(one)
    other = _silu(other)
    if TWICE:
        slope *= _silu_slope(one)
        other_slope *= _silu_slope(other)
        one = _silu(one)
        other = _silu(other)
    tl.store(of_gate + index, (arrived * other * slope).to(of_gate.dtype.element_ty), mask=mask)
    tl.store(of_value + index, (arrived * one * other_slope).to(of_value.dtype.element_ty), mask=mask)
