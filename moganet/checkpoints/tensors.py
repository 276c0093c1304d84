"""Find the tensors in what a checkpoint holds, and see that their numbers are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .errors import DamagedWeightsError, NotACheckpointError, UnsafeFileError

_DEEPEST = 100  # containers within containers; a training state has five
_NAMED = 5  # tensors that a message names
# The state of an optimizer is no weight: it may be large, and a model does not depend on it.
_NOT_WEIGHTS = ('optimizer',)


def check_tensors(path: Path, data: Any) -> None:
    """Raise unless a checkpoint is a dict with tensors, all finite.

    Raises:
        NotACheckpointError: it is no dict, or has no tensors.
        UnsafeFileError: it is nested without end.
        DamagedWeightsError: a weight is infinite or not a number.
    """
    if not isinstance(data, dict):
        raise NotACheckpointError(
            f'{path} holds {_kind(data)}; a checkpoint is a dict of tensors, or one with a state_dict. Have it '
            'saved by torch.save(model.state_dict(), path)'
        )
    count, damaged = 0, []
    for name, tensor in tensors_in(path, data):
        count += 1
        if not name.startswith(_NOT_WEIGHTS) and not _is_finite(tensor):
            bad = tensor.numel() - int(torch.isfinite(tensor).sum())
            damaged.append(f'{name} ({bad:,} of {tensor.numel():,})')
    if not count:
        keys = ', '.join(repr(key) for key in list(data)[:_NAMED]) or 'nothing at all'
        raise NotACheckpointError(f'{path} holds no tensors but {keys}; give the file that has the weights')
    if damaged:
        more = '' if len(damaged) <= _NAMED else f' and {len(damaged) - _NAMED} more'
        raise DamagedWeightsError(
            f'{path} has weights that are infinite or not a number: {", ".join(damaged[:_NAMED])}{more}; the training '
            'that wrote it had diverged, or the file is damaged: take an earlier one'
        )


def tensors_in(path: Path, data: dict[Any, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of nested dicts, lists and tuples with its place, ``state_dict.head.weight``."""
    seen: set[int] = set()
    waiting: list[tuple[str, Any, int]] = [('', data, 0)]
    while waiting:  # no recursion: a file may nest as deep as it likes
        place, value, depth = waiting.pop()
        if isinstance(value, torch.Tensor):
            yield place, value
        if not isinstance(value, (dict, list, tuple)) or id(value) in seen:
            continue
        if depth > _DEEPEST:
            raise UnsafeFileError(f'{path} is refused: it nests its contents more than {_DEEPEST} deep')
        seen.add(id(value))
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        waiting += [(f'{place}.{key}' if place else f'{key}', item, depth + 1) for key, item in reversed(items)]


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers of a tensor are finite. One sum tells nearly always, in one pass and without a copy."""
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return True
    wide = torch.float32 if tensor.element_size() == 2 else None
    if bool(torch.isfinite(tensor.sum(dtype=wide))):
        return True
    # Large numbers may have overflown in the sum alone.
    return bool(torch.isfinite(tensor).all())


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f'one tensor of shape {tuple(value.shape)}'
    return f'a value of type {type(value).__name__}'
