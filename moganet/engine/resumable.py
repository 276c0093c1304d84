"""What makes a Runner of MMEngine one whose runs can be stopped anywhere, and go on as if they had not been."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..models import MogaNet
from ..whole_file import discard, move_into_place, remove_unfinished, unfinished
from .faults import CheckpointWriteError, Circumstances, told_as_faults
from .hooks import FiniteLossHook
from .loops import ResumableLoop, resumable

# What this is mixed into: MMEngine has two Runners, alike in these methods, without a common base.
if TYPE_CHECKING:
    from mmengine.runner import Runner as _Base
else:
    _Base = object


class Resumable(_Base):
    """Exact resumption, and files that are whole or absent, for either of MMEngine's Runners.

    What it adds to a checkpoint of MMEngine: ``resume_state``, see :meth:`.loops.ResumableLoop.state`, and in ``meta``
    the mode of MogaNet's gates, since no tensor shows it. MMEngine's two training loops and its checkpoint hook are
    replaced by ours; those of somebody else stay as they are.
    """

    resume_state: dict[str, Any] | None = None

    def build_train_loop(self, loop: Any) -> Any:
        """Build the training loop."""
        return super().build_train_loop(resumable(loop) if isinstance(loop, dict) else loop)

    def register_default_hooks(self, hooks: dict[str, Any] | None = None) -> None:
        """Register the hooks that every run has, with the checkpoint hook that never leaves a run without a file."""
        hooks = dict(hooks or {})
        checkpoint = hooks.get('checkpoint', {'type': 'CheckpointHook'})
        if isinstance(checkpoint, dict) and checkpoint.get('type') in ('CheckpointHook', 'mmengine.CheckpointHook'):
            hooks['checkpoint'] = {**checkpoint, 'type': 'SafeCheckpointHook'}
        super().register_default_hooks(hooks)
        for kind in ('ResumeStateHook', 'StopSignalHook', 'BroadcastBuffersHook'):
            self.register_hook({'type': kind})

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the hooks of a config, and the guard against losses that are not finite, unless it has one."""
        super().register_hooks(default_hooks, custom_hooks)
        if not any(isinstance(hook, FiniteLossHook) for hook in self.hooks):
            self.register_hook({'type': 'FiniteLossHook'})

    def train(self) -> Any:
        """Train; what a killed process has left half-written is removed first.

        Raises:
            RunFault: the run cannot go on; the message says why, and what to do.
        """
        if is_main_process():
            for path in remove_unfinished(self.work_dir):
                self.logger.info(f'removed {path}, which was being written when its run was stopped')
        with told_as_faults(self._circumstances, self.logger):
            return super().train()

    def test(self) -> Any:
        """Test.

        Raises:
            RunFault: the run cannot go on; the message says why, and what to do.
        """
        with told_as_faults(lambda: Circumstances(self.work_dir), self.logger):
            return super().test()

    def _circumstances(self) -> Circumstances:
        batches = getattr(getattr(self._train_loop, 'dataloader', None), 'batch_sampler', None)
        return Circumstances(self.work_dir, self.iter, getattr(batches, 'batch_size', None))

    def save_checkpoint(
        self, out_dir: str, filename: str, *args: Any, meta: dict[str, Any] | None = None, **options: Any
    ) -> None:
        """Save a checkpoint as MMEngine does, every process its part, and let it have its name once it is whole."""
        meta = dict(meta or {})
        modes = {module.gate_act_twice for module in self.model.modules() if isinstance(module, MogaNet)}
        if len(modes) == 1:
            meta['gate_act_twice'] = modes.pop()
        self.resume_state = self.train_loop.state() if isinstance(self.train_loop, ResumableLoop) else None
        backend = get_file_backend(out_dir, backend_args=options.get('backend_args'))
        if not isinstance(backend, LocalBackend):  # a store of objects shows nothing that is not whole
            super().save_checkpoint(out_dir, filename, *args, meta=meta, **options)
            return
        temporary = Path(out_dir, unfinished(filename))
        try:
            super().save_checkpoint(out_dir, temporary.name, *args, meta=meta, **options)
            if is_main_process():
                move_into_place(temporary, Path(out_dir, filename))
        except BaseException as error:
            discard(temporary)
            if isinstance(error, OSError):
                path, reason = Path(out_dir, filename), error.strerror or error
                raise CheckpointWriteError(
                    f'{path} cannot be written: {reason}. The checkpoints before it are whole: make room, or copy the '
                    'folder to another disk, and go on with --resume auto'
                ) from error
            raise


@HOOKS.register_module()
class ResumeStateHook(Hook):
    """Put the state of the training loop into each checkpoint, and hand it to the loop of a run that goes on."""

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Add ``resume_state``."""
        if runner.resume_state is not None:
            checkpoint['resume_state'] = runner.resume_state

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Give the loop the state that the run before it left."""
        if runner._resume and isinstance(runner.train_loop, ResumableLoop):
            runner.train_loop.go_on_from(checkpoint.get('resume_state'))
