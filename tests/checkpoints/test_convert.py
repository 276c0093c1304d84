"""Converted files carry the gate's mode, load into the models, and are recognised again."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from moganet.checkpoints.convert import convert
from moganet.checkpoints.errors import CheckpointError
from moganet.checkpoints.formats import Weights, recognise

from . import writers
from .checks import Row, same, told


@pytest.mark.parametrize('arch', [*writers.VARIANTS, 'custom'])
def test_to_mmpretrain_and_back(arch: str) -> None:
    ours = writers.model(arch)
    builds: list[tuple[Any, bool]] = [(writers.timm_raw, False), (writers.openmixup, True)]
    for build, twice in builds:
        found = recognise(build(ours), 'x.pth')
        data = convert(found, 'mmpretrain')
        source = f'{found.writer} {found.generation}'.strip()
        assert data['meta'] == {'gate_act_twice': twice, 'ema': False, 'converted_from': f'{source}, x.pth'}
        assert same(data['state_dict'], ours)
        again = recognise(data, 'y.pth')
        variant = None if arch == 'custom' else arch
        assert told(again) == ('moganet', '', False, twice, variant, 'classification')
        assert again.gate_source == 'the meta of the file' and same(again.state_dict, ours)


def test_to_a_backbone(tmp_path: Path) -> None:
    """A real MogaNet takes it without a remainder, also from a file."""
    backbone = writers.small_backbone()
    widths = writers.heads.classifier((8, 8, 8, 8))
    ours = OrderedDict([*writers.prefixed(backbone.state_dict(), 'backbone.').items(), *writers.filled(widths).items()])
    torch.save(convert(recognise(writers.timm_raw(ours)), 'backbone'), tmp_path / 'x.pth')
    data = torch.load(tmp_path / 'x.pth', weights_only=True)
    assert data['state_dict']._metadata['']['gate_act_twice'] is False
    other = writers.small_backbone()
    other.load_state_dict(data['state_dict'], strict=True)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in backbone.state_dict().items())
    again = recognise(data)
    assert (again.writer, again.gate_act_twice, again.task) == ('moganet', False, None)


@pytest.mark.parametrize('head', ['retinanet', 'upernet', 'td-hm', 'classifier'])
def test_backbones_of_whole_models(head: str) -> None:
    ours = writers.model('custom', head)
    data = convert(recognise(writers.mmengine(ours, config=writers.our_config(True))), 'backbone')
    assert list(data['state_dict']) == list(writers.backbone('custom'))
    assert all(value is ours[f'backbone.{name}'] for name, value in data['state_dict'].items())
    assert data['meta']['gate_act_twice'] is True and 'dataset_meta' not in data['meta']


def test_metadata_goes_along() -> None:
    backbone = writers.small_backbone().state_dict()
    del backbone._metadata['']['gate_act_twice']  # as of a file that says nothing
    found = recognise(writers.timm_names(writers.model('custom')) | {})
    assert convert(found, 'mmpretrain')['state_dict']._metadata == {'backbone': {'gate_act_twice': False}}
    found = recognise(backbone, gate_act_twice=True)
    data = convert(found, 'backbone')
    assert 'gate_act_twice' not in found.state_dict._metadata['backbone']
    assert data['state_dict']._metadata['norm1'] == {'version': 2}
    assert data['state_dict']._metadata['']['gate_act_twice'] is True
    assert 'gate_act_twice' not in backbone._metadata['']


def test_the_chosen_copy_is_converted() -> None:
    raw = writers.model('custom')
    ema = writers.averaged(raw)
    data = writers.openmixup(ema, raw)
    for prefer, copy in (('ema', ema), ('raw', raw)):
        converted = convert(recognise(data, prefer=prefer), 'mmpretrain')  # type: ignore[arg-type]
        assert same(converted['state_dict'], copy) and converted['meta']['ema'] is (prefer == 'ema')
        assert recognise(converted).ema is (prefer == 'ema')


def test_classes_go_along() -> None:
    ours = writers.model('custom')
    old = writers.openmixup(ours)
    old['meta']['CLASSES'] = ('a', 'b')
    assert convert(recognise(old), 'mmpretrain')['meta']['dataset_meta'] == {'classes': ('a', 'b')}
    new = convert(recognise(writers.mmengine(ours, gate_act_twice=True)), 'mmpretrain')
    assert new['meta']['dataset_meta'] == {'classes': writers.CLASSES, 'palette': [(0, 0, 0)]}


@pytest.mark.parametrize('code, head, named', [
    ('mmdet', 'mask-rcnn', ('classes',)), ('mmseg', 'upernet', ('classes', 'palette')), ('mmpose', 'td-hm', ()),
])
def test_whole_models_of_the_authors_become_todays(code: str, head: str, named: tuple[str, ...]) -> None:
    ours = writers.model('custom', head)
    data = convert(recognise(writers.mmcv1(code, ours), 'x.pth'), 'model')
    assert same(data['state_dict'], ours)  # pose's head is under head., where the file has keypoint_head.
    assert tuple(data['meta'].get('dataset_meta', ())) == named
    assert data['meta']['gate_act_twice'] is False
    again = recognise(data)
    assert (again.writer, again.task) == ('moganet', {'mmdet': 'detection', 'mmseg': 'segmentation'}.get(code, 'pose'))


def test_a_model_with_a_head_of_somebodys_own_is_whole() -> None:
    ours = writers.model('custom')
    own = OrderedDict((name.replace('head.fc.', 'head.mine.'), value) for name, value in ours.items())
    found = recognise(own, 'mine.pth', gate_act_twice=True)
    assert found.task is None and same(convert(found, 'model')['state_dict'], own)
    with pytest.raises(CheckpointError, match="is a model with a head that is not known, .* to 'model'"):
        convert(found, 'mmpretrain')


def _port() -> Weights:
    return recognise(writers.port(writers.model('custom')), 'port.pth', Row('mmpretrain port'))


def test_an_unknown_gate_must_be_given() -> None:
    with pytest.raises(CheckpointError, match=r'port\.pth: .*give gate_act_twice=False .* or gate_act_twice=True'):
        convert(_port(), 'mmpretrain')
    for twice in (True, False):
        assert convert(_port(), 'mmpretrain', gate_act_twice=twice)['meta']['gate_act_twice'] is twice


def test_a_known_gate_cannot_be_another() -> None:
    found = recognise(writers.timm_raw(writers.model('custom')), 'x.pth')
    assert convert(found, 'backbone', gate_act_twice=False)['meta']['gate_act_twice'] is False
    with pytest.raises(CheckpointError, match='gate_act_twice=False, by its writer timm, and gate_act_twice=True was'):
        convert(found, 'backbone', gate_act_twice=True)


def test_what_cannot_be() -> None:
    ours = writers.model('custom')
    alone = OrderedDict((name, value) for name, value in ours.items() if name.startswith('backbone.'))
    for to in ('model', 'mmpretrain'):
        message = rf"b\.pth is a backbone alone, and '{to}' is a whole model; convert it to 'backbone'"
        with pytest.raises(CheckpointError, match=message):
            convert(recognise(alone, 'b.pth', gate_act_twice=True), to)
    dense = recognise(writers.mmcv1('mmdet', writers.model('custom', 'retinanet')))
    with pytest.raises(CheckpointError, match='is a detection model, without the classifier'):
        convert(dense, 'mmpretrain')
    video = recognise(writers.openstl_names(writers.simvp()))
    for to in ('model', 'mmpretrain', 'backbone'):
        with pytest.raises(CheckpointError, match='is a video model'):
            convert(video, to)
    with pytest.raises(ValueError, match="to is 'onnx'; it must be one of model, mmpretrain, backbone"):
        convert(recognise(ours), 'onnx')
