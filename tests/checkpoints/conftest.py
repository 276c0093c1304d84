"""What the tests of checkpoints share: a cache of each test's own, and a server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from moganet.checkpoints import transfer

from .server import Server, serving


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the cache is in, empty."""
    folder = tmp_path / 'cache'
    monkeypatch.setenv('MOGANET_CACHE', str(folder))
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no waiting."""
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
            monkeypatch.delenv(name)
    monkeypatch.setattr(transfer, 'BACK_OFF_S', (0.0,) * len(transfer.BACK_OFF_S))


@pytest.fixture
def server(quick: None) -> Iterator[Server]:
    with serving() as running:
        yield running
