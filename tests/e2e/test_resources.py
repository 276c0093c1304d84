"""Disks that fill up, by the command line: one line, exit code 1, and the run goes on where there is room again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from moganet.engine.cli import run_tool
from moganet.engine.launch import TrainOptions, prepare_training, start
from moganet.engine.resume import latest_checkpoint

from ..disks import fill, mounted, remount
from .test_exact_resume import _LEAF, LOOPS
from .tools import REPO, TOOLS, fork

BASE = REPO / 'configs/classification/moganet-xtiny_1xb32-5e_tiny-imagenet-64px.py'


@pytest.fixture
def leaf(workplace: Path) -> Path:
    cfg, sampler = LOOPS['epoch']
    (workplace / 'leaf.py').write_text(_LEAF.format(base=BASE, workers=0, loop=cfg, sampler=sampler))
    return workplace / 'leaf.py'


@pytest.fixture
def closed_logs() -> Iterator[None]:
    """Take the files of this test from MMEngine's loggers, which outlive it: on a full disk each line would raise."""
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]:
            logger.removeHandler(handler)


@pytest.fixture
def disk(workplace: Path) -> Iterator[Path]:
    with mounted(workplace / 'disk', '16m') as folder:
        yield folder


def _line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: '), text
    return lines[0]


def test_a_disk_that_fills_up(leaf: Path, disk: Path) -> None:
    """There is room for the probe and for some checkpoints; none of them is removed before there is another."""
    arguments = ['--seed', '7', '--work-dir', 'disk/run', '--cfg-options', 'default_hooks.checkpoint.max_keep_ckpts=-1']
    size = 1200 * 1024
    (disk / 'other').write_bytes(bytes(16 * 2**20 - 3 * size))
    done = fork(TOOLS / 'train.py', leaf, *arguments, code=1)
    assert 'Traceback' not in done.stderr
    line = _line(done.stderr.splitlines()[-1])  # MMEngine has said before that this process was forked
    assert 'No space left on device' in line and '--resume auto' in line and 'iter_' in line
    checkpoint, notes = latest_checkpoint('disk/run')
    assert checkpoint is not None and notes == []
    remount(disk, 'size=64m')
    again = fork(TOOLS / 'train.py', leaf, *arguments, '--resume', 'auto')
    assert f'resuming from {checkpoint.path}' in again.stdout and Path('disk/run/iter_20.pth').is_file()


def test_a_disk_that_is_read_only(leaf: Path, disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    remount(disk, 'ro')
    assert run_tool(lambda: prepare_training(TrainOptions(str(leaf), work_dir='disk/run')) and (lambda: None)) == 2
    assert '--work-dir disk/run cannot be written: Read-only file system' in _line(capfd.readouterr().err)


@pytest.mark.usefixtures('closed_logs')
def test_a_disk_that_is_full_at_the_first_file(leaf: Path, disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    plan = prepare_training(TrainOptions(str(leaf), work_dir='disk/run'))
    fill(disk)
    assert run_tool(lambda: lambda: start(plan).train()) == 1
    assert 'cannot be written' in _line(capfd.readouterr().err.splitlines()[-1])
