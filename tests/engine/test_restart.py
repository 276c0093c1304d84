"""Where the processes of a job that was restarted go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict

from moganet.engine import restart
from moganet.engine.restart import DisagreementError, check_agreement, note_beginning, own_checkpoint

COUNT = 'TORCHELASTIC_RESTART_COUNT'


@pytest.fixture
def work_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work dir with a checkpoint of a run before."""
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    _save(tmp_path / 'epoch_9.pth')
    os.utime(tmp_path / 'epoch_9.pth', (1e9, 1e9))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_9.pth'))
    return tmp_path


def _save(path: Path) -> None:
    torch.save({'state_dict': {'weight': torch.zeros(1)}, 'meta': {}, 'optimizer': {}, 'message_hub': {}}, path)


def test_a_job_goes_on_from_its_own_checkpoints_alone(work_dir: Path) -> None:
    note_beginning(os.environ, work_dir)
    assert own_checkpoint(work_dir, foreign=True) == (None, [])
    os.environ |= {COUNT: '1', 'TORCHELASTIC_MAX_RESTARTS': '3'}
    begins = 'restart 1 of 3: the job has written no checkpoint yet, so it begins as it began'
    assert own_checkpoint(work_dir, foreign=True) == (None, [begins])
    _save(work_dir / 'epoch_1.pth')
    found, notes = own_checkpoint(work_dir, foreign=True)
    assert found is not None and found.path == work_dir / 'epoch_1.pth'
    assert notes == ['restart 1 of 3, so it goes on by itself']
    # A node that is drawn into the restart of another one counts none.
    os.environ[COUNT] = '0'
    assert own_checkpoint(work_dir, foreign=True)[1] == ['restarted, so it goes on by itself']
    assert sorted(path.name for path in work_dir.iterdir()) == ['epoch_1.pth', 'epoch_9.pth', 'last_checkpoint']


def test_a_job_of_torchrun_alone_goes_on_from_the_last_one(work_dir: Path) -> None:
    os.environ[COUNT] = '0'
    assert own_checkpoint(work_dir, foreign=True) == (None, [])
    os.environ[COUNT] = '2'
    found, notes = own_checkpoint(work_dir, foreign=True)
    assert found is not None and found.path == work_dir / 'epoch_9.pth' and notes[0].startswith('restart 2')


def test_processes_that_go_on_from_different_places_do_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = ConfigDict(resume=True, load_from='moganet:///disk/run/epoch_3.pth', work_dir='/disk/run')
    others: list[str] = []

    def gather(mine: Any) -> list[Any]:
        return [mine, *others]

    monkeypatch.setattr(restart, 'all_gather_object', gather)
    check_agreement(cfg)  # alone, there is nobody to ask
    monkeypatch.setattr(restart, 'get_world_size', lambda: 2)
    others[:] = ['epoch_3.pth']
    check_agreement(cfg)
    others[:] = ['epoch_3.pth', 'the beginning']
    with pytest.raises(DisagreementError, match='process 0 would start from epoch_3.pth, and process 2 from the begin'):
        check_agreement(cfg)
