from __future__ import annotations

import pytest
import torch

from moganet.deployment.structure import flatten, like, names_of


def test_there_and_back() -> None:
    a, b, c = (torch.full((1,), float(number)) for number in range(3))
    outputs = ([a, b], (c,))
    assert flatten(outputs) == (a, b, c)
    assert names_of(outputs, 'output') == ['output_0_0', 'output_0_1', 'output_1_0']
    assert names_of(a, 'output') == ['output']
    assert like(outputs, (c, a, b)) == ([c, a], (b,))
    assert like(a, (b,)) is b


def test_what_is_no_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match='an output is dict'):
        flatten((torch.zeros(1), {}))
