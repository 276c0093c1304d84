"""The tools for checkpoints, as a user runs them."""

from __future__ import annotations

import os
import re
import stat
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint

from moganet import MogaNet, get_model
from moganet.checkpoints import load, open_checkpoint
from moganet.checkpoints import writer as checkpoint_writer
from moganet.checkpoints.reader import read

from ..checkpoints import writers
from .tools import LEAVES, REPO, TOOLS, call, script, test, train

INSPECT = script(TOOLS / 'misc' / 'inspect_checkpoint.py')
CONVERT = script(TOOLS / 'model_converters' / 'moganet_to_mm.py')
PUBLISH = script(TOOLS / 'model_converters' / 'publish_model.py')
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


@pytest.mark.parametrize(
    'to, ending',
    [
        *((to, ending) for to in ('model', 'mmpretrain', 'backbone') for ending in ('.pth', '.safetensors')),
        ('safetensors', '.safetensors'),
    ],
)
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
    assert opened.weights.num_classes == (None if to == 'backbone' else 3)
    assert opened.container == ('safetensors' if ending == '.safetensors' else 'zip')
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
        (('timm.pth.tar', 'out.pth', '--to', 'safetensors'), 'a name that ends in .safetensors'),
        (('timm.pth.tar', 'out.pth', '--sha256', '0' * 64), '0' * 64),
    ):
        assert call(CONVERT.main, *arguments) == 2
        line = capfd.readouterr().err.strip()
        assert told in line and '\n' not in line, line
    assert not Path('out.pth').exists() and Path('there.pth').read_text() == 'precious'
    assert call(CONVERT.main, 'bare.pth', 'out.pth', '--to', 'backbone', '--gate', 'twice') == 0
    assert open_checkpoint('out.pth').weights.gate_act_twice is True
    assert call(CONVERT.main, 'timm.pth.tar', 'there.pth', '--force') == 0


@pytest.mark.parametrize('code, head', [('mmdet', 'retinanet'), ('mmseg', 'sem-fpn'), ('mmpose', 'td-hm')])
def test_a_whole_model_of_the_authors_is_converted_whole(
    code: str, head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ours = writers.solid(writers.model('custom', head))
    torch.save(writers.mmcv1(code, ours), 'old.pth')
    assert call(CONVERT.main, 'old.pth', 'new.pth') == 0
    assert f'({len(ours)} tensors, as model)' in capfd.readouterr().out
    new = torch.load('new.pth', weights_only=True)
    assert list(new['state_dict']) == list(ours)
    assert new['meta'].get('dataset_meta', {}).get('classes') == (None if code == 'mmpose' else writers.CLASSES)
    assert call(CONVERT.main, 'old.pth', 'none.pth', '--to', 'mmpretrain') == 2
    assert "convert it to 'model', which keeps all its parts" in capfd.readouterr().err


def test_an_averaged_training_is_published(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is published is what the run evaluated, without a word of where it ran."""
    leaf = LEAVES['classification']
    hooks = "custom_hooks = [dict(type='EMAHook', momentum=0.5)]\n"
    config = workplace / 'averaged.py'
    config.write_text(f"_base_ = {str(leaf.config)!r}\n{hooks}work_dir = {str(workplace / 'run')!r}\n")
    train(config, '--seed', '7', '--cfg-options', *leaf.options)
    trained = workplace / 'run' / 'epoch_1.pth'
    capfd.readouterr()
    for ending in ('.pth', '.safetensors'):
        assert call(PUBLISH.main, trained, f'mine{ending}') == 0
        told = capfd.readouterr().out
        (path,) = workplace.glob(f'mine-*{ending}')
        for kind in ('optimizer', 'message_hub', 'the raw weights: published: the moving average', 'meta: '):
            assert f' of {kind}' in told
        assert f'written     {path.name} (' in told
        before, after = (float(size) for size in re.findall(r'([\d.]+) MiB', told))
        assert after < before / 3
        assert str(workplace).encode() not in path.read_bytes() and str(REPO).encode() not in path.read_bytes()
    (published,) = workplace.glob('mine-*.pth')
    averaged = torch.load(trained, weights_only=False)['state_dict']
    model = get_model(str(config))
    data = load_checkpoint(model, str(published), map_location='cpu', strict=True)
    assert len(data['meta']['dataset_meta']['classes']) == 10 and data['meta']['ema'] is True
    assert all(torch.equal(value, averaged[name]) for name, value in model.state_dict().items())
    results = [test(config, file, '--cfg-options', *leaf.options).stdout.split('\nresult\n')[1]
               for file in (trained, *sorted(workplace.glob('mine-*')))]
    assert results[0] == results[1] == results[2] and leaf.metric in results[0]


def test_what_cannot_be_published_is_told(given: MogaNet, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (
        (('timm.pth.tar', 'out.bin'), '.pth or .safetensors'),
        (('timm.pth.tar', 'none/out.pth'), 'no such folder: none'),
        (('none.pth', 'out.pth'), 'no such checkpoint: none.pth'),
    ):
        assert call(PUBLISH.main, *arguments) == 2
        line = capfd.readouterr().err.strip()
        assert told in line and '\n' not in line, line
    assert not list(Path().glob('out*'))


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
        assert os.umask(mask) == 0o022  # as it was
    assert stat.S_IMODE(Path('a.pth').stat().st_mode) == 0o644


def test_what_is_written_is_on_the_disk_before_it_has_its_name(
    given: MogaNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(os, 'fsync', lambda handle: steps.append(f'fsync of {os.fstat(handle).st_size > 0}'))
    monkeypatch.setattr(Path, 'replace', lambda path, to: (steps.append('replace'), replace(path, to)))
    monkeypatch.setenv('HOME', str(tmp_path))
    # In memory it lies in another order, as after a conversion.
    checkpoint = {'state_dict': {'a': torch.ones(2, 3).t()}, 'meta': {'gate_act_twice': True}}
    checkpoint_writer.save(checkpoint, '~/a.pth')
    assert steps == ['fsync of True', 'replace', 'fsync of True'] and (tmp_path / 'a.pth').is_file()
    checkpoint_writer.save(checkpoint, 'a.safetensors')
    assert read('a.safetensors').data['state_dict']['a'].shape == (3, 2)


def test_a_folder_is_not_written_over(given: MogaNet) -> None:
    Path('folder.pth').mkdir()
    for replace in (False, True):
        with pytest.raises(ValueError, match='folder.pth is a folder'):
            checkpoint_writer.check_target('folder.pth', replace=replace)
