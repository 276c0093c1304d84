"""Layers in a form that can be exported for maps whose size is not known."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_UPSAMPLE = 'mmseg.models.utils.wrappers.Upsample'


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


class WholeUpsample(nn.Module):
    """Enlarge maps by a whole factor, as mmseg's ``Upsample`` does, whose numbers of floats become fixed sizes.

    Args:
        factor: of height and width.
        mode, align_corners: see ``F.interpolate``.
    """

    def __init__(self, factor: int, mode: str, align_corners: bool | None) -> None:
        super().__init__()
        self.factor, self.mode, self.align_corners = factor, mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge ``(N, C, H, W)``."""
        size = [side * self.factor for side in x.shape[2:]]
        return F.interpolate(x, size, None, self.mode, self.align_corners)


def for_any_size(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose layers can be traced for maps of any size, if it has others."""
    memo: dict[int, Any] = {}
    for module in network.modules():
        layer: Any = module
        kind = type(layer)
        if kind is nn.AdaptiveAvgPool2d and layer.output_size not in (1, (1, 1)):
            memo[id(layer)] = AveragingPool2d(layer.output_size)
        elif f'{kind.__module__}.{kind.__name__}' == _UPSAMPLE and _enlarges_by_a_whole_number(layer):
            memo[id(layer)] = WholeUpsample(int(layer.scale_factor), layer.mode, layer.align_corners)
    if not memo:
        return network
    # deepcopy takes what the memo has in the place of a copy.
    copied: nn.Module = copy.deepcopy(network, memo)
    return copied.eval()


def _enlarges_by_a_whole_number(layer: Any) -> bool:
    return not layer.size and float(layer.scale_factor).is_integer()
