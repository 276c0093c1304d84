from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from moganet.engine.work_dir import ensure_writable, ensure_writable_together


def test_creates_the_folder_and_leaves_it_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ensure_writable('a/b', '--work-dir') == tmp_path / 'a' / 'b'
    assert list((tmp_path / 'a' / 'b').iterdir()) == []
    (tmp_path / 'a' / 'b' / 'kept').touch()
    ensure_writable('a/b', '--work-dir')
    assert [path.name for path in (tmp_path / 'a' / 'b').iterdir()] == ['kept']


@pytest.mark.parametrize('mode', [0o555, 0o000])
def test_read_only(mode: int) -> None:
    """As another user where the tests run as root, whom no permission stops."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders let no other user pass
        folder = Path(name)
        folder.chmod(mode)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            message = _refused(folder / 'run' / 'deep')
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert 'Permission denied' in message and '--work-dir DIR' in message
        assert list(folder.iterdir()) == []


def _refused(folder: Path) -> str:
    with pytest.raises(ValueError, match='cannot be written') as raised:
        ensure_writable(folder, '--work-dir')
    return str(raised.value)


def test_several_folders_are_made_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    (tmp_path / 'there').mkdir()
    wanted = [('a/run', '--work-dir'), ('a/b/out', '--out'), ('there', '--x'), ('file/pictures', '--show-dir')]
    with pytest.raises(ValueError, match='--show-dir file/pictures cannot be written'):
        ensure_writable_together(wanted)
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['file', 'there']
    made = ensure_writable_together([('a/run', '--work-dir'), ('a/b', '--out')])
    assert made == [tmp_path / 'a' / 'run', tmp_path / 'a' / 'b'] and all(folder.is_dir() for folder in made)


def test_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ValueError, match='MiB free, and one checkpoint of this model takes about'):
        ensure_writable(tmp_path / 'new' / 'run', '--work-dir', needed_bytes=free * 2 + 2**40)
    assert list(tmp_path.iterdir()) == []

    def full(descriptor: int) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(ValueError, match='cannot be written: No space left on device'):
        ensure_writable(tmp_path / 'new', '--work-dir')
    assert list(tmp_path.iterdir()) == []
