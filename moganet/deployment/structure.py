"""What a network returns, as a flat tuple of named tensors and back: exported models know no lists within tuples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor


def flatten(outputs: Any) -> tuple[Tensor, ...]:
    """Return the tensors of nested tuples and lists, from the first to the last.

    Raises:
        ValueError: something else is in them.
    """
    if isinstance(outputs, Tensor):
        return (outputs,)
    if not isinstance(outputs, (tuple, list)):
        raise ValueError(f'an output is {type(outputs).__name__}; tensors, tuples and lists can be exported')
    return tuple(tensor for part in outputs for tensor in flatten(part))


def like(outputs: Any, tensors: Sequence[Tensor]) -> Any:
    """Return tensors in the nested tuples and lists that other ones came in."""
    return _filled(outputs, iter(tensors))


def names_of(outputs: Any, base: str) -> list[str]:
    """Return a name for each tensor: the base's alone for a single one, else with its places, ``output_0_2``."""
    if isinstance(outputs, Tensor):
        return [base]
    return [name for place, part in enumerate(outputs) for name in names_of(part, f'{base}_{place}')]


def _filled(outputs: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(outputs, Tensor):
        return next(tensors)
    parts = [_filled(part, tensors) for part in outputs]
    return tuple(parts) if isinstance(outputs, tuple) else parts
