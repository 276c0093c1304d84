"""Pictures to classify, and label maps: each fault, planted in a copy of a tiny set, is found with its file."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moganet.datasets.check import (
    Findings,
    FolderSource,
    LabelMapSource,
    Looker,
    check_folders,
    check_label_maps,
)
from moganet.datasets.tiny.sources import DIGIT_NAMES

SORTED = tuple(sorted(DIGIT_NAMES))
ENDINGS = ('.png', '.jpg')


@pytest.fixture
def listed(tiny: Path, tmp_path: Path) -> FolderSource:
    shutil.copytree(tiny / 'imagenet', tmp_path / 'imagenet')
    root = tmp_path / 'imagenet'
    return FolderSource(str(root / 'train'), str(root / 'meta' / 'train.txt'), DIGIT_NAMES, ENDINGS)


@pytest.fixture
def maps(tiny: Path, tmp_path: Path) -> LabelMapSource:
    shutil.copytree(tiny / 'ade', tmp_path / 'ade')
    root = tmp_path / 'ade' / 'ADEChallengeData2016'
    classes = (*DIGIT_NAMES, 'ground')
    folders = str(root / 'images' / 'training'), str(root / 'annotations' / 'training')
    return LabelMapSource(*folders, classes=classes, reduce_zero_label=True)


def _folders(source: FolderSource, decode: bool = False) -> Findings:
    findings = Findings('train', 'ImageNet')
    check_folders(source, findings, Looker(decode))
    return findings


def _maps(source: LabelMapSource) -> Findings:
    findings = Findings('train', 'BaseSegDataset')
    check_label_maps(source, findings, Looker(workers=2))
    return findings


def test_clean_list_and_clean_folders(listed: FolderSource) -> None:
    for source in (listed, replace(listed, ann_file='', classes=SORTED), replace(listed, ann_file='', classes=None)):
        findings = _folders(source)
        assert findings.faults == [] and findings.pictures == findings.annotations == 160
        assert len(findings.classes) == 10 and not findings.classes_without_any()


@pytest.mark.parametrize(
    ('line', 'kind', 'text'),
    [
        ('zero/0000.png 10', 'bad-label', 'label 10: 0 to 9'),
        ('zero/0000.png -1', 'bad-label', 'label -1'),
        ('zero/0000.png zer', 'malformed', "label 'zer': a whole number needed; did you mean 'zero'?"),
        ('zero/0000.png', 'malformed', 'a name and a label needed'),
        ('', 'malformed', 'a name and a label needed'),
        ('{first}', 'duplicate', 'is in line 1 too'),
        ('zero/none.png 0', 'missing-file', 'not there'),
    ],
)
def test_fault_of_a_line(line: str, kind: str, text: str, listed: FolderSource) -> None:
    file = Path(listed.ann_file)
    lines = file.read_text().splitlines()
    lines[4] = line.format(first=lines[0])
    file.write_text('\n'.join(lines))
    (fault,) = [fault for fault in _folders(listed).faults if fault.kind == kind]
    assert text in fault.text
    if kind == 'missing-file':
        assert fault.file == f'{listed.folder}/zero/none.png'
    else:
        assert (fault.file, fault.id) == (str(file), 'line 5')


def test_folders_and_classes(listed: FolderSource) -> None:
    source = replace(listed, ann_file='', classes=SORTED)
    (fault,) = _folders(replace(source, classes=DIGIT_NAMES)).faults
    assert fault.kind == 'class-order' and "label 0 is 'eight' by the folders" in fault.text and "'zero'" in fault.text
    (fault,) = _folders(replace(source, classes=[f'n{i:08d}' for i in range(12)])).faults
    assert fault.kind == 'unknown-class' and fault.text == '10 folders for 12 classes'
    Path(source.folder, 'sevven').mkdir()
    (fault,) = _folders(source).faults
    assert fault.kind == 'bad-label' and fault.file.endswith('/sevven')
    shutil.rmtree(Path(source.folder, 'seven'))
    shutil.rmtree(Path(source.folder, 'six'))
    kinds = {fault.id: fault for fault in _folders(source).faults if fault.kind == 'unknown-class'}
    assert set(kinds) == {'seven', 'six'} and "did you mean 'sevven'?" in kinds['seven'].text
    without = _folders(replace(source, classes=None))
    assert without.classes_without_any() == ['sevven'] and 'without any: 1 (sevven)' in '\n'.join(without.lines())


def test_other_endings_and_no_picture_at_all(listed: FolderSource) -> None:
    source = replace(listed, ann_file='', with_label=False)
    Path(source.folder, 'zero', 'notes.txt').touch()
    findings = _folders(source)
    assert findings.faults == [] and 'files left out' in findings.notes[0] and findings.annotations == 0
    (fault,) = _folders(replace(source, extensions=('.tif',))).faults
    assert (fault.kind, fault.file) == ('no-data', source.folder) and 'looked for .tif' in fault.text


def test_pictures_beside_the_folders_of_the_classes(listed: FolderSource) -> None:
    """ImageNet's validation pictures, as they are unpacked."""
    source = replace(listed, ann_file='', classes=SORTED)
    for number in range(3):
        shutil.copy(next(Path(source.folder, 'zero').iterdir()), Path(source.folder, f'{number}.png'))
    findings = _folders(source)
    assert findings.faults == [] and findings.pictures == 160
    assert findings.notes == [f'{source.folder}: pictures beside the folders of the classes, which are not read: 3']
    for name in SORTED:
        shutil.rmtree(Path(source.folder, name))
    assert _folders(source).notes == findings.notes


def test_a_list_that_is_not_text(listed: FolderSource, maps: LabelMapSource) -> None:
    Path(listed.ann_file).write_bytes(b'caf\xe9/0000.png 1')
    for findings in (_folders(listed), _maps(replace(maps, ann_file=listed.ann_file))):
        fault = findings.faults[0]
        assert (fault.kind, fault.file) == ('unreadable', listed.ann_file) and 'utf-8' in fault.text


def test_torn_picture(listed: FolderSource) -> None:
    path = next(Path(listed.folder, 'three').iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    (fault,) = _folders(listed).faults
    assert (fault.kind, fault.file) == ('unreadable', str(path)) and 'IEND' in fault.text


def test_clean_label_maps(maps: LabelMapSource) -> None:
    findings = _maps(maps)
    assert findings.faults == [] and findings.pictures == findings.annotations == 24
    assert not findings.classes_without_any() and findings.notes == []


def _first_map(maps: LabelMapSource) -> Path:
    return min(Path(maps.map_folder).iterdir())


def _write(path: Path, pixels: np.ndarray) -> None:
    # A PNG holds up to 16 bits; Pillow goes by what a file holds, not by its name.
    Image.fromarray(pixels).save(path, format='TIFF' if pixels.dtype.itemsize == 4 else 'PNG')


@pytest.mark.parametrize(
    ('kind', 'pixels', 'text'),
    [
        ('bad-label', np.full((128, 128), 12, np.uint8), '16,384 pixels of value 12: 1 to 11 are the 11 classes'),
        ('bad-label', np.full((128, 128), 1000, np.uint16), 'value 1000'),
        ('bad-label', np.full((128, 128), 1 << 20, np.int32), 'values from 1048576'),
        ('bad-label', np.full((128, 128), np.nan, np.float32), 'values from nan'),
        ('bad-label', np.full((128, 128), 1.5, np.float32), 'values that are no whole numbers'),
        ('bad-label', np.zeros((128, 128, 3), np.uint8), 'a colour picture of 3 channels'),
        ('wrong-size', np.ones((128, 64), np.uint8), '64 x 128 pixels, and its picture 128 x 128'),
    ],
)
def test_fault_of_a_label_map(kind: str, pixels: np.ndarray, text: str, maps: LabelMapSource) -> None:
    path = _first_map(maps)
    _write(path, pixels)
    (fault,) = _maps(maps).faults
    assert (fault.kind, fault.file) == (kind, str(path)) and text in fault.text


def test_palettes_and_single_bits_are_labels(maps: LabelMapSource) -> None:
    first, second = sorted(Path(maps.map_folder).iterdir())[:2]
    palette = Image.fromarray(np.full((128, 128), 3, np.uint8))
    palette.putpalette(bytes(range(256)) * 3)
    palette.save(first)
    Image.fromarray(np.ones((128, 128), bool)).save(second)
    assert _maps(maps).faults == []


def test_a_map_is_not_turned(maps: LabelMapSource) -> None:
    """MMSegmentation reads pictures by OpenCV, which heeds EXIF, and maps by Pillow, which does not."""
    exif = Image.Exif()
    exif[0x0112] = 6
    name = min(Path(maps.folder).iterdir())
    with Image.open(name) as picture:
        picture.resize((64, 128)).save(name, exif=exif)
    path = _first_map(maps)
    Image.fromarray(np.ones((64, 128), np.uint8)).save(path, exif=exif)
    assert _maps(maps).faults == []


def test_maps_that_are_trained_on(maps: LabelMapSource) -> None:
    source = replace(maps, map_folder='')
    assert _maps(source).faults == []
    (fault,) = _maps(replace(source, trained_on=True)).faults
    assert fault.kind == 'no-data' and 'data_prefix.seg_map_path' in fault.text


def test_label_map_that_is_absent_torn_or_spare(maps: LabelMapSource) -> None:
    path = _first_map(maps)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert [(fault.kind, fault.file) for fault in _maps(maps).faults] == [('unreadable', str(path))]
    path.rename(path.with_name('spare.png'))
    findings = _maps(maps)
    assert [(fault.kind, fault.file) for fault in findings.faults] == [('missing-file', str(path))]
    assert 'label maps without a picture' in findings.notes[0] and 'spare.png' in findings.notes[0]


def test_nothing_but_ignored_pixels_is_an_empty_picture(maps: LabelMapSource) -> None:
    _write(_first_map(maps), np.zeros((128, 128), np.uint8))
    findings = _maps(maps)
    assert findings.faults == [] and findings.empty == 1


def test_values_as_mmseg_turns_them(maps: LabelMapSource) -> None:
    """Without the reduction the ground, 11 in the files, is no class; a map of labels may leave it out."""
    plain = replace(maps, reduce_zero_label=False)
    assert {fault.kind for fault in _maps(plain).faults} == {'bad-label'} and len(_maps(plain).faults) == 24
    assert _maps(replace(plain, label_map={11: 255})).faults == []
    table = maps.class_of_value()
    assert (table[0], table[1], table[11], table[255]) == (255, 0, 10, 255)


def test_lists_of_names_and_wrong_suffixes(maps: LabelMapSource, tmp_path: Path) -> None:
    names = [path.stem for path in sorted(Path(maps.folder).iterdir())]
    file = tmp_path / 'names.txt'
    file.write_text('\n'.join([*names[:3], names[1], '', 'none']))
    findings = _maps(replace(maps, ann_file=str(file)))
    told = [(fault.kind, fault.id) for fault in findings.faults[:2]]
    assert told == [('duplicate', 'line 4'), ('malformed', 'line 5')]
    assert [fault.file for fault in findings.faults[2:]] == [f'{maps.folder}/none.jpg', f'{maps.map_folder}/none.png']
    (fault,) = _maps(replace(maps, suffix='.png')).faults
    assert fault.kind == 'no-data' and 'the names there end: 24 in .jpg' in fault.text
