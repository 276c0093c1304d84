"""Whether an exported model computes what the model in torch does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Of an output's largest value. Both compute in float32, whose rounding over some two hundred layers is about 1e-6 of
# it; a wrong layer is seen at 1e-2.
LARGEST_DIFFERENCE = 1e-4

Model = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Difference:
    """How far two models are from each other in one output.

    Attributes:
        shape: of the pictures, ``(N, C, H, W)``.
        output: its name.
        relative: the largest difference over the largest absolute value of the model in torch; infinite where the
            exported one gives what is not finite.
    """

    shape: tuple[int, ...]
    output: str
    relative: float

    @property
    def close(self) -> bool:
        """Whether it is rounding alone."""
        return self.relative <= LARGEST_DIFFERENCE

    def __str__(self) -> str:
        size = ' x '.join(map(str, self.shape))
        return f'{self.output:<12}  {self.relative:.1e} of its largest value, pictures {size}'


def check_outputs(
    expected: Model, exported: Model, names: Sequence[str], batches: Sequence[Tensor]
) -> list[Difference]:
    """Compare two models on some batches.

    Args:
        expected: the model in torch.
        exported: what is held to it.
        names: of the outputs.
        batches: normalised pictures, ``(N, C, H, W)``.

    Raises:
        ValueError: they differ in the number or shape of their outputs, or torch's are not finite.
    """
    found = []
    for x in batches:
        with torch.no_grad():
            theirs, ours = expected(x), exported(x)
        shapes = [[tuple(each.shape) for each in outputs] for outputs in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise ValueError(f'of pictures {tuple(x.shape)} the exported model makes {shapes[1]}, torch {shapes[0]}')
        if not all(torch.isfinite(each).all() for each in theirs):
            raise ValueError(f'the model in torch makes infinite or undefined numbers of pictures {tuple(x.shape)}')
        found += [Difference(tuple(x.shape), *each) for each in zip(names, map(_relative, theirs, ours))]
    return found


def _relative(expected: Tensor, found: Tensor) -> float:
    if not torch.isfinite(found).all():
        return float('inf')
    difference = float((expected.double() - found.double()).abs().max())
    scale = float(expected.double().abs().max())
    return difference / scale if scale else difference


def batches_of(pictures: Sequence[Tensor], batch: int | None, size: tuple[int, int] | None) -> list[Tensor]:
    """Return batches for a check: one picture, then more, and of another size, where the exported model takes those.

    Args:
        pictures: normalised, each ``(1, C, H, W)``, of whatever sizes.
        batch: the number that is taken alone; None for any.
        size: the height and width that are taken alone; None for any.
    """
    first = pictures[0] if size is None else _resized(pictures[0], size)
    if batch is not None:
        return [first.expand(batch, -1, -1, -1)]
    several = [*pictures, pictures[0].flip(3)]  # never one alone
    height, width = first.shape[2:]
    other = size or (height + 32, max(width - 32, 32))
    return [first, torch.cat([_resized(each, other) for each in several])]


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(picture.shape[2:]) == size:
        return picture
    return F.interpolate(picture, size, mode='bilinear', align_corners=False)
