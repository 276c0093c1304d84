"""moganet/engine/browse.py: the order of the channels, with and without mixing, and the shares of a mixture."""

from __future__ import annotations

from typing import Any

import mmpretrain  # noqa: F401  # registers what is built here
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from moganet.engine.browse import _is_bgr, _mixed, _mixer, _shares


def _cfg(preprocessor: dict[str, Any], **loader: Any) -> Config:
    pipeline = [{'type': 'RandomFlip'}, {'type': 'LoadImageFromFile', **loader}]
    dataset = {'type': 'RepeatDataset', 'dataset': {'pipeline': pipeline}}
    model = {'data_preprocessor': preprocessor, 'train_cfg': {'augments': {'type': 'Mixup', 'alpha': 1.0}}}
    return Config({'model': model, 'train_dataloader': {'dataset': dataset}})


@pytest.mark.parametrize(
    ('preprocessor', 'loader', 'bgr'),
    [
        ({'to_rgb': True}, {}, True),
        ({'bgr_to_rgb': True}, {}, True),
        ({}, {}, True),
        ({}, {'channel_order': 'bgr'}, True),
        ({}, {'channel_order': 'rgb'}, False),
        ({'rgb_to_bgr': True}, {}, False),
    ],
)
def test_order_of_packed_channels(preprocessor: dict[str, Any], loader: dict[str, Any], bgr: bool) -> None:
    assert _is_bgr(_cfg(preprocessor, **loader), 'train') is bgr


@pytest.mark.parametrize('to_rgb', [False, True])
def test_mixed_pictures_keep_their_colours(to_rgb: bool) -> None:
    """Two red pictures of two classes, packed with blue first: red is what a mixture of them is, in RGB."""
    red = torch.zeros(3, 8, 8, dtype=torch.uint8)
    red[2] = 255
    items = [{'inputs': red, 'data_samples': DataSample().set_gt_label(label)} for label in (0, 2)]
    cfg = _cfg({'to_rgb': to_rgb, 'num_classes': 3, 'mean': [1, 2, 3], 'std': [4, 5, 6]})
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        mixed = list(_mixed(items, _mixer(cfg)))
    assert len(mixed) == 2
    for pixels, sample in mixed:
        assert pixels.shape == (8, 8, 3) and (pixels == (255, 0, 0)).all()
        assert set(sample.gt_label.tolist()) <= {0, 2}


def test_shares_begin_with_the_largest() -> None:
    sample = DataSample().set_gt_score(torch.tensor([0.25, 0.0, 0.75])).set_gt_label([0, 2])
    assert _shares(sample, ('cat', 'dog', 'owl')) == '0.75 owl, 0.25 cat'
    assert _shares(sample, None) == '0.75 2, 0.25 0'
