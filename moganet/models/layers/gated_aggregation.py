"""Multi-order gated aggregation, the spatial half of a Moga block (Sec. 4.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gate_gradient import DecomposeFeatures, ProjectGated, gated_product
from .multi_order_dwconv import MultiOrderDWConv
from .recompute import apply, call_pointwise, compute_dtype, is_untouched, is_untouched_conv, keeps_little
from .scale import ElementScale


class MultiOrderGatedAggregation(nn.Module):
    """Feature decomposition, then a gate times a multi-order context; its input is added at the end.

    With y the normed input: ``y1 = proj_1(y)``; ``y2 = SiLU(y1 + sigma * (y1 - GAP(y1)))``;
    ``out = proj_2(SiLU(gate(y2)) * SiLU(value(y2))) + y``.

    Args:
        channels: number of channels.
        dilations, channel_split: see :class:`MultiOrderDWConv`.
        gate_fp32: under autocast or in half precision, do the gate's product and ``proj_2`` in float32; under
            autocast the sum with the shortcut stays float32. Precision alone: in float32 and float64 it changes
            nothing.
        gate_act_twice: apply the gate's SiLU twice to both branches. The weights that OpenMixup released were
            trained so; nothing in their tensors tells.
    """

    def __init__(
        self,
        channels: int,
        dilations: Sequence[int] = (1, 2, 3),
        channel_split: Sequence[int] = (1, 3, 4),
        gate_fp32: bool = False,
        gate_act_twice: bool = False,
    ) -> None:
        super().__init__()
        self.gate_fp32 = gate_fp32
        self.gate_act_twice = gate_act_twice
        self.proj_1 = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.value = MultiOrderDWConv(channels, dilations, channel_split)
        self.proj_2 = nn.Conv2d(channels, channels, 1)
        self.sigma = ElementScale(channels)

    def feature_decompose(self, x: Tensor) -> Tensor:
        """Stress what a map holds beyond its mean (the paper's FD)."""
        x = self.proj_1(x)
        x = x + self.sigma(x - F.adaptive_avg_pool2d(x, 1))
        return F.silu(x)

    def forward(self, x: Tensor) -> Tensor:
        if self.keeps_little(x):
            return self.projected(x, None) + x
        y = self.feature_decompose(x)
        gate, value = self.gate(y), self.value(y)
        if self.gate_fp32:
            return project_gated_fp32(gate, value, self.gate_act_twice, self.proj_2.weight, self.proj_2.bias) + x
        return self.proj_2(gated_product(gate, value, self.gate_act_twice)) + x

    def keeps_little(self, x: Tensor) -> bool:
        """Whether :meth:`projected` may be called: there is a gradient, and the layers are as made here."""
        if not keeps_little(x, *self.parameters()):
            return False
        return is_untouched(self.sigma, ElementScale) and is_untouched_conv(self.proj_2)

    def projected(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """Compute what is added to the input, times a scale ``(1, C, 1, 1)``, by :mod:`.gate_gradient`."""
        dtype = compute_dtype(x)
        y = apply(DecomposeFeatures, call_pointwise(self.proj_1, x), self.sigma.scale, dtype)
        gate, value = call_pointwise(self.gate, y), self.value(y)
        weight, bias = self.proj_2.weight, self.proj_2.bias
        assert bias is not None  # by keeps_little
        if scale is not None:
            weight, bias = weight * scale.view(-1, 1, 1, 1), bias * scale.flatten()
        own = weight.dtype
        if self.gate_fp32:
            dtype = torch.promote_types(own, torch.float32)
        out = apply(ProjectGated, gate, value, weight.to(dtype), bias.to(dtype), self.gate_act_twice)
        return out.to(own) if self.gate_fp32 else out


# A leaf for torch.fx: which device's autocast to leave is known only when a tensor is there.
@torch.fx.wrap
def project_gated_fp32(gate: Tensor, value: Tensor, act_twice: bool, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The gate's product and the 1x1 convolution after it in float32 at least, outside autocast.

    The result has the weight's dtype: float32 under autocast, where it may exceed what float16 holds.
    """
    device = gate.device.type
    with nullcontext() if device == 'meta' else torch.autocast(device_type=device, enabled=False):
        dtype = torch.promote_types(weight.dtype, torch.float32)
        product = gated_product(gate.to(dtype), value.to(dtype), act_twice)
        out = F.conv2d(product, weight.to(dtype), None if bias is None else bias.to(dtype))
    return out.to(weight.dtype)
