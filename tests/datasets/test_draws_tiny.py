"""The pipelines of the four tasks, on their tiny sets: the same batches whatever the number of workers."""

from __future__ import annotations

import hashlib
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import DataLoader

from moganet.datasets.draws import with_draws
from moganet.engine.config_file import read_checked

from ..e2e.tools import LEAVES


def digest(value: Any) -> Any:
    """Return a value with a digest in the place of each of its arrays, so that two can be compared, bit for bit."""
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).hexdigest(), value.shape, str(value.dtype)
    if hasattr(value, 'all_items'):  # a data sample
        return sorted((name, digest(part)) for name, part in value.all_items())
    if isinstance(value, dict):
        return sorted((name, digest(part)) for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return [digest(part) for part in value]
    if hasattr(value, 'tensor'):  # boxes
        return digest(value.tensor)
    if hasattr(value, 'masks'):
        return digest(value.masks)
    plain = isinstance(value, (str, int, float, bool, type(None)))
    return repr(value) if plain else hashlib.sha256(pickle.dumps(value)).hexdigest()


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # more workers than cores
@pytest.mark.parametrize('task', ['classification', 'mask-rcnn', 'sem-fpn', 'pose'])
def test_the_batches_do_not_depend_on_the_workers(task: str, workplace: Any) -> None:
    cfg, scope = read_checked(str(LEAVES[task].config), {}, ('train_dataloader',), 'a test')
    with DefaultScope.overwrite_default_scope(scope):
        data = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(data) >= 8

    def batches(workers: int, seed: int = 5) -> list[Any]:
        sampler = DefaultSampler(data, shuffle=True, seed=3)
        options = {'batch_size': 2, 'collate_fn': pseudo_collate, 'num_workers': workers}
        loader = with_draws(DataLoader(data, sampler=sampler, **options), seed, 0, 1)
        loader.batch_sampler.start(1, len(loader) - 3)  # the last three
        return [digest(batch) for batch in loader]

    expected = batches(0)
    assert len(expected) == 3 and len({repr(batch) for batch in expected}) == 3
    for workers in (1, 4):
        assert batches(workers) == expected
    drawn = task in ('classification', 'pose')  # the tiny pipelines of the others draw nothing
    assert (batches(0, seed=6) != expected) == drawn
