"""The checks of a run in their order, one line each."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator

from ...compat import silence_noise
from ...environment import is_main_process
from ...randomness import preserved, seed_cpu
from ..launch import TrainOptions
from .data import check_samples
from .disk import check_disk
from .duration import check_time
from .memory import check_memory
from .rate import check_rate
from .result import FAILED, NOT_RUN, STATES, NotRunError, Result, words_of
from .start import check_checkpoint, check_config
from .step import check_step
from .subject import Subject

CHECKS: dict[str, Callable[[Subject], tuple[str, str]]] = {
    'config': check_config,
    'checkpoint': check_checkpoint,
    'data': check_samples,
    'batch': check_step,
    'memory': check_memory,
    'rate': check_rate,
    'disk': check_disk,
    'time': check_time,
}
# Which variable of a launcher holds the number of processes.
_WORLD_SIZES = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_NTASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}


def preflight(options: TrainOptions, gpus: int | None = None) -> int:
    """Check all that a training needs, print a line for each check, and leave nothing behind.

    Of several processes that a launcher has started the first one checks.

    Args:
        options: of ``tools/train.py``.
        gpus: processes of the run; as many as the launcher has started when None.

    Returns:
        The exit code: 0 when a run may begin, 1 when a check failed.
    """
    if not is_main_process():
        return 0
    silence_noise()
    subject = Subject(options, gpus or int(os.environ.get(_WORLD_SIZES.get(options.launcher, ''), '1')))
    results = []
    with preserved(), _quiet():
        seed_cpu(options.seed or 0)
        for result in results_of(subject):
            results.append(result)
            print(result, flush=True)
    print(summary(results), flush=True)
    return int(any(result.state == FAILED for result in results))


def results_of(subject: Subject) -> Iterator[Result]:
    """Make all checks; one that fails does not keep the others from being made."""
    for name, check in CHECKS.items():
        try:
            state, text = check(subject)
        except NotRunError as reason:
            state, text = NOT_RUN, str(reason)
        except Exception as error:  # a foreign class may raise anything where its part of a config is wrong
            state, text = FAILED, words_of(error)
        yield Result(name, state, ' '.join(text.split()))


def summary(results: list[Result]) -> str:
    """Return one line that says whether a run may begin."""
    named = {state: [result.name for result in results if result.state == state] for state in STATES}
    counts = ', '.join(f'{len(names)} {state} ({", ".join(names)})' for state, names in named.items() if names)
    return f'{"a run would fail" if named[FAILED] else "a run may begin"}: {counts}'


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what MMEngine logs for a run that trains off the console: each weight's initialisation, each rate."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
