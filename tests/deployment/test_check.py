from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moganet.deployment.check import LARGEST_DIFFERENCE, batches_of, check_outputs

X = torch.tensor([[[[-2.0, 1.0], [0.5, 0.0]]]])


def _plus(difference: float) -> tuple[float, bool]:
    (found,) = check_outputs(lambda x: (x,), lambda x: (x + difference,), ['output'], [X])
    assert found.shape == (1, 1, 2, 2) and 'output' in str(found)
    return found.relative, found.close


def test_the_difference_is_relative_to_the_largest_value() -> None:
    relative, close = _plus(LARGEST_DIFFERENCE)
    assert relative == pytest.approx(LARGEST_DIFFERENCE / 2, rel=1e-2) and close
    assert not _plus(3 * LARGEST_DIFFERENCE)[1]


def test_what_is_not_finite_is_no_rounding() -> None:
    assert _plus(float('nan')) == (float('inf'), False)
    with pytest.raises(ValueError, match='the model in torch makes infinite'):
        check_outputs(lambda x: (x / 0,), lambda x: (x,), ['output'], [X])


def test_other_shapes_and_numbers_of_outputs() -> None:
    def wrong(x: Tensor) -> tuple[Tensor, ...]:
        return (x[..., :1],)

    with pytest.raises(ValueError, match='the exported model makes'):
        check_outputs(lambda x: (x,), wrong, ['output'], [X])
    with pytest.raises(ValueError, match='the exported model makes'):
        check_outputs(lambda x: (x,), lambda x: (x, x), ['output'], [X])


def test_batches() -> None:
    given = [torch.randn(1, 3, 64, 96), torch.randn(1, 3, 32, 32)]
    shapes = [tuple(batch.shape) for batch in batches_of(given, None, None)]
    assert shapes == [(1, 3, 64, 96), (3, 3, 96, 64)]
    assert [tuple(batch.shape) for batch in batches_of(given, None, (48, 40))] == [(1, 3, 48, 40), (3, 3, 48, 40)]
    (batch,) = batches_of(given[:1], 4, (48, 40))
    assert batch.shape == (4, 3, 48, 40)
    assert len(batches_of(given[:1], None, None)[1]) == 2  # more than one, of one picture too
