"""How long a run will take."""

from __future__ import annotations

import os

import torch

from .result import OK, WARNING, NotRunError
from .subject import Subject


def check_time(subject: Subject) -> tuple[str, str]:
    """Multiply the iterations by the seconds of the measured step, or of loading its pictures where that takes longer.

    Raises:
        NotRunError: no step was measured.
    """
    subject.needs_config()
    if subject.step is None:
        raise NotRunError('it needs a batch')
    iterations, computing = subject.iterations(), subject.step.seconds
    workers = int(subject.cfg.train_dataloader.get('num_workers') or 0)
    loading = subject.step.load_s * subject.batch / loaders(workers, cores(), subject.processes_here)
    # Worker processes load while the step is computed.
    seconds = max(computing, loading) if workers else computing + loading
    where = subject.device.type if subject.device.type == 'cuda' else f'a CPU with {torch.get_num_threads()} thread(s)'
    text = (
        f'roughly {duration(seconds * iterations)} on {where}: {iterations:,} iterations of {seconds:.2f} s '
        f'(step {computing:.2f} s, loading {loading:.2f} s with {workers} workers), validation not counted'
    )
    if workers and loading > computing:
        return WARNING, f'{text}; the data are the slower part: more workers or cores, or smaller files'
    return OK, text


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def loaders(workers: int, available: int, processes: int) -> float:
    """Return how many samples a process of a run loads at a time, where all processes of a machine share its cores."""
    return max(0.1, min(workers, available / processes)) if workers else 1.0


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (('days', 86400), ('hours', 3600), ('minutes', 60)):
        if seconds >= 2 * length:
            return f'{seconds / length:,.1f} {unit}'
    return f'{seconds:.0f} seconds'
