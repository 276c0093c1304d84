"""What reading a checkpoint safely costs, beside torch's own reading of the same file."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch

from ..checkpoints.reader import read

WAYS = ('torch', 'first', 'known')
_TENSORS = 400  # in a written file: as many as MogaNet-XL has that are of a size worth speaking of

# Prints by how many KiB the most memory that the process has had grows while it reads.
_PEAK = """
import re, sys, torch
from moganet.checkpoints.reader import read
def peak():
    with open('/proc/self/status') as file:  # getrusage counts what the parent had before this process began
        return int(re.search(r'VmHWM:\\s+(\\d+)', file.read())[1])
before = peak()
if sys.argv[1] == 'torch':
    kept = torch.load(sys.argv[2], map_location='cpu', weights_only=True)
else:
    kept = read(sys.argv[2])
print(peak() - before)
"""


class Reading(NamedTuple):
    """One way of reading: the median of its seconds, and what the process grew by, in bytes (Linux alone)."""

    seconds: float
    peak: int | None


def write_weights(path: Path, parameters: int) -> None:
    """Write a checkpoint of random float32 weights, as ``torch.save`` does."""
    generator = torch.Generator().manual_seed(0)
    sizes = [parameters // _TENSORS + (index < parameters % _TENSORS) for index in range(_TENSORS)]
    weights = {f'backbone.weight{index}': torch.randn(size, generator=generator) for index, size in enumerate(sizes)}
    torch.save({'state_dict': weights}, path)


def measure_reading(path: str | Path, rounds: int) -> dict[str, Reading]:
    """Time each way of :data:`WAYS` in turn, round by round, on a file that torch.load can read by itself.

    ``torch`` is ``torch.load``, weights alone, into memory; ``first`` is :func:`moganet.checkpoints.reader.read` of a
    file that it has never seen, ``known`` of one whose hash it has checked before. The file is in the system's cache
    from the second round on, and the first is not counted. Memory is that of a process that does nothing else.
    """
    if rounds < 1:
        raise ValueError(f'rounds is {rounds}; it must be 1 or more')
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}')
    with tempfile.TemporaryDirectory() as known:
        ways = {
            'torch': lambda: torch.load(path, map_location='cpu', weights_only=True),
            'first': lambda: _read_with_cache(path),
            'known': lambda: _read_with_cache(path, known),
        }
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(1 + rounds):
            for way in WAYS:
                seconds[way].append(_timed(ways[way]))
        medians = {way: statistics.median(seconds[way][1:]) for way in WAYS}
        return {way: Reading(medians[way], _peak(way, path, known)) for way in WAYS}


def _read_with_cache(path: str | Path, folder: str | None = None) -> object:
    """Read with an index of known hashes in a folder, or with an empty one."""
    with ExitStack() as stack:
        folder = folder or stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(mock.patch.dict(os.environ, MOGANET_CACHE=folder))
        return read(path)


def _timed(way: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    kept = way()
    took = time.perf_counter() - start
    del kept
    return took


def _peak(way: str, path: str | Path, known: str) -> int | None:
    """Return by how many bytes a process of its own grows while it reads."""
    if not sys.platform.startswith('linux'):
        return None
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, 'MOGANET_CACHE': known if way == 'known' else empty}
        environment['PYTHONPATH'] = os.pathsep.join([str(Path(__file__).parents[2]), environment.get('PYTHONPATH', '')])
        command = [sys.executable, '-c', _PEAK, way, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)
