"""Models of other frameworks' interfaces, built for a checkpoint and filled from it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from torch import nn

from .checkpoints import Checkpoint, load
from .environment import is_main_process

Model = TypeVar('Model', bound=nn.Module)


def fill_new(
    build: Callable[[bool | None], Model],
    checkpoint: Checkpoint,
    *,
    gate_act_twice: bool | None = None,
    new_parts: bool = False,
) -> Model:
    """Build a model whose gate is that of a checkpoint, and fill it, completely or not at all.

    Args:
        build: from whether the gate is activated twice, None where nobody knows, to the model.
        checkpoint: what it is filled from.
        gate_act_twice: what the caller says of the gate.
        new_parts: leave a classifier for other classes, or one that the file has not, as initialised, and say so.

    Returns:
        The model, in evaluation mode; ``model.load_report`` says what was loaded.

    Raises:
        MisfitError: the file does not fill the model, or was trained with another gate than the caller says.
    """
    trained = checkpoint.weights.gate_act_twice
    model = build(trained if gate_act_twice is None else gate_act_twice)
    report = load(model, checkpoint, new_parts=new_parts)
    model.load_report = report  # type: ignore[assignment]
    if checkpoint.note:
        tell(f'note: {checkpoint.note}')
    if report.new:
        classes = checkpoint.weights.num_classes
        had = f'; the file has {classes} classes' if classes else ''
        tell(f'note: {", ".join(report.new)} are new and must be trained{had} ({checkpoint.path.name})')
    if trained is None and gate_act_twice is None:
        tell(
            f'warning: nothing says how often the gate of {checkpoint.path.name} is activated, and once is taken; '
            'give gate_act_twice=False or gate_act_twice=True'
        )
    return model.eval()


def tell(text: str) -> None:
    """Print a line for the user, once where there are several processes."""
    if is_main_process():
        print(text, file=sys.stderr)
