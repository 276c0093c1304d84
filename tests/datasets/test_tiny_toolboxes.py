"""Each toolbox reads its tiny set with its own dataset class and its own loading transforms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from mmengine.registry import DefaultScope

import moganet  # noqa: F401 - applies what the toolboxes need
from moganet.datasets.tiny.sources import DIGIT_NAMES


@contextmanager
def _scope(name: str) -> Iterator[None]:
    with DefaultScope.overwrite_default_scope(name):
        yield


def test_mmpretrain_reads_imagenet_folders(tiny: Path) -> None:
    from mmpretrain.datasets import ImageNet
    from mmpretrain.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    with _scope('mmpretrain'):
        dataset = ImageNet(
            data_root=str(tiny / 'imagenet'),
            split='train',
            metainfo={'classes': DIGIT_NAMES},
            pipeline=[{'type': 'LoadImageFromFile'}],
        )
        assert len(dataset) == 160
        for i in range(0, 160, 7):
            sample = dataset[i]
            assert sample['img'].shape == (64, 64, 3)
            assert Path(sample['img_path']).parent.name == DIGIT_NAMES[sample['gt_label']]


def test_mmdet_reads_coco_instances(tiny: Path) -> None:
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    for poly2mask in (True, False):
        with _scope('mmdet'):
            dataset = CocoDataset(
                data_root=str(tiny / 'coco'),
                ann_file='annotations/instances_val2017.json',
                data_prefix={'img': 'val2017/'},
                metainfo={'classes': DIGIT_NAMES},
                pipeline=[
                    {'type': 'LoadImageFromFile'},
                    {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True, 'poly2mask': poly2mask},
                ],
            )
            samples = [dataset[i] for i in range(len(dataset))]
        assert len(samples) == 8
        for sample in samples:
            assert sample['img'].shape == (128, 128, 3)
            assert not sample['gt_ignore_flags'].any()
            boxes = sample['gt_bboxes'].tensor.numpy()
            np.testing.assert_array_equal(sample['gt_masks'].get_bboxes('hbox').tensor.numpy(), boxes)
            areas = [instance['mask'] for instance in sample['instances']]
            assert len(areas) == len(boxes) > 0


def test_mmseg_reads_ade_folders(tiny: Path) -> None:
    from mmseg.datasets import ADE20KDataset, BaseSegDataset
    from mmseg.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    folders = {
        'data_root': str(tiny / 'ade/ADEChallengeData2016'),
        'data_prefix': {'img_path': 'images/validation', 'seg_map_path': 'annotations/validation'},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}],
    }
    classes = (*DIGIT_NAMES, 'ground')
    with _scope('mmseg'):
        own = BaseSegDataset(
            **folders, metainfo={'classes': classes}, img_suffix='.jpg', seg_map_suffix='.png', reduce_zero_label=True
        )
        for dataset in (ADE20KDataset(**folders), own):
            labels = [dataset[i]['gt_seg_map'] for i in range(len(dataset))]
            assert len(labels) == 8
            assert {shape for label in labels for shape in [label.shape]} == {(128, 128)}
            found = np.unique(np.stack(labels))
            assert found.max() == classes.index('ground') and found.min() >= 0


def test_mmpose_reads_coco_keypoints(tiny: Path) -> None:
    from mmpose.datasets import CocoDataset
    from mmpose.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    with _scope('mmpose'):
        dataset = CocoDataset(
            data_root=str(tiny / 'coco_pose'),
            ann_file='annotations/person_keypoints_train2017.json',
            data_prefix={'img': 'train2017/'},
            data_mode='topdown',
            pipeline=[{'type': 'LoadImage'}],
        )
        samples = [dataset[i] for i in range(len(dataset))]
    assert len(samples) >= 24
    for sample in samples:
        assert sample['img'].shape == (160, 160, 3)
        assert sample['keypoints'].shape == (1, 17, 2)
        assert sample['keypoints_visible'].sum() >= 13
        x1, y1, x2, y2 = sample['bbox'][0]
        seen = sample['keypoints'][0][sample['keypoints_visible'][0] > 0]
        # Hidden keypoints may lie outside the box of what is seen, most lie within.
        assert (((seen >= (x1, y1)) & (seen <= (x2, y2))).all(axis=1)).mean() > 0.6
