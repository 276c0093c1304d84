from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from moganet.engine.resume import check_resumable, latest_checkpoint

STATE = {'meta': {}, 'state_dict': {'fc.weight': torch.ones(2)}, 'message_hub': {}, 'optimizer': {}}


def write(path: Path, age: int = 0, **changes: object) -> Path:
    """Write a checkpoint, older than others by some seconds."""
    torch.save({key: value for key, value in {**STATE, **changes}.items() if value is not None}, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def latest(work_dir: Path) -> tuple[Path | None, list[str]]:
    checkpoint, notes = latest_checkpoint(work_dir, foreign=True)
    return checkpoint and checkpoint.path, notes


def test_resuming_needs_more_than_weights() -> None:
    whole = dict.fromkeys(('meta', 'state_dict', 'message_hub', 'optimizer'), {})
    check_resumable(whole, 'x.pth')
    del whole['optimizer']
    with pytest.raises(ValueError, match='it has no optimizer; .*load_from'):
        check_resumable(whole, 'x.pth')


def test_the_noted_checkpoint_goes_before_a_newer_one(tmp_path: Path) -> None:
    assert latest(tmp_path) == (None, [])
    noted = write(tmp_path / 'epoch_2.pth', age=9)
    write(tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text(str(noted))
    assert latest(tmp_path) == (noted, [])


@pytest.mark.parametrize('note', [None, '', '/elsewhere/epoch_3.pth'])
def test_without_a_note_that_helps_the_newest_is_taken(tmp_path: Path, note: str | None) -> None:
    newest = write(tmp_path / 'epoch_3.pth')
    write(tmp_path / 'epoch_10.pth', age=9)
    write(tmp_path / 'best_top1_epoch_3.pth', age=-9)
    (tmp_path / '.unfinished-epoch_11.pth').write_bytes(b'PK half')
    if note is not None:
        (tmp_path / 'last_checkpoint').write_text(note)
    assert latest(tmp_path) == (newest, [])


def test_a_moved_folder(tmp_path: Path) -> None:
    """MMEngine notes an absolute path."""
    moved = write(tmp_path / 'epoch_3.pth', age=9)
    write(tmp_path / 'epoch_4.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_3.pth\n')
    assert latest(tmp_path) == (moved, [])


def test_checkpoints_in_another_folder(tmp_path: Path) -> None:
    """``CheckpointHook.out_dir`` has them elsewhere."""
    for name in ('run', 'elsewhere'):
        (tmp_path / name).mkdir()
    whole = write(tmp_path / 'elsewhere/epoch_1.pth', age=9)
    torn = write(tmp_path / 'elsewhere/epoch_2.pth')
    torn.write_bytes(torn.read_bytes()[:-300])
    (tmp_path / 'run/last_checkpoint').write_text(str(torn))
    path, (note,) = latest(tmp_path / 'run')
    assert path == whole and note.startswith('passed over: ') and str(torn) in note


@pytest.mark.parametrize('damage', ['torn', 'flipped', 'empty', 'weights alone', 'gone'])
def test_what_cannot_be_resumed_from_is_passed_over(tmp_path: Path, damage: str) -> None:
    before = write(tmp_path / 'epoch_2.pth', age=5)
    write(tmp_path / 'epoch_1.pth', age=9)
    bad = write(tmp_path / 'epoch_3.pth', optimizer=None if damage == 'weights alone' else {})
    data = bytearray(bad.read_bytes())
    if damage == 'flipped':
        data[data.index(b'state_dict')] ^= 1  # the middle may be what torch fills up with
    if damage != 'weights alone':
        bad.write_bytes({'torn': data[: len(data) // 2], 'empty': b''}.get(damage, bytes(data)))
    (tmp_path / 'last_checkpoint').write_text(str(bad))
    if damage == 'gone':
        bad.unlink()
    path, (note,) = latest(tmp_path)
    assert path == before and str(bad) in note


def test_none_that_is_whole(tmp_path: Path) -> None:
    (tmp_path / 'epoch_1.pth').write_bytes(b'')
    with pytest.raises(ValueError, match=r'no checkpoint that can be resumed from \(passed over: .*epoch_1.pth'):
        latest(tmp_path)
