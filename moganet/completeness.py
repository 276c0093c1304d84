"""Whether weights fill what they are for.

MMEngine loads what fits and warns of the rest, so that a wrong file trains or is evaluated at random weights without an
error. The backbone's own load hook and :mod:`moganet.checkpoints` both refuse that; what they share is here.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

# Of tensors that moganet.checkpoints has read. No attributes: those would be saved with a tensor, and such a file is
# refused by torch's safe reader, and by ours.
_SOURCES: MutableMapping[Tensor, Source] = WeakTensorKeyDictionary()
_LISTS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)

_partial_allowed: ContextVar[bool] = ContextVar('partial_allowed', default=False)


@dataclass(frozen=True)
class Source:
    """Where a tensor came from, and how the model that it was trained in activates its gates, where that is known."""

    name: str
    gate_act_twice: bool | None


def note_source(tensor: Tensor, source: Source) -> None:
    """Note where a tensor came from, for as long as it lives; a copy of it does not have it."""
    _SOURCES[tensor] = source


def source_of(tensor: Tensor) -> Source | None:
    """Return where a tensor came from, if :mod:`moganet.checkpoints` has read it."""
    return _SOURCES.get(tensor)


@dataclass(frozen=True)
class Fit:
    """How the names and shapes of weights meet those of a model.

    Attributes:
        expected: how many parameters and buffers are to be filled.
        missing: those that the weights have not.
        unexpected: names that the model has not.
        reshaped: name, shape in the weights, shape in the model.
        surplus: those of the unexpected that a part of the model would have to be larger for, see :func:`surplus_of`.
    """

    expected: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    surplus: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether the whole model is filled, and each of its parts was as large; parts that it has not do not count."""
        return not self.missing and not self.reshaped and not self.surplus

    @property
    def filled(self) -> int:
        """How many of the model's parameters and buffers are filled."""
        return self.expected - len(self.missing) - len(self.reshaped)

    def describe(self) -> str:
        """Return ``2 of 300 are missing (head.fc: 2) and 1 has another shape (...)``; empty when all fits."""
        parts = []
        if self.missing:
            verb = 'is' if len(self.missing) == 1 else 'are'
            parts.append(f'{len(self.missing)} of {self.expected} {verb} missing ({by_module(self.missing)})')
        if self.reshaped:
            first = '; '.join(f'{name}: {a} in the file, {b} in the model' for name, a, b in self.reshaped[:2])
            more = f' and {len(self.reshaped) - 2} more' if len(self.reshaped) > 2 else ''
            verb = 'has' if len(self.reshaped) == 1 else 'have'
            parts.append(f'{len(self.reshaped)} {verb} another shape ({first}{more})')
        if self.surplus:
            verb = 'is' if len(self.surplus) == 1 else 'are'
            parts.append(f'{len(self.surplus)} more {verb} given than its parts have ({by_module(self.surplus)})')
        return ' and '.join(parts)


def compare(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Fit:
    """Compare names and shapes, nothing else.

    ``num_batches_tracked`` may be missing, and is not expected then: old releases of torch did not save it, and nothing
    reads it.
    """
    absent = [name for name in own if name not in given]
    missing = [name for name in absent if not name.endswith('num_batches_tracked')]
    expected = len(own) - len(absent) + len(missing)
    shapes = [(name, tuple(given[name].shape), tuple(value.shape)) for name, value in own.items() if name in given]
    reshaped = [found for found in shapes if found[1] != found[2]]
    return Fit(expected, tuple(missing), tuple(name for name in given if name not in own), tuple(reshaped))


def surplus_of(model: nn.Module, unexpected: Iterable[str]) -> tuple[str, ...]:
    """Return the names that a part of a model has no place for, which it would have if it were that of the weights.

    That is an item more of a list, such as a block of a deeper variant, and a number more of a layer, such as a bias or
    a norm's statistics: without them the part computes something else. A part that the model has not at all, such as a
    classifier's head in a detector, is none, and ``num_batches_tracked`` is none, which nothing reads.
    """
    modules = dict(model.named_modules())
    found = []
    for name in unexpected:
        layer = place = name.rpartition('.')[0]
        while place not in modules:
            place = place.rpartition('.')[0]
        owner = modules[place]
        longer = isinstance(owner, _LISTS)
        richer = place == layer and any(True for _ in (*owner.parameters(recurse=False), *owner.buffers(recurse=False)))
        if (longer or richer) and not name.endswith('num_batches_tracked'):
            found.append(name)
    return tuple(found)


def by_module(names: tuple[str, ...] | list[str], shown: int = 4) -> str:
    """Return ``backbone.blocks1: 40, head.fc: 2``: how many names lie in each module, the fullest first."""
    counts = Counter('.'.join(name.split('.')[:2]) if name.count('.') > 1 else name.split('.')[0] for name in names)
    listed = ', '.join(f'{module}: {count}' for module, count in counts.most_common(shown))
    return listed + (', ...' if len(counts) > shown else '')


@contextlib.contextmanager
def partial() -> Iterator[None]:
    """Within this block a backbone may be filled in part, by whoever loads it."""
    token = _partial_allowed.set(True)
    try:
        yield
    finally:
        _partial_allowed.reset(token)


def partial_is_allowed() -> bool:
    """Whether the code runs within a block of :func:`partial`."""
    return _partial_allowed.get()


def gate_mode_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> tuple[bool | None, str]:
    """Return how the model that weights come from activates its gates, and who says so; ``(None, '')`` if nobody does.

    Args:
        tensors: the weights that a backbone is about to be given.
        metadata: what their state dict notes of the module, ``state_dict._metadata``.
    """
    first = next(iter(tensors.values()), None)  # all of a file have the same
    source = None if first is None else source_of(first)
    if source is not None and source.gate_act_twice is not None:
        return source.gate_act_twice, source.name
    noted = metadata.get('gate_act_twice')
    return (noted, 'the state dict') if isinstance(noted, bool) else (None, '')


def gate_error(name: str, trained_twice: bool) -> str:
    """Return the message for weights whose gate the model would activate another number of times."""
    return (
        f'{name}: these weights were trained with the gate activated {"twice" if trained_twice else "once"}, and the '
        f'model has gate_act_twice={not trained_twice}, with which they compute something else; '
        f'set model.backbone.gate_act_twice={trained_twice}'
    )
