"""Any config, ours or a toolbox's, on the tiny data and on pictures of a few dozen pixels."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import Runner
from torch import nn

SIDE = 64
DIGITS = dict(classes=('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'))
# Where each toolbox's kind of set lies below the tiny data, and what its data sets need to read it.
_ROOTS = {
    'mmpretrain': 'imagenet',
    'mmdet': 'coco',
    'mmseg': 'ade/ADEChallengeData2016',
    'mmpose': 'coco_pose',
}
_CLASSES = {'mmpretrain': 10, 'mmdet': 10, 'mmseg': 150}


def _folders(split: str) -> dict[str, Any]:
    return dict(type='ImageNet', split='train' if split == 'train' else 'val', metainfo=DIGITS)


def _coco(split: str) -> dict[str, Any]:
    part = 'train2017' if split == 'train' else 'val2017'
    return dict(ann_file=f'annotations/instances_{part}.json', data_prefix=dict(img=f'{part}/'), metainfo=DIGITS)


def _ade(split: str) -> dict[str, Any]:
    part = 'training' if split == 'train' else 'validation'
    # ADE20K's own class insists on its 150 names.
    return dict(
        type='BaseSegDataset', reduce_zero_label=True,
        metainfo=dict(classes=[str(number) for number in range(150)], palette=[[0, 0, 0]] * 150),
        data_prefix=dict(img_path=f'images/{part}', seg_map_path=f'annotations/{part}'),
    )  # fmt: skip


_DATA = {'mmpretrain': _folders, 'mmdet': _coco, 'mmseg': _ade, 'mmpose': lambda split: {}}
# Steps whose pictures are made of several others, or which only make sense at the size they were written for.
_SIZES = ('scale', 'scales', 'crop_size', 'size', 'img_scale', 'size_divisor')
_REGIONS = {'num': 16, 'nms_pre': 50, 'max_per_img': 10}
_FIXED = {'TopdownAffine', 'BottomupRandomAffine', 'BottomupResize', 'GenerateTarget'}


def on_tiny_data(cfg: Any, tiny: Path, side: int = SIDE) -> Any:
    """Return a copy of a config that reads the tiny data, one process, two pictures a batch.

    Args:
        cfg: the config.
        tiny: the folder of the four tiny sets.
        side: what every greater length in pixels becomes; pose keeps its own, which its head is built for.
    """
    cfg = deepcopy(cfg)
    scope = cfg.default_scope
    root = str(tiny / _ROOTS[scope])
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        loader.update(num_workers=0, batch_size=2 if split == 'train' else 1, persistent_workers=False)
        loader.pop('prefetch_factor', None)
        if scope == 'mmpretrain':
            loader.setdefault('collate_fn', dict(type='default_collate'))
        data = loader['dataset']
        while 'dataset' in data:
            if scope != 'mmpose' and 'pipeline' in data:
                data['pipeline'] = [_shrunk(step, side) for step in data['pipeline']]
            data = data['dataset']
        if 'InterHand' in data['type']:
            root = str(tiny / 'interhand2.6m')
        made_for_it = str(data.get('data_root')).startswith('data/tiny')
        data.update(data_root=root, **({} if made_for_it else _DATA[scope](split)))
        if scope == 'mmpose':
            data.pop('bbox_file', None)
            # A package that is no part of the toolboxes' requirements.
            data['pipeline'] = [step for step in data['pipeline'] if step['type'] != 'Albumentation']
        else:
            data['pipeline'] = [_shrunk(step, side) for step in data['pipeline']]
        for metric in _listed(cfg.get(f'{split}_evaluator')):
            if 'ann_file' in metric:
                kind = 'instances' if scope == 'mmdet' else 'person_keypoints'
                metric['ann_file'] = f'{root}/annotations/{kind}_val2017.json'
    if scope in _CLASSES and not made_for_it:
        for part in (cfg.model, cfg.get('data_preprocessor')):
            _set_classes(part or {}, _CLASSES[scope])
    _limit_regions(cfg.model.get('train_cfg'))
    _limit_regions(cfg.model.get('test_cfg'))
    _shrink_batch_augments(cfg.model.get('data_preprocessor'), side)
    if scope == 'mmseg' and 'size' in cfg.model.data_preprocessor:
        cfg.model.data_preprocessor.size = (side, side)
    return cfg


def step_runner(cfg: Any, work_dir: Path, init: bool = False) -> tuple[Runner, list[str]]:
    """Build a Runner of a config and take one step of training, from the first batch of its loader.

    Args:
        cfg: the config.
        work_dir: where the Runner writes.
        init: also initialise the model as a training does, which may fetch weights; without it a parameter that its
            constructor does not fill holds whatever the memory held.

    Returns:
        The Runner, and the names of the parameters that the step changed.
    """
    cfg.update(work_dir=str(work_dir), randomness=dict(seed=0), experiment_name='step', log_level='ERROR')
    # MMEngine lays out the config's text three times, which for 150 classes takes longer than all the rest.
    with mock.patch.object(Config, 'pretty_text', ''):
        runner = Runner.from_cfg(cfg)
    runner.model = revert_sync_batchnorm(runner.model)  # which needs CUDA
    if init:
        runner._init_model_weights()
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.message_hub.update_info('iter', 0)  # as the loop does, for what changes its size from time to time
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    model: nn.Module = runner.model.train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    losses = model.train_step(next(iter(runner.train_dataloader)), optim_wrapper=runner.optim_wrapper)
    assert losses and all(torch.isfinite(torch.as_tensor(value)).all() for value in losses.values())
    return runner, [name for name, value in model.named_parameters() if not torch.equal(value, before[name])]


def _listed(node: Any) -> list[Any]:
    return [] if not node else list(node) if isinstance(node, (list, tuple)) else [node]


def _shrunk(node: Any, side: int) -> Any:
    """A pipeline's step, and the steps inside it, with no length above ``side``."""
    if isinstance(node, dict):
        return type(node)({
            key: _less(value, side) if key in _SIZES and node.get('type') not in _FIXED else _shrunk(value, side)
            for key, value in node.items()
        })
    if isinstance(node, (list, tuple)):
        return type(node)(_shrunk(item, side) for item in node)
    return node


def _less(value: Any, side: int) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_less(item, side) for item in value)
    return min(value, side) if isinstance(value, int) else value


def _set_classes(node: Any, number: int) -> None:
    """The number of classes in each head: COCO's metric looks a predicted class up among those of the data."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if key == 'num_classes':
            node[key] = number
        elif isinstance(value, (dict, list)):
            _set_classes(value, number)


def _limit_regions(node: Any) -> None:
    """Few proposals and regions: hundreds of them run the same lines for a minute."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node or ()):
        if isinstance(value, (dict, list)):
            _limit_regions(value)
        elif key in _REGIONS and isinstance(value, int):
            node[key] = min(value, _REGIONS[key])


def _shrink_batch_augments(preprocessor: Any, side: int) -> None:
    for augment in _listed((preprocessor or {}).get('batch_augments')):
        for key in ('size', 'random_size_range'):
            if key in augment:
                augment[key] = _less(augment[key], side)
