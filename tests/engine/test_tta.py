from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config

from moganet.engine.tta import apply_tta

PIPELINE = [
    {'type': 'LoadImageFromFile'},
    {'type': 'Resize', 'scale': 8},
    {'type': 'LoadAnnotations'},
    {'type': 'Pack'},
]


def _cfg(model: dict[str, Any], **more: Any) -> Config:
    return Config({'model': model, 'test_dataloader': {'dataset': {'type': 'Set', 'pipeline': PIPELINE}}, **more})


def _types(cfg: Config) -> list[Any]:
    return [step['type'] for step in cfg.test_dataloader.dataset.pipeline]


def test_default_of_classification() -> None:
    cfg = _cfg({'type': 'ImageClassifier'})
    assert 'flipped' in apply_tta(cfg, 'mmpretrain')
    assert cfg.model.type == 'AverageClsScoreTTA' and cfg.model.module.type == 'ImageClassifier'
    assert _types(cfg) == ['LoadImageFromFile', 'Resize', 'LoadAnnotations', 'TestTimeAug']
    flips, packing = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert [flip.prob for flip in flips] == [0.0, 1.0] and packing[0].type == 'Pack'


def test_default_of_segmentation_flips_the_image_and_not_the_truth() -> None:
    cfg = _cfg({'type': 'EncoderDecoder'})
    apply_tta(cfg, 'mmseg')
    assert cfg.model.type == 'SegTTAModel'
    assert _types(cfg) == ['LoadImageFromFile', 'Resize', 'TestTimeAug']
    flips, annotations, _ = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert flips[0].prob == 0.0  # the toolbox takes the truth from the first
    assert annotations[0].type == 'LoadAnnotations'


def test_default_of_detection_tells_which_image_was_flipped() -> None:
    cfg = _cfg({'type': 'RetinaNet', 'bbox_head': {}})
    apply_tta(cfg, 'mmdet')
    assert cfg.model.tta_cfg.max_per_img == 100
    flips, packing = cfg.test_dataloader.dataset.pipeline[-1].transforms
    assert 'flip_direction' in packing[0].meta_keys
    assert flips[0].prob == 0.0  # the boxes of the truth, read before, would be flipped with the picture


def test_masks_cannot_be_merged() -> None:
    cfg = _cfg({'type': 'MaskRCNN', 'roi_head': {'mask_head': {'type': 'FCNMaskHead'}}})
    with pytest.raises(ValueError, match='merges boxes alone'):
        apply_tta(cfg, 'mmdet')


def test_the_configs_own_comes_first() -> None:
    own = [{'type': 'LoadImageFromFile'}, {'type': 'TestTimeAug', 'transforms': [[{'type': 'Pack'}]]}]
    cfg = _cfg({'type': 'EncoderDecoder'}, tta_model={'type': 'Mine'}, tta_pipeline=own)
    assert "config's own" in apply_tta(cfg, 'mmseg')
    assert cfg.model.type == 'Mine' and _types(cfg) == ['LoadImageFromFile', 'TestTimeAug']


def test_pose_flips_within_the_model() -> None:
    for own in ({}, {'test_cfg': {'flip_test': False, 'shift_heatmap': True}}):
        cfg = _cfg({'type': 'TopdownPoseEstimator', **own})
        assert 'flip_test=True' in apply_tta(cfg, 'mmpose')
        assert cfg.model.type == 'TopdownPoseEstimator' and cfg.model.test_cfg.flip_test is True
    assert cfg.model.test_cfg.shift_heatmap is True


def test_a_wrapped_set_and_an_unknown_toolbox() -> None:
    cfg = _cfg({'type': 'ImageClassifier'})
    cfg.test_dataloader.dataset = {'type': 'Repeat', 'dataset': cfg.test_dataloader.dataset}
    apply_tta(cfg, 'mmpretrain')
    assert cfg.test_dataloader.dataset.dataset.pipeline[-1].type == 'TestTimeAug'
    with pytest.raises(ValueError, match='no default for mmengine'):
        apply_tta(_cfg({'type': 'Net'}), 'mmengine')
