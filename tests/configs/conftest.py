"""A small build of the four tiny sets, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from moganet.datasets.tiny import build, plan


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the four sets, with some dozens of pictures each."""
    out = tmp_path_factory.mktemp('tiny')
    build(out, plan(size='small'))
    return out
