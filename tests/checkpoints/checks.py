"""What the tests of checkpoints have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from moganet.checkpoints.formats import Weights


@dataclass(frozen=True)
class Row:
    """A released file's row of the metafile."""

    writer: str
    gate_act_twice: bool | None = None
    ema: bool | None = None


def same(found: Mapping[str, Tensor] | None, ours: Mapping[str, Tensor]) -> bool:
    """Whether these are the very tensors, under these names, in this order."""
    return found is not None and list(found) == list(ours) and all(found[name] is ours[name] for name in ours)


def told(weights: Weights) -> tuple[Any, ...]:
    """What there is to say of every file, in one line."""
    return weights.writer, weights.generation, weights.ema, weights.gate_act_twice, weights.variant, weights.task
