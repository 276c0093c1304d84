"""Stochastic depth (Huang et al., ECCV 2016), the form that timm and the toolboxes share."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop a residual branch per sample with probability ``rate`` and rescale the kept ones, in training only."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f'drop path rate is {rate}; it must be at least 0 and below 1')
        self.rate = float(rate)

    def forward(self, x: Tensor) -> Tensor:
        factors = self.draw(x)
        return x if factors is None else x * factors

    def draw(self, x: Tensor) -> Tensor | None:
        """Return what each sample is multiplied by, ``(N, 1, 1, 1)``: 0 or ``1 / (1 - rate)``; None for 1."""
        if self.rate == 0.0 or not self.training:
            return None
        keep = 1.0 - self.rate
        return x.new_empty((x.shape[0], 1, 1, 1)).bernoulli_(keep) / keep

    def extra_repr(self) -> str:
        return f'rate={self.rate:g}'
