"""Faults of a run that its user has to know of, told in one line: those that are found here, and those of others."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..datasets.samples import SampleError


class RunFault(RuntimeError):
    """A run cannot go on, for a reason that is no error of the program; the message says what, and what to do."""


class NotFiniteError(RunFault):
    """A loss or a gradient is infinite or not a number."""


class CheckpointWriteError(RunFault):
    """A checkpoint cannot be written; those before it are whole."""


@dataclass(frozen=True)
class Circumstances:
    """Where a run stands when something fails.

    Attributes:
        work_dir: what it writes to.
        done: how many iterations it has behind it; None before training.
        batch_size: samples a process and iteration; None where that is not known.
    """

    work_dir: str
    done: int | None = None
    batch_size: int | None = None

    @property
    def when(self) -> str:
        """How far the run has come, for a message."""
        return '' if self.done is None else f' after {self.done} iterations'

    @property
    def batch(self) -> str:
        """The size of a batch, for a message."""
        return '' if self.batch_size is None else f', with {self.batch_size} samples a process and iteration'

    @property
    def goes_on(self) -> str:
        """What a training can do afterwards, for a message."""
        return '' if self.done is None else '; its checkpoints are whole, and --resume auto goes on from the last one'


# What a disk, or what stands for one, says when it takes no more, and when it fails.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_BROKEN = (errno.EIO, errno.ESTALE)
_LESS_MEMORY = (
    'take a smaller train_dataloader.batch_size (with optim_wrapper.accumulative_counts a step sees as many samples), '
    '--amp, or model.backbone.with_cp=True, see docs/memory.md'
)
_LESS_SHARED = 'give /dev/shm more room (docker run --shm-size=8g), or take a smaller num_workers or prefetch_factor'
_LONGEST = 400
_IN_WORKER = re.compile(r'Caught (\w+) in DataLoader worker process')


def fault_of(error: BaseException, where: Circumstances) -> RunFault | None:
    """Return the one line for an error that another package raised, or None for one that is nobody's but the program's.

    Args:
        error: what ended the run.
        where: what the run was doing.
    """
    if isinstance(error, RunFault):
        return error
    for tell in _TELLERS:
        text = tell(error, where)
        if text:
            return RunFault(text)
    return None


@contextlib.contextmanager
def told_as_faults(where: Callable[[], Circumstances], logger: logging.Logger | None = None) -> Iterator[None]:
    """Turn what others raise within the block into a fault, where it is one; its traceback goes to the log file.

    Raises:
        RunFault: the block could not go on.
    """
    try:
        yield
    except Exception as error:
        fault = fault_of(error, where())
        if fault is None or fault is error:
            raise
        _log_traceback(logger)
        raise fault from error


def _log_traceback(logger: logging.Logger | None) -> None:
    """Write the traceback of the error that is being handled to the files of a logger, and to no console."""
    record = logging.LogRecord('fault', logging.ERROR, __file__, 0, traceback.format_exc(), None, None)
    for handler in logger.handlers if logger is not None else ():
        if isinstance(handler, logging.FileHandler):
            with contextlib.suppress(OSError, ValueError):  # the disk may be what is at fault
                handler.handle(record)


def _tell_gpu_memory(error: BaseException, where: Circumstances) -> str | None:
    if not isinstance(error, torch.cuda.OutOfMemoryError):
        return None
    return f"the GPU's memory is used up{where.when}{where.batch} ({_cause(error)}): {_LESS_MEMORY}{where.goes_on}"


def _tell_host_memory(error: BaseException, where: Circumstances) -> str | None:
    text = str(error)
    allocator = "can't allocate memory" in text or 'not enough memory' in text
    if not (isinstance(error, MemoryError) or getattr(error, 'errno', None) == errno.ENOMEM or allocator):
        return None
    reason = _cause(error) or type(error).__name__
    return (
        f"the machine's memory is used up{where.when}{where.batch} ({reason}): take a smaller "
        f'train_dataloader.batch_size or num_workers, or a machine with more{where.goes_on}'
    )


def _tell_shared_memory(error: BaseException, where: Circumstances) -> str | None:
    text = str(error)
    if not re.search(r'shared memory|Bus error|unable to (write to|resize|mmap) ?.*file </?torch_', text):
        return None
    reason = f'the data workers have too little shared memory{where.when} ({_cause(error)})'
    return f'{reason}: {_LESS_SHARED}{where.goes_on}'


def _tell_lost_worker(error: BaseException, where: Circumstances) -> str | None:
    if not re.search(r'DataLoader worker \(pid.*(killed by signal|exited unexpectedly)', str(error)):
        return None
    return (
        f'a data worker is gone{where.when} ({_cause(error)}): mostly the system ends one for want of memory, '
        f'as dmesg or the scheduler can tell; take a smaller num_workers or batch_size{where.goes_on}'
    )


def _tell_sample(error: BaseException, where: Circumstances) -> str | None:
    if isinstance(error, SampleError) or _IN_WORKER.search(str(error)):
        return f'{_cause(error)}{where.when}; the traceback is in the log. Mend the data{where.goes_on}'
    return None


def _tell_open_files(error: BaseException, where: Circumstances) -> str | None:
    if getattr(error, 'errno', None) == errno.EMFILE or 'received 0 items of ancdata' in str(error):
        return f'too many files are open{where.when}: raise the limit (ulimit -n 65536){where.goes_on}'
    return None


def _tell_port(error: BaseException, where: Circumstances) -> str | None:
    if getattr(error, 'errno', None) == errno.EADDRINUSE or 'EADDRINUSE' in str(error):
        return f'the port of the processes is taken ({_cause(error)}): give another, PORT=N before tools/dist_train.sh'
    return None


def _tell_disk(error: BaseException, where: Circumstances) -> str | None:
    if not isinstance(error, OSError) or error.errno not in _FULL:
        return None
    path = Path(error.filename) if error.filename else Path(where.work_dir)
    return (
        f'{path} cannot be written{where.when}: {error.strerror}. Make room, or copy the folder to another disk'
        f'{where.goes_on}'
    )


def _tell_file(error: BaseException, where: Circumstances) -> str | None:
    if isinstance(error, OSError) and (error.filename or error.errno in _BROKEN):
        return f'{error.filename or where.work_dir} cannot be used{where.when}: {error.strerror}{where.goes_on}'
    return None


_TELLERS = (
    *(_tell_gpu_memory, _tell_host_memory, _tell_shared_memory, _tell_lost_worker, _tell_open_files, _tell_port),
    *(_tell_disk, _tell_sample, _tell_file),
)


def _cause(error: BaseException) -> str:
    """Return what an error says in one line; that of a worker comes with its traceback for a message."""
    lines = [line for line in str(error).strip().splitlines() if line]
    if _IN_WORKER.search(str(error)):
        lines = [line for line in lines if not line[0].isspace()][-1:]
    text = ' '.join(lines[:1])
    text = re.sub(rf'^[\w.]*{SampleError.__name__}: ', '', text)
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'


def stop_where_the_log_fails(logger: logging.Logger) -> None:
    """Have a logger raise what keeps its files from being written.

    Python's logging prints a traceback for each line that it cannot write, and goes on.
    """
    for handler in logger.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handleError = functools.partial(_raise, handler)  # type: ignore[method-assign]


def _raise(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.Handler.handleError(handler, record)
        return
    error.filename = handler.baseFilename
    raise error
