"""What a run needs and does not get: it ends with one line, and its last checkpoint is whole and gone on from."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.visualization.vis_backend import LocalVisBackend

from moganet.datasets.samples import SampleError
from moganet.engine import resumable
from moganet.engine.faults import Circumstances, RunFault, fault_of, told_as_faults
from moganet.engine.hooks import checkpoint as checkpoint_hook
from moganet.engine.resume import latest_checkpoint

from ..disks import fill, mounted, remount
from .toy import Samples, Toy, runner, same, weights

AT = 5  # the sixth iteration, within the second epoch


class At(Hook):
    """Do something before an iteration."""

    priority = 'VERY_LOW'

    def __init__(self, act: Callable[[Any], None], at: int = AT) -> None:
        self.act, self.at = act, at

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.at:
            self.act(runner)


def raising(error: BaseException) -> Callable[..., None]:
    def act(*args: Any, **options: Any) -> None:
        raise error

    return act


def loader(workers: int, samples: Samples | None = None) -> dict[str, Any]:
    sampler = {'type': 'DefaultSampler', 'shuffle': True}
    return {'batch_size': 3, 'num_workers': workers, 'sampler': sampler, 'dataset': samples or Samples()}


def told(work_dir: Path, *hooks: Hook, model: type[Toy] = Toy, **options: Any) -> str:
    """Train until a fault; return its line, and see that the run goes on from its last checkpoint to its end."""
    whole = runner(work_dir / 'whole', **options)
    whole.train()
    torch.manual_seed(0)
    spoilt = runner(work_dir / 'run', model(), custom_hooks=list(hooks), **options)
    with pytest.raises(RunFault) as caught:
        spoilt.train()
    assert '\n' not in str(caught.value)
    if caught.value.__cause__ is not None:
        log = next((work_dir / 'run').glob('*/*.log')).read_text()
        assert f'{type(caught.value.__cause__).__name__}' in log and 'Traceback' in log
    goes_on(work_dir / 'run', whole, **{name: value for name, value in options.items() if name == 'train_dataloader'})
    return str(caught.value)


def goes_on(work_dir: Path, whole: Any, last: str = 'epoch_1.pth', **options: Any) -> None:
    checkpoint, notes = latest_checkpoint(work_dir, foreign=True)
    assert checkpoint is not None and checkpoint.path.name == last and notes == []
    again = runner(work_dir, resume=True, **options)
    again.train()
    assert same(weights(again), weights(whole))


class Hungry(Toy):
    """A toy that asks for more memory than there is."""

    error: BaseException | None = None

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        if self.error is not None:
            raise self.error
        return super().forward(inputs, data_samples, mode)


GPU_FULL = torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB in all.')
CPU_FULL = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    '137438953472 bytes. Error code 12 (Cannot allocate memory)'
)
SHARED_FULL = RuntimeError('unable to allocate shared memory(shm) for file </torch_7_1>: No space left on device (28)')


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (GPU_FULL, ["the GPU's memory is used up after 5 iterations, with 3 samples", '2.00 GiB', '--amp', 'with_cp']),
        (CPU_FULL, ["the machine's memory is used up after 5", '137438953472', 'batch_size']),
        (MemoryError(), ["the machine's memory is used up after 5", '(MemoryError)']),
        (OSError(errno.ENOMEM, 'Cannot allocate memory'), ["the machine's memory is used up after 5"]),
        (SHARED_FULL, ['too little shared memory after 5', '--shm-size', 'num_workers']),
        (OSError(errno.EMFILE, 'Too many open files'), ['too many files are open after 5', 'ulimit -n']),
    ],
    ids=['GPU', 'allocator', 'host', 'fork', 'shared', 'files'],
)
def test_memory_that_is_used_up(tmp_path: Path, error: BaseException, words: list[str]) -> None:
    message = told(tmp_path, At(lambda run: setattr(run.model, 'error', error)), model=Hungry)
    assert all(word in message for word in [*words, '--resume auto']), message


def test_memory_that_is_used_up_in_the_optimizer(tmp_path: Path) -> None:
    def spoil(run: Any) -> None:
        run.optim_wrapper.optimizer.step = raising(GPU_FULL)

    message = told(tmp_path, At(spoil))
    assert "the GPU's memory is used up after 5 iterations" in message and 'accumulative_counts' in message


def kill_a_worker(run: Any) -> None:
    os.kill(multiprocessing.active_children()[0].pid or 0, signal.SIGKILL)


@pytest.mark.filterwarnings('ignore:This DataLoader will create')
def test_a_worker_that_is_lost(tmp_path: Path) -> None:
    message = told(tmp_path, At(kill_a_worker), train_dataloader=loader(1, Slow()))
    assert re.search(r'a data worker is gone after \d iterations', message) and 'num_workers' in message


class Slow(Samples):
    """Samples of the second epoch take a while, so that a worker is always at work on one."""

    def prepare_data(self, index: int) -> dict[str, Any]:
        time.sleep(0.05)
        return super().prepare_data(index)


class Vanishing(Samples):
    """Samples whose pictures are on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__()

    def prepare_data(self, index: int) -> dict[str, Any]:
        (self.folder / f'{index}').read_bytes()
        return super().prepare_data(index)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_picture_that_vanishes_while_a_run_goes_on(tmp_path: Path, workers: int) -> None:
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    for index in range(12):
        (pictures / str(index)).touch()
    samples = Vanishing(pictures)
    whole = runner(tmp_path / 'whole', train_dataloader=loader(workers, samples))
    whole.train()

    def remove(run: Any) -> None:
        for index in range(12):
            (pictures / str(index)).unlink()

    spoilt = runner(tmp_path / 'run', custom_hooks=[At(remove, 3)], train_dataloader=loader(workers, samples))
    line = r'sample \d+ \(pictures/\d+.jpg\) cannot be made: FileNotFoundError: '
    with pytest.raises(RunFault, match=line) as caught:
        spoilt.train()
    assert '\n' not in str(caught.value) and 'pictures/' in str(caught.value)
    for index in range(12):
        (pictures / str(index)).touch()
    goes_on(tmp_path / 'run', whole, train_dataloader=loader(workers, samples))


def test_of_an_error_that_is_no_fault_the_type_stays(tmp_path: Path) -> None:
    spoilt = runner(tmp_path, custom_hooks=[At(raising(ValueError('of the program')))])
    with pytest.raises(ValueError, match='of the program'):
        spoilt.train()


# The disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that is a disk of a quarter of a MiB."""
    with mounted(tmp_path / 'disk', '256k') as folder:
        yield folder


def whole_run(work_dir: Path) -> Any:
    whole = runner(work_dir / 'whole')
    whole.train()
    return whole


@pytest.mark.parametrize('at', [3, 7])
def test_a_disk_that_is_full_when_a_checkpoint_is_written(tmp_path: Path, small_disk: Path, at: int) -> None:
    quiet = {'logger': {'type': 'LoggerHook', 'interval': 100, 'ignore_last': False}}
    hooks = {'checkpoint': {'type': 'CheckpointHook', 'interval': 2, 'by_epoch': False, 'max_keep_ckpts': 1}, **quiet}
    whole = whole_run(tmp_path)
    spoilt = runner(small_disk / 'run', custom_hooks=[At(lambda run: fill(small_disk), at)], default_hooks=hooks)
    with pytest.raises(RunFault, match='cannot be written.*No space left on device') as caught:
        spoilt.train()
    assert 'make room' in str(caught.value).lower() and '\n' not in str(caught.value)
    assert sorted(path.name for path in (small_disk / 'run').glob('*.pth')) == [f'iter_{at - 1}.pth']
    (small_disk / 'filler').unlink()
    goes_on(small_disk / 'run', whole, last=f'iter_{at - 1}.pth')


def test_a_disk_that_is_full_when_the_last_checkpoint_is_noted(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checkpoint is there, and the note has the one before: the run goes on from that one."""
    whole, note = whole_run(tmp_path), checkpoint_hook.note_last

    def note_on_a_full_disk(work_dir: str, path: str) -> None:
        if path.endswith('epoch_2.pth'):
            fill(small_disk)
        note(work_dir, path)

    monkeypatch.setattr(checkpoint_hook, 'note_last', note_on_a_full_disk)
    spoilt = runner(small_disk / 'run')
    with pytest.raises(RunFault, match='cannot be written after 8 iterations: No space left on device'):
        spoilt.train()
    monkeypatch.undo()
    (small_disk / 'filler').unlink()
    assert (small_disk / 'run/epoch_2.pth').is_file()
    goes_on(small_disk / 'run', whole)


def test_a_disk_that_is_read_only_all_at_once(tmp_path: Path, small_disk: Path) -> None:
    """A file that is open for writing keeps it from being mounted so; a folder of checkpoints on it has none."""
    whole, out = whole_run(tmp_path), small_disk / 'checkpoints'
    out.mkdir()
    hooks = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1, 'out_dir': str(out)}}
    spoilt = runner(tmp_path / 'run', custom_hooks=[At(lambda run: remount(small_disk, 'ro'))], default_hooks=hooks)
    with pytest.raises(RunFault, match='epoch_2.pth cannot be written: Read-only file system'):
        spoilt.train()
    remount(small_disk, 'rw')
    goes_on(tmp_path / 'run', whole, default_hooks=hooks)


def test_a_disk_that_is_full_when_a_batch_is_to_be_saved(tmp_path: Path, small_disk: Path) -> None:
    """What it is saved for is told all the same."""
    whole = whole_run(tmp_path)

    def spoil(run: Any) -> None:
        run.model.head.weight.data[0, 0] = float('nan')
        fill(small_disk)

    spoilt = runner(small_disk / 'run', custom_hooks=[At(spoil)])
    with pytest.raises(RunFault, match=r'the loss of iteration 6 is not finite .*pkl cannot be written: No space left'):
        spoilt.train()
    (small_disk / 'filler').unlink()
    goes_on(small_disk / 'run', whole)


@pytest.mark.parametrize('place', ['checkpoint', 'note'])
def test_a_quota_that_is_used_up(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = whole_run(tmp_path)
    used_up = OSError(errno.EDQUOT, 'Disk quota exceeded')

    def spoil(run: Any) -> None:
        owner = {'checkpoint': resumable, 'note': checkpoint_hook}[place]
        monkeypatch.setattr(owner, {'checkpoint': 'move_into_place', 'note': 'replacing'}[place], raising(used_up))

    spoilt = runner(tmp_path / 'run', custom_hooks=[At(spoil)])
    with pytest.raises(RunFault, match='cannot be written.*Disk quota exceeded'):
        spoilt.train()
    monkeypatch.undo()
    goes_on(tmp_path / 'run', whole)


def test_scalars_that_cannot_be_written(tmp_path: Path) -> None:
    """/dev/full refuses every write as a full disk does."""

    def spoil(run: Any) -> None:
        (backend,) = run.visualizer._vis_backends.values()
        assert isinstance(backend, LocalVisBackend)
        backend._scalar_save_file = '/dev/full'

    hooks = {
        'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
        'logger': {'type': 'LoggerHook', 'interval': 1},
    }
    message = told(tmp_path, At(spoil), default_hooks=hooks)
    assert f'{tmp_path / "run"} cannot be written after 5 iterations: No space left on device' in message


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """Python's logging prints a traceback for each line that is lost, and the run goes on."""
    whole = whole_run(tmp_path)

    def spoil(run: Any) -> None:
        handler = run.logger.handlers[1]
        handler.stream.close()
        handler.stream = open('/dev/full', 'a')  # noqa: SIM115

    hooks = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}, 'logger': {'type': 'LoggerHook', 'interval': 1}}
    spoilt = runner(tmp_path / 'run', custom_hooks=[At(spoil)], default_hooks=hooks)
    with pytest.raises(RunFault, match=r'\.log cannot be written after 5 iterations: No space left on device'):
        spoilt.train()
    goes_on(tmp_path / 'run', whole)


# What is told of an error alone.

NOWHERE = Circumstances('work_dirs/x')


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers "
                'are out of shared memory. Please try to raise your shared memory limit.'
            ),
            ['too little shared memory', '--shm-size'],
        ),
        (RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '), ['a data worker is gone', 'Killed']),
        (
            RuntimeError('The server socket has failed to listen on any local network address. port: 29500, code: -98, '
                         'name: EADDRINUSE, message: address already in use'),
            ['the port', '29500', 'PORT=N'],
        ),
        (OSError(errno.EADDRINUSE, 'Address already in use'), ['the port', 'PORT=N']),
        (OSError(errno.EIO, 'Input/output error'), ['work_dirs/x', 'Input/output error']),
        (OSError(errno.ESTALE, 'Stale file handle', 'a.jpg'), ['a.jpg', 'Stale file handle']),
        (FileNotFoundError(errno.ENOENT, 'No such file or directory', 'a.jpg'), ['a.jpg', 'No such file']),
        (
            FileNotFoundError(
                'Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most recent call '
                'last):\n  File "x.py", line 1, in f\n    open()\nFileNotFoundError: no picture a.jpg\n'
            ),
            ['no picture a.jpg', 'the traceback is in the log'],
        ),
        (SampleError('sample 3 (a.jpg) cannot be made: X: y'), ['sample 3 (a.jpg) cannot be made: X: y']),
    ],
)
def test_what_is_told(error: BaseException, words: list[str]) -> None:
    fault = fault_of(error, NOWHERE)
    assert fault is not None and '\n' not in str(fault)
    assert all(word in str(fault) for word in words), fault
    assert '--resume' not in str(fault)  # nothing has been trained


def test_what_is_no_fault() -> None:
    for error in (ValueError('x'), KeyError('shared'), RuntimeError('shapes differ'), OSError('of a library')):
        assert fault_of(error, NOWHERE) is None
        with pytest.raises(type(error)), told_as_faults(lambda: NOWHERE):
            raise error
