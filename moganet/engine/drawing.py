"""Draw a data sample by the visualizer of its toolbox, alike for all four."""

from __future__ import annotations

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..compat import plain_radius, tuple_palette

# Smaller pictures are enlarged to this, pixels, so that a digit's name and score can be read.
_MIN_SIDE = 320
_CAPTION_HEIGHT = 24


def check_visualizer(kind: str) -> None:
    """Refuse a visualizer that cannot show truth beside prediction.

    Args:
        kind: the name of its class.

    Raises:
        ValueError: it is mmpose's for 3D axes, which knows no truth of hands and needs a matplotlib before 3.10.
    """
    if kind.rpartition('.')[2] == 'Pose3dLocalVisualizer':
        raise ValueError(
            "visualizer.type='Pose3dLocalVisualizer' cannot draw truth beside prediction; where keypoints are pixels, "
            "as InterNet's are, visualizer.type=PoseLocalVisualizer draws them in the picture"
        )


def draw(
    visualizer: Any, image: np.ndarray, sample: Any, path: Path, *, score_thr: float = 0.3, predictions: bool = True
) -> None:
    """Draw a sample on its picture and write it.

    Args:
        visualizer: of a toolbox, with the meta data of the data set.
        image: the picture, RGB, shape ``(height, width, 3)``, 8 bits a channel.
        sample: the data sample, in the coordinates of ``image``.
        path: the PNG to write.
        score_thr: detections and keypoints below this score are not drawn.
        predictions: draw truth and prediction side by side with a caption; otherwise the truth alone.
    """
    import mmcv

    factor = math.ceil(_MIN_SIDE / min(image.shape[:2]))
    image = mmcv.imresize(image, (image.shape[1] * factor, image.shape[0] * factor), interpolation='bicubic')
    if hasattr(visualizer, 'visualize_cls'):
        visualizer.visualize_cls(image, _with_label(sample) if predictions else sample, out_file=str(path))
        return
    if draws_poses(visualizer):
        plain_radius(visualizer)
        options: dict[str, Any] = {'draw_bbox': predictions, 'kpt_thr': score_thr}
    else:
        tuple_palette(visualizer)
        options = {'pred_score_thr': score_thr} if 'pred_instances' in sample else {}
    enlarged = enlarge(merged_pose(sample) if predictions else sample, factor)
    options |= {'draw_gt': True, 'draw_pred': predictions, 'out_file': str(path)}
    visualizer.add_datasample(path.stem, image, enlarged, **options)
    if predictions:
        _caption(path)


def draws_poses(visualizer: Any) -> bool:
    """Whether a visualizer is mmpose's, whose colours and skeleton have to be set from the data set."""
    return hasattr(visualizer, 'radius')


def _with_label(sample: Any) -> Any:
    """Return a classification sample with its label: merged augmentations carry scores alone."""
    if 'pred_label' not in sample:
        sample = sample.clone()
        sample.set_pred_label(sample.pred_score.argmax())
    return sample


def merged_pose(sample: Any) -> Any:
    """Return a pose sample as its visualizer takes it, with keypoints back on the whole image; others as they are."""
    if 'pred_instances' not in sample or 'keypoints' not in sample.pred_instances:
        return sample
    from mmpose.structures import merge_data_samples

    return _in_the_picture(merge_data_samples([sample]))


def _in_the_picture(sample: Any) -> Any:
    """Return a pose sample without the depth of its keypoints, and without a hand that the model does not find.

    InterNet gives 2 x 21 joints, whatever hands it finds: ``hand_type`` is (instances, 2), right and left.
    """
    if sample.pred_instances.keypoints.shape[-1] == 2:
        return sample
    sample = deepcopy(sample)  # merging one sample copies nothing, and a metric may hold what is in it
    predicted = sample.pred_instances
    for instances in filter(None, (sample.get('gt_instances'), predicted)):
        instances.keypoints = instances.keypoints[..., :2]
    if 'hand_type' in predicted:
        there = np.repeat(np.asarray(predicted.hand_type), predicted.keypoints.shape[1] // 2, axis=1)
        predicted.keypoints_visible = predicted.keypoint_scores * there
    return sample


def enlarge(sample: Any, factor: int) -> Any:
    """Return a copy of a data sample for an image enlarged by a whole factor.

    Boxes and keypoints are multiplied; masks and label maps repeat their pixels.
    """
    sample = deepcopy(sample)
    for name in ('gt_instances', 'pred_instances'):
        instances = sample.get(name)
        if instances is None:
            continue
        for key in ('bboxes', 'keypoints'):
            if key in instances:
                instances.set_field(instances.get(key) * factor, key)
        if 'masks' in instances:
            instances.set_field(_repeat_masks(instances.masks, factor), 'masks')
    for name in ('gt_sem_seg', 'pred_sem_seg'):
        if name in sample:
            label_map = sample.get(name)
            sample.set_field(type(label_map)(data=_repeat(label_map.data, factor)), name)
    return sample


def _repeat_masks(masks: Any, factor: int) -> Any:
    if isinstance(masks, (torch.Tensor, np.ndarray)):
        return _repeat(masks, factor)
    from mmdet.structures.mask import BitmapMasks  # ground truth: bitmaps or polygons

    height, width = masks.height * factor, masks.width * factor
    return BitmapMasks(_repeat(masks.to_ndarray(), factor), height, width)


def _repeat(array: Any, factor: int) -> Any:
    """Repeat the pixels of ``(..., height, width)`` along both of the last axes."""
    if isinstance(array, torch.Tensor):
        return array.repeat_interleave(factor, dim=-2).repeat_interleave(factor, dim=-1)
    return np.repeat(np.repeat(array, factor, axis=-2), factor, axis=-1)


def _caption(path: Path) -> None:
    """Put a strip with ``truth`` and ``prediction`` on top of a picture of two halves."""
    import cv2

    picture: Any = cv2.imread(str(path))
    strip = np.full((_CAPTION_HEIGHT, picture.shape[1], 3), 255, dtype=np.uint8)
    for text, left in (('truth', 6), ('prediction', picture.shape[1] // 2 + 6)):
        cv2.putText(strip, text, (left, _CAPTION_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), np.concatenate([strip, picture]))
