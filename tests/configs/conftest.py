"""A small build of all tiny sets, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from moganet.datasets.tiny import FOLDERS, build, plan


@pytest.fixture(scope='session')
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sets, with some dozens of pictures each."""
    out = tmp_path_factory.mktemp('tiny')
    build(out, plan(list(FOLDERS), size='small'))
    return out
