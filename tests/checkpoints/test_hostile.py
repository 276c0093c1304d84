"""Nothing of a hostile file is run: it is refused with a typed error, and the canary's file is never written."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import resource
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from moganet import compat
from moganet.checkpoints import reader, torch_load
from moganet.checkpoints.errors import CheckpointError, NotACheckpointError, TornFileError, UnsafeFileError
from moganet.checkpoints.legacy_check import MAGIC_BYTES
from moganet.checkpoints.reader import read

from . import files
from .bombs import BOMBS
from .hostile import CODE

ALL = {**CODE, **BOMBS}
LEGACY_PLACES = ('protocol', 'system', 'contents', 'keys')


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """Let a bomb fail here rather than take the machine down."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Return a path at which harm would write; nothing may be there in the end."""
    path = tmp_path / 'canary'
    yield path
    assert not path.exists(), 'code of the file was run'


def test_canary_would_be_seen(tmp_path: Path) -> None:
    """The pickles do harm where they are run, so that the tests below say something."""
    for name in ('os.system', 'eval', 'subprocess.call', 'in optimizer', 'in args', 'dotted name'):
        canary = tmp_path / name.replace(' ', '_')
        pickled = CODE[name][0](canary)
        if name == 'subprocess.call':  # without a shell a text is one word
            pickled = pickled.replace(b'subprocess\ncall', b'subprocess\ngetoutput')
        pickle.loads(pickled)
        assert canary.exists(), name


@pytest.mark.parametrize('name', ALL)
def test_hostile_zip_is_refused(tmp_path: Path, canary: Path, name: str) -> None:
    make, told = ALL[name]
    path = files.zip_with_pickle(tmp_path / 'hostile.pth', make(canary))
    with pytest.raises((UnsafeFileError, TornFileError), match=told):
        read(path)


@pytest.mark.parametrize('name', ALL)
def test_hostile_file_of_old_torch_is_refused(tmp_path: Path, canary: Path, name: str) -> None:
    make, told = ALL[name]
    path = files.legacy_with_pickle(tmp_path / 'hostile.pth', make(canary))
    with pytest.raises((UnsafeFileError, TornFileError), match=told):
        read(path)


@pytest.mark.parametrize('place', LEGACY_PLACES)
def test_each_pickle_of_old_torch_is_inspected(tmp_path: Path, canary: Path, place: str) -> None:
    path = files.legacy_with_pickle(tmp_path / 'hostile.pth', CODE['os.system'][0](canary), place)
    with pytest.raises(UnsafeFileError, match=r'os\.system'):
        read(path)


# What fills the memory or crashes is the inspection's to refuse; the readers behind it refuse code.
@pytest.mark.parametrize('name', CODE)
@pytest.mark.parametrize('container', ['zip', 'legacy'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_restricted_unpickler_refuses_by_itself(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, container: str, name: str
) -> None:
    monkeypatch.setattr(torch_load, 'takes_named_globals', lambda: False)
    refuses_uninspected(tmp_path, canary, monkeypatch, container, name)


@pytest.mark.parametrize('name', CODE)
@pytest.mark.parametrize('container', ['zip', 'legacy'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_torchs_reader_refuses_by_itself(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, container: str, name: str
) -> None:
    assert torch_load.takes_named_globals()
    refuses_uninspected(tmp_path, canary, monkeypatch, container, name)


def refuses_uninspected(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, container: str, name: str
) -> None:
    monkeypatch.setattr(reader, '_inspect', lambda *_: None)
    write = files.zip_with_pickle if container == 'zip' else files.legacy_with_pickle
    path = write(tmp_path / 'hostile.pth', CODE[name][0](canary))
    with pytest.raises((UnsafeFileError, NotACheckpointError)):
        read(path)
    assert argparse_is_whole()


@pytest.mark.parametrize('place', LEGACY_PLACES)
def test_restricted_unpickler_reads_each_pickle_of_old_torch(tmp_path: Path, canary: Path, place: str) -> None:
    path = files.legacy_with_pickle(tmp_path / 'hostile.pth', CODE['os.system'][0](canary), place)
    with pytest.raises(pickle.UnpicklingError, match=r'os\.system'):
        torch.load(path, pickle_module=compat.restricted_pickle(), weights_only=False)


ARRAY = files.named('numpy', 'ndarray')
ALONE = {
    # Allowed names alone, in ways that no weights need.
    'os.system is not among what a checkpoint may use': files.named('os', 'system'),
    'may not call <class .numpy.ndarray': files.called(ARRAY, files.tuple_of(files.number(4))),
    'may not make <class .numpy.dtype': files.named('numpy', 'dtype') + files.tuple_of(files.text('f4')) + b'\x81',
    'may not set the state of <class .argparse': files.named('argparse', 'Namespace') + files.dict_of(a=b'N') + b'b',
    'may not put items into type': ARRAY + files.text('x') + b'a',
    'not put items into type': ARRAY + b'(' + files.text('x') + b'e',
    'put items into type': ARRAY + files.text('x') + b'Ns',
    'items into type': ARRAY + b'(' + files.text('x') + b'Nu',
    'operation that no weights need': b'(' + files.text('x') + b'ios\nsystem\n',
}


@pytest.mark.parametrize('told', ALONE)
def test_restricted_unpickler_refuses_what_allowed_names_could_do(told: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=told):
        compat.restricted_pickle().load(io.BytesIO(files.program(ALONE[told])))


def argparse_is_whole() -> bool:
    """Whether the state of a class, which a pickle tried to set, is untouched."""
    return argparse.Namespace(a=1) == argparse.Namespace(a=1) and '__setstate__' not in vars(argparse.Namespace)


def test_harm_of_a_refused_file_is_done_with_unsafe_alone(tmp_path: Path) -> None:
    done = tmp_path / 'done'
    path = files.zip_with_pickle(tmp_path / 'hostile.pth', CODE['in meta'][0](done))
    with pytest.raises(UnsafeFileError):
        read(path)
    assert not done.exists()
    with pytest.raises(NotACheckpointError, match='no tensors'):
        read(path, unsafe=True)
    assert done.exists()


def test_program_of_torchscript_is_refused_even_unsafe(tmp_path: Path) -> None:
    path = tmp_path / 'script.pt'
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    for unsafe in (False, True):
        with pytest.raises(NotACheckpointError, match='TorchScript'):
            read(path, unsafe=unsafe)


def test_tar_that_begins_as_old_torch_is_refused(tmp_path: Path) -> None:
    """torch would unpack it before it looks for its own mark."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w', format=tarfile.GNU_FORMAT, encoding='latin1') as archive:
        archive.addfile(tarfile.TarInfo(MAGIC_BYTES.decode('latin1') + 'x'))
    path = tmp_path / 'tar.pth'
    path.write_bytes(stream.getvalue())
    assert stream.getvalue().startswith(MAGIC_BYTES)
    with pytest.raises(NotACheckpointError, match='tar archive'):
        read(path)


def test_message_is_one_line_and_says_what_to_do(tmp_path: Path, canary: Path) -> None:
    path = files.zip_with_pickle(tmp_path / 'hostile.pth', CODE['os.system'][0](canary))
    with pytest.raises(CheckpointError) as raised:
        read(path)
    message = str(raised.value)
    assert '\n' not in message and os.fspath(path) in message and 'unsafe=True' in message
