"""Stop when a cluster asks for it, with a checkpoint of that moment."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...compat import waiting
from ..network import name_interface
from .checkpoint import INTERRUPTED, note_last


class Stopped(SystemExit):
    """The run was asked to stop, and has written a checkpoint; the exit code is 0.

    Whoever does not catch it ends without a traceback.
    """

    def __init__(self, told: str) -> None:
        super().__init__(0)
        self.told = told


@HOOKS.register_module()
class StopSignalHook(Hook):
    """Write a checkpoint after the iteration in which a signal comes to any process, and end the run.

    The checkpoint is ``interrupted.pth`` in the work dir; ``--resume auto`` goes on from it, and the next regular
    checkpoint removes it. A validation is not interrupted: its end is waited for.

    Args:
        signals: SIGTERM is what ``kill``, ``scancel`` and torchrun send; SIGUSR1 is what Slurm can be told to send
            before it takes a job's nodes away, ``--signal=USR1@120``.
    """

    priority = 'LOWEST'
    # The signal that has come, or 0: to the process, whichever hook listens for it.
    came: ClassVar[int] = 0

    def __init__(self, signals: tuple[str, ...] = ('SIGTERM', 'SIGUSR1')) -> None:
        self.signals = [signal.Signals[name] for name in signals]
        self._before: dict[signal.Signals, Any] = {}
        self._group: Any = None

    def before_train(self, runner: Any) -> None:
        """Listen; Python allows it in the main thread alone."""
        StopSignalHook.came = 0
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.signals}
        if get_world_size() > 1 and self._group is None:
            # The answer is needed on the CPU: asking the GPUs would have them wait for each iteration's end.
            name_interface()
            seconds = ((runner.cfg.get('env_cfg') or {}).get('dist_cfg') or {}).get('timeout')
            self._group = torch.distributed.new_group(backend='gloo', **waiting(seconds))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Stop if a signal has come.

        Raises:
            Stopped: it has, and the checkpoint is written.
        """
        number = self._came_anywhere()
        if not number:
            return
        done = runner.iter + 1
        runner.save_checkpoint(runner.work_dir, INTERRUPTED, meta={'epoch': runner.epoch, 'iter': done}, by_epoch=False)
        path = str(Path(runner.work_dir, INTERRUPTED))
        if is_main_process():
            note_last(runner.work_dir, path)
        self.after_train(runner)
        raise Stopped(f'stopped by {signal.Signals(number).name} after iteration {done}: {path}; --resume auto goes on')

    def after_train(self, runner: Any) -> None:
        """Listen no longer."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: Any) -> None:
        StopSignalHook.came = number

    def _came_anywhere(self) -> int:
        """Return the signal that has come to this process or to another one, or 0."""
        if self._group is None:
            return self.came
        came = torch.tensor(self.came)
        torch.distributed.all_reduce(came, op=torch.distributed.ReduceOp.MAX, group=self._group)
        return int(came)
