from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from moganet.datasets.draws import Draw, DrawnDataset, with_draws


class Noisy:
    """Samples that draw from each generator, more for some than for others."""

    metainfo = {'classes': ('a',)}

    def __init__(self, size: int = 10) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[float, ...]:
        numbers = [random.random() for _ in range(index % 3 + 1)]
        return (float(index), numbers[-1], float(np.random.rand()), float(torch.rand(())))


def loader(workers: int = 0, seed: int = 1, rank: int = 0, world_size: int = 1, infinite: bool = False, **options: Any):
    data = Noisy()
    sampler = (InfiniteSampler if infinite else DefaultSampler)(data, shuffle=True, seed=3)
    options = {'batch_size': 4, 'collate_fn': list, 'num_workers': workers, **options}
    return with_draws(DataLoader(data, sampler=sampler, **options), seed, rank, world_size)


def batches(of: DataLoader[Any], epoch: int = 0, skip: int = 0, number: int = 3) -> list[Any]:
    of.batch_sampler.start(epoch, skip)
    return [batch for batch, _ in zip(of, range(number - skip))]


@pytest.mark.filterwarnings('ignore:This DataLoader will create')  # more workers than cores
def test_the_data_do_not_depend_on_the_workers() -> None:
    expected = batches(loader())
    assert len(expected) == 3 and len({sample for batch in expected for sample in batch}) == 10
    for workers in (1, 4):
        assert batches(loader(workers, persistent_workers=True)) == expected


@pytest.mark.parametrize('infinite', [False, True])
@pytest.mark.parametrize('workers', [0, 2])
def test_an_epoch_goes_on_where_it_was_left(workers: int, infinite: bool) -> None:
    number = 7 if infinite else 3
    whole = batches(loader(infinite=infinite), number=number)
    for skip in (1, number - 1):
        assert batches(loader(workers, infinite=infinite), skip=skip, number=number) == whole[skip:]


def test_what_is_skipped_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(Noisy, '__getitem__', lambda self, index: made.append(int(index)))
    batches(loader(), skip=2)
    assert len(made) == 2


def test_each_epoch_seed_and_process_draws_afresh() -> None:
    kinds: list[dict[str, int]] = [{}, {'seed': 2}, {'rank': 1}]
    drawn = [sample[1:] for kind in kinds for batch in batches(loader(world_size=2, **kind)) for sample in batch]
    drawn += [sample[1:] for batch in batches(loader(world_size=2), epoch=1) for sample in batch]
    assert len(set(drawn)) == len(drawn) == 40


def test_two_processes_draw_what_one_draws() -> None:
    """A sample's place among all that are drawn makes its seed, so the same place gives the same sample."""
    one = [sample for batch in batches(loader()) for sample in batch]
    data = Noisy()
    shares = []
    for rank in (0, 1):
        sampler = DefaultSampler(data, shuffle=True, seed=3)
        sampler.rank, sampler.world_size, sampler.num_samples = rank, 2, 5
        share = with_draws(DataLoader(data, sampler=sampler, batch_size=5, collate_fn=list), 1, rank, 2)
        shares.append(batches(share)[0])
    assert [sample for pair in zip(*shares) for sample in pair] == one


def test_an_index_that_is_drawn_twice_gives_two_samples() -> None:
    data = Noisy()
    twice = with_draws(
        DataLoader(data, batch_sampler=BatchSampler([5, 5, 5], 3, drop_last=False), collate_fn=list), 0, 0, 1
    )
    (batch,) = batches(twice)
    assert Counter(sample[0] for sample in batch) == {5.0: 3} and len(set(batch)) == 3


def test_the_process_keeps_its_random_numbers() -> None:
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.rand(), torch.rand(()).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    loaded = loader()
    loaded.dataset[Draw(3, 8)]
    assert (random.random(), np.random.rand(), torch.rand(()).item()) == expected


def test_what_a_loader_has_is_kept() -> None:
    before = DataLoader(Noisy(), batch_size=4, num_workers=2, collate_fn=list, prefetch_factor=3, timeout=9.0)
    after = with_draws(before, 0, 0, 1)
    for name in ('num_workers', 'collate_fn', 'prefetch_factor', 'timeout', 'pin_memory', 'persistent_workers'):
        assert getattr(after, name) == getattr(before, name), name
    assert len(after) == len(before) == 3
    assert after.dataset.metainfo == Noisy.metainfo and after.batch_sampler.batch_size == 4
    assert after.batch_sampler.sampler is before.batch_sampler.sampler


def test_a_pipeline_that_is_replaced_is_used() -> None:
    """As mmdet's PipelineSwitchHook replaces it: ``loader.dataset.pipeline = ...``."""
    data = Noisy()
    loaded = with_draws(DataLoader(data, batch_size=4, collate_fn=list), 1, 0, 1)
    loaded.dataset.size = 3
    assert data.size == 3 and len(loaded.dataset) == 3


def test_nothing_is_drawn_before_it_is_said_where_to_begin() -> None:
    assert list(loader()) == []


def test_a_draw_and_its_dataset_travel_to_a_worker() -> None:
    draw = pickle.loads(pickle.dumps(Draw(3, 2**64 - 1)))
    assert draw == 3 and draw.seed == 2**64 - 1
    copied = pickle.loads(pickle.dumps(DrawnDataset(Noisy())))
    assert len(copied) == 10 and copied.size == 10
    with pytest.raises(AttributeError, match='nothing'):
        getattr(copied, 'nothing')  # noqa: B009


class Stream(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        return iter(range(3))


@pytest.mark.parametrize('odd', [DataLoader(Stream()), DataLoader([1, 2], batch_size=None)])
def test_data_without_an_index_are_refused(odd: DataLoader[Any]) -> None:
    with pytest.raises(ValueError, match='are not drawn by index in batches'):
        with_draws(odd, 0, 0, 1)
