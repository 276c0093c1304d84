"""Stop a training by SIGKILL at a point of one's choice, and let it go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import LocalBackend
from mmengine.runner import Runner

from moganet.checkpoints import open_checkpoint
from moganet.engine import resumable
from moganet.engine.hooks import checkpoint as checkpoint_hook

from .tools import TOOLS, fork_call, run_script

# A point is a name and how often it has been passed when the kill comes: ('after_train_iter', 3).
Point = tuple[str, int]
HOOKS = ('before_train_iter', 'after_train_iter', 'after_train_epoch', 'before_val_iter', 'after_val_epoch')
FILES = ('half written', 'written', 'named', 'noted')


def train_until(point: Point | None, arguments: list[str], log: Path) -> int:
    """Run tools/train.py, killed at a point; return its exit code, -9 for a kill."""
    log.touch()
    return fork_call(_train, [str(word) for word in arguments], point, os.getcwd(), str(log))


def _train(arguments: list[str], point: Point | None, folder: str, log: str) -> None:
    if point is not None:
        _arm(*point)
    run_script([str(TOOLS / 'train.py'), *arguments], folder, [log, log])


def _arm(name: str, number: int) -> None:
    """Have this process killed when it comes to a point the ``number``-th time."""
    left = [number]

    def reached() -> bool:
        left[0] -= 1
        return left[0] == 0

    if name in HOOKS:
        before = name.startswith('before')
        _wrap(Runner, 'call_hook', lambda runner, hook, **_: hook == name and reached(), before)
    elif name == 'half written':
        LocalBackend.put = _half(LocalBackend.put, reached)
    elif name == 'written':  # in full, under its temporary name
        _wrap(resumable, 'move_into_place', lambda *_: reached())
    elif name == 'named':  # and the note of the last checkpoint has the one before
        _wrap(resumable, 'move_into_place', lambda *_: reached(), before=False)
    elif name == 'noted':  # and what is outdated is still there
        _wrap(checkpoint_hook, 'note_last', lambda *_: reached(), before=False)
    else:
        raise ValueError(name)


def _wrap(owner: Any, name: str, reached: Callable[..., bool], before: bool = True) -> None:
    original = getattr(owner, name)

    def call(*args: Any, **options: Any) -> Any:
        now = reached(*args, **options)
        if now and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, call)


def _half(put: Callable[..., None], reached: Callable[[], bool]) -> Callable[..., None]:
    """Return MMEngine's writing of a file, which writes half of a checkpoint and is killed."""

    def write(backend: LocalBackend, data: bytes, path: str) -> None:
        if str(path).endswith('.pth') and reached():
            Path(path).write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        put(backend, data, path)

    return write


def same_state(one: Path, other: Path) -> list[str]:
    """Return the names of what differs, in any bit, between two checkpoints: weights, averages, optimizer."""
    parts = [_tensors('', open_checkpoint(path).data) for path in (one, other)]
    assert parts[0].keys() == parts[1].keys() and len(parts[0]) > 100
    return [name for name in parts[0] if not torch.equal(parts[0][name], parts[1][name])]


def _tensors(name: str, value: Any) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {key: tensor for part, inner in items for key, tensor in _tensors(f'{name}.{part}', inner).items()}
