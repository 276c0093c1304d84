"""What exact resume costs a run: its iterations and its checkpoints, beside those of MMEngine's own Runner."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.hooks import Hook

from ..engine.launch import Plan, TrainOptions, prepare_training, start

RUNNERS = ('Runner', 'ResumableRunner')
_FIRST = 2  # iterations that are not counted: they start workers, and fill caches


class Pace(NamedTuple):
    """One Runner: the medians of an iteration that writes nothing, and of what a checkpoint adds to one; seconds."""

    iteration: float
    checkpoint: float


class _Stopwatch(Hook):
    """Note when each iteration begins, and what it begins after; the loop's own work is all in between."""

    priority = 'HIGHEST'

    def __init__(self) -> None:
        self.begins: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.begins.append(time.perf_counter())

    def periods(self) -> list[float]:
        """Return the seconds from each iteration's beginning to the next one's."""
        return [end - begin for begin, end in zip(self.begins, self.begins[1:])]


def measure_runners(config: str, cfg_options: dict[str, Any], iterations: int, rounds: int) -> dict[str, Pace]:
    """Train under each of :data:`RUNNERS` in turn, round by round, from the same weights on the same data.

    Args:
        config: a config of any task, whose data are there; trained by iterations, without validation.
        cfg_options: changes of it.
        iterations: how many each training has that are counted; a checkpoint is written in the middle one and at the
            end.
        rounds: how often each Runner trains.

    Raises:
        ValueError: a number is too small.
        KeyError, FileNotFoundError: as :func:`moganet.engine.launch.prepare_training`.
    """
    if iterations < 3 or rounds < 1:
        raise ValueError(f'iterations is {iterations} and rounds {rounds}; at least 3 and 1 are needed')
    plain: dict[str, list[float]] = {name: [] for name in RUNNERS}
    saving: dict[str, list[float]] = {name: [] for name in RUNNERS}
    for _ in range(rounds):
        for name in RUNNERS:
            with tempfile.TemporaryDirectory() as folder:
                periods = _train(name, config, cfg_options, iterations, Path(folder))
            middle = iterations // 2
            saving[name].append(periods.pop(middle))
            plain[name] += periods
    medians = {name: statistics.median(plain[name]) for name in RUNNERS}
    return {name: Pace(medians[name], statistics.median(saving[name]) - medians[name]) for name in RUNNERS}


def _train(name: str, config: str, cfg_options: dict[str, Any], iterations: int, work_dir: Path) -> list[float]:
    """Train under a Runner; return the seconds of each iteration that counts."""
    total = _FIRST + iterations + 1  # the last has no next one, which would tell its end
    plan = prepare_training(TrainOptions(config, str(work_dir), cfg_options, seed=0))
    _shorten(plan, name, total, _FIRST + iterations // 2 + 1)
    runner = start(plan)
    stopwatch = _Stopwatch()
    runner.register_hook(stopwatch)
    runner.train()
    return stopwatch.periods()[_FIRST:]


def _shorten(plan: Plan, runner_type: str, iterations: int, saved_at: int) -> None:
    """Have a plan train for some iterations alone, with one checkpoint before its end."""
    cfg = plan.cfg
    cfg.runner_type = runner_type
    cfg.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': iterations}
    cfg.param_scheduler = None
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator', 'test_cfg', 'test_dataloader', 'test_evaluator'):
        cfg[key] = None
    hook = {'type': 'CheckpointHook', 'by_epoch': False, 'interval': saved_at}
    cfg.default_hooks = {**cfg.default_hooks, 'checkpoint': hook}
