"""Check that the data of a config are where it says, before anything is built."""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..names import near_path

# Where each benchmark belongs, told when it is not there. Keys are parts of a data set's type.
_LAYOUTS = {
    'ImageNet21k': 'ImageNet-21K belongs in data/imagenet21k/train/<class>/',
    'ImageNet': (
        'ImageNet-1k belongs in data/imagenet/{train,val}/<class>/, data of your own as docs/custom_data.md says'
    ),
    'Coco': (
        'COCO 2017 belongs in data/coco/{train2017,val2017,annotations}/, data of your own as docs/custom_data.md says'
    ),
    'BaseSeg': 'data of your own belong where docs/custom_data.md says',
    'InterHand': 'InterHand2.6M belongs in data/interhand2.6m/, as docs/data.md says',
    'ADE20K': 'ADE20K belongs in data/ade/ADEChallengeData2016/{images,annotations}/{training,validation}/',
}
_DETECTIONS = 'detections'
_LAYOUTS[_DETECTIONS] = (
    "the person detector's boxes are no part of COCO: mmpose's page on data sets has them; bbox_file=None evaluates on "
    'the annotated boxes'
)
_MAKE_TINY = 'the tiny sets are made by: python tools/dataset_converters/make_tiny.py --out data/tiny'
_MAKE_HANDS = f'{_MAKE_TINY} --tasks hands'


def check_data(cfg: Any, splits: tuple[str, ...]) -> None:
    """Refuse a config whose data folders or annotation files are absent.

    Args:
        cfg: the config.
        splits: which of ``train``, ``val`` and ``test`` will be read.

    Raises:
        FileNotFoundError: something is absent; the message names the config key, and how to get the data.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for place, dataset in datasets_of(loader and loader.get('dataset'), f'{split}_dataloader.dataset'):
            _check_dataset(place, dataset)
        for place, metric in _metrics(cfg.get(f'{split}_evaluator'), f'{split}_evaluator'):
            if not is_remote(metric):
                _require(f'{place}.ann_file', metric.get('ann_file'), metric.get('ann_file'), metric['type'], file=True)


def datasets_of(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the data sets of a loader with their places, those inside wrappers such as RepeatDataset included."""
    if isinstance(node, dict):
        if 'dataset' in node or 'datasets' in node:
            for key in ('dataset', 'datasets'):
                yield from datasets_of(node.get(key), f'{place}.{key}')
        elif 'type' in node:
            yield place, node
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from datasets_of(child, f'{place}[{index}]')


def _metrics(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the metrics of an evaluator that read an annotation file."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            yield from _metrics(item, f'{place}[{index}]')
    elif isinstance(node, dict) and isinstance(node.get('ann_file'), str) and 'type' in node:
        yield place, node


def _check_dataset(place: str, dataset: dict[str, Any]) -> None:
    if is_remote(dataset):
        return
    kind = str(dataset['type'])
    root = dataset.get('data_root') or ''
    if root:
        _require(f'{place}.data_root', root, root, kind)
    ann_file = dataset.get('ann_file')
    if isinstance(ann_file, str) and ann_file:
        _require(f'{place}.ann_file', ann_file, os.path.join(root, ann_file), kind, file=True)
    for key in ('camera_param_file', 'joint_file'):  # mmpose's poses in 3D
        if isinstance(dataset.get(key), str):
            _require(f'{place}.{key}', dataset[key], os.path.join(root, dataset[key]), kind, file=True)
    bbox_file = dataset.get('bbox_file')
    if bbox_file:  # mmpose: a path of its own, not below the root
        _require(f'{place}.bbox_file', bbox_file, bbox_file, _DETECTIONS, file=True)
    prefix = dataset.get('data_prefix')
    if not prefix and dataset.get('split') and root and not ann_file:
        prefix = dataset['split']  # mmpretrain's ImageNet: the folder of that name
    prefixes = prefix.items() if isinstance(prefix, dict) else [('', prefix)]
    for key, folder in prefixes:
        if isinstance(folder, str) and folder:
            where = f'{place}.data_prefix' + (f'.{key}' if key else '')
            _require(where, folder, os.path.join(root, folder), kind)


def is_remote(node: dict[str, Any]) -> bool:
    """Whether the files are read by a storage client, which a look at the local disk says nothing about."""
    arguments = node.get('backend_args') or node.get('file_client_args') or {}
    if arguments.get('backend', 'local') not in ('local', 'disk'):
        return True
    return any('://' in str(node.get(key, '')) for key in ('data_root', 'ann_file'))


def _require(place: str, given: Any, path: Any, kind: str, file: bool = False) -> None:
    if not path:
        return
    target = Path(path).expanduser()
    if target.is_file() if file else target.is_dir():
        return
    what = 'file' if file else 'folder'
    tiny = _MAKE_HANDS if 'InterHand' in kind else _MAKE_TINY
    hint = tiny if 'tiny' in str(path) else next((text for key, text in _LAYOUTS.items() if key in kind), '')
    near = near_path(target)
    meant = f'; did you mean {str(near)!r}?' if near else ''
    raise FileNotFoundError(
        f'{place}={given!r}: no such {what} (looked for {target.absolute()}){meant}{"; " + hint if hint else ""}; '
        f'another place is named by --cfg-options {place}=...'
    )
