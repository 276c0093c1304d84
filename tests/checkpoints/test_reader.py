"""Whole checkpoints are read as they were written, weights alone, in each container."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moganet.checkpoints import cache, hashing, reader, torch_load
from moganet.checkpoints.errors import (
    CheckpointError,
    HashMismatchError,
    NotACheckpointError,
    TornFileError,
    UnsafeFileError,
)
from moganet.checkpoints.reader import read

from . import files

CONTAINERS = ('zip', 'legacy', 'safetensors')


@pytest.fixture(params=['list', 'unpickler'])
def any_torch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read as with a torch that takes a list of names, and as with one before 2.6."""
    if request.param == 'unpickler':
        monkeypatch.setattr(torch_load, 'takes_named_globals', lambda: False)


def same(found: Any, expected: Any) -> bool:
    """Whether two trees are equal, in types and values."""
    if isinstance(expected, torch.Tensor):
        return found.dtype == expected.dtype and torch.equal(found, expected)
    if isinstance(expected, np.ndarray):
        # numpy turns an array of the other byte order round when it reads it.
        return found.dtype == expected.dtype.newbyteorder('=') and found.tolist() == expected.tolist()
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if type(expected).__name__ == 'HistoryBuffer':
        return bool(found.statistics('mean') == expected.statistics('mean'))
    return type(found) is type(expected) and bool(found == expected)


@pytest.mark.parametrize('container', CONTAINERS)
def test_weights_are_what_was_written(tmp_path: Path, container: str, any_torch: None) -> None:
    path = files.write(tmp_path / 'weights.pth', container)
    contents = read(str(path))
    assert contents.container == container and contents.path == path
    assert contents.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    found, expected = contents.data['state_dict'], files.weights()
    assert found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    assert contents.data['meta'] == {'epoch': '1' if container == 'safetensors' else 1}


@pytest.mark.parametrize('container', ['zip', 'legacy'])
def test_everything_that_trainings_write_is_read(tmp_path: Path, container: str, any_torch: None) -> None:
    state = files.training_state()
    found = read(files.write(tmp_path / 'epoch_5.pth', container, state)).data
    assert same(found, state)
    assert found['state_dict']._metadata == state['state_dict']._metadata
    assert isinstance(found['lr_schedulers']['milestones'], Counter)


@pytest.mark.parametrize('name', ['numpy.core.multiarray', 'numpy._core.multiarray'])
def test_arrays_of_either_numpy_are_read(tmp_path: Path, name: str, any_torch: None) -> None:
    old, new = b'cnumpy._core.multiarray\n', f'c{name}\n'.encode()
    pickled = files.dumped({'score': np.float64(0.5), 'label': np.arange(3)})
    assert b'numpy' in pickled
    pickled = pickled.replace(b'cnumpy.core.multiarray\n', old).replace(old, new)
    weight = files.tensor(files.storage(4), (2, 2), (2, 1))
    path = files.zip_with_pickle(
        tmp_path / 'a.pth', files.program(files.dict_of(w=weight), b'X\x01\0\0\0m', pickled[2:-1], b's')
    )
    found = read(path).data
    assert found['m']['score'] == 0.5 and found['m']['label'].tolist() == [0, 1, 2]


def test_zip_named_as_safetensors_is_a_zip(tmp_path: Path) -> None:
    assert read(files.write(tmp_path / 'weights.safetensors', 'zip')).container == 'zip'


def test_half_precision_in_safetensors(tmp_path: Path) -> None:
    weights = {'h': torch.ones(3).half(), 'b': torch.ones(3).bfloat16(), 'i': torch.arange(3), 's': torch.ones(())}
    found = read(files.write(tmp_path / 'a.safetensors', 'safetensors', {'state_dict': weights})).data
    assert all(same(found['state_dict'][name], weights[name]) for name in weights) and found['meta'] == {}


def test_large_finite_numbers_are_no_damage(tmp_path: Path) -> None:
    weights = {'w': torch.full((100,), 3e38), 'h': torch.full((100,), 65504.0).half()}
    assert torch.isinf(weights['w'].sum())
    assert same(read(files.write(tmp_path / 'a.pth', 'zip', weights)).data, weights)


@pytest.mark.parametrize('container', CONTAINERS)
def test_hash_is_held_to_the_given_one(tmp_path: Path, container: str) -> None:
    path = files.write(tmp_path / 'a.pth', container)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    for given in (right, right.upper(), right[:8]):
        assert read(path, sha256=given).sha256 == right
    with pytest.raises(HashMismatchError, match=f'{right}.*{"0" * 64}'):
        read(path, sha256='0' * 64)
    with pytest.raises(ValueError, match='not a sha256'):
        read(path, sha256='v1.0')


@pytest.mark.parametrize('container', CONTAINERS)
def test_known_file_is_hashed_once(tmp_path: Path, container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write(tmp_path / 'a.pth', container)
    hashed: list[Path] = []
    original = hashing.sha256_and_damage

    def counted(path: Path, entries: Any) -> Any:
        hashed.append(path)
        return original(path, entries)

    monkeypatch.setattr(reader, 'sha256_and_damage', counted)
    first, second = read(path), read(path)
    assert len(hashed) == 1 and first.sha256 == second.sha256
    with pytest.raises(HashMismatchError):
        read(path, sha256='0' * 64)
    files.write(path, container, {'state_dict': files.weights(5)})
    assert read(path).sha256 != first.sha256 and len(hashed) == 2


def test_refused_file_is_not_remembered(tmp_path: Path) -> None:
    path = files.write(tmp_path / 'a.pth', 'zip', {'state_dict': {'w': torch.tensor([float('nan')])}})
    with pytest.raises(ValueError, match='not a number'):
        read(path)
    assert cache.known_sha256(path) is None


def test_file_that_changes_meanwhile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write(tmp_path / 'a.pth', 'zip')
    original = reader.check_tensors

    def slow(path: Path, data: Any) -> None:
        original(path, data)
        path.write_bytes(path.read_bytes() + b'more')

    monkeypatch.setattr(reader, 'check_tensors', slow)
    with pytest.raises(TornFileError, match='changed while it was read'):
        read(path)
    assert cache.known_sha256(path) is None


class Own:
    """A class that no list of ours has."""


@pytest.mark.parametrize('container', ['zip', 'legacy'])
def test_unsafe_reads_all_and_says_what_it_means(
    tmp_path: Path, container: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files.write(tmp_path / 'a.pth', container, {'state_dict': files.weights(), 'own': Own()})
    with pytest.raises(UnsafeFileError, match=r'test_reader\.Own'):
        read(path)
    assert capsys.readouterr().err == ''
    assert isinstance(read(path, unsafe=True).data['own'], Own)
    told = capsys.readouterr().err
    assert told.count('\n') == 1 and 'run as a program' in told
    with pytest.raises(HashMismatchError):
        read(path, sha256='0' * 64, unsafe=True)


def test_list_of_torch_is_left_as_it_was(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([Own]):
        path = files.write(tmp_path / 'a.pth', 'zip', {'state_dict': files.weights(), 'own': Own()})
        assert isinstance(torch.load(path)['own'], Own)
        with pytest.raises(UnsafeFileError, match=r'reader: .*Own'):
            torch_load.load(path, unsafe=False, mapped=True)
        assert Own in torch.serialization.get_safe_globals()
    read(files.write(tmp_path / 'b.pth', 'zip'))
    assert set(torch.serialization.get_safe_globals()) == before


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='there is no file'):
        read(tmp_path / 'absent.pth')
    with pytest.raises(NotACheckpointError, match='is a folder'):
        read(tmp_path)


def test_weights_survive_the_file(tmp_path: Path) -> None:
    path = files.write(tmp_path / 'a.pth', 'zip')
    found = read(path).data['state_dict']
    path.unlink()
    assert all(same(found[name], value) for name, value in files.weights().items())


def test_importing_is_cheap() -> None:
    code = (
        # torch 2.1 looks at safetensors by itself, on the way of MMEngine's import.
        'import sys, mmengine.model; before = set(sys.modules); import moganet.checkpoints.reader; '
        'print([n for n in ("safetensors", "mmcv", "mmdet") if n in set(sys.modules) - before])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ('[]\n', '')


def test_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may be run by root, who may read everything."""
    path = files.write(tmp_path / 'a.pth', 'zip')
    monkeypatch.setattr(os, 'access', lambda place, mode: mode != os.R_OK)
    with pytest.raises(CheckpointError, match='may not be read by this user'):
        read(path)
