"""Samples of noise, as each toolbox's losses want them: for measuring a training step without data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor

# About as many objects as a picture of COCO has (7.3).
OBJECTS = 8


def training_samples(cfg: Any, scope: str, batch: int, shape: tuple[int, int], device: str) -> list[Any]:
    """Make the targets of a batch.

    Args:
        cfg: the config, its toolbox being imported.
        scope: the toolbox's name.
        batch: number of samples.
        shape: height and width of each picture, pixels.
        device: where the targets' tensors are; on ``meta`` they have no values.

    Raises:
        ValueError: an unknown toolbox.
    """
    makers = {'mmpretrain': _of_classification, 'mmdet': _of_detection, 'mmseg': _of_segmentation, 'mmpose': _of_pose}
    if scope not in makers:
        raise ValueError(f'default_scope is {scope!r}; targets are known for {", ".join(makers)}')
    generator = torch.Generator().manual_seed(0)
    return [makers[scope](cfg, shape, device, generator) for _ in range(batch)]


def _of_classification(cfg: Any, shape: tuple[int, int], device: str, generator: torch.Generator) -> Any:
    from mmpretrain.structures import DataSample

    mixed = (cfg.model.get('train_cfg') or {}).get('augments') or cfg.model.head.loss.type == 'LabelSmoothLoss'
    if mixed:  # a smoothed or mixed target has a number for each class
        return DataSample().set_gt_score(torch.zeros(cfg.model.head.num_classes, device=device))
    return DataSample().set_gt_label(torch.zeros(1, dtype=torch.int64, device=device))


def _of_segmentation(cfg: Any, shape: tuple[int, int], device: str, generator: torch.Generator) -> Any:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    labels = torch.zeros(1, *shape, dtype=torch.int64, device=device)
    return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo={'img_shape': shape})


def _of_pose(cfg: Any, shape: tuple[int, int], device: str, generator: torch.Generator) -> Any:
    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    joints, codec = cfg.model.head.out_channels, cfg.model.head.decoder
    width, height = (side * full // own for side, full, own in zip(codec.heatmap_size, shape[::-1], codec.input_size))
    sample = PoseDataSample(metainfo={'img_shape': shape})
    sample.gt_fields = PixelData(heatmaps=torch.zeros(joints, height, width, device=device))
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.ones(1, joints, device=device))
    return sample


def _of_detection(cfg: Any, shape: tuple[int, int], device: str, generator: torch.Generator) -> Any:
    """Boxes of a twentieth to a half of each side, and masks that fill them."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    size = torch.tensor(shape[::-1], dtype=torch.float32)
    extent = size * (0.05 + 0.45 * torch.rand(OBJECTS, 2, generator=generator))
    corner = (size - extent) * torch.rand(OBJECTS, 2, generator=generator)
    boxes = torch.cat([corner, corner + extent], dim=1)
    masks = torch.zeros(OBJECTS, *shape, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
        mask[top:bottom, left:right] = 1
    meta = {'img_shape': shape, 'pad_shape': shape, 'batch_input_shape': shape, 'ori_shape': shape}
    sample = DetDataSample(metainfo={**meta, 'scale_factor': (1.0, 1.0)})
    labels = torch.zeros(OBJECTS, dtype=torch.int64)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels, masks=BitmapMasks(masks.numpy(), *shape))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    return sample


@contextmanager
def good_proposals(model: Any, samples: list[Any]) -> Iterator[None]:
    """Have a two-stage detector's first stage propose boxes near the objects, as it does once it is trained.

    Random weights propose noise, of which next to nothing is an object's region: the heads of the masks, which see such
    regions alone, would then take a fraction of their memory.
    """
    rpn = getattr(model, 'rpn_head', None)
    if rpn is None:
        yield
        return
    propose = rpn.loss_and_predict

    def proposed(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        losses, proposals = propose(*args, **kwargs)
        for found, sample in zip(proposals, samples):
            near = _shifted(sample.gt_instances.bboxes, len(found) // 2)
            found.bboxes[: len(near)] = near
        return losses, proposals

    with mock.patch.object(rpn, 'loss_and_predict', proposed):
        yield


def _shifted(boxes: Tensor, number: int) -> Tensor:
    """``number`` copies of the boxes, their edges moved by up to a twentieth of their extent."""
    copies = boxes[torch.arange(number) % len(boxes)]
    extent = (copies[:, 2:] - copies[:, :2]).repeat(1, 2)
    noise = torch.rand(number, 4, generator=torch.Generator().manual_seed(1))
    return copies + extent * 0.1 * (noise - 0.5)
