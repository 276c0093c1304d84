"""Exporting by the command line: the file, what is printed, and every bad input in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from moganet.deployment import load_exported
from moganet.engine.config_file import read_checked
from moganet.engine.model_build import build_checked

from ..deployment.nets import random_statistics
from .tools import LEAVES, TOOLS, call, script

EXPORT, TEST = script(TOOLS / 'deployment' / 'export.py'), script(TOOLS / 'test.py')
LEAF = LEAVES['classification']
WORDS = ('_delete_=True', 'embed_dims=(32,64,96,192)', 'depths=(1,1,1,1)', 'ffn_ratios=(2,2,2,2)')
SHALLOW = ('--cfg-options', *(f'model.backbone.arch.{word}' for word in WORDS))
IN_PYTHON = {
    'model.backbone.arch': {
        '_delete_': True, 'embed_dims': [32, 64, 96, 192], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2],
    }
}  # fmt: skip


@pytest.fixture
def checkpoint(workplace: Path) -> str:
    """Return a checkpoint of the leaf with one block a stage."""
    cfg, scope = read_checked(str(LEAF.config), dict(IN_PYTHON), ('model',), 'a test')
    model: Any = build_checked(cfg, scope)
    torch.save({'state_dict': random_statistics(model).state_dict()}, 'model.pth')
    return 'model.pth'


def test_exported(checkpoint: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = next(Path('data/tiny/imagenet/val').rglob('*.png'), None) or next(
        Path('data/tiny/imagenet/val').rglob('*.*')
    )
    arguments = ('--images', picture, '--out', 'out/model.onnx', '--part', 'backbone', '--shape', '64', '96')
    assert call(EXPORT.main, LEAF.config, checkpoint, *arguments, *SHALLOW) == 0
    told = capsys.readouterr().out
    assert 'differences from torch:' in told and told.count('of its largest value, pictures 1 x 3 x 64 x 96') >= 1
    assert told.splitlines()[-1] == 'out/model.onnx: backbone alone; pictures: any number, 64 x 96 pixels'
    assert [file.name for file in Path('out').iterdir()] == ['model.onnx']
    exported = load_exported('out/model.onnx')
    assert exported.metadata['config'] == LEAF.config.stem and 'zero' in exported.metadata['classes']
    assert [tuple(each.shape[2:]) for each in exported(torch.zeros(2, 3, 64, 96))][-1] == (2, 3)


LINES = {
    'a name of another format': (['--out', 'a.pt2'], ['--out a.pt2', 'ends in .onnx']),
    'a folder for the file': (['--out', 'data'], ['--out data', 'ends in .onnx']),
    'a folder that cannot be written': (['--out', 'model.pth/a.onnx'], ['--out, in', 'cannot be written']),
    'an unknown format': (['--format', 'onx'], ['--format', "'onx'", 'torch-export']),
    'operators that torch does not write': (['--opset', '9'], ['--opset 9', 'from 18 to']),
    'operators for torch': (['--format', 'torch-export', '--opset', '20'], ['--opset 20', 'no such versions']),
    'no picture': (['--images', 'none.jpg'], ['--images none.jpg', 'no such file']),
    'no picture in a folder': (['--images', 'empty'], ['--images empty', 'no picture is in this folder']),
    'what is no picture': (['--images', 'model.pth'], ['--images model.pth', 'the test pipeline']),
    'no size': (['--shape', '0', '64'], ['--shape 0 64', 'at least 1 pixel']),
}


@pytest.mark.parametrize('name', LINES)
def test_bad_input(name: str, checkpoint: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path('empty').mkdir()
    given, held = LINES[name]
    assert call(EXPORT.main, LEAF.config, checkpoint, *given, *SHALLOW) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith('error: ') and all(part in lines[0] for part in held), lines
    assert not Path('work_dirs').exists() and not list(workplace.glob('*.onnx'))


def test_without_test_data(checkpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = 'test_dataloader.dataset.data_root=nowhere'
    assert call(EXPORT.main, LEAF.config, checkpoint, *SHALLOW, elsewhere) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert 'give pictures for the check: --images FILE ... or a folder' in line and 'nowhere' in line


def test_what_is_not_installed_or_does_not_go_together(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    for main, *arguments in ((EXPORT.main,), (TEST.main, '--backend', 'onnx')):
        assert call(main, LEAF.config, checkpoint, *arguments, *SHALLOW) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert 'the format onnx needs onnxscript' in line and 'pip install' in line
    assert call(TEST.main, LEAF.config, checkpoint, '--backend', 'onnx', '--fused', *SHALLOW) == 2
    assert 'leave --fused out' in capsys.readouterr().err


def test_another_backbone(checkpoint: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path('resnet.py').write_text(
        f"_base_ = '{LEAF.config}'\nmodel = dict(backbone=dict(_delete_=True, type='ResNet', depth=18), "
        'head=dict(in_channels=512))\n'
    )
    cfg, scope = read_checked('resnet.py', {}, ('model',), 'a test')
    torch.save({'state_dict': build_checked(cfg, scope).state_dict()}, 'resnet.pth')
    capsys.readouterr()
    assert call(EXPORT.main, 'resnet.py', 'resnet.pth') == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert 'ImageClassifier has no MogaNet in it' in line
