"""The tools for checkpoints, as a user runs them."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from moganet import MogaNet
from moganet.checkpoints import load, open_checkpoint
from moganet.checkpoints import writer as checkpoint_writer

from .tools import TOOLS, call, script

INSPECT = script(TOOLS / 'misc' / 'inspect_checkpoint.py')
CONVERT = script(TOOLS / 'model_converters' / 'moganet_to_mm.py')
NARROW = dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MogaNet:
    """A backbone, whose file as timm writes it lies in the folder that becomes the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    torch.manual_seed(5)
    model = MogaNet(NARROW)
    weights = OrderedDict((f'module.{name}', value) for name, value in model.state_dict().items())
    weights['module.head.weight'], weights['module.head.bias'] = torch.ones(3, 8), torch.zeros(3)
    torch.save({'arch': 'moganet', 'state_dict': weights, 'optimizer': {'lr': 1}}, 'timm.pth.tar')
    return model


@pytest.mark.parametrize('ending', ['.pth', '.safetensors'])
@pytest.mark.parametrize('to', ['mmpretrain', 'backbone'])
def test_what_is_converted_is_the_same_and_tells_its_gate(
    to: str, ending: str, given: MogaNet, capfd: pytest.CaptureFixture[str]
) -> None:
    out = f'out{ending}'
    assert call(CONVERT.main, 'timm.pth.tar', out, '--to', to) == 0
    told = capfd.readouterr().out
    assert f'written     {out} (' in told and 'left out    1 of optimizer' in told
    assert ('left out    2 of head.*' in told) is (to == 'backbone')
    opened = open_checkpoint(out)
    assert opened.weights.gate_act_twice is False and opened.weights.gate_source == 'the meta of the file'
    assert opened.weights.num_classes == (3 if to == 'mmpretrain' else None)
    model = MogaNet(NARROW)
    load(model, out)
    assert all(torch.equal(value, given.state_dict()[name]) for name, value in model.state_dict().items())
    assert call(INSPECT.main, out, '--modules') == 0
    told = capfd.readouterr().out
    assert f'sha256                 {opened.sha256}' in told
    assert 'gate                   activated once, by the meta of the file' in told
    assert f'backbone.patch_embed1  14 tensors, {_numbers(given):,} numbers' in told


def _numbers(model: MogaNet) -> int:
    return sum(value.numel() for name, value in model.state_dict().items() if name.startswith('patch_embed1.'))


def test_what_cannot_be_converted_is_told(given: MogaNet, capfd: pytest.CaptureFixture[str]) -> None:
    Path('there.pth').write_text('precious')
    torch.save({'state_dict': {f'backbone.{name}': value for name, value in given.state_dict().items()}}, 'bare.pth')
    for arguments, told in (
        (('timm.pth.tar', 'there.pth'), 'there.pth is there already'),
        (('timm.pth.tar', 'none/out.pth'), 'no such folder: none'),
        (('timm.pth.tar', 'out.bin'), '.pth or .safetensors'),
        (('none.pth', 'out.pth'), 'no such checkpoint: none.pth'),
        (('timm.pth.tar', 'out.pth', '--gate', 'thrice'), "'thrice' is neither once nor twice"),
        (('bare.pth', 'out.pth'), 'a backbone alone'),
        (('bare.pth', 'out.pth', '--to', 'backbone'), '--gate'),
        (('timm.pth.tar', 'out.pth', '--sha256', '0' * 64), '0' * 64),
    ):
        assert call(CONVERT.main, *arguments) == 2
        line = capfd.readouterr().err.strip()
        assert told in line and '\n' not in line, line
    assert not Path('out.pth').exists() and Path('there.pth').read_text() == 'precious'
    assert call(CONVERT.main, 'bare.pth', 'out.pth', '--to', 'backbone', '--gate', 'twice') == 0
    assert open_checkpoint('out.pth').weights.gate_act_twice is True
    assert call(CONVERT.main, 'timm.pth.tar', 'there.pth', '--force') == 0


def test_a_file_is_written_whole_or_not_at_all(given: MogaNet, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(os.listdir())
    Path('old.pth').write_text('old')

    def torn(checkpoint: object, file: object) -> None:
        file.write(b'half')  # type: ignore[attr-defined]
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', torn)
    with pytest.raises(OSError, match='No space left'):
        checkpoint_writer.save({'state_dict': {}, 'meta': {}}, 'old.pth')
    assert sorted(os.listdir()) == sorted([*before, 'old.pth']) and Path('old.pth').read_text() == 'old'
    monkeypatch.undo()


def test_others_may_read_what_is_written(given: MogaNet) -> None:
    mask = os.umask(0o022)
    try:
        checkpoint_writer.save({'state_dict': {'a': torch.ones(1)}, 'meta': {}}, 'a.pth')
    finally:
        os.umask(mask)
    assert stat.S_IMODE(Path('a.pth').stat().st_mode) == 0o644
