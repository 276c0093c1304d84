from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from moganet.deployment.any_size import AveragingPool2d, WholeUpsample, for_any_size


@pytest.mark.parametrize('size', [(6, 6), (7, 9), (4, 13), (1, 2), (16, 5)])
@pytest.mark.parametrize('cells', [1, 2, 3, 6, (2, 5), (None, 3)])
def test_it_is_adaptive_pooling(size: tuple[int, int], cells: int | tuple[int | None, int | None]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(x, cells)  # type: ignore[arg-type]
    torch.testing.assert_close(AveragingPool2d(cells)(x), expected, rtol=1e-12, atol=1e-12)


def test_a_copy_is_changed_where_there_is_something_to_change() -> None:
    plain = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1)).eval()
    assert for_any_size(plain) is plain
    pyramid = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.AdaptiveAvgPool2d(1)).eval()
    changed = for_any_size(pyramid)
    assert isinstance(pyramid[0], nn.AdaptiveAvgPool2d)
    assert [type(layer) for layer in changed] == [AveragingPool2d, nn.AdaptiveAvgPool2d]  # type: ignore[attr-defined]


def test_mmsegs_upsample() -> None:
    wrappers = pytest.importorskip('mmseg.models.utils.wrappers')
    plain = nn.Sequential(wrappers.Upsample(scale_factor=2, mode='bilinear', align_corners=False)).eval()
    changed = for_any_size(plain)
    x = torch.randn(2, 3, 5, 7)
    assert isinstance(changed[0], WholeUpsample) and torch.equal(changed(x), plain(x))  # type: ignore[index]
    fraction = nn.Sequential(wrappers.Upsample(scale_factor=1.5, mode='nearest')).eval()
    assert for_any_size(fraction) is fraction
