"""From a network to a torch program that takes pictures of any number and size, where its head allows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..compat import sizes_of_one
from .any_size import for_any_size
from .parts import Network
from .structure import names_of

# What is traced stands for all sizes. At this one no map of a level down to stride 128 is one pixel high, or as high as
# it is wide, or of a size that a pyramid pools to: torch would take that for a rule.
_ANY_SIZE = (288, 416)
_ANOTHER_SIZE = (320, 480)
_BATCH = 2


@dataclass(frozen=True)
class Traced:
    """A program.

    Attributes:
        program: torch's.
        outputs: what its outputs are called.
        batch: the number of pictures that it takes alone; None when it takes any.
        size: the height and width that it takes alone, pixels; None when it takes any.
        note: why it does not take any, for the user.
    """

    program: torch.export.ExportedProgram
    outputs: tuple[str, ...]
    batch: int | None
    size: tuple[int, int] | None
    note: str = ''


def trace(
    network: Network, shape: tuple[int, int], channels: int = 3, fixed: bool = False, batch: int | None = None
) -> Traced:
    """Trace a network on a processor.

    Args:
        network: in evaluation, in float32.
        shape: height and width that are sure to be taken, pixels.
        channels: of a picture.
        fixed: for pictures of that size alone.
        batch: for so many pictures alone; any number when None.

    Raises:
        ValueError: it takes no pictures of that shape, or torch cannot trace it.
    """
    outputs = output_names(network, shape, channels)
    plain: Any = for_any_size(network)
    free = torch.export.Dim.DYNAMIC
    note = ''
    if not fixed:
        try:
            program = _export(plain, torch.zeros(_BATCH, channels, *_ANY_SIZE), {0: free, 2: free, 3: free})
            # Sizes that became numbers on the way are in its guards, which no other format keeps.
            with torch.no_grad():
                program.module()(torch.zeros(_BATCH + 1, channels, *_ANOTHER_SIZE))
            return Traced(program, outputs, None, None)
        except Exception as error:  # torch has many for what a program may not do
            note = (
                f'{_last_part(network)} is exported for pictures of {shape[0]} x {shape[1]} alone: it cannot be traced '
                f'for any size ({_first_line(error)})'
            )
    try:
        free_axes = {0: free} if batch is None else {}
        program = _export(network, torch.zeros(batch or _BATCH, channels, *shape), free_axes)
        return Traced(program, outputs, batch, shape, note)
    except Exception as error:
        raise ValueError(f'{_last_part(network)} cannot be traced by torch.export: {_first_line(error)}') from error


def output_names(network: Network, shape: tuple[int, int], channels: int = 3) -> tuple[str, ...]:
    """Return what the outputs of a network are called.

    Args:
        network: in evaluation, in float32, on a processor.
        shape: height and width of a picture, pixels.
        channels: of a picture.

    Raises:
        ValueError: it takes no such pictures.
    """
    try:
        with torch.no_grad():
            return tuple(names_of(network.whole(torch.zeros(1, channels, *shape)), network.base_name))
    except (RuntimeError, AssertionError, IndexError, TypeError) as error:
        size = f'{shape[0]} x {shape[1]}'
        raise ValueError(f'{_last_part(network)} takes no pictures of {size} pixels: {_first_line(error)}') from error


def _export(network: Network, x: Tensor, free: dict[int, Any]) -> torch.export.ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad(), sizes_of_one():
        warnings.simplefilter('ignore')
        return torch.export.export(network, (x,), dynamic_shapes=(free,))


def _last_part(network: Network) -> str:
    part = network.head if network.head is not None else network.neck if network.neck is not None else network.backbone
    return type(part).__name__


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f'{type(error).__name__}: {lines[0][:200] if lines else ""}'
