"""What load() and MMEngine hand on to the reader, and what they hand back."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
import torch

from moganet.checkpoints import (
    HashMismatchError,
    MisfitError,
    UnsafeFileError,
    download,
    load,
    open_checkpoint,
)
from moganet.checkpoints.report import as_columns, describe
from moganet.checkpoints.scheme import load_for_mmengine
from moganet.completeness import source_of

from .models import Classifier, copied, equal, timm_data


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that says nothing of its gate."""
    torch.save({'state_dict': dict(Classifier().state_dict())}, tmp_path / 'a.pth')
    return tmp_path / 'a.pth'


def test_what_load_is_told_reaches_the_reader(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(HashMismatchError):
        load(Classifier(), file, sha256='0' * 64)
    load(Classifier(), file, sha256=open_checkpoint(file).sha256[:8])
    with pytest.raises(MisfitError, match='activated twice'):
        load(Classifier(), file, gate_act_twice=True)
    assert 'activated twice, by the caller' in str(load(Classifier(gate_act_twice=True), file, gate_act_twice=True))
    data = torch.load(file, weights_only=True)
    torch.save({**data, 'meta': {'folder': os.getcwd}}, file)
    model = Classifier()
    before = copied(model)
    with pytest.raises(UnsafeFileError, match='getcwd'):
        load(model, file)
    assert equal(copied(model), before)
    load(model, file, unsafe=True)
    assert equal(copied(model), data['state_dict']) and 'run as a program' in capsys.readouterr().err


def test_loading_warns_of_nothing(file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        load(Classifier(), file)


def test_weights_are_brought_to_the_device_that_mmengine_names(tmp_path: Path) -> None:
    data = {'state_dict': Classifier(gate_act_twice=True).state_dict(), 'meta': {'gate_act_twice': True}}
    torch.save(data, tmp_path / 'a.pth')
    for place in ('meta', torch.device('meta')):
        weights = load_for_mmengine(f'moganet://{tmp_path}/a.pth', map_location=place)['state_dict']
        for value in weights.values():
            source = source_of(value)
            assert value.device.type == 'meta' and source is not None and source.gate_act_twice is True
    for place in (None, 'cpu', lambda storage, where: storage):
        weights = load_for_mmengine(f'moganet://{tmp_path}/a.pth', map_location=place)['state_dict']
        assert all(value.device.type == 'cpu' for value in weights.values())


def test_names_of_the_hub_say_what_stands_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'moganet_tiny_sz224_8xbs128_ep300.pth.tar'
    torch.save(timm_data(Classifier()), path)
    monkeypatch.setattr(download, 'fetch', lambda url, **_: path)
    text = as_columns(describe(open_checkpoint('MogaNet/moganet_tiny_224_in1k')))
    assert 'note        as far as is known, MogaNet/moganet_tiny_224_in1k on the Hugging Face hub has a card' in text
    assert 'note' not in as_columns(describe(open_checkpoint('moganet-tiny_in1k')))


def test_home_is_spelled_out(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(file.parent))
    assert open_checkpoint('~/a.pth').path == file and open_checkpoint('moganet://~/a.pth').path == file
