"""Channel aggregation with a gradient of its own, which keeps little of the wide hidden map for the backward pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .recompute import KeepsInputs, as_map, conv_backward, gradients_of, pointwise, pointwise_backward, rows

# The hidden map of a part, a thread: with its gradient and those before it, it should stay in the processor's cache.
_HIDDEN_BYTES = 2**21


def aggregate_plainly(
    before: Tensor, to_one: Tensor, one_bias: Tensor | None, weight: Tensor, of_common: Tensor, bias: Tensor | None,
    approximate: str,
) -> Tensor:  # fmt: skip
    """From the map before the activation to ``fc2``'s output.

    Args:
        before: ``(N, hidden, H, W)``; its GELU is the hidden map.
        to_one, one_bias: of ``decompose``.
        weight: of ``fc2``, times ``1 + sigma``.
        of_common: ``(C, 1, 1, 1)``, the sums of ``fc2``'s weight times ``sigma``.
        bias: of ``fc2``.
        approximate: GELU's own argument.
    """
    hidden = F.gelu(before, approximate=approximate)
    common = F.gelu(pointwise(hidden, to_one, one_bias), approximate=approximate)
    return pointwise(hidden, weight, bias) - pointwise(common, of_common, None)


class Aggregate(KeepsInputs):
    """:func:`aggregate_plainly`, of whose maps the first is kept and the hidden one is not."""

    @staticmethod
    def forward(
        before: Tensor, to_one: Tensor, one_bias: Tensor | None, weight: Tensor, of_common: Tensor,
        bias: Tensor | None, approximate: str,
    ) -> Tensor:  # fmt: skip
        return aggregate_plainly(before, to_one, one_bias, weight, of_common, bias, approximate)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, saved, approximate = gradients[0], ctx.saved_tensors, ctx.option
        if torch.is_grad_enabled():
            return *gradients_of(
                partial(aggregate_plainly, approximate=approximate), saved, ctx.needs_input_grad, gradient
            ), None
        before, to_one, one_bias, weight, of_common, _ = saved
        needs = ctx.needs_input_grad
        hidden = F.gelu(before, approximate=approximate)
        one = pointwise(hidden, to_one, one_bias)
        common = F.gelu(one, approximate=approximate)
        of_shared, of_of_common, _ = pointwise_backward(-gradient, common, of_common, (True, needs[4], False))
        of_one = torch.ops.aten.gelu_backward(of_shared, one, approximate=approximate)
        of_hidden, of_weight, of_bias = pointwise_backward(gradient, hidden, weight, (True, needs[3], needs[5]))
        through, of_to_one, of_one_bias = pointwise_backward(of_one, hidden, to_one, (True, needs[1], needs[2]))
        assert of_hidden is not None and through is not None  # both were asked for
        del hidden
        of_before = torch.ops.aten.gelu_backward(of_hidden.add_(through), before, approximate=approximate)
        return of_before, of_to_one, of_one_bias, of_weight, of_of_common, of_bias, None


def ffn_plainly(
    x: Tensor, weight_in: Tensor, bias_in: Tensor, spatial: Tensor, spatial_bias: Tensor, to_one: Tensor,
    one_bias: Tensor, weight: Tensor, of_common: Tensor, bias: Tensor, approximate: str,
) -> Tensor:  # fmt: skip
    """The whole FFN: ``fc1``, the depthwise convolution, and :func:`aggregate_plainly`."""
    before = F.conv2d(pointwise(x, weight_in, bias_in), spatial, spatial_bias, padding=1, groups=len(spatial))
    return aggregate_plainly(before, to_one, one_bias, weight, of_common, bias, approximate)


class FFNInParts(KeepsInputs):
    """:func:`ffn_plainly` on a processor, a few samples at a time; nothing is kept but its input.

    The hidden map of a few samples does not leave the processor's cache, so that computing it again in the backward
    pass takes less time than writing it to memory and reading it would.
    """

    @staticmethod
    def forward(x: Tensor, *rest: Any) -> Tensor:
        weight_in, bias_in, spatial, spatial_bias, to_one, one_bias, weight, of_common, bias, approximate = rest
        groups = len(spatial)
        out = torch.empty((len(x), len(weight), *x.shape[2:]), dtype=x.dtype, memory_format=torch.channels_last)
        for part, into in zip(_parts(x, len(weight_in)), _parts(out, len(weight_in))):
            wide = pointwise(part, weight_in, bias_in)
            hidden = F.conv2d(wide, spatial, spatial_bias, padding=1, groups=groups)
            hidden = torch.ops.aten.gelu_(rows(hidden), approximate=approximate)
            common = F.gelu(torch.addmv(one_bias, hidden, to_one.flatten()), approximate=approximate)
            flat = rows(into)
            torch.addmm(bias, hidden, weight.flatten(1).t(), out=flat).addr_(common, of_common.flatten(), alpha=-1)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved, approximate = ctx.saved_tensors, ctx.option
        if torch.is_grad_enabled():
            return *gradients_of(
                partial(ffn_plainly, approximate=approximate), saved, ctx.needs_input_grad, gradients[0]
            ), None
        x, *weights = saved
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        sums = [torch.zeros_like(weight) for weight in weights]
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        width = len(weights[0])
        parts = zip(_parts(x, width), _parts(gradient, width), _parts(x if of_x is None else of_x, width))
        for part, of_out, into in parts:
            of_input = _part_backward(part, of_out, weights, sums, approximate)
            if of_x is not None:
                torch.mm(of_input, weights[0].flatten(1), out=rows(into))
        needed = ctx.needs_input_grad[1:-1]
        return of_x, *(total if need else None for total, need in zip(sums, needed)), None


def _parts(x: Tensor, hidden: int) -> tuple[Tensor, ...]:
    """Split a map into those of a few samples."""
    of_sample = hidden * x.shape[2] * x.shape[3] * x.element_size()
    return torch.split(x, max(1, _HIDDEN_BYTES * torch.get_num_threads() // max(1, of_sample)))


def _part_backward(x: Tensor, gradient: Tensor, weights: list[Tensor], sums: list[Tensor], approximate: str) -> Tensor:
    """Add the weights' gradients of some samples to ``sums``; return the gradient of ``fc1``'s output, in rows."""
    weight_in, bias_in, spatial, spatial_bias, to_one, one_bias, weight, of_common, _ = weights
    wide = pointwise(x, weight_in, bias_in)
    # oneDNN's GELU is twice as fast as torch's, which a tensor gets that is not contiguous.
    before = rows(F.conv2d(wide, spatial, spatial_bias, padding=1, groups=len(spatial)))
    hidden = F.gelu(before, approximate=approximate)
    one = torch.addmv(one_bias, hidden, to_one.flatten())
    common = F.gelu(one, approximate=approximate)

    of_out = rows(gradient)
    of_one = torch.ops.aten.gelu_backward(of_out @ of_common.flatten(), one, approximate=approximate).neg_()
    of_hidden = (of_out @ weight.flatten(1)).addr_(of_one, to_one.flatten())
    sums[4].view(-1).addmv_(hidden.t(), of_one)
    sums[5].add_(of_one.sum())
    sums[6].flatten(1).addmm_(of_out.t(), hidden)
    sums[7].view(-1).addmv_(of_out.t(), common, alpha=-1)
    sums[8].add_(of_out.sum(0))
    del hidden
    torch.ops.aten.gelu_backward.grad_input(of_hidden, before, approximate=approximate, grad_input=of_hidden)
    of_before = as_map(of_hidden, x)
    of_wide, of_spatial, of_spatial_bias = conv_backward(
        of_before, wide, spatial, (True, True, True), padding=1, groups=len(spatial)
    )
    assert of_wide is not None and of_spatial is not None and of_spatial_bias is not None  # all were asked for
    sums[2].add_(of_spatial)
    sums[3].add_(of_spatial_bias)
    of_input = rows(of_wide)
    sums[0].flatten(1).addmm_(of_input.t(), rows(x))
    sums[1].add_(of_input.sum(0))
    return of_input
