"""The files of the tiny sets: readable by the benchmarks' own tools, and saying what the pictures show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from moganet.datasets.tiny.sources import DIGIT_NAMES, PHOTOGRAPHS, SPLITS, Box, Sources

INSTANCES = 'coco/annotations/instances_{}2017.json'
KEYPOINTS = 'coco_pose/annotations/person_keypoints_{}2017.json'
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}


def _load(tiny: Path, file: str, split: str) -> dict[str, Any]:
    return json.loads((tiny / file.format(split)).read_text())


def test_imagenet_folders(tiny: Path, sources: Sources) -> None:
    for split, count in (('train', 160), ('val', 40)):
        files = sorted((tiny / 'imagenet' / split).glob('*/*.png'))
        assert len(files) == count
        assert {file.parent.name for file in files} == set(DIGIT_NAMES)
        lines = dict(line.split() for line in (tiny / 'imagenet/meta' / f'{split}.txt').read_text().splitlines())
        assert set(lines) == {f'{file.parent.name}/{file.name}' for file in files}
        for file in files:
            label = sources.labels[int(file.stem)]
            assert file.parent.name == DIGIT_NAMES[label]
            assert lines[f'{file.parent.name}/{file.name}'] == str(label)
            with Image.open(file) as picture:
                assert (picture.size, picture.mode) == ((64, 64), 'RGB')


def test_classes_are_balanced_in_a_subset(tiny: Path) -> None:
    assert {len(list((tiny / 'imagenet/train' / name).iterdir())) for name in DIGIT_NAMES} == {16}


@pytest.mark.parametrize('file', [INSTANCES, KEYPOINTS])
@pytest.mark.parametrize('split', SPLITS)
def test_coco_files_are_complete(tiny: Path, file: str, split: str) -> None:
    content = _load(tiny, file, split)
    assert set(content) == {'info', 'licenses', 'categories', 'images', 'annotations'}
    licenses = {entry['id'] for entry in content['licenses']}
    images = {image['id']: image for image in content['images']}
    assert len(images) == len(content['images']) == (24 if split == 'train' else 8)
    ids = [annotation['id'] for annotation in content['annotations']]
    assert len(ids) == len(set(ids))
    assert {annotation['image_id'] for annotation in content['annotations']} == set(images)
    size = (128, 128) if file == INSTANCES else (160, 160)
    folder = tiny / file.split('/')[0] / f'{split}2017'
    assert {path.name for path in folder.iterdir()} == {image['file_name'] for image in content['images']}
    for image in images.values():
        assert image['license'] in licenses
        with Image.open(folder / image['file_name']) as picture:
            assert picture.size == (image['width'], image['height']) == size
            assert picture.format == 'JPEG'


@pytest.mark.parametrize('file', [INSTANCES, KEYPOINTS])
def test_ids_differ_between_the_splits(tiny: Path, file: str) -> None:
    for kind in ('images', 'annotations'):
        train, val = ({entry['id'] for entry in _load(tiny, file, split)[kind]} for split in SPLITS)
        assert not train & val


@pytest.mark.parametrize('file', [INSTANCES, KEYPOINTS])
@pytest.mark.parametrize('split', SPLITS)
def test_boxes_and_areas_are_those_of_the_masks(tiny: Path, file: str, split: str) -> None:
    coco = COCO(str(tiny / file.format(split)))
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation).astype(bool)
        x, y, w, h = annotation['bbox']
        assert mask[y : y + h, x : x + w].sum() == mask.sum() == annotation['area'] > 0
        inside = mask[y : y + h, x : x + w]
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        assert annotation['iscrowd'] == 0


@pytest.mark.parametrize('split', SPLITS)
def test_masks_are_the_label_maps(tiny: Path, split: str) -> None:
    """Detection and segmentation show the same scenes, so the label maps follow from the instances."""
    coco = COCO(str(tiny / INSTANCES.format(split)))
    ade = tiny / 'ade/ADEChallengeData2016'
    names = sorted(path.stem for path in (ade / 'images' / ADE_FOLDERS[split]).glob('*.jpg'))
    assert names == sorted(path.stem for path in (ade / 'annotations' / ADE_FOLDERS[split]).glob('*.png'))
    assert len(names) == len(coco.imgs)
    for name, image_id in zip(names, sorted(coco.imgs)):
        expected = np.full((128, 128), 11)
        for annotation in coco.imgToAnns[image_id]:
            expected[coco.annToMask(annotation).astype(bool)] = annotation['category_id']
        with Image.open(ade / 'annotations' / ADE_FOLDERS[split] / f'{name}.png') as labels:
            assert labels.mode == 'L'
            np.testing.assert_array_equal(np.asarray(labels), expected)
        picture = (ade / 'images' / ADE_FOLDERS[split] / f'{name}.jpg').read_bytes()
        assert picture == (tiny / 'coco' / f'{split}2017' / coco.imgs[image_id]['file_name']).read_bytes()


def test_digits_are_recorded_and_never_shared(tiny: Path, sources: Sources) -> None:
    used = {}
    for split in SPLITS:
        content = _load(tiny, INSTANCES, split)
        assert [category['name'] for category in content['categories']] == list(DIGIT_NAMES)
        for annotation in content['annotations']:
            assert sources.labels[annotation['source_digit']] == annotation['category_id'] - 1
        used[split] = {annotation['source_digit'] for annotation in content['annotations']}
        used[split] |= {int(path.stem) for path in (tiny / 'imagenet' / split).glob('*/*.png')}
        records = json.loads((tiny / 'ade/ADEChallengeData2016/sources.json').read_text())
        used[split] |= {
            digit
            for name, record in records.items()
            if name.startswith(ADE_FOLDERS[split])
            for digit in record['digits']
        }
    assert used['train'] and used['val'] and not used['train'] & used['val']


@pytest.mark.parametrize('file', [INSTANCES, KEYPOINTS])
def test_no_photograph_pixel_is_shared(tiny: Path, file: str) -> None:
    boxes: dict[str, dict[str, list[Box]]] = {photo.path: {'train': [], 'val': []} for photo in PHOTOGRAPHS}
    for split in SPLITS:
        for image in _load(tiny, file, split)['images']:
            boxes[image['source']['photograph']][split].append(Box(*image['source']['box']))
    assert sum(bool(used['train'] and used['val']) for used in boxes.values()) >= 3
    for used in boxes.values():
        assert not any(one.meets(other) for one in used['train'] for other in used['val'])


def test_keypoints_are_coco_persons(tiny: Path) -> None:
    for split in SPLITS:
        content = _load(tiny, KEYPOINTS, split)
        (category,) = content['categories']
        assert (category['id'], category['name']) == (1, 'person')
        assert len(category['keypoints']) == 17 and len(category['skeleton']) == 19
        for annotation in content['annotations']:
            keypoints = np.array(annotation['keypoints']).reshape(17, 3)
            seen = keypoints[:, 2] > 0
            assert annotation['num_keypoints'] == seen.sum()
            assert ((keypoints[:, :2] > 0).any(axis=1) == seen).all()
            assert keypoints[:, :2].min() >= 0 and keypoints[:, :2].max() <= 159


@pytest.mark.parametrize(
    ('file', 'kind'), [(INSTANCES, 'bbox'), (INSTANCES, 'segm'), (KEYPOINTS, 'segm'), (KEYPOINTS, 'keypoints')]
)
def test_the_truth_scores_full_marks(tiny: Path, file: str, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    truth = COCO(str(tiny / file.format('val')))
    kept = {'keypoints'} if kind == 'keypoints' else {'segmentation'} if kind == 'segm' else {'bbox'}
    results = []
    for annotation in truth.anns.values():
        result = {key: annotation[key] for key in ('image_id', 'category_id', *kept)} | {'score': 0.9}
        if kind == 'segm':
            result['segmentation'] = truth.annToRLE(annotation)
        results.append(result)
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)
    capsys.readouterr()
