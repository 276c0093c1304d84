from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from moganet.engine.data_check import check_data


@pytest.fixture
def coco(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / 'data' / 'coco'
    (root / 'train2017').mkdir(parents=True)
    (root / 'annotations').mkdir()
    (root / 'annotations' / 'train.json').touch()
    monkeypatch.chdir(tmp_path)
    return root


def _cfg(evaluator: Any = None, **dataset: Any) -> Config:
    described = {'type': 'CocoDataset', 'data_root': 'data/coco/', 'ann_file': 'annotations/train.json', **dataset}
    return Config({'train_dataloader': {'dataset': described}, 'train_evaluator': evaluator})


def test_all_there(coco: Path) -> None:
    check_data(_cfg(data_prefix={'img': 'train2017/', 'seg': ''}), ('train',))
    check_data(_cfg(), ('train', 'val'))
    check_data(_cfg([{'type': 'CocoMetric', 'ann_file': 'data/coco/annotations/train.json'}]), ('train',))


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'data_root': 'data/cocoo'}, "train_dataloader.dataset.data_root='data/cocoo': no such folder"),
        ({'ann_file': 'annotations/none.json'}, "dataset.ann_file='annotations/none.json': no such file"),
        ({'data_prefix': {'img': 'train2018/'}}, "dataset.data_prefix.img='train2018/': no such folder"),
        ({'data_prefix': 'train2018/'}, "dataset.data_prefix='train2018/': no such folder"),
    ],
)
def test_what_is_absent_is_named_with_its_key(changes: dict[str, Any], told: str, coco: Path) -> None:
    with pytest.raises(FileNotFoundError, match=told) as raised:
        check_data(_cfg(**changes), ('train',))
    message = str(raised.value)
    assert 'COCO 2017 belongs in' in message and f'looked for {coco.parents[1]}' in message
    assert '--cfg-options train_dataloader.dataset.' in message
    meant = {'data/cocoo': "'data/coco'", 'train2018/': "'data/coco/train2017'"}
    (given,) = changes.values()
    near = meant.get(given['img'] if isinstance(given, dict) else given)
    assert (f'did you mean {near}?' in message) if near else 'did you mean' not in message


def test_wrapped_sets_and_metrics_are_looked_into(coco: Path) -> None:
    inner = {'type': 'CocoDataset', 'data_root': 'nowhere'}
    wrapped = {'type': 'RepeatDataset', 'times': 2, 'dataset': {'type': 'ConcatDataset', 'datasets': [inner]}}
    with pytest.raises(FileNotFoundError, match=r'train_dataloader.dataset.dataset.datasets\[0\].data_root'):
        check_data(Config({'train_dataloader': {'dataset': wrapped}}), ('train',))
    with pytest.raises(FileNotFoundError, match=r"train_evaluator\[0\].ann_file='none.json'"):
        check_data(_cfg([{'type': 'CocoMetric', 'ann_file': 'none.json'}]), ('train',))


def test_boxes_of_a_person_detector(coco: Path) -> None:
    check_data(_cfg(bbox_file=None), ('train',))
    check_data(_cfg(bbox_file='data/coco/annotations/train.json'), ('train',))
    with pytest.raises(FileNotFoundError, match="dataset.bbox_file='boxes.json': no such file") as told:
        check_data(_cfg(bbox_file='boxes.json'), ('train',))
    assert 'no part of COCO' in str(told.value) and 'bbox_file=None' in str(told.value)


def test_imagenet_by_split_and_the_tiny_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data' / 'imagenet' / 'train').mkdir(parents=True)

    def cfg(root: str, split: str) -> Config:
        return Config({'val_dataloader': {'dataset': {'type': 'ImageNet', 'data_root': root, 'split': split}}})

    check_data(cfg('data/imagenet', 'train'), ('val',))
    with pytest.raises(FileNotFoundError, match="='val': no such folder.*ImageNet-1k belongs in"):
        check_data(cfg('data/imagenet', 'val'), ('val',))
    with pytest.raises(FileNotFoundError, match='made by: python tools/dataset_converters/make_tiny.py'):
        check_data(cfg('data/tiny/imagenet', 'val'), ('val',))


def test_data_elsewhere_than_on_this_disk_are_not_looked_for() -> None:
    check_data(_cfg(data_root='s3://bucket/coco'), ('train',))
    check_data(_cfg(data_root='bucket/coco', backend_args={'backend': 'petrel'}), ('train',))


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        (
            {'camera_param_file': 'annotations/none.json'},
            "dataset.camera_param_file='annotations/none.json': no such file.*belongs in data/interhand2.6m/",
        ),
        ({'joint_file': 'annotations/none.json'}, "dataset.joint_file='annotations/none.json': no such file"),
        (
            {'data_root': 'data/tiny/interhand2.6m'},
            "data_root='data/tiny/interhand2.6m': no such folder.*make_tiny.py --out data/tiny --tasks hands",
        ),
    ],
)
def test_hands_have_files_of_their_own(changes: dict[str, Any], told: str, coco: Path) -> None:
    with pytest.raises(FileNotFoundError, match=told):
        check_data(_cfg(type='InterHand3DDataset', **changes), ('train',))
