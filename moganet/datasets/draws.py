"""Samples whose augmentation depends on nothing but the seed, the epoch and their place in it.

MMEngine seeds a worker process once, so what it draws for a sample depends on all samples that it was given before: on
the number of workers, and on a past that a resumed run does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, get_worker_info

from ..randomness import derived_seed, preserved, seed_cpu
from .samples import sample_of

# What of a loader its successor takes over; the dataset, the sampler and the batch size are in the draws.
_KEPT = (
    *('num_workers', 'collate_fn', 'pin_memory', 'timeout', 'worker_init_fn', 'multiprocessing_context', 'generator'),
    *('prefetch_factor', 'persistent_workers', 'pin_memory_device'),
)


class Draw(int):
    """A sample's index, with the seed of its augmentation."""

    seed: int

    def __new__(cls, index: int, seed: int) -> Draw:
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __reduce__(self) -> tuple[type[Draw], tuple[int, int]]:
        return Draw, (int(self), self.seed)


class DrawnBatches(Sampler[list[Any]]):
    """The batches of a batch sampler, each index a :class:`Draw`; it can begin anywhere in an epoch.

    The seed of a draw follows from the run's seed, the epoch, and how many samples of it all processes have drawn
    before. The index does not enter: repeated augmentation draws one twice in an epoch, and wants two pictures of it.

    Args:
        batches: the sampler that is asked.
        seed: the run's.
        rank, world_size: which of how many processes this is.
    """

    def __init__(self, batches: Any, seed: int, rank: int, world_size: int) -> None:
        self.batches = batches
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.passed = 0  # batches that the last whole iteration had, those that it skipped included
        self._epoch: int | None = None
        self._skip = 0

    @property
    def sampler(self) -> Any:
        """The sampler below, as every batch sampler has it: hooks tell it the epoch."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        """How many samples a batch has."""
        return int(self.batches.batch_size)

    def start(self, epoch: int, skip: int = 0) -> None:
        """Say where the next iteration begins; without it there is none.

        Args:
            epoch: which it is, from 0.
            skip: how many of its batches were had before.
        """
        self._epoch, self._skip = epoch, skip

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Any]]:
        if self._epoch is None:  # MMEngine before 0.10.8 begins an iteration when it builds a loop
            return
        # A hook may iterate in the midst of another iteration, so each counts by itself.
        epoch, skip, drawn, passed = self._epoch, self._skip, 0, 0
        for passed, batch in enumerate(self.batches, start=1):
            first, drawn = drawn, drawn + len(batch)
            if passed > skip:
                places = ((first + place) * self.world_size + self.rank for place in range(len(batch)))
                yield [Draw(index, derived_seed(self.seed, epoch, place)) for index, place in zip(batch, places)]
        self.passed = passed


class DrawnDataset(Dataset[Any]):
    """A dataset that makes each sample with the random numbers of its :class:`Draw`; all else is the dataset's own.

    What is set on it is set on the dataset: hooks that change the pipeline in the midst of a training do so.
    """

    def __init__(self, dataset: Any) -> None:
        object.__setattr__(self, 'dataset', dataset)

    def __getitem__(self, index: Any) -> Any:
        if not isinstance(index, Draw):
            return self.dataset[index]
        if get_worker_info() is not None:  # a worker draws for nothing else
            seed_cpu(index.seed)
            return sample_of(self.dataset, index)
        with preserved():
            seed_cpu(index.seed)
            return sample_of(self.dataset, index)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset':  # not there yet, while it is being copied
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.dataset, name, value)


def with_draws(loader: DataLoader[Any], seed: int, rank: int, world_size: int) -> DataLoader[Any]:
    """Return a loader of the same batches, whose samples are drawn as :class:`DrawnBatches` says.

    Raises:
        ValueError: the loader makes no batches, or its dataset has no indices.
    """
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError(
            f'the training data ({type(loader.dataset).__name__}) are not drawn by index in batches, so that a run '
            'could not go on within an epoch; use a dataset with indices and a batch size'
        )
    kept = {name: getattr(loader, name) for name in _KEPT if hasattr(loader, name)}
    return DataLoader(
        DrawnDataset(loader.dataset), batch_sampler=DrawnBatches(loader.batch_sampler, seed, rank, world_size), **kept
    )
