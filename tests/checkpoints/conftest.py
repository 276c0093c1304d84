"""Each test has an index of known hashes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the cache is in, empty."""
    folder = tmp_path / 'cache'
    monkeypatch.setenv('MOGANET_CACHE', str(folder))
    return folder
