"""Damaged, hostile and wrong checkpoints at every door: one line, nothing run, nothing left, no weight changed."""

from __future__ import annotations

import os
import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint

from moganet import get_model
from moganet.checkpoints import MisfitError, download, load, zoo
from moganet.checkpoints.zip_check import check_zip

from ..checkpoints import files, hostile, writers
from ..checkpoints.models import NARROW, Classifier, copied, equal
from ..engine.test_launch import CONFIG
from .tools import TOOLS, call, script

TRAIN, TEST = script(TOOLS / 'train.py'), script(TOOLS / 'test.py')
Make = Callable[[Path, Path], object]


def _state(**changes: Any) -> dict[str, Any]:
    """What a training saves, as far as it is looked at."""
    model = Classifier(classes=10, **changes)
    return {'state_dict': dict(model.state_dict()), 'meta': {}, 'message_hub': {}, 'optimizer': {'state': {}}}


def _written(change: Callable[[dict[str, Any]], object], **changes: Any) -> Make:
    def make(path: Path, canary: Path) -> None:
        state = _state(**changes)
        change(state)
        torch.save(state, path)

    return make


def _cut(path: Path, canary: Path) -> None:
    torch.save(_state(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flipped(path: Path, canary: Path) -> None:
    torch.save(_state(), path)
    content = bytearray(path.read_bytes())
    content[check_zip(path).entries['data/0'].offset] ^= 1
    path.write_bytes(content)


def _hostile(name: str, container: str = 'zip') -> Make:
    write = files.zip_with_pickle if container == 'zip' else files.legacy_with_pickle
    return lambda path, canary: write(path, hostile.CODE[name][0](canary))


FILES: dict[str, tuple[Make, str]] = {
    'empty': (lambda path, canary: path.write_bytes(b''), 'an empty file'),
    'a page': (lambda path, canary: path.write_text('<html>404'), 'an HTML page'),
    'cut': (_cut, 'cut|fetch it again'),
    'a flipped bit': (_flipped, 'CRC'),
    'no numbers': (
        _written(lambda state: state['state_dict']['backbone.norm2.weight'].fill_(float('nan'))),
        'infinite or not a number',
    ),
    'less': (
        _written(lambda state: state['state_dict'].pop('backbone.norm2.weight')),
        r'do(es)? not fill .* 1 of \d+ is missing',
    ),
    'more': (_written(lambda state: None, arch={**NARROW, 'depths': (1, 1, 2, 1)}), 'more are given than its parts'),
    'another shape': (
        _written(lambda state: state['state_dict'].update({'backbone.norm2.weight': torch.ones(9)})),
        'has another shape',
    ),
    'another gate': (_written(lambda state: state['meta'].update(gate_act_twice=True)), 'set .*gate_act_twice=True'),
    'a command': (_hostile('os.system'), r'os\.system'),
    'a chain': (_hostile('getattr chain'), r'call builtins\.getattr'),
    'a command in the optimizer': (_hostile('in optimizer', 'legacy'), r'(os|posix)\.system'),
    'a command in message_hub': (_hostile('in message_hub'), r'(os|posix)\.system'),
}
COMMANDS: dict[str, Any] = {
    'test': lambda: call(TEST.main, 'narrow.py', 'bad.pth'),
    'load_from': lambda: call(TRAIN.main, 'narrow.py', '--cfg-options', 'load_from=bad.pth'),
    'init_cfg': lambda: call(
        TRAIN.main, 'narrow.py', '--cfg-options', *(f'model.backbone.init_cfg.{option}' for option in (
            'type=Pretrained', 'checkpoint=bad.pth'
        ))
    ),
    'resume': lambda: call(TRAIN.main, 'narrow.py', '--resume', 'bad.pth'),
}  # fmt: skip


@pytest.fixture
def bad(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    (workplace / 'narrow.py').write_text(CONFIG)
    return workplace / 'bad.pth'


@pytest.mark.parametrize('door', COMMANDS)
@pytest.mark.parametrize('kind', FILES)
def test_tools_refuse(kind: str, door: str, bad: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, told = FILES[kind]
    make(bad, tmp_path / 'canary')
    before = sorted(os.listdir())
    assert COMMANDS[door]() == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith('error: ') and 'bad.pth' in line
    assert re.search(told, line), line
    assert sorted(os.listdir()) == before and not (tmp_path / 'canary').exists()


@pytest.mark.parametrize('kind', FILES)
def test_models_are_left_as_they_were(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    make, told = FILES[kind]
    make(tmp_path / 'bad.pth', tmp_path / 'canary')
    model = Classifier(classes=10)
    before = copied(model)
    doors: tuple[Callable[[], object], ...] = (
        lambda: load(model, tmp_path / 'bad.pth'),
        lambda: load(model, tmp_path / 'bad.pth', new_parts=True),
        lambda: load_checkpoint(model, f'moganet://{tmp_path}/bad.pth'),
    )
    for door in doors:
        with pytest.raises(ValueError, match=told):
            door()
        assert equal(copied(model), before) and not (tmp_path / 'canary').exists()


T_224 = {'timm': False, 'openmixup': True, 'mmpretrain': None}


@pytest.fixture(scope='module')
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write the three files that there are of MogaNet-T at 224, each as its writer builds it, after publishing."""
    folder = tmp_path_factory.mktemp('served')
    torch.manual_seed(3)
    ours = get_model('moganet-tiny_8xb128_in1k').state_dict()
    found = {}
    for writer, data in (
        ('timm', writers.timm_extracted(ours)),
        ('openmixup', writers.port(ours)),
        ('mmpretrain', writers.port(ours)),
    ):
        released = zoo.find(f'moganet-tiny_8xb128_in1k_3rdparty-{writer}')
        found[released.url] = folder / released.file_name
        torch.save({**data, 'state_dict': OrderedDict(data['state_dict'])}, found[released.url])
    return found


@pytest.fixture
def fetched(served: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(download, 'fetch', lambda url, **_: served[url])


@pytest.mark.parametrize('writer', T_224)
def test_each_file_of_tiny_by_its_name(writer: str, fetched: None) -> None:
    twice = T_224[writer]
    name = f'moganet-tiny_8xb128_in1k_3rdparty-{writer}'
    model = get_model('moganet-tiny_8xb128_in1k', pretrained=name)
    assert model.backbone.gate_act_twice is bool(twice) and model.load_report.fit.complete
    assert all(block.attn.gate_act_twice is bool(twice) for block in model.backbone.blocks3)
    said = {False: 'activated once, by', True: 'activated twice, by the metafile', None: 'gate        unknown'}[twice]
    assert said in str(model.load_report)
    for mode in (False, True):
        if twice is None or mode is twice:
            asked = get_model('moganet-tiny_8xb128_in1k', pretrained=name, backbone=dict(gate_act_twice=mode))
            assert asked.backbone.gate_act_twice is mode
        else:
            with pytest.raises(MisfitError, match=f'gate_act_twice={twice}'):
                get_model('moganet-tiny_8xb128_in1k', pretrained=name, backbone=dict(gate_act_twice=mode))


@pytest.mark.parametrize('writer', T_224)
def test_each_file_of_tiny_under_the_tools(
    writer: str, bad: Path, fetched: None, capfd: pytest.CaptureFixture[str]
) -> None:
    twice = T_224[writer]
    name = f'moganet-tiny_8xb128_in1k_3rdparty-{writer}'
    options = ['model.backbone.arch=tiny', 'model.head.in_channels=256', 'model.head.num_classes=1000']
    options += ['test_dataloader.num_workers=0', 'test_dataloader.dataset.indices=2']
    for mode in (False, True):
        fits = twice is None or mode is twice
        gate = f'model.backbone.gate_act_twice={mode}'
        stamp = f'experiment_name={writer}-{mode}'  # MMEngine names what it keeps of a run by config and second
        done = call(TEST.main, 'narrow.py', name, '--cfg-options', *options, gate, stamp)
        told = capfd.readouterr()
        assert done == (0 if fits else 2), told.err
        if fits:
            assert 'accuracy/top1' in told.out and 'loaded      ' in told.out
        else:
            (line,) = told.err.strip().splitlines()
            assert f'set model.backbone.gate_act_twice={twice}' in line
