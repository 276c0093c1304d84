"""What the tools print of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mmengine.device import get_device

if TYPE_CHECKING:
    from .launch import Plan, RunOptions


def print_plan(plan: Plan, options: RunOptions) -> None:
    """Print what is about to run: one line, and the notes."""
    print(f'{options.config}: {plan.parameters:,} parameters on {get_device()}; work dir {plan.cfg.work_dir}')
    for note in plan.notes:
        print(note)


def metric_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return one line a metric, name and value in columns; values that are no numbers are left out."""
    # Toolboxes give Python's numbers and numpy's.
    numbers = {name: float(value) for name, value in metrics.items() if hasattr(value, '__float__')}
    if not numbers:
        return ['no metric was computed']
    width = max(len(name) for name in numbers)
    return [f'{name:<{width}}  {value:.4f}' for name, value in numbers.items()]


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print the metrics of a test, after everything that the toolbox has logged."""
    print('\n'.join(['', 'result', *metric_lines(metrics)]), flush=True)
