from __future__ import annotations

from pathlib import Path

import pytest

from moganet.names import did_you_mean, missing_file, near_files, near_path, nearest, slips


def test_nearest_ignores_case_and_knows_when_nothing_is_near() -> None:
    assert nearest('mogaNet', ['MogaNet', 'ConvNeXt']) == 'MogaNet'
    assert nearest('qqqq', ['MogaNet']) is None
    assert did_you_mean('archh', ['arch', 'depths']) == "; did you mean 'arch'?"
    assert did_you_mean('qqqq', ['arch']) == ''


@pytest.mark.parametrize(
    ('word', 'other', 'count'),
    [('model', 'model', 0), ('modle', 'model', 1), ('modl', 'model', 1), ('mmodel', 'model', 1), ('test', 'tta', 3)],
)
def test_slips(word: str, other: str, count: int) -> None:
    assert slips(word, other) == slips(other, word) == count


def test_near_files_are_those_below_the_nearest_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'run').mkdir()
    for name in ('epoch_1.pth', 'epoch_12.pth', 'last.txt'):
        (tmp_path / 'run' / name).touch()
    assert near_files(tmp_path / 'run' / 'epoch_2.pth', '*.pth')[0].endswith('epoch_12.pth')
    assert near_files(Path('/nowhere/at/all.pth'), '*.pth') == []
    monkeypatch.chdir(tmp_path)
    assert near_files(Path('gone/epoch_1.pth'), '*.pth') == []  # an unrelated folder
    error = missing_file('checkpoint', 'run/epoch_3.pth', '*.pth')
    assert str(error).startswith('no such checkpoint: run/epoch_3.pth; near it: run/epoch_1')


def test_near_path_differs_by_one_slip(tmp_path: Path) -> None:
    (tmp_path / 'coco' / 'train2017').mkdir(parents=True)
    assert near_path(tmp_path / 'cocoo' / 'train2017') == tmp_path / 'coco' / 'train2017'
    assert near_path(tmp_path / 'coco' / 'train2018') == tmp_path / 'coco' / 'train2017'
    # Two slips, or another name altogether.
    assert near_path(tmp_path / 'cocoo' / 'train2018') is None
    assert near_path(tmp_path / 'imagenet') is None
