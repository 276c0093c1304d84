"""What every test shares: one thread a process, and the tiny data, made once a session."""

from __future__ import annotations

import logging
import os

# Two OpenMP pools on two cores wait for each other by spinning; set before torch is imported.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MKL_NUM_THREADS', '1')

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from moganet.compat import noise_patterns

from .classic import is_classic, lacking

torch.set_num_threads(1)

REPO = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Silence what the tools silence, by the same names."""
    # MMEngine's loggers outlive a test, and go on writing to what pytest captured of it and closed. Python's logging
    # would print a traceback of thirty lines for each line, into what a later test has captured.
    logging.raiseExceptions = False
    for pattern in noise_patterns():
        config.addinivalue_line('filterwarnings', f'ignore:{pattern}')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what the classic set lacks something for, by name."""
    for item in items if is_classic() else ():
        if reason := lacking(item.nodeid):
            item.add_marker(pytest.mark.skip(reason=f'classic set: {reason}'))


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds ``data/tiny``, the small size, made by the tool that users run."""
    folder = tmp_path_factory.mktemp('tiny')
    script = REPO / 'tools' / 'dataset_converters' / 'make_tiny.py'
    command = [sys.executable, str(script), '--out', str(folder / 'data' / 'tiny'), '--size', 'small', '--tasks']
    command += ['classification', 'detection', 'segmentation', 'pose', 'hands']
    environment = {**os.environ, 'PYTHONPATH': str(REPO)}
    made = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture
def workplace(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to an empty folder that sees ``data/tiny``, as a user's clone does; return it."""
    folder = tmp_path / 'workplace'
    folder.mkdir()
    (folder / 'data').symlink_to(tiny_data / 'data', target_is_directory=True)
    monkeypatch.chdir(folder)
    return folder
