"""Learnable scale per channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ElementScale(nn.Module):
    """Multiply an NCHW map by one learnable number per channel (the paper's gamma; ``sigma`` in checkpoints).

    Args:
        channels: number of channels.
        init_value: initial value of every scale; 1e-5 in the released code, whatever the layer scales start at.
    """

    def __init__(self, channels: int, init_value: float = 1e-5) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), float(init_value)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale
