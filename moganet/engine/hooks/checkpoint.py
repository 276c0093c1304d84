"""Checkpoints of which one is always whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from ...whole_file import replacing

# What a run that is asked to stop writes, in its work dir.
INTERRUPTED = 'interrupted.pth'
_OUTDATED = 'outdated_ckpt_ids'  # of MMEngine's message hub, which every checkpoint holds


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook, which removes an old checkpoint once the new one is there, and not before.

    It takes the same arguments. MMEngine's removes first: with ``max_keep_ckpts=1`` a run that is killed while it
    writes has none left, and so it is with the best one.
    """

    file_backend: Any
    last_ckpt: str | None

    def before_train(self, runner: Any) -> None:
        """Prepare the folder, and remove what a killed run had still to remove."""
        super().before_train(runner)
        # MMEngine writes a regular checkpoint after a new best one, once there has been one before: in this run, or in
        # the one that it goes on from. Else what a kill has left of it would never be removed.
        self.last_ckpt = self.last_ckpt or runner.message_hub.runtime_info.get('last_ckpt')
        if is_main_process():
            self._remove_outdated(runner)

    def _save_checkpoint_with_step(self, runner: Any, step: int, meta: dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._outdate(runner, step)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            note_last(runner.work_dir, self.last_ckpt)
            Path(runner.work_dir, INTERRUPTED).unlink(missing_ok=True)
            self._remove_outdated(runner)

    def _outdate(self, runner: Any, step: int) -> None:
        """Note a step among those whose checkpoints are kept, and those that are kept no longer.

        The latter are noted in the new checkpoint too: a run that is killed before it has removed them does it when it
        goes on.
        """
        if self.max_keep_ckpts <= 0:
            return
        steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(steps[-self.max_keep_ckpts :])
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        runner.message_hub.update_info(_OUTDATED, steps[: -self.max_keep_ckpts])

    def _remove_outdated(self, runner: Any) -> None:
        for step in runner.message_hub.runtime_info.get(_OUTDATED, ()):
            name = self.filename_tmpl.format(step)
            _remove(self.file_backend, self.file_backend.join_path(self.out_dir, name))

    def _save_best_checkpoint(self, runner: Any, metrics: dict[str, Any]) -> None:
        backend = self.file_backend
        self.file_backend = _PutOff(backend)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            outdated, self.file_backend = self.file_backend.outdated, backend
        best = [getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()]
        for path in outdated:
            if path not in best:  # an epoch that is validated again, after a resume, has the name that it had
                _remove(backend, path)


def note_last(work_dir: str | Path, checkpoint: str) -> None:
    """Note the checkpoint that a run goes on from, as MMEngine does, in one step."""
    with replacing(Path(work_dir, 'last_checkpoint')) as note:
        note.file.write(checkpoint.encode())


def _remove(backend: Any, path: str) -> None:
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):  # DeepSpeed's checkpoints are folders
        backend.rmtree(path)


class _PutOff:
    """A file backend that notes what it should remove."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.outdated: list[str] = []

    def remove(self, path: str) -> None:
        self.outdated.append(path)

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)
