"""Patch embeddings: the stem, and the strided convolution before each later stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .build import build_activation, build_norm


class StemPatchEmbed(nn.Module):
    """Two strided 3x3 convolutions, stride 4 in all (``ConvEmbed`` of the released code).

    Args:
        in_channels: channels of the image.
        channels: channels of the first stage; half of them between the two convolutions.
        norm_cfg, act_cfg: norm after each convolution, activation between them.
    """

    def __init__(
        self, in_channels: int, channels: int, norm_cfg: Mapping[str, Any], act_cfg: Mapping[str, Any]
    ) -> None:
        super().__init__()
        middle = channels // 2
        self.projection = nn.Sequential(
            nn.Conv2d(in_channels, middle, 3, stride=2, padding=1),
            build_norm(norm_cfg, middle),
            build_activation(act_cfg),
            nn.Conv2d(middle, channels, 3, stride=2, padding=1),
            build_norm(norm_cfg, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(x)


class ConvPatchEmbed(nn.Module):
    """A 3x3 convolution of stride 2 and its norm.

    Args:
        in_channels: channels of the stage before.
        channels: channels of this stage.
        norm_cfg: norm after the convolution.
    """

    def __init__(self, in_channels: int, channels: int, norm_cfg: Mapping[str, Any]) -> None:
        super().__init__()
        self.projection = nn.Conv2d(in_channels, channels, 3, stride=2, padding=1)
        self.norm = build_norm(norm_cfg, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.projection(x))
