"""Adaptive average pooling of maps whose size is not known when they are exported."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class AveragingPool2d(nn.Module):
    """What ``nn.AdaptiveAvgPool2d`` does, as two products of matrices that are made from the map's size.

    ONNX has no operator for it. Cell ``i`` of ``n`` is the mean of the rows from ``floor(i H / n)`` to
    ``ceil((i + 1) H / n)``, and of the columns alike.

    Args:
        output_size: rows and columns, or one number for both; None keeps the map's own.
    """

    def __init__(self, output_size: int | None | tuple[int | None, int | None]) -> None:
        super().__init__()
        self.output_size = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Pool ``(N, C, H, W)`` to ``(N, C, *output_size)``."""
        rows, columns = self.output_size
        if rows is not None:
            x = torch.matmul(_averages(x.shape[2], rows, x), x)
        if columns is not None:
            x = torch.matmul(x, _averages(x.shape[3], columns, x).t())
        return x


def _averages(size: int, cells: int, like: Tensor) -> Tensor:
    """Return the ``(cells, size)`` matrix whose rows take the mean of what is in a cell."""
    cell = torch.arange(cells, device=like.device)[:, None]
    place = torch.arange(size, device=like.device)[None]
    # In whole numbers: floor(i H / n) <= p is i H < (p + 1) n, and p < ceil((i + 1) H / n) is p n < (i + 1) H.
    inside = ((cell * size < (place + 1) * cells) & (place * cells < (cell + 1) * size)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def without_adaptive_pooling(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose adaptive average pools are :class:`AveragingPool2d`; single cells stay."""
    pools = [module for module in network.modules() if type(module) is nn.AdaptiveAvgPool2d]
    wide = [pool for pool in pools if pool.output_size not in (1, (1, 1))]
    if not wide:
        return network
    # deepcopy takes what the memo has in the place of a copy.
    memo: dict[int, Any] = {id(pool): AveragingPool2d(pool.output_size) for pool in wide}
    copied: nn.Module = copy.deepcopy(network, memo)
    return copied.eval()
