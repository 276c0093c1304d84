"""Test sets that do not divide by processes and batch: two processes give the predictions and metrics of one."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from . import tools
from .ranks import run_ranks
from .tools import LEAVES, fork_call

slow = pytest.mark.slow


def _save_untrained(config: str, options: tuple[str, ...], path: str) -> None:
    """Save a model as its config makes it."""
    from moganet.engine.cli import parse_train
    from moganet.engine.config_file import read_checked
    from moganet.engine.model_build import build_checked

    parsed = parse_train([config, '--cfg-options', *options])
    cfg, scope = read_checked(config, parsed.cfg_options, ('model',), 'training')
    torch.manual_seed(0)
    model = build_checked(cfg, scope)
    model.init_weights()
    torch.save({'state_dict': model.state_dict()}, path)


@pytest.mark.parametrize(
    ('name', 'pictures'),
    [
        *(('classification', 5), ('sem-fpn', 3)),
        *(pytest.param(name, 3, marks=slow) for name in ('retinanet', 'mask-rcnn', 'upernet', 'pose', 'internet')),
        # Fewer than there are processes: the second one has a picture of the first.
        *(pytest.param(name, 1, marks=() if name == 'classification' else slow) for name in LEAVES),
    ],
)
def test_two_processes_give_what_one_gives(workplace: Path, name: str, pictures: int) -> None:
    leaf = LEAVES[name]
    options = (*leaf.options, f'test_dataloader.dataset.indices={pictures}')  # in batches of two
    assert fork_call(_save_untrained, str(leaf.config), leaf.options, 'untrained.pth') == 0
    alone = tools.test(leaf.config, 'untrained.pth', '--out', 'one.pkl', '--cfg-options', *options).stdout
    codes, logs = run_ranks('test', leaf.config, 'untrained.pth', '--out', 'two.pkl', '--cfg-options', *options)
    assert codes == [0, 0], logs
    metrics = [text.split('\nresult\n')[1].split('\npredictions: ')[0] for text in (alone, logs[0])]
    assert leaf.metric in metrics[0] and metrics[0] == metrics[1]

    one, two = (pickle.loads(Path(path).read_bytes()) for path in ('one.pkl', 'two.pkl'))
    assert len(one) == len(two) == pictures
    flat = [list(_flat(predictions)) for predictions in (one, two)]
    assert [place for place, _ in flat[0]] == [place for place, _ in flat[1]] and len(flat[0]) > pictures
    for (place, ours), (_, theirs) in zip(*flat):
        if isinstance(ours, np.ndarray) and ours.dtype.kind == 'f':
            # A batch of another size is summed in another order.
            np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5, err_msg=place)
        else:
            np.testing.assert_array_equal(theirs, ours, err_msg=place)


def _flat(value: Any, place: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the places and values of predictions, whatever holds them."""
    if hasattr(value, 'to_dict'):
        value = value.to_dict()
    if isinstance(value, dict):
        parts: Any = sorted(value.items())
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    else:
        yield place, value.numpy() if isinstance(value, torch.Tensor) else value
        return
    for key, part in parts:
        yield from _flat(part, f'{place}/{key}')
