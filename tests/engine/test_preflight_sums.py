"""The sums of a preflight: memory, rate, disk and time of runs that are not built."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from torch import nn

from moganet.engine.launch import TrainOptions
from moganet.engine.preflight import Subject, data, disk, free_memory, memory, step
from moganet.engine.preflight.disk import Files, Sizes, check_disk, files_of
from moganet.engine.preflight.duration import check_time, duration, loaders
from moganet.engine.preflight.memory import check_memory
from moganet.engine.preflight.rate import check_rate
from moganet.engine.preflight.result import OK, WARNING, NotRunError
from moganet.engine.preflight.step import Step, Trial, on_cpu, on_gpu

CONFIG = """
train_dataloader = dict(batch_size=4, num_workers=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=2)
train_cfg = dict(by_epoch=True, max_epochs=10)
auto_scale_lr = dict(base_batch_size=8)
"""
GB = 10**9


def _subject(folder: Path, gpus: int = 1, **changes: Any) -> Subject:
    """Return a run of 10 epochs of 12 batches, whose step was measured."""
    (folder / 'sums.py').write_text(CONFIG)
    cfg = Config.fromfile(folder / 'sums.py')
    cfg.merge_from_dict({'work_dir': str(folder / 'run'), **changes})
    subject = Subject(TrainOptions(str(folder / 'sums.py')), gpus, cfg, model=nn.Linear(1, 1))
    subject.loaders = {'train': range(12)}
    subject.step = Step(4, (Trial(2, 1.0, GB, 3 * GB), Trial(3, 3.0, GB, 4 * GB)), load_s=0.5, terms=2)
    return subject


def test_a_step_is_scaled_to_the_batch() -> None:
    two = Step(4, (Trial(1, 1.0, GB, 3 * GB), Trial(2, 3.0, GB, 4 * GB)), 0.0, 1)
    assert (two.seconds, two.picture_bytes, two.peak) == (6.0, GB, 6 * GB)
    one = Step(4, (Trial(2, 1.0, GB, 3 * GB),), 0.0, 1)  # all but what is settled grows
    assert (one.seconds, one.picture_bytes, one.peak) == (2.0, GB, 5 * GB)
    whole = Step(4, (Trial(1, 1.0, GB, 3 * GB), Trial(4, 3.0, GB, 7 * GB)), 0.0, 1)
    assert (whole.seconds, whole.peak) == (3.0, 7 * GB)


@pytest.mark.parametrize(
    ('gpus', 'free', 'state', 'told'),
    [
        (1, 6 * GB, 'ok', 'a process on this cpu: 5.00 GB'),
        (1, 5.5 * GB, 'warning', '5.50 GB are free'),
        (1, 3.5 * GB, 'FAILED', 'about 2 pictures a process fit'),
        (2, 6 * GB, 'FAILED', '2 processes on this cpu: 10.00 GB'),
    ],
)
def test_memory(
    gpus: int, free: float, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, 'free_memory', lambda device: free)
    found, text = check_memory(_subject(tmp_path, gpus))
    assert found == state and told in text


def test_memory_of_averages_and_of_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, 'free_memory', lambda device: GB)
    subject = _subject(tmp_path, 2, custom_hooks=[{'type': 'EMAHook'}])
    subject.model = nn.BatchNorm1d(10**6)
    subject.step = Step(1, (Trial(1, 1.0, 0, 1000),), 0.0, 1)
    # An average of four numbers a channel and a counter, and a bucket of two.
    need = 2 * (1000 + 4 * 4 * 10**6 + 8 + 2 * 4 * 10**6)
    assert f'{need / 1e6:.1f} MB of tensors' in check_memory(subject)[1]


@pytest.mark.parametrize(
    ('gpus', 'changes', 'state', 'told'),
    [
        (2, {}, 'ok', '2 x 4 x 2 accumulated = 16 pictures a step, lr=0.1 is for 16'),
        (1, {}, 'warning', 'by the linear rule it is 0.05: --auto-scale-lr does so'),
        (8, {'auto_scale_lr.enable': True}, 'ok', '--auto-scale-lr is on and makes it 0.4'),
        (1, {'optim_wrapper.accumulative_counts': 4}, 'ok', '1 x 4 x 4 accumulated = 16 pictures'),
        # MMEngine's scaling does not see that there are more batches to a step than the config's two.
        (
            1,
            {'optim_wrapper.accumulative_counts': 4, 'auto_scale_lr.enable': True},
            'warning',
            'makes it 0.05; by the linear rule it is 0.1: --cfg-options optim_wrapper.optimizer.lr=0.1 without',
        ),
        (1, {'train_dataloader.batch_size': 9}, 'ok', 'by the linear rule it is 0.1125'),
    ],
)
def test_rate(gpus: int, changes: dict[str, Any], state: str, told: str, tmp_path: Path) -> None:
    found, text = check_rate(_subject(tmp_path, gpus, **changes))
    assert found == state and told in text, text


def test_rate_of_a_config_that_says_no_batch(tmp_path: Path) -> None:
    with pytest.raises(NotRunError, match='base_batch_size'):
        check_rate(_subject(tmp_path, auto_scale_lr={'_delete_': True, 'enable': False}))


ITERATIONS = {'train_cfg': {'_delete_': True, 'type': 'IterBasedTrainLoop', 'max_iters': 100}}


@pytest.mark.parametrize(
    ('changes', 'hook', 'files'),
    [
        ({}, {'interval': 1}, Files(10, 0, 1, 0)),
        ({}, {'interval': 3}, Files(4, 0, 1, 0)),  # 3, 6, 9, and the last
        ({}, {'interval': 3, 'save_last': False}, Files(3, 0, 1, 0)),
        ({}, {'interval': 3, 'save_begin': 4}, Files(2, 0, 1, 0)),  # 7, 10
        ({}, {'interval': 1, 'max_keep_ckpts': 3, 'save_best': 'auto'}, Files(3, 1, 2, 0)),
        ({}, {'interval': 5, 'max_keep_ckpts': 3, 'save_best': ['a', 'b']}, Files(2, 2, 1, 0)),
        ({}, {}, Files(1, 0, 1, 0)),
        ({}, {'interval': 10, 'published_keys': ['state_dict'], 'save_best': 'a'}, Files(1, 1, 1, 2)),
        ({}, {'interval': 50, 'by_epoch': False}, Files(3, 0, 1, 0)),  # of 120 iterations
        (ITERATIONS, {'interval': 50, 'by_epoch': False, 'max_keep_ckpts': 1}, Files(1, 0, 2, 0)),
        (ITERATIONS, {'interval': 50}, Files(1, 0, 1, 0)),
    ],
)
def test_checkpoints_at_one_time(changes: dict[str, Any], hook: dict[str, Any], files: Files, tmp_path: Path) -> None:
    assert files_of(_subject(tmp_path, **changes), hook) == files


def _full(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(disk, 'checkpoint_sizes', lambda subject: Sizes(2 * GB, GB))
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=free))


@pytest.mark.parametrize(('free', 'state'), [(20, 'ok'), (12, 'warning'), (10, 'FAILED')])
def test_disk(free: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _full(monkeypatch, free * GB)
    hook = {'interval': 1, 'max_keep_ckpts': 3, 'save_best': 'auto'}
    found, text = check_disk(_subject(tmp_path, default_hooks={'checkpoint': hook}))
    assert found == state
    assert '5 checkpoints of 2.00 GB (3 kept, interrupted.pth, one being written), 1 of 1.00 GB' in text
    assert f': 11.00 GB; {free}.00 GB are free in {tmp_path}' in text and ('max_keep_ckpts' in text) == (free == 10)
    assert not (tmp_path / 'run').exists()


def test_disk_of_a_run_that_goes_on_or_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _full(monkeypatch, GB)
    (tmp_path / 'run').mkdir()
    with open(tmp_path / 'run' / 'epoch_1.pth', 'wb') as file:
        file.truncate(30 * GB)  # takes no room
    assert check_disk(_subject(tmp_path))[0] == 'FAILED'
    assert check_disk(_subject(tmp_path, resume=True))[0] == 'ok'
    with pytest.raises(NotRunError, match='s3://bucket'):
        check_disk(_subject(tmp_path, default_hooks={'checkpoint': {'out_dir': 's3://bucket'}}))
    (tmp_path / 'file').touch()
    state, text = check_disk(_subject(tmp_path, work_dir=str(tmp_path / 'file' / 'run')))
    assert state == 'FAILED' and 'no folder that may be written' in text


def test_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('moganet.engine.preflight.duration.cores', lambda: 8)
    # 4 pictures of 3.0 / 3 s; two workers load 4 of 0.5 s.
    state, text = check_time(_subject(tmp_path))
    assert state == 'ok' and '8.0 minutes' in text and '120 iterations of 4.00 s (step 4.00 s, loading 1.00 s' in text
    state, text = check_time(_subject(tmp_path, 8, **{'train_dataloader.num_workers': 0}))
    assert state == 'ok' and '20 iterations of 6.00 s' in text  # two an epoch; nothing loads meanwhile
    slow = _subject(tmp_path)
    slow.step = Step(4, (Trial(4, 1.0, 0, 0),), load_s=3.0, terms=1)
    state, text = check_time(slow)
    assert state == 'warning' and '120 iterations of 6.00 s' in text and 'the slower part' in text


def test_words_for_times_and_loaders() -> None:
    assert [duration(seconds) for seconds in (30, 600, 10_000, 500_000)] == [
        '30 seconds', '10.0 minutes', '2.8 hours', '5.8 days'
    ]  # fmt: skip
    assert [loaders(*words) for words in ((0, 8, 1), (4, 8, 1), (4, 8, 8))] == [1.0, 4, 1.0]


class _Steps:
    """Steps of so many seconds a picture, which fit up to a number of them."""

    device, accumulates = torch.device('cpu'), False
    model = nn.Linear(1, 1)

    def __init__(self, seconds: float, fits: int = 10**6) -> None:
        self.seconds, self.fits = seconds, fits
        self.taken: list[int] = []

    def counted(self, pictures: int) -> Trial:
        self.taken.append(pictures)
        return Trial(pictures, 2 * self.timed(pictures), GB, (1 + pictures) * GB)

    def timed(self, pictures: int) -> float:
        if pictures > self.fits:
            raise torch.cuda.OutOfMemoryError('no room')
        return self.seconds * pictures


@pytest.mark.parametrize(
    ('seconds', 'free', 'batch', 'taken'),
    [
        (0.001, 1000, 64, [2, 64]),
        (0.1, 1000, 64, [2, 40]),  # 8 seconds
        (0.001, 35, 64, [2, 20]),  # 0.6 of 35 GB
        (9.0, 1000, 64, [2]),
        (0.001, 1000, 1, [1]),
    ],
)
def test_pictures_of_a_step_on_a_cpu(
    seconds: float, free: int, batch: int, taken: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, 'free_memory', lambda device: free * GB)
    stepper: Any = _Steps(seconds)
    trials = on_cpu(stepper, batch)
    assert stepper.taken == taken and [trial.pictures for trial in trials] == taken
    # One that is short is timed without the counting.
    assert trials[-1].seconds == seconds * taken[-1] * (1 if 2 * seconds * taken[-1] < 3 else 2)


def test_pictures_of_a_step_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {'memory_allocated': GB, 'max_memory_reserved': 9 * GB}.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    for name in ('reset_peak_memory_stats', 'empty_cache'):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    stepper: Any = _Steps(0.1, fits=20)
    assert on_gpu(stepper, 64) == (Trial(16, 1.6, GB, 9 * GB),)
    stepper = _Steps(0.1, fits=0)
    with pytest.raises(ValueError, match='out of memory with one picture'):
        on_gpu(stepper, 64)


def test_limits_of_control_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The least of what the machine has and what each group leaves; what was read of files can be given up."""
    monkeypatch.setattr(free_memory, '_available', lambda: 50 * GB)
    monkeypatch.setattr(free_memory, '_CGROUPS', tmp_path)
    groups = [(tmp_path, '/job/step'), (tmp_path / 'memory', '/of/the/host')]
    monkeypatch.setattr(free_memory, '_groups', lambda: groups)
    cpu = torch.device('cpu')
    assert free_memory.free_memory(cpu) == 50 * GB

    def group(folder: Path, limit: object, used: object, names: tuple[str, str], inactive: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in zip((*names, 'memory.stat'), (limit, used, f'anon 1\n{inactive} {GB}\n')):
            (folder / name).write_text(str(value))

    second = ('memory.max', 'memory.current')
    group(tmp_path / 'job' / 'step', 'max', GB, second, 'inactive_file')
    group(tmp_path / 'job', 30 * GB, 6 * GB, second, 'inactive_file')
    assert free_memory.free_memory(cpu) == 25 * GB
    first = ('memory.limit_in_bytes', 'memory.usage_in_bytes')
    group(tmp_path / 'memory', 20 * GB, 6 * GB, first, 'total_inactive_file')
    assert free_memory.free_memory(cpu) == 15 * GB


def test_a_step_of_accumulated_gradients_has_them() -> None:
    """The second step is the one that counts: the first begins without any."""
    stepper: Any = _Steps(0.001)
    stepper.accumulates = True
    assert [trial.pictures for trial in on_cpu(stepper, 2)] == [2, 2]


def test_pictures_without_a_truth_teach_nothing() -> None:
    pictures: list[dict[str, Any]] = [{'inputs': None}] * 3
    state, told = data._look(pictures, 'train', 0, {})
    assert state == WARNING and '0 annotated: there may be nothing to learn' in told
    assert data._look(pictures, 'val', 0, {})[0] == OK


@DATASETS.register_module()
class Fetched(list[int]):
    """A data set that would be fetched where nobody says otherwise; by name or as a class."""

    def __init__(self, download: bool = True) -> None:
        super().__init__([] if download else [1, 2])


@pytest.mark.parametrize('kind', ['Fetched', Fetched])
def test_nothing_is_downloaded(kind: Any) -> None:
    described = {'batch_size': 1, 'num_workers': 2, 'dataset': {'type': kind}}
    sampler = {'sampler': {'type': 'DefaultSampler', 'shuffle': False}}
    assert len(data._loader({**described, **sampler}, 'train', 0).dataset) == 2
    assert described['dataset'] == {'type': kind}
