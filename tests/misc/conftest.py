"""The set-up's modules lie beside its script, outside any package; here they become importable."""

import io
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/misc'))


@pytest.fixture
def fake_pip(tmp_path):
    """A pip that notes how it was called, says what it is told, and ends as it is told."""

    from envsetup.pip import Pip

    def make(said: str = '', code: int = 0) -> Pip:
        script = tmp_path / 'fake_pip.py'
        script.write_text(
            'import json, os, sys\n'
            f'calls = open({str(tmp_path / "calls")!r}, "a")\n'
            'calls.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")\n'
            f'print({said!r})\n'
            f'sys.exit({code})\n'
        )
        return Pip(tmp_path / 'log', [sys.executable, str(script)])

    return make


@pytest.fixture
def status():
    from envsetup.progress import StatusLine

    return StatusLine('step', io.StringIO())
