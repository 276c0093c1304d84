"""One small build of all four sets, and the source images, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from moganet.datasets.tiny import build, plan
from moganet.datasets.tiny.sources import Sources, load_sources


@pytest.fixture(scope='session')
def sources() -> Sources:
    return load_sources()


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('tiny')
    build(out, plan(size='small'))
    return out
