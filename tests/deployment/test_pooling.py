from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from moganet.deployment.pooling import AveragingPool2d, without_adaptive_pooling


@pytest.mark.parametrize('size', [(6, 6), (7, 9), (4, 13), (1, 2), (16, 5)])
@pytest.mark.parametrize('cells', [1, 2, 3, 6, (2, 5), (None, 3)])
def test_it_is_adaptive_pooling(size: tuple[int, int], cells: int | tuple[int | None, int | None]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(x, cells)  # type: ignore[arg-type]
    torch.testing.assert_close(AveragingPool2d(cells)(x), expected, rtol=1e-12, atol=1e-12)


def test_a_copy_is_changed_where_there_is_something_to_change() -> None:
    plain = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1)).eval()
    assert without_adaptive_pooling(plain) is plain
    pyramid = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1)).eval()
    changed = without_adaptive_pooling(pyramid)
    assert isinstance(pyramid[0], nn.AdaptiveAvgPool2d)
    assert [type(layer) for layer in changed] == [AveragingPool2d, nn.AdaptiveAvgPool2d]  # type: ignore[attr-defined]
