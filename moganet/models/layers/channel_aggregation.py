"""Channel aggregation, the FFN half of a Moga block (Sec. 4.3 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .build import build_activation
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
        x = self.drop(self.act(self.dwconv(self.fc1(x))))
        x = x + self.sigma(x - self.act(self.decompose(x)))
        return self.drop(self.fc2(x))
