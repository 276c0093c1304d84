"""The random numbers that a process draws: kept, put back, and drawn afresh for one piece of work."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """Return where Python's, numpy's and torch's generators of this process stand, the GPU's in use too."""
    state: dict[str, Any] = {'python': random.getstate(), 'numpy': np.random.get_state()}
    state['torch'] = torch.get_rng_state()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put the generators where :func:`capture` found them; a GPU's state is left out where there is none."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'])


@contextlib.contextmanager
def preserved() -> Iterator[dict[str, Any]]:
    """Put the generators back at the end of the block, whatever it drew; yield where they stood before it."""
    state = capture()
    try:
        yield state
    finally:
        restore(state)


def derived_seed(*parts: int) -> int:
    """Return a seed of 64 bits that any change of any part changes altogether."""
    text = ','.join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big')


def seed_cpu(seed: int) -> None:
    """Seed Python's, numpy's and torch's generators of the processor: what a data pipeline draws from.

    Args:
        seed: a number of 64 bits.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
