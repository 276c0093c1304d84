"""The weights and inputs behind the reference outputs in ``tests/data``, rebuilt from the parameters' names."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / 'data'


@lru_cache(maxsize=1)
def recorded() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The listing (json) and the recorded arrays (npz)."""
    with gzip.open(DATA / 'tiny.json.gz', 'rt') as file:
        listing = json.load(file)
    with np.load(DATA / 'tiny.npz') as arrays:
        return listing, {name: arrays[name] for name in arrays.files}


def filled_state(listing: Iterable[tuple[str, Iterable[int]]], calib: np.ndarray | None = None) -> dict[str, Tensor]:
    """Every tensor of ``listing``, [[name, shape], ...], by the rule; without ``calib`` BN has mean 0, variance 1."""
    listing = sorted((name, tuple(shape)) for name, shape in listing)
    statistics: dict[str, np.ndarray | float] = {}
    at = 0
    for name, shape in listing:
        if name.endswith(('running_mean', 'running_var')):
            size = int(np.prod(shape))
            default = 1.0 if name.endswith('var') else 0.0
            statistics[name] = default if calib is None else calib[at : at + size].astype(np.float64)
            at += size
    norms = {name[: -len('running_mean')] for name in statistics if name.endswith('running_mean')}
    return {
        name: torch.from_numpy(_fill(name, shape, name[: name.rfind('.') + 1] in norms, statistics))
        for name, shape in listing
    }


def _fill(name: str, shape: tuple[int, ...], is_norm: bool, statistics: dict[str, Any]) -> np.ndarray:
    leaf = name.rsplit('.', 1)[-1]
    if leaf == 'num_batches_tracked':
        return np.asarray(1)
    n = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    if leaf.startswith('layer_scale'):
        value = 0.5 + 0.1 * n
    elif '.sigma.' in name:
        value = 0.1 * n
    elif leaf == 'running_mean':
        value = statistics[name] + 0.1 * n * np.sqrt(statistics[name.replace('running_mean', 'running_var')])
    elif leaf == 'running_var':
        value = statistics[name] * (1.0 + 0.2 * np.abs(n))
    elif is_norm:
        value = 1.0 + 0.1 * n if leaf == 'weight' else 0.1 * n
    elif leaf == 'bias':
        value = 0.05 * n
    else:
        value = n / np.sqrt(float(np.prod(shape[1:])))
    return np.asarray(value, dtype=np.float32)


def reference_input(height: int, width: int) -> Tensor:
    """The images that the reference outputs were recorded with."""
    generator = np.random.Generator(np.random.PCG64(20240116))
    return torch.from_numpy(generator.standard_normal((2, 3, height, width)).astype(np.float32))


def error_over_rms(actual: Any, expected: Any) -> float:
    """Largest deviation beyond 1e-5 relative, over the expected tensor's root mean square."""
    actual, expected = (torch.as_tensor(x).double().numpy() for x in (actual, expected))
    excess = np.maximum(np.abs(actual - expected) - 1e-5 * np.abs(expected), 0.0)
    return float(excess.max() / np.sqrt((expected**2).mean()))
