"""Files in COCO's format: each fault, planted in a copy of a tiny set, is found with its file and id."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from moganet.datasets.check import CocoSource, Findings, Looker, check_coco
from moganet.datasets.check.masks import decode_counts, mask_problem
from moganet.datasets.tiny.puppet import KEYPOINT_NAMES
from moganet.datasets.tiny.sources import DIGIT_NAMES

Content = dict[str, Any]


@pytest.fixture
def detection(tiny: Path, tmp_path: Path) -> CocoSource:
    return _copied(tiny / 'coco', 'instances', tmp_path, classes=DIGIT_NAMES, needs_area=True, needs_masks=True)


@pytest.fixture
def pose(tiny: Path, tmp_path: Path) -> CocoSource:
    return _copied(tiny / 'coco_pose', 'person_keypoints', tmp_path, keypoints=KEYPOINT_NAMES)


def _copied(root: Path, kind: str, folder: Path, **source: Any) -> CocoSource:
    """Return a source whose annotations are a copy, and whose pictures are links."""
    (folder / 'pictures').mkdir()
    for picture in (root / 'train2017').iterdir():
        (folder / 'pictures' / picture.name).symlink_to(picture)
    file = folder / 'annotations.json'
    file.write_bytes((root / 'annotations' / f'{kind}_train2017.json').read_bytes())
    return CocoSource(ann_file=str(file), folder=str(folder / 'pictures'), **source)


def _check(source: CocoSource, change: Callable[[Content], object] | None = None) -> Findings:
    if change:
        content = json.loads(Path(source.ann_file).read_text())
        change(content)
        Path(source.ann_file).write_text(json.dumps(content))
    findings = Findings('train', 'CocoDataset')
    check_coco(source, findings, Looker())
    return findings


def _set(key: str, value: Any, record: int = 3, of: str = 'annotations') -> Callable[[Content], None]:
    def change(content: Content) -> None:
        content[of][record][key] = value

    return change


def _drop(key: str, record: int = 3, of: str = 'annotations') -> Callable[[Content], None]:
    return lambda content: content[of][record].pop(key)


def test_clean(detection: CocoSource) -> None:
    findings = _check(detection)
    assert findings.faults == [] and findings.pictures == 24 and findings.annotations > 100
    assert sum(findings.per_class.values()) == findings.annotations and not findings.classes_without_any()


def test_clean_pose(pose: CocoSource) -> None:
    findings = _check(pose)
    assert findings.faults == [] and findings.pictures == 24


# The change, and what is told: kind, id, and a part of the text.
RLE = {'size': [128, 128], 'counts': [0, 128 * 128]}
FAULTS: dict[str, tuple[Callable[[Content], object], str, str, str]] = {
    'outside': (_set('bbox', [500, 10, 20, 20]), 'bad-box', 'annotation 4', 'lies outside its picture of 128 x 128'),
    'over the edge': (_set('bbox', [100, 10, 40, 20]), 'bad-box', 'annotation 4', 'leaves its picture'),
    'no area': (_set('bbox', [10, 10, 0, 20]), 'bad-box', 'annotation 4', 'no area'),
    'area 0': (_set('area', 0), 'bad-box', 'annotation 4', 'area 0: more than 0'),
    'three numbers': (_set('bbox', [10, 10, 5]), 'bad-box', 'annotation 4', 'four numbers'),
    'words': (_set('bbox', ['10', 1, 1, 1]), 'bad-box', 'annotation 4', 'four numbers'),
    'not finite': (_set('bbox', [float('nan'), 1, 1, 1]), 'bad-box', 'annotation 4', 'not finite'),
    'unknown category': (_set('category_id', 77), 'bad-label', 'annotation 4', 'category_id 77'),
    'unknown picture': (_set('image_id', 99), 'orphan', 'annotation 4', 'image_id 99'),
    'annotation twice': (_set('id', 3), 'duplicate', 'annotation 3', 'another annotation'),
    'picture twice': (_set('id', 3, of='images'), 'duplicate', 'image 3', '000000000004.jpg has the id'),
    'category twice': (_set('id', 1, of='categories'), 'duplicate', 'category 1', 'zero has this id'),
    'no box': (_drop('bbox'), 'malformed', 'annotation 4', 'without bbox'),
    'no area at all': (_drop('area'), 'malformed', 'annotation 4', 'without area'),
    'no id': (_drop('id'), 'malformed', 'annotations[3]', 'without id'),
    'a list for an id': (_set('image_id', [3]), 'malformed', 'annotation 4', 'image_id [3]'),
    'no word of a crowd': (_drop('iscrowd'), 'malformed', 'annotation 4', 'without iscrowd'),
    'a word for an id': (_set('id', 'a4'), 'malformed', 'annotation a4', "evaluation counts with the id"),
    'a class named twice': (_set('name', 'two', of='categories'), 'duplicate', 'category 4', "'two' too"),
    'a number for a name': (_set('name', 3, of='categories'), 'malformed', 'category 4', 'name 3 is no text'),
    'no name': (_drop('file_name', of='images'), 'malformed', 'image 4', 'without file_name'),
    'width of 0': (_set('width', 0, of='images'), 'malformed', 'image 4', 'width 0'),
    'another size': (_set('width', 200, of='images'), 'wrong-size', 'image 4', '128 x 128 pixels, and 200 x 128'),
    'another name': (_set('file_name', 'x.jpg', of='images'), 'missing-file', 'image 4', 'not there'),
    'no mask': (_drop('segmentation'), 'bad-mask', 'annotation 4', 'pipeline loads masks'),
    'odd polygon': (_set('segmentation', [[1] * 7]), 'bad-mask', 'annotation 4', 'a polygon of 7 numbers'),
    'two corners': (_set('segmentation', [[1] * 4]), 'bad-mask', 'annotation 4', 'at least 6'),
    'a flat polygon': (_set('segmentation', [1] * 8), 'bad-mask', 'annotation 4', 'list of lists'),
    'words in a polygon': (_set('segmentation', [['1'] * 6]), 'bad-mask', 'annotation 4', 'no number'),
    'polygon outside': (_set('segmentation', [[1, 1, 5, 5, 1, 300]]), 'bad-mask', 'annotation 4', '(5, 300) leaves'),
    'code too short': (
        _set('segmentation', {**RLE, 'counts': [0, 5]}), 'bad-mask', 'annotation 4', '5 pixels: 16,384 needed'),
    'code of another size': (_set('segmentation', {**RLE, 'size': [9, 9]}), 'bad-mask', 'annotation 4', 'size [9, 9]'),
    'broken code': (_set('segmentation', {**RLE, 'counts': '\u00ff'}), 'bad-mask', 'annotation 4', 'character'),
}  # fmt: skip


@pytest.mark.parametrize('name', FAULTS)
def test_fault(name: str, detection: CocoSource) -> None:
    change, kind, id, text = FAULTS[name]
    found = _check(detection, change).faults
    (fault,) = [fault for fault in found if fault.kind == kind]
    assert fault.id == id and text in fault.text, fault
    of_a_picture = kind in ('wrong-size', 'missing-file')
    assert fault.file.startswith(detection.folder) if of_a_picture else fault.file == detection.ann_file
    # What follows from it may be told as well: annotations of a picture that was left out, for one.
    assert {other.kind for other in found} <= {kind, 'orphan', 'class-order', 'unknown-class', 'bad-label', 'bad-mask'}


def test_a_code_that_is_right(detection: CocoSource) -> None:
    assert _check(detection, _set('segmentation', RLE)).faults == []


def test_compressed_codes_are_read_as_pycocotools_reads_them() -> None:
    generator = np.random.default_rng(0)
    for threshold in (0.02, 0.5, 1.1):
        pixels = np.asfortranarray(generator.random((90, 70)) < threshold, dtype=np.uint8)
        text = coco_mask.encode(pixels)['counts'].decode()
        runs = decode_counts(text)
        # Runs of zeros and ones take turns, and the first is of zeros.
        flat = np.repeat(np.arange(len(runs)) % 2, runs)
        assert np.array_equal(flat.reshape(90, 70, order='F'), pixels)
        assert mask_problem({'size': [90, 70], 'counts': text}, 70, 90) == ''
        assert 'needed' in mask_problem({'size': [90, 70], 'counts': text + '5'}, 70, 90)


def test_classes(detection: CocoSource) -> None:
    (fault,) = _check(replace(detection, classes=(*DIGIT_NAMES[:9], 'nines'))).faults
    assert (fault.kind, fault.id) == ('unknown-class', "class 'nines'") and "did you mean 'nine'?" in fault.text
    (fault,) = _check(replace(detection, classes=('cat', 'dog'))).faults
    assert fault.kind == 'unknown-class' and 'training would see nothing' in fault.text and 'zero, one' in fault.text
    (fault,) = _check(replace(detection, classes=DIGIT_NAMES[::-1])).faults
    assert fault.kind == 'class-order'
    findings = _check(replace(detection, classes=DIGIT_NAMES[:4]))
    assert findings.faults == [] and 'that are not read' in findings.notes[0]
    assert sum(findings.per_class.values()) < findings.annotations


def test_pictures_without_annotations(detection: CocoSource) -> None:
    def change(content: Content) -> None:
        content['annotations'] = [record for record in content['annotations'] if record['image_id'] != 5]

    findings = _check(detection, change)
    assert findings.faults == [] and findings.empty == 1
    assert findings.notes == ['pictures without an annotation of the classes: 1']
    (fault,) = _check(replace(detection, keeps_empty=True)).faults
    assert (fault.kind, fault.id) == ('empty-picture', 'image 5') and 'filter_empty_gt' in fault.text


def test_a_file_that_is_trained_on_needs_annotations(detection: CocoSource) -> None:
    """Else training ends before it begins; a file to be predicted on may have none."""
    for source, wanted in ((detection, []), (replace(detection, trained_on=True), ['no-data'])):
        for change in (lambda content: content.update(annotations=[]), lambda content: content.pop('annotations')):
            before = Path(source.ann_file).read_text()
            findings = _check(source, change)
            assert [fault.kind for fault in findings.faults] == wanted and findings.empty == 24
            Path(source.ann_file).write_text(before)
    assert 'none of its 24 pictures' in str(_check(replace(source, min_size=129)).faults[0])
    assert _check(replace(source, min_size=128)).faults == []


def test_small_pictures_are_told(detection: CocoSource) -> None:
    source = replace(detection, trained_on=True, min_size=100)
    findings = _check(source, _set('height', 99, of='images'))
    assert [fault.kind for fault in findings.faults if fault.kind == 'no-data'] == []
    assert findings.notes == ['pictures with a side of less than 100 pixels, which filter_cfg.min_size leaves out: 1']


def test_people_that_mmpose_leaves_out(pose: CocoSource) -> None:
    source = replace(pose, trained_on=True)
    _check(source, _set('iscrowd', 1, record=0))
    findings = _check(source, lambda content: content['annotations'][1].update(keypoints=[0] * 51, num_keypoints=0))
    assert findings.faults == []
    assert findings.notes == ['crowds and people without a labelled keypoint, which mmpose leaves out: 2']

    def no_keypoints(content: Content) -> None:
        for annotation in content['annotations']:
            del annotation['keypoints']

    assert [fault.kind for fault in _check(source, no_keypoints).faults] == ['no-data']


def test_ids_with_which_mmpose_counts(pose: CocoSource) -> None:
    fault = _check(pose, _set('id', 'x', of='images')).faults[0]
    assert (fault.kind, fault.id) == ('malformed', 'image x') and 'mmpose counts with it' in fault.text


def test_words_as_ids_can_be_trained_on(detection: CocoSource) -> None:
    source = replace(detection, trained_on=True)
    _check(source, _set('id', 'a4'))
    assert _check(source, _drop('iscrowd', record=5)).faults == []


@pytest.mark.parametrize(('id', 'precision'), [(0, 0), (1, 1)])
def test_annotation_0_is_never_found(id: int, precision: int, tmp_path: Path, detection: CocoSource) -> None:
    """By pycocotools, whose mark of no match it is; the look says so."""
    box = {'id': id, 'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'area': 81, 'iscrowd': 0}
    content = {'images': [{'id': 1}], 'annotations': [box], 'categories': [{'id': 1}]}
    truth, found = COCO(), [{'image_id': 1, 'category_id': 1, 'bbox': [1, 1, 9, 9], 'score': 0.9}]
    truth.dataset = content
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(found), 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(precision)

    def change(content: Content) -> None:
        content['annotations'][0]['id'] = id

    notes = _check(detection, change).notes
    assert ['the id 0' in note for note in notes] == [True] * (id == 0)
    assert _check(replace(detection, trained_on=True)).notes == []


KEYPOINTS: dict[str, tuple[Callable[[Content], object], str, str]] = {
    'one less': (_set('keypoints', [0] * 48), 'annotation 4', '48 numbers: 51'),
    'visibility': (
        lambda content: content['annotations'][3]['keypoints'].__setitem__(2, 3), 'annotation 4', 'visibility 3'),
    'a word': (lambda content: content['annotations'][3]['keypoints'].__setitem__(0, 'x'), 'annotation 4', 'no number'),
    'another count': (_set('num_keypoints', 40), 'annotation 4', 'num_keypoints 40'),
    'names': (
        lambda content: content['categories'][0]['keypoints'].reverse(), 'category 1', 'keypoint 0 is'),
    'fewer names': (lambda content: content['categories'][0]['keypoints'].pop(), 'category 1', 'has 16 keypoints'),
}  # fmt: skip


@pytest.mark.parametrize('name', KEYPOINTS)
def test_keypoints(name: str, pose: CocoSource) -> None:
    change, id, text = KEYPOINTS[name]
    (fault,) = _check(pose, change).faults
    assert (fault.kind, fault.file, fault.id) == ('bad-keypoints', pose.ann_file, id) and text in fault.text


def test_detected_boxes(pose: CocoSource, tmp_path: Path) -> None:
    good = {'image_id': 1, 'category_id': 1, 'bbox': [-3, 2, 30, 40], 'score': 0.9}
    wrong = [
        ({'image_id': 99}, 'orphan', 'image_id 99'),
        ({'bbox': [1, 2, 0, 4]}, 'bad-box', 'no area'),
        ({'bbox': [900, 2, 5, 4]}, 'bad-box', 'outside'),
        ({'score': None}, 'malformed', 'score None'),
        ({'image_id': [1]}, 'orphan', 'image_id [1]'),
    ]
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps([good, *({**good, **change} for change, _, _ in wrong), {'image_id': 1}]))
    findings = _check(replace(pose, bbox_file=str(file)))
    assert [(fault.kind, fault.id) for fault in findings.faults] == [
        *((kind, f'detection {i}') for i, (_, kind, _) in enumerate(wrong, 1)), ('malformed', 'detection 6')
    ]  # fmt: skip
    assert all(text in fault.text for fault, (_, _, text) in zip(findings.faults, wrong))
    assert {fault.file for fault in findings.faults} == {str(file)} and 'of people: 6' in findings.notes[-1]
    file.write_text('{}')
    assert _check(replace(pose, bbox_file=str(file))).faults[0].text == 'a list of detections needed'


@pytest.mark.parametrize(
    ('text', 'kind', 'told'),
    [
        ('{"images": [', 'unreadable', 'no JSON'),
        ('\ufeff{}', 'unreadable', 'BOM'),
        ('[]', 'malformed', 'images, annotations, categories needed'),
        ('{"info": 1, "images": []}', 'malformed', 'no list categories; it holds info, images'),
        ('{"images": [], "annotations": [], "categories": []}', 'no-data', 'images is empty'),
    ],
)
def test_no_such_file_of_coco(text: str, kind: str, told: str, detection: CocoSource) -> None:
    Path(detection.ann_file).write_text(text)
    found = _check(detection).faults
    assert any(fault.kind == kind and told in fault.text and fault.file == detection.ann_file for fault in found), found


def test_another_encoding_is_no_file_that_the_toolboxes_read(detection: CocoSource) -> None:
    Path(detection.ann_file).write_text('{"images": []}', encoding='utf-16')
    (fault,) = _check(detection).faults
    assert fault.kind == 'unreadable' and 'utf-8' in fault.text
    with pytest.raises(UnicodeDecodeError):
        COCO(detection.ann_file)


def test_files_of_test_pictures_have_no_annotations(detection: CocoSource) -> None:
    findings = _check(detection, lambda content: content.pop('annotations'))
    assert findings.faults == [] and 'no annotations' in findings.notes[0]
