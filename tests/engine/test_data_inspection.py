"""From a config to the files of its data sets, of all four tasks, in wrappers, and of kinds that are not known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from moganet.datasets.check import Findings, Looker
from moganet.engine.data_inspection import look_at_data, open_data

from ..e2e.tools import LEAVES

TASKS = ('classification', 'mask-rcnn', 'sem-fpn', 'pose')


@pytest.fixture
def own_copy(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with a copy of the tiny sets; return them."""
    shutil.copytree(tiny_data / 'data', tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'data' / 'tiny'


def _look(task: str, options: dict[str, Any] | None = None, splits: list[str] | None = None) -> list[Findings]:
    cfg, chosen = open_data(str(LEAVES[task].config), options or {}, splits)
    return list(look_at_data(cfg, chosen, Looker()))


def _edit(file: Path, change: Any) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.mark.parametrize('task', TASKS)
def test_clean_sets_of_all_tasks(task: str, workplace: Path) -> None:
    train, val, test = _look(task)
    assert train.faults == val.faults == test.faults == []
    assert train.pictures >= 24 and val.pictures >= 8 and not train.classes_without_any()
    assert not test.looked_at and 'the same files as val_dataloader.dataset' in test.what


def _break_list(tiny: Path) -> str:
    path = tiny / 'imagenet' / 'meta' / 'train.txt'
    path.write_text(path.read_text() + 'zero/none.png 10\n')
    return f'data/tiny/imagenet/meta/train.txt (line {len(path.read_text().splitlines())}): label 10'


def _break_box(tiny: Path) -> str:
    file = tiny / 'coco' / 'annotations' / 'instances_train2017.json'
    _edit(file, lambda content: content['annotations'][0].update(bbox=[0, 0, 0, 0]))
    return 'data/tiny/coco/annotations/instances_train2017.json (annotation 1): box [0, 0, 0, 0]: it has no area'


def _break_mask(tiny: Path) -> str:
    """Have the annotations lack a mask, which this config's pipeline loads."""
    file = tiny / 'coco' / 'annotations' / 'instances_train2017.json'
    _edit(file, lambda content: content['annotations'][0].pop('segmentation'))
    return 'instances_train2017.json (annotation 1): no segmentation, and the pipeline loads masks'


def _break_map(tiny: Path) -> str:
    path = min((tiny / 'ade' / 'ADEChallengeData2016' / 'annotations' / 'training').iterdir())
    path.unlink()
    return f'{path.name}: not there'


def _break_keypoints(tiny: Path) -> str:
    file = tiny / 'coco_pose' / 'annotations' / 'person_keypoints_train2017.json'
    _edit(file, lambda content: content['annotations'][0]['keypoints'].append(1))
    return '(annotation 1): keypoints of 52 numbers: 51 needed'


@pytest.mark.parametrize(
    ('task', 'spoil'),
    [
        ('classification', _break_list),
        ('mask-rcnn', _break_box),
        ('mask-rcnn', _break_mask),
        ('sem-fpn', _break_map),
        ('pose', _break_keypoints),
    ],
)
def test_a_fault_of_each_task(task: str, spoil: Any, own_copy: Path) -> None:
    told = spoil(own_copy)
    (findings,) = _look(task, splits=['train'])
    assert any(told in str(fault) for fault in findings.faults), findings.faults


def test_masks_are_needed_by_pipelines_that_load_them(own_copy: Path) -> None:
    _break_mask(own_copy)
    (findings,) = _look('retinanet', splits=['train'])
    assert findings.faults == []


def test_detected_boxes_of_a_config(own_copy: Path) -> None:
    boxes = own_copy / 'boxes.json'
    boxes.write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "score": 1}]')
    (findings,) = _look('pose', {'val_dataloader.dataset.bbox_file': str(boxes)}, ['val'])
    (fault,) = findings.faults
    assert (fault.kind, fault.file, fault.id) == ('orphan', str(boxes), 'detection 0')


def test_empty_pictures_by_what_the_config_filters(own_copy: Path) -> None:
    file = own_copy / 'coco' / 'annotations' / 'instances_train2017.json'
    _edit(file, lambda content: content.update(annotations=[a for a in content['annotations'] if a['image_id'] > 1]))
    (findings,) = _look('retinanet', splits=['train'])
    assert findings.faults == [] and findings.empty == 1
    (findings,) = _look('retinanet', {'train_dataloader.dataset.filter_cfg.filter_empty_gt': False}, ['train'])
    assert [(fault.kind, fault.id) for fault in findings.faults] == [('empty-picture', 'image 1')]


@pytest.mark.parametrize(
    ('task', 'file'),
    [('retinanet', 'coco/annotations/instances'), ('pose', 'coco_pose/annotations/person_keypoints')],
)
def test_annotations_are_needed_where_a_model_is_trained(task: str, file: str, own_copy: Path) -> None:
    for split in ('train', 'val'):
        _edit(own_copy / f'{file}_{split}2017.json', lambda content: content.update(annotations=[]))
    train, val = _look(task, splits=['train', 'val'])
    assert [fault.kind for fault in train.faults] == ['no-data'] and val.faults == []


def test_label_maps_are_needed_where_a_model_is_trained(workplace: Path) -> None:
    folders = {f'{split}_dataloader.dataset.data_prefix': {'_delete_': True, 'img_path': 'images/validation'}
               for split in ('train', 'val')}  # fmt: skip
    train, val = _look('sem-fpn', folders, ['train', 'val'])
    assert [fault.kind for fault in train.faults] == ['no-data'] and val.faults == []


def test_small_pictures_by_what_the_config_filters(own_copy: Path) -> None:
    (findings,) = _look('retinanet', {'train_dataloader.dataset.filter_cfg.min_size': 129}, ['train'])
    assert [fault.kind for fault in findings.faults] == ['no-data'] and 'min_size' in findings.notes[0]


def _config(folder: Path, scope: str, dataset: dict[str, Any]) -> str:
    path = folder / 'config.py'
    Config({'default_scope': scope, 'train_dataloader': {'dataset': dataset}}).dump(str(path))
    return str(path)


def _inner(task: str, split: str = 'train') -> dict[str, Any]:
    return dict(Config.fromfile(LEAVES[task].config)[f'{split}_dataloader'].dataset)


def test_wrappers_are_looked_into(workplace: Path) -> None:
    """One within the other, as deep as a config may nest them."""
    wrapped = {'type': 'ConcatDataset', 'datasets': [_inner('mask-rcnn'), _inner('mask-rcnn', 'val')]}
    for more in (
        {'type': 'RepeatDataset', 'times': 2},
        {'type': 'ClassBalancedDataset', 'oversample_thr': 0.1},
        {'type': 'MultiImageMixDataset', 'pipeline': []},
    ):
        wrapped = {**more, 'dataset': wrapped}
    cfg, splits = open_data(_config(workplace, 'mmdet', wrapped), {}, None)
    found = list(look_at_data(cfg, splits, Looker()))
    assert [findings.pictures for findings in found] == [24, 8] and all(findings.faults == [] for findings in found)
    place = 'train_dataloader.dataset.dataset.dataset.dataset.datasets'
    assert [findings.place for findings in found] == [f'{place}[0]', f'{place}[1]']


def test_combined_sets_of_poses(workplace: Path) -> None:
    meta = {'from_file': 'configs/_base_/datasets/coco.py'}
    wrapped = {'type': 'CombinedDataset', 'metainfo': meta, 'datasets': [_inner('pose'), _inner('pose', 'val')]}
    cfg, splits = open_data(_config(workplace, 'mmpose', wrapped), {}, None)
    assert [findings.pictures for findings in look_at_data(cfg, splits, Looker())] == [24, 8]


def test_a_kind_that_is_not_known_is_looked_at_by_its_samples(workplace: Path) -> None:
    """mmpretrain's own format: a picture that is not there, and a label outside the classes."""
    for name in ('a.png', 'b.png'):
        shutil.copy(next((workplace / 'data' / 'tiny' / 'imagenet' / 'train' / 'zero').iterdir()), name)
    samples = [{'img_path': 'a.png', 'gt_label': 0}, {'img_path': 'b.png', 'gt_label': 2}, {'img_path': 'c.png'}]
    content = {'metainfo': {'classes': ['cat', 'dog']}, 'data_list': samples}
    (workplace / 'list.json').write_text(json.dumps(content))
    dataset = {'type': 'BaseDataset', 'ann_file': 'list.json', 'data_root': str(workplace), 'pipeline': []}
    cfg, splits = open_data(_config(workplace, 'mmpretrain', dataset), {}, None)
    (findings,) = look_at_data(cfg, splits, Looker())
    assert 'not known in depth' in findings.what and findings.pictures == 3
    told = {(fault.kind, Path(fault.file).name, fault.id) for fault in findings.faults}
    assert told == {('bad-label', 'b.png', 'sample 1'), ('missing-file', 'c.png', 'sample 2')}
    (workplace / 'list.json').write_text('{"data_list": []}')
    (findings,) = look_at_data(cfg, splits, Looker())
    assert [fault.kind for fault in findings.faults] == ['malformed'] and 'metainfo' in findings.faults[0].text


def test_what_a_storage_client_reads_is_said(workplace: Path) -> None:
    dataset = {**_inner('mask-rcnn'), 'data_root': 's3://bucket/coco/'}
    cfg, splits = open_data(_config(workplace, 'mmdet', dataset), {}, None)
    (findings,) = look_at_data(cfg, splits, Looker())
    assert not findings.looked_at and 'storage client' in findings.what
