"""Channel aggregation, the FFN half of a Moga block (Sec. 4.3 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from .build import build_activation
from .depthwise import takes_fast_path
from .ffn_gradient import Aggregate, FFNInParts
from .recompute import apply, compute_dtype, in_rows, is_untouched, is_untouched_conv, keeps_little
from .scale import ElementScale


class ChannelAggregationFFN(nn.Module):
    """An inverted bottleneck with a 3x3 depthwise convolution that reallocates its hidden channels.

    ``h = act(dwconv(fc1(x)))``; ``h = h + sigma * (h - act(decompose(h)))``; ``out = fc2(h)``, where ``decompose``
    maps the hidden channels to one map that is broadcast back over them (the paper's CA).

    Args:
        channels: number of channels in and out.
        hidden_channels: number of channels of the hidden map.
        act_cfg: activation, GELU in every released model.
        drop_rate: dropout after the activation and after ``fc2``.
    """

    def __init__(self, channels: int, hidden_channels: int, act_cfg: Mapping[str, Any], drop_rate: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.dwconv = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels)
        self.act = build_activation(act_cfg)
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        self.drop = nn.Dropout(drop_rate)
        self.decompose = nn.Conv2d(hidden_channels, 1, 1)
        self.sigma = ElementScale(hidden_channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.keeps_little(x):
            return self.scaled(x, None)
        hidden = self.drop(self.act(self.dwconv(self.fc1(x))))
        return self.drop(self._aggregate_and_project(hidden, self.act(self.decompose(hidden))))

    def keeps_little(self, x: Tensor) -> bool:
        """Whether :meth:`scaled` may be called: there is a gradient, no dropout, and the layers are as made here."""
        if not keeps_little(x, *self.parameters()) or (self.training and self.drop.p):
            return False
        others = ((self.act, nn.GELU), (self.sigma, ElementScale), (self.drop, nn.Dropout))
        return (
            all(is_untouched(module, kind) for module, kind in others)
            and all(is_untouched_conv(conv) for conv in (self.fc1, self.fc2, self.decompose))
            and is_untouched_conv(self.dwconv, 3, self.fc1.out_channels)
        )

    def keeps_nothing(self, x: Tensor) -> bool:
        """Whether :meth:`scaled` keeps nothing but its input for the backward pass."""
        return takes_fast_path(x) and in_rows(x) and self.fc1.weight.dtype == x.dtype

    def scaled(self, x: Tensor, scale: Tensor | None) -> Tensor:
        """Compute the output times a scale ``(1, C, 1, 1)``, by :mod:`.ffn_gradient`."""
        weight, bias, sigma = self.fc2.weight, self.fc2.bias, self.sigma.scale
        assert bias is not None and isinstance(self.act, nn.GELU)  # by keeps_little
        if scale is not None:
            weight, bias = weight * scale.view(-1, 1, 1, 1), bias * scale.flatten()
        folded = (weight + weight * sigma, (weight * sigma).sum(dim=1, keepdim=True), bias)
        approximate = self.act.approximate
        if self.keeps_nothing(x):
            convs = (self.fc1, self.dwconv, self.decompose)
            weights = [part for conv in convs for part in (conv.weight, conv.bias)]
            return apply(FFNInParts, x, *weights, *folded, approximate)
        dtype = compute_dtype(x)
        weights = [part.to(dtype) for part in (*self.decompose.parameters(), *folded)]
        return apply(Aggregate, self.dwconv(self.fc1(x)), *weights, approximate)

    def _aggregate_and_project(self, hidden: Tensor, common: Tensor) -> Tensor:
        """``fc2(hidden + sigma * (hidden - common))``, with no pass over the wide hidden map but ``fc2``'s own.

        By linearity it is ``(W (1 + sigma)) hidden - (W sigma) common + bias`` for the weight W of ``fc2``, where
        ``common`` has one channel. Layers that somebody replaced or hooked are called instead.
        """
        if not (is_untouched(self.fc2, nn.Conv2d) and is_untouched(self.sigma, ElementScale)):
            return self.fc2(hidden + self.sigma(hidden - common))
        weight, sigma = self.fc2.weight, self.sigma.scale
        of_common = F.conv2d(common, (weight * sigma).sum(dim=1, keepdim=True))
        return F.conv2d(hidden, weight + weight * sigma, self.fc2.bias) - of_common
