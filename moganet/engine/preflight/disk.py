"""The checkpoints of a run against the room on its disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.optim import build_optim_wrapper

from ...analysis import build_model, in_float32, optimizer_tensors, prime
from .result import FAILED, NotRunError, judged, size
from .subject import Subject

# Of each tensor in a file: its name and header, twice, and the rounding to 64 bytes.
_HEADER = 300
# Of a file: the config, where the random numbers of each process stand.
_META, _RANDOM = 20_000, 12_000
# MMEngine keeps what it has logged of each iteration, two numbers of 8 bytes each, up to a million; besides the terms
# of the loss that is times, rates and the gradients' norm.
_LOGGED, _LONGEST_LOG, _MORE_LOGGED = 16, 1_000_000, 5


@dataclass(frozen=True)
class Sizes:
    """Bytes of a run's files: a checkpoint that it goes on from, and the best one, which has no optimizer."""

    whole: int
    best: int


@dataclass(frozen=True)
class Files:
    """How many checkpoints a run has at one time at most.

    Attributes:
        kept: regular ones.
        best: best ones, one a metric.
        more: ``interrupted.pth``, and the one that is being written while those before it are there.
        published: copies without the optimizer.
    """

    kept: int
    best: int
    more: int
    published: int


def check_disk(subject: Subject) -> tuple[str, str]:
    """Compare all checkpoints that a run has at one time with the free space of its disk; write nothing.

    Raises:
        NotRunError: its checkpoints go to no disk of this machine.
    """
    subject.needs_config()
    hook = _hook(subject.cfg)
    folder = _folder(subject.cfg, hook)
    parent = next(place for place in [folder, *folder.parents] if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return FAILED, f'{parent} is no folder that may be written; give another with --work-dir DIR'
    files, sizes = files_of(subject, hook), checkpoint_sizes(subject)
    need = sizes.whole * (files.kept + files.more) + sizes.best * (files.best + files.published)
    free = shutil.disk_usage(parent).free
    there = sum(path.stat().st_size for path in folder.glob('*.pth')) if subject.cfg.get('resume') else 0
    parts = [f'{files.kept} kept', 'interrupted.pth', *(['one being written'] if files.more > 1 else [])]
    text = f'{files.kept + files.more} checkpoints of {size(sizes.whole)} ({", ".join(parts)})'
    if files.best + files.published:
        text += f', {files.best + files.published} of {size(sizes.best)} (best, published)'
    text += f': {size(need)}; {size(free)} are free in {parent}'
    text += f', and {size(there)} are there of this run' if there else ''
    state = judged(need, free + there)
    if state == FAILED:
        text += '; make room, give another --work-dir, or keep fewer: default_hooks.checkpoint.max_keep_ckpts'
    return state, text


def _hook(cfg: Any) -> Any:
    """Return the config of the checkpoint hook; every run has one, unless it is taken out by None."""
    hooks = cfg.get('default_hooks') or {}
    return hooks.get('checkpoint', {'interval': 1}) or {'save_last': False}


def _folder(cfg: Any, hook: Any) -> Path:
    """Return where checkpoints go, as MMEngine's hook has it."""
    work_dir, out_dir = str(cfg.work_dir), hook.get('out_dir')
    if out_dir and '://' in str(out_dir):
        raise NotRunError(f'checkpoints go to {out_dir}, which is no disk of this machine')
    return Path(out_dir, os.path.basename(work_dir.rstrip('/'))).absolute() if out_dir else Path(work_dir).absolute()


def files_of(subject: Subject, hook: Any) -> Files:
    """Count the checkpoints that a run has at one time at most.

    Args:
        subject: the run.
        hook: the config of its checkpoint hook.

    Raises:
        NotRunError: the length of the run is needed and not known.
    """
    kept, limit = _regular(subject, hook), int(hook.get('max_keep_ckpts', -1))
    limited = 0 < limit < kept
    kept = limit if limited else kept
    metrics = hook.get('save_best') or ()
    best = 1 if isinstance(metrics, str) else len(metrics)
    published = (bool(hook.get('save_last', True)) + best) if hook.get('published_keys') else 0
    return Files(kept, best, 2 if limited else 1, published)


def _regular(subject: Subject, hook: Any) -> int:
    """Return how many regular checkpoints a run writes."""
    loop, by_epoch = subject.cfg.train_cfg, bool(hook.get('by_epoch', True))
    if by_epoch and not loop.get('max_epochs'):
        return 1  # MMEngine's loop by iterations is one epoch
    length = int(loop.max_epochs) if by_epoch else subject.iterations()
    interval, begin = int(hook.get('interval', -1)), int(hook.get('save_begin', 0))
    regular = max(0, (length - begin) // interval) if interval > 0 else 0
    last = hook.get('save_last', True) and (interval <= 0 or length < begin or (length - begin) % interval != 0)
    return regular + bool(last)


def checkpoint_sizes(subject: Subject) -> Sizes:
    """Compute the size of a run's checkpoints from its model and its optimizer's state, which are built by shapes."""
    cfg = subject.cfg
    try:
        model, wrapper = _between_steps(cfg, 'meta')
    except (RuntimeError, NotImplementedError):  # an optimizer that asks for values
        model, wrapper = _between_steps(cfg, 'cpu')
    copies = 1 + subject.averages
    weights = copies * sum(tensor.nbytes + _HEADER for tensor in model.state_dict().values())
    state = sum(tensor.nbytes + _HEADER for tensor in optimizer_tensors(wrapper))
    if subject.accumulated > 1:  # each process's gradients are under way to a step
        state += subject.gpus * sum(p.nbytes + _HEADER for p in model.parameters() if p.requires_grad)
    both = weights + _META + _history(subject) + subject.gpus * _RANDOM
    return Sizes(both + state, both)


def _between_steps(cfg: Any, device: str) -> tuple[Any, Any]:
    """Build model and optimizer of a run as they are between two steps."""
    model = build_model(cfg, device)
    wrapper = build_optim_wrapper(model, in_float32(cfg.optim_wrapper))
    prime(wrapper)
    return model, wrapper


def _history(subject: Subject) -> int:
    """Return the bytes of what is logged in a run; without a measured step its terms are not known, and it is none."""
    if subject.step is None:
        return 0
    return min(subject.iterations(), _LONGEST_LOG) * (subject.step.terms + _MORE_LOGGED) * _LOGGED
