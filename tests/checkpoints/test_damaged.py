"""A damaged file gives an error that says so, or, where nothing of its contents is touched, its contents."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moganet.checkpoints.errors import (
    CheckpointError,
    DamagedWeightsError,
    HashMismatchError,
    NotACheckpointError,
    TornFileError,
)
from moganet.checkpoints.reader import read
from moganet.checkpoints.zip_check import check_zip

from . import files

CONTAINERS = ('zip', 'legacy', 'safetensors')
FLIPS = 70  # of each container


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return one whole file of each container."""
    folder = tmp_path_factory.mktemp('whole')
    return {name: files.write(folder / name, name).read_bytes() for name in CONTAINERS}


def same_weights(data: dict[str, Any]) -> bool:
    """Whether these are the weights that the whole files have."""
    found, expected = data['state_dict'], files.weights()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize('percent', [0, 1, 25, 50, 75, 99])
@pytest.mark.parametrize('container', CONTAINERS)
def test_cut_file_is_told(tmp_path: Path, whole: dict[str, bytes], container: str, percent: int) -> None:
    path = tmp_path / 'cut.pth'
    path.write_bytes(whole[container][: len(whole[container]) * percent // 100])
    kind, told = (NotACheckpointError, 'an empty file') if percent == 0 else (TornFileError, 'fetch it again|cut short')
    with pytest.raises(kind, match=told):
        read(path)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize('flip', range(FLIPS))
@pytest.mark.parametrize('container', CONTAINERS)
def test_flipped_bit_is_told(tmp_path: Path, whole: dict[str, bytes], container: str, flip: int) -> None:
    """With the hash given, always; without it, a zip never gives other weights."""
    content = whole[container]
    path = tmp_path / 'flipped.pth'
    path.write_bytes(flipped(content, random.Random(f'{container} {flip}').randrange(8 * len(content))))
    with pytest.raises(CheckpointError):
        read(path, sha256=hashlib.sha256(content).hexdigest())
    try:
        found = read(path)
    except CheckpointError:
        return
    # A date in a header or the filling between entries: nobody reads it. The others have no checksum.
    assert container != 'zip' or same_weights(found.data)


@pytest.mark.parametrize('flip', range(20))
def test_flipped_weight_of_a_zip_is_told_without_a_hash(tmp_path: Path, whole: dict[str, bytes], flip: int) -> None:
    path = tmp_path / 'flipped.pth'
    path.write_bytes(whole['zip'])
    entries = check_zip(path).entries
    draw = random.Random(flip)
    entry = entries[draw.choice([name for name in entries if name.startswith('data/')])]
    bit = 8 * entry.offset + draw.randrange(8 * entry.size)
    path.write_bytes(flipped(whole['zip'], bit))
    torch.load(path, weights_only=True)  # torch is content
    with pytest.raises(TornFileError, match=rf'bytes of {entry.name} .*CRC'):
        read(path)


def test_hash_of_another_file_is_told_before_the_pickle_is_looked_at(tmp_path: Path) -> None:
    path = files.legacy_with_pickle(tmp_path / 'a.pth', files.program(files.named('os', 'system')))
    with pytest.raises(HashMismatchError):
        read(path, sha256='ab' * 32)


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('storages'))
    return stream.getvalue()


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.ones(3))
    return stream.getvalue()


OTHERS = {
    'an empty file': b'',
    'an HTML page, as': b'\n<!DOCTYPE html><html><body>404 Not Found</body></html>',
    'an HTML page': b'<html><head><title>503 Service Unavailable</title></head></html>',
    'an HTML page,': b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    'git lfs pull': b'version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 12\n',
    'gunzip': gzip.compress(b'weights'),
    'xz': b'\xfd7zXZ\0weights',
    'bzip2': b'BZh91AY&SY',
    'zstd': b'\x28\xb5\x2f\xfdweights',
    '7z': b'7z\xbc\xaf\x27\x1cweights',
    'rar': b'Rar!\x1a\x07',
    'an empty zip archive': b'PK\x05\x06' + bytes(18),
    'HDF5': b'\x89HDF\r\n\x1a\n',
    'GGUF': b'GGUF\x03\0\0\0',
    'an array of numpy': _npy(),
    'a program': b'\x7fELF\x02\x01\x01',
    'a picture': b'\x89PNG\r\n\x1a\n',
    'a tar archive': _tar(),
    'a bare pickle': files.dumped({'w': [1.0]}),
    "a text that begins 'not a": b'not a checkpoint',
    'bytes 01 02 03': b'\x01\x02\x03\x04' + bytes(600),
}


@pytest.mark.parametrize('told', OTHERS)
def test_other_things_are_named(tmp_path: Path, told: str) -> None:
    path = tmp_path / 'other.pth'
    path.write_bytes(OTHERS[told])
    with pytest.raises(NotACheckpointError, match=told):
        read(path)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_no_numbers_are_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    weights = {f'w{index}': torch.ones(4, dtype=dtype) for index in range(9)}
    for index in range(2, 9):
        weights[f'w{index}'][index % 4] = value
    path = files.write(tmp_path / 'nan.pth', 'zip', {'state_dict': weights})
    with pytest.raises(DamagedWeightsError, match=r'state_dict\.w2 \(1 of 4\), .*w6 \(1 of 4\) and 2 more'):
        read(path)


@pytest.mark.parametrize('container', ['legacy', 'safetensors'])
def test_weights_that_are_no_numbers_in_the_others(tmp_path: Path, container: str) -> None:
    path = files.write(tmp_path / 'a.pth', container, {'state_dict': {'w': torch.tensor([1.0, float('nan')])}})
    with pytest.raises(DamagedWeightsError, match='w \\(1 of 2\\)'):
        read(path)


def test_optimizer_may_have_diverged(tmp_path: Path) -> None:
    data = {'state_dict': files.weights(), 'optimizer': {'state': {0: {'exp_avg': torch.tensor([float('inf')])}}}}
    assert same_weights(read(files.write(tmp_path / 'a.pth', 'zip', data)).data)


@pytest.mark.parametrize(
    ('data', 'told'),
    [
        (torch.ones(3), 'one tensor of shape'),
        ([torch.ones(3)], 'a value of type list'),
        ('weights', 'a value of type str'),
        (None, 'a value of type NoneType'),
        ({}, 'no tensors but nothing at all'),
        ({'epoch': 3, 'state_dict': {}}, "no tensors but 'epoch', 'state_dict'"),
    ],
)
@pytest.mark.parametrize('container', ['zip', 'legacy'])
def test_files_without_weights(tmp_path: Path, container: str, data: object, told: str) -> None:
    path = tmp_path / 'a.pth'
    torch.save(data, path, _use_new_zipfile_serialization=container == 'zip')
    with pytest.raises(NotACheckpointError, match=told):
        read(path)


def _renamed(entries: dict[str, bytes], old: str, new: str) -> list[tuple[str, bytes]]:
    return [(name.replace(old, new), content) for name, content in entries.items()]


ARCHIVES: dict[str, Callable[[dict[str, bytes]], list[tuple[str, bytes]]]] = {
    'lies outside its folder': lambda entries: [*entries.items(), ('other/data.txt', b'x')],
    'outside its folder .whole': lambda entries: [*entries.items(), ('whole/../../evil', b'x')],
    'lies outside': lambda entries: [*entries.items(), ('/etc/passwd', b'x')],
    'outside its': lambda entries: [*entries.items(), ('whole\\..\\evil', b'x')],
    'is there twice': lambda entries: [*entries.items(), ('whole/data.pkl', b'x')],
    'no data.pkl': lambda entries: _renamed(entries, 'data.pkl', 'weights.pkl'),
    'TorchScript': lambda entries: [*entries.items(), ('whole/constants.pkl', b'x')],
    'data/1, a tensor of it, is missing': lambda entries: _renamed(entries, 'data/1', 'data/one'),
    'declares 864 bytes for data/0, which has 4': lambda entries: [
        (name, b'\0\0\0\0' if name.endswith('/data/0') else content) for name, content in entries.items()
    ],
    'empty zip|is an empty': lambda entries: [],
}


@pytest.mark.parametrize('told', ARCHIVES)
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_archives_that_torch_never_writes(tmp_path: Path, told: str) -> None:
    entries = files.zip_entries(files.write(tmp_path / 'whole.pth', 'zip'))
    path = files.write_zip(tmp_path / 'other.pth', ARCHIVES[told](entries))
    with pytest.raises(CheckpointError, match=told):
        read(path)


def test_compressed_archive_is_refused(tmp_path: Path) -> None:
    entries = files.zip_entries(files.write(tmp_path / 'whole.pth', 'zip'))
    entries['whole/data/0'] = bytes(100_000_000)  # 100 kB in the file: a bomb
    path = files.write_zip(tmp_path / 'bomb.pth', list(entries.items()), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match='is compressed'):
        read(path)


def test_second_archive_in_a_comment_is_refused(tmp_path: Path) -> None:
    path = files.write(tmp_path / 'a.pth', 'zip')
    with zipfile.ZipFile(path, 'a') as archive:
        archive.comment = b'PK'
    with pytest.raises(CheckpointError, match='has a comment'):
        read(path)


def test_entries_upon_each_other_are_refused(tmp_path: Path) -> None:
    path = files.write(tmp_path / 'whole.pth', 'zip')
    with zipfile.ZipFile(path) as archive:
        places = [archive.getinfo(f'whole/data/{key}').header_offset for key in (2, 3)]
    # In the directory an entry's place stands before its name.
    third, second = (place.to_bytes(4, 'little') + b'whole/data/3' for place in reversed(places))
    assert path.read_bytes().count(third) == 1
    path.write_bytes(path.read_bytes().replace(third, second))
    with pytest.raises(CheckpointError, match='is not what the directory says|lies upon another'):
        read(path)


@pytest.mark.parametrize('place', ['signature', 'method', 'name'])
def test_headers_of_entries_are_held_to_the_directory(tmp_path: Path, place: str) -> None:
    path = files.write(tmp_path / 'whole.pth', 'zip')
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo('whole/data/0').header_offset
    content = bytearray(path.read_bytes())
    content[start + {'signature': 2, 'method': 8, 'name': 30}[place]] ^= 8
    path.write_bytes(content)
    with pytest.raises(TornFileError, match='header of the entry .whole/data/0. is not what the directory says'):
        read(path)


def test_file_of_old_torch_ends_with_its_last_storage(tmp_path: Path) -> None:
    path = files.write(tmp_path / 'a.pth', 'legacy')
    path.write_bytes(path.read_bytes() + b'more')
    with pytest.raises(TornFileError, match='goes on for 4 bytes'):
        read(path)


def header(path: Path, **rows: Any) -> Path:
    """Write a safetensors file with a header of one's own, and 16 bytes of data."""
    text = json.dumps(rows).encode()
    path.write_bytes(len(text).to_bytes(8, 'little') + text + bytes(16))
    return path


ROW = {'dtype': 'F32', 'shape': [4], 'data_offsets': [0, 16]}
HALF = {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}
HEADERS: dict[str, dict[str, Any]] = {
    'begins at byte 0 .* ends at 8': {'a': HALF, 'b': ROW},
    'begins at byte 8 .* ends at 0': {'a': {**HALF, 'data_offsets': [8, 16]}},
    'has .* bytes and should have': {'a': HALF},
    'has . bytes: the header': {'a': {**ROW, 'data_offsets': [0, 8]}},
    'of dtype .F99.': {'a': {**ROW, 'dtype': 'F99'}},
    r"of dtype \['F32'\]": {'a': {**ROW, 'dtype': ['F32']}},
    'of dtype None': {'a': 3},
    'data_offsets of the tensor': {'a': {**ROW, 'shape': [-4]}},
    'are damaged': {'a': {**ROW, 'data_offsets': [0]}},
    'shape or': {'a': {**ROW, 'shape': [10**40]}},
    'a map of texts': {'__metadata__': {'format': 3}, 'a': ROW},
    'no tensors': {},
}


@pytest.mark.parametrize('told', HEADERS)
def test_headers_of_safetensors_are_checked(tmp_path: Path, told: str) -> None:
    path = header(tmp_path / 'a.safetensors', **HEADERS[told])
    if told == 'no tensors':
        path.write_bytes(b'\x02\0\0\0\0\0\0\0{}')
    with pytest.raises(CheckpointError, match=told):
        read(path)


def test_whole_header_is_read(tmp_path: Path) -> None:
    assert read(header(tmp_path / 'a.safetensors', a=ROW)).data['state_dict']['a'].tolist() == [0.0] * 4


@pytest.mark.parametrize('text', ['{"a": 1, "a": 2}', '{"a": ' + '[' * 100_000, '{"a"', '{"\xff"'])
def test_headers_that_are_no_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'a.safetensors'
    path.write_bytes(len(text).to_bytes(8, 'little') + text.encode('latin1'))
    with pytest.raises(TornFileError, match='header is damaged'):
        read(path)


def test_header_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'a.safetensors'
    path.write_bytes((1 << 40).to_bytes(8, 'little') + b'{"a": 1}')
    with pytest.raises(TornFileError, match='header of 1,099,511,627,776 bytes'):
        read(path)
