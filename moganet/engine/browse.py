"""What a model is given: samples of a config's data set after all augmentation, drawn with their truth."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, VISUALIZERS
from mmengine.runner import set_random_seed

from .data_inspection import open_data, reading
from .drawing import draw, draws_poses
from .work_dir import ensure_writable

_VISUALIZERS = {
    'mmpretrain': 'UniversalVisualizer',
    'mmdet': 'DetLocalVisualizer',
    'mmseg': 'SegLocalVisualizer',
    'mmpose': 'PoseLocalVisualizer',
}
# Pictures are mixed within batches of this many: mmpretrain draws the kind of mixture once a batch.
_MIXED = 4


@dataclass(frozen=True)
class BrowseOptions:
    """The options of ``tools/analysis_tools/browse_dataset.py``; see its ``--help``."""

    config: str
    out: str
    split: str = 'train'
    number: int = 8
    seed: int = 0
    cfg_options: dict[str, Any] = field(default_factory=dict)
    batch_augments: bool = True


class Browser:
    """A data set that is built, and where its pictures go.

    Args:
        options: the command line.

    Raises:
        ValueError, KeyError, FileNotFoundError: the options or the config are wrong, or the data set cannot be built.
    """

    def __init__(self, options: BrowseOptions) -> None:
        if options.number < 1:
            raise ValueError(f'--number {options.number}: at least one picture is needed')
        if not 0 <= options.seed < 2**32:
            raise ValueError(f'--seed {options.seed}: a number from 0 to {2**32 - 1} is needed')
        self.options = options
        self.cfg, _ = open_data(options.config, options.cfg_options, [options.split])
        self.scope = str(self.cfg.get('default_scope'))
        self.visualizer_cfg = _visualizer_cfg(self.cfg, self.scope)
        self.dataset = _build(self.cfg[f'{options.split}_dataloader'].dataset, options)
        self.out = ensure_writable(options.out, '--out')
        self.notes = list(self._notes())

    def _notes(self) -> Iterator[str]:
        augments = _batch_augments(self.cfg)
        if self.options.split != 'train' or not augments:
            return
        names = ', '.join(_augment_names(augments))
        if self.scope != 'mmpretrain':
            yield f'what is done to whole batches is not drawn: {names}'
        elif self.options.batch_augments:
            yield f'mixed as the config does it to whole batches, here of {_MIXED}: {names}'
        else:
            yield f'left out, as asked: {names}'

    def draw(self) -> Iterator[tuple[Path, str]]:
        """Draw the samples; yield each picture and, for mixed ones, how much of each class it is."""
        options = self.options
        count = min(options.number, len(self.dataset))
        indices = sorted(random.Random(options.seed).sample(range(len(self.dataset)), count))
        set_random_seed(options.seed)
        visualizer = VISUALIZERS.build(dict(self.visualizer_cfg))
        if draws_poses(visualizer):
            visualizer.set_dataset_meta(self.dataset.metainfo)
        else:
            visualizer.dataset_meta = self.dataset.metainfo
        mixer = _mixer(self.cfg) if self._mixes() else None
        for start in range(0, count, _MIXED):
            chosen = indices[start : start + _MIXED]
            items = [_checked(self.dataset[index], index) for index in chosen]
            for index, (image, sample) in zip(chosen, _mixed(items, mixer) if mixer else map(self._unpack, items)):
                path = self.out / f'{index:06d}_{Path(sample.get("img_path") or options.split).stem}.png'
                draw(visualizer, image, sample, path, predictions=False)
                yield path, _shares(sample, self.dataset.metainfo.get('classes')) if mixer else ''

    def _mixes(self) -> bool:
        options = self.options
        return (
            self.scope == 'mmpretrain'
            and options.split == 'train'
            and options.batch_augments
            and bool(_batch_augments(self.cfg))
        )

    def _unpack(self, item: dict[str, Any]) -> tuple[np.ndarray, Any]:
        """Return picture (RGB, 8 bits) and sample, the latter in the coordinates of the picture."""
        pixels = _bytes(item['inputs'])
        if _is_bgr(self.cfg, self.options.split):
            pixels = pixels[..., ::-1]
        sample = deepcopy(item['data_samples'])
        instances = sample.get('gt_instances')
        if instances is not None and 'bboxes' in instances and hasattr(instances.bboxes, 'tensor'):
            instances.bboxes = instances.bboxes.tensor  # mmdet's boxes that turn with a picture
        if self.scope == 'mmpose' and instances is not None:
            _transformed_pose(instances, bool(getattr(self.dataset, 'bbox_file', None)))
        return np.ascontiguousarray(pixels), sample


def _visualizer_cfg(cfg: Any, scope: str) -> dict[str, Any]:
    if scope not in _VISUALIZERS:
        raise ValueError(f'default_scope={scope!r}: pictures are drawn for {", ".join(_VISUALIZERS)}')
    described = dict(cfg.get('visualizer') or {'type': _VISUALIZERS[scope]})
    if '3d' in str(described['type']).lower():
        raise ValueError(
            f'{described["type"]}: poses in 3D are not drawn; tools/misc/check_dataset.py looks at the files'
        )
    described.pop('vis_backends', None)  # they would write each picture a second time
    # MMEngine gives out a visualizer of the same name again, with its old settings.
    return {**described, 'name': f'browse_dataset_{time.time_ns()}'}


def _build(node: Any, options: BrowseOptions) -> Any:
    node = deepcopy(node)
    _pack_transformed(node)
    with reading(f'--split {options.split}'):
        dataset = DATASETS.build(node)
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
        if len(dataset):
            _checked(dataset[0], 0)
    if not len(dataset):
        raise ValueError(
            f'the data set of --split {options.split} has no sample; tools/misc/check_dataset.py may say why'
        )
    return dataset


def _pack_transformed(node: Any) -> None:
    """Have mmpose pack keypoints in the coordinates of the model's input beside those of the file."""
    if isinstance(node, dict):
        if str(node.get('type')).endswith('PackPoseInputs'):
            node['pack_transformed'] = True
        for child in node.values():
            _pack_transformed(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            _pack_transformed(child)


def _checked(item: Any, index: int) -> dict[str, Any]:
    inputs = item.get('inputs') if isinstance(item, dict) else None
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 3 or inputs.shape[0] != 3:
        raise ValueError(f'sample {index} is no single colour picture, and nothing else is drawn')
    return dict(item)


def _bytes(inputs: torch.Tensor) -> np.ndarray:
    """Return packed inputs, shape ``(3, height, width)`` with values of 0 to 255, as a picture of bytes."""
    return inputs.detach().float().clamp(0, 255).round().byte().permute(1, 2, 0).numpy()


def _preprocessor(cfg: Any) -> dict[str, Any]:
    model = cfg.get('model') or {}
    return dict(model.get('data_preprocessor') or cfg.get('data_preprocessor') or cfg.get('preprocess_cfg') or {})


def _is_bgr(cfg: Any, split: str) -> bool:
    """Whether packed inputs have blue first: what the model's preprocessor turns, or how the pipeline loads them."""
    preprocessor = _preprocessor(cfg)
    if preprocessor.get('bgr_to_rgb') or preprocessor.get('to_rgb'):
        return True
    return not preprocessor.get('rgb_to_bgr') and 'rgb' not in _channel_orders(cfg[f'{split}_dataloader'].dataset)


def _channel_orders(node: Any) -> set[str]:
    """Return every ``channel_order`` of a data set and its pipeline; loaders without one give blue first."""
    if isinstance(node, dict):
        children: list[Any] = list(node.values())
        own = {str(node.get('channel_order', ''))}
    else:
        children, own = list(node) if isinstance(node, (list, tuple)) else [], set()
    return own.union(*map(_channel_orders, children))


def _batch_augments(cfg: Any) -> dict[str, Any]:
    """Return what a config does to whole batches, as mmpretrain's classifier finds it; empty when it does nothing."""
    own = _preprocessor(cfg).get('batch_augments')
    train_cfg = (cfg.get('model') or {}).get('train_cfg') or {}
    if own:
        return {'augments': own} if isinstance(own, (list, tuple)) else dict(own)
    return dict(train_cfg) if 'augments' in train_cfg else {}


def _augment_names(augments: dict[str, Any]) -> list[str]:
    found = augments.get('augments', [augments])
    return [str(one.get('type')) for one in (found if isinstance(found, (list, tuple)) else [found])]


def _mixer(cfg: Any) -> Any:
    """Return the config's own preprocessor of pictures to classify, which mixes, without normalisation."""
    described = {key: value for key, value in _preprocessor(cfg).items() if key not in ('mean', 'std')}
    return MODELS.build({'type': 'ClsDataPreprocessor', **described, 'batch_augments': _batch_augments(cfg)})


def _mixed(items: Sequence[dict[str, Any]], mixer: Any) -> Iterator[tuple[np.ndarray, Any]]:
    """Mix one batch; yield pictures and samples whose label is every class that a picture holds."""
    mixed = mixer(pseudo_collate(list(items)), training=True)
    for inputs, sample in zip(mixed['inputs'], mixed['data_samples']):
        sample.set_gt_label(torch.nonzero(sample.gt_score).flatten())
        pixels = _bytes(inputs)
        yield np.ascontiguousarray(pixels if mixer.to_rgb else pixels[..., ::-1]), sample


def _shares(sample: Any, classes: Sequence[str] | None) -> str:
    score = sample.gt_score
    labels = sorted(sample.gt_label.tolist(), key=lambda label: -float(score[label]))
    return ', '.join(f'{float(score[label]):.2f} {classes[label] if classes else label}' for label in labels)


def _transformed_pose(instances: Any, detected: bool) -> None:
    """Put the truth of a pose into the coordinates of the model's input, in place.

    The boxes are the file's own and go. A detector's box comes with placeholders for keypoints, which are not drawn.
    """
    if 'transformed_keypoints' in instances:
        # The visualizer would prefer those, which are not enlarged with the picture.
        instances.set_field(instances.pop('transformed_keypoints'), 'keypoints')
    if 'keypoints' in instances:  # of poses in 3D, where they are in the picture
        instances.set_field(instances.keypoints[..., :2], 'keypoints')
    for key in ('bboxes', 'bbox_scales', 'bbox_scores'):
        if key in instances:
            del instances[key]
    if detected and 'keypoints_visible' in instances:
        instances.set_field(np.zeros_like(instances.keypoints_visible), 'keypoints_visible')
