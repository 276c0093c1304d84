"""Channel aggregation, the FFN half of a Moga block (Sec. 4.3 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
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
        hidden = self.drop(self.act(self.dwconv(self.fc1(x))))
        return self.drop(self._aggregate_and_project(hidden, self.act(self.decompose(hidden))))

    def _aggregate_and_project(self, hidden: Tensor, common: Tensor) -> Tensor:
        """``fc2(hidden + sigma * (hidden - common))``, with no pass over the wide hidden map but ``fc2``'s own.

        By linearity it is ``(W (1 + sigma)) hidden - (W sigma) common + bias`` for the weight W of ``fc2``, where
        ``common`` has one channel. Layers that somebody replaced or hooked are called instead.
        """
        if not (_is_untouched(self.fc2, nn.Conv2d) and _is_untouched(self.sigma, ElementScale)):
            return self.fc2(hidden + self.sigma(hidden - common))
        weight, sigma = self.fc2.weight, self.sigma.scale
        of_common = F.conv2d(common, (weight * sigma).sum(dim=1, keepdim=True))
        return F.conv2d(hidden, weight + weight * sigma, self.fc2.bias) - of_common


def _is_untouched(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer is what this module made it, so that its weights are all there is to it."""
    return type(module) is kind and not (module._forward_hooks or module._forward_pre_hooks)
