"""Every format that was ever written for MogaNet, built as its writer builds it, is recognised and renamed."""

from __future__ import annotations

from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from moganet.checkpoints import torch_load
from moganet.checkpoints.formats import recognise
from moganet.checkpoints.origin import WRITERS
from moganet.checkpoints.shapes import SIGNATURES
from moganet.models.backbones.moganet import VARIANTS

from . import writers
from .checks import Row, same, told

CONFIGS = Path(__file__).parents[2] / 'configs'
SIX = tuple(VARIANTS)


def test_the_six_are_the_models_own() -> None:
    assert dict(SIGNATURES) == {
        (variant.embed_dims, variant.depths, variant.ffn_ratios): name for name, variant in VARIANTS.items()
    }


@pytest.mark.parametrize('arch', SIX)
class TestTimm:
    def test_training_without_average(self, arch: str) -> None:
        ours = writers.model(arch)
        weights = recognise(writers.timm_raw(ours), 'last.pth.tar')
        assert told(weights) == ('timm', '', False, False, arch, 'classification')
        assert same(weights.state_dict, ours) and weights.alternative is None
        assert (weights.num_classes, weights.precision, weights.wrappers) == (1000, 'float32', ())
        assert {(entry.pattern, entry.number) for entry in weights.dropped} == {('optimizer', 2), ('amp_scaler', 2)}
        assert weights.meta['args']['lr'] == 1e-3 and weights.meta['epoch'] == 299
        assert weights.gate_source == 'its writer timm'

    @pytest.mark.parametrize('build', [writers.timm_raw, writers.timm_extracted])
    def test_both_copies(self, build: Any, arch: str) -> None:
        ours = writers.model(arch)
        ema = writers.averaged(ours)
        weights = recognise(build(ours, ema), 'x.pth.tar')
        assert told(weights) == ('timm', '', True, False, arch, 'classification')
        assert same(weights.state_dict, ema) and same(weights.alternative, ours)
        raw = recognise(build(ours, ema), 'x.pth.tar', prefer='raw')
        assert raw.ema is False and same(raw.state_dict, ours) and same(raw.alternative, ema)

    def test_extracted(self, arch: str) -> None:
        ours = writers.model(arch)
        weights = recognise(writers.timm_extracted(ours))
        assert told(weights) == ('timm', '', None, False, arch, 'classification')
        assert same(weights.state_dict, ours) and weights.dropped == ()
        ema = writers.averaged(ours)
        only = recognise(writers.timm_extracted(ours, ema, ema_only=True), released=Row('timm', False, True))
        assert only.ema is True and same(only.state_dict, ema) and only.alternative is None


@pytest.mark.parametrize('arch', SIX)
class TestOpenMixup:
    def test_without_average(self, arch: str) -> None:
        ours = writers.model(arch)
        weights = recognise(writers.openmixup(ours), 'x.pth')
        assert told(weights) == ('OpenMixup', '0.x', False, True, arch, 'classification')
        assert same(weights.state_dict, ours) and weights.alternative is None
        assert weights.gate_source == 'the config in the file (attn_force_fp32=True)'

    def test_average_and_flat_raw(self, arch: str) -> None:
        raw = writers.model(arch)
        ema = writers.averaged(raw)
        data = writers.openmixup(ema, raw)
        assert f'ema_backbone_blocks3_{VARIANTS[arch].depths[2] - 1}_attn_proj_1_weight' in data['state_dict']
        weights = recognise(data, 'x.pth')
        assert told(weights) == ('OpenMixup', '0.x', True, True, arch, 'classification')
        assert same(weights.state_dict, ema) and same(weights.alternative, raw)
        assert recognise(data, prefer='raw').ema is False and same(recognise(data, prefer='raw').state_dict, raw)
        assert [entry.pattern for entry in weights.dropped] == ['optimizer']

    def test_published_without_buffers_and_config(self, arch: str) -> None:
        """As publishing strips it: what is left does not tell OpenMixup's from the port's."""
        ours = writers.model(arch)
        weights = recognise(writers.port(ours))
        assert told(weights) == ('unknown', '', None, None, arch, 'classification')
        assert same(weights.state_dict, ours) and weights.gate_source == 'nothing'
        by_row = recognise(writers.port(ours), released=Row('OpenMixup', True, False))
        assert (by_row.writer, by_row.gate_act_twice, by_row.gate_source) == ('OpenMixup', True, 'the metafile')
        port = recognise(writers.port(ours), released=Row('mmpretrain port', None, None))
        assert (port.writer, port.gate_act_twice, port.ema) == ('mmpretrain', None, None)


DENSE = [
    *(('mmdet', 'retinanet', arch) for arch in SIX[:5]),
    *(('mmdet', 'mask-rcnn', arch) for arch in SIX[:5]),
    *(('mmdet', 'cascade-mask-rcnn', arch) for arch in ('small', 'base', 'large')),
    *(('mmdet', 'cascade-mask-rcnn-giou', arch) for arch in ('small', 'base', 'large')),
    *(('mmseg', 'sem-fpn', arch) for arch in SIX[:5]),
    *(('mmseg', 'upernet', arch) for arch in SIX),
    *(('mmpose', 'td-hm', arch) for arch in SIX[:4]),
]
TASKS = {'mmdet': ('detection', 80), 'mmseg': ('segmentation', 150), 'mmpose': ('pose', None)}
OLD = {'mmdet': '2.x', 'mmseg': '0.x', 'mmpose': '0.x'}
NEW = {'mmdet': '3.x', 'mmseg': '1.x', 'mmpose': '1.x'}


@pytest.mark.parametrize(('code', 'head', 'arch'), DENSE)
def test_whole_models_of_either_generation(code: str, head: str, arch: str) -> None:
    ours = writers.model(arch, head)
    task, classes = TASKS[code]
    old = recognise(writers.mmcv1(code, ours), 'x.pth')
    assert told(old) == (code, OLD[code], False, False, arch, task)
    assert same(old.state_dict, ours) and old.num_classes == classes
    assert old.gate_source == f'its writer {code}' and [entry.pattern for entry in old.dropped] == ['optimizer']
    new = recognise(writers.mmengine(ours), 'x.pth')
    assert told(new) == (code, NEW[code], False, None, arch, task)
    assert same(new.state_dict, ours) and new.num_classes == classes
    assert [entry.pattern for entry in new.dropped] == ['message_hub', 'optimizer', 'param_schedulers']
    trained_here = recognise(writers.mmengine(ours, config=writers.our_config()), 'x.pth')
    assert told(trained_here) == ('moganet', '', False, False, arch, task)


def test_classes_are_counted_for_any_number_of_anchors() -> None:
    ours = writers.model('custom', 'retinanet')
    ours['bbox_head.retina_cls.weight'] = torch.zeros(3 * 20, 256, 3, 3)
    ours['bbox_head.retina_reg.weight'] = torch.zeros(3 * 4, 256, 3, 3)
    assert recognise(writers.mmengine(ours)).num_classes == 20


def test_stripped_of_meta_the_heads_tell() -> None:
    ours = writers.model('custom', 'td-hm')
    old = recognise({'state_dict': writers.mmcv1('mmpose', ours)['state_dict']})
    assert (old.writer, old.generation, old.gate_act_twice) == ('mmpose', '0.x', False)
    assert same(old.state_dict, ours)
    new = recognise({'state_dict': ours})
    assert (new.writer, new.generation, new.gate_act_twice, new.ema) == ('mmpose', '', None, None)
    row = recognise({'state_dict': writers.model('custom', 'retinanet')}, released=Row('mmdet 2.x', False, False))
    assert (row.writer, row.generation, row.gate_act_twice, row.ema) == ('mmdet', '2.x', False, False)


@pytest.mark.parametrize(
    'build',
    [writers.openstl_names, writers.openstl_latest, writers.openstl_lightning],
    ids=lambda build: build.__name__,
)
def test_openstl(build: Any) -> None:
    ours = writers.simvp()
    assert any(name.endswith('.mlp.sigma.scale') for name in ours)
    weights = recognise(build(ours), 'checkpoint.pth')
    assert told(weights) == ('OpenSTL', '', None, False, None, 'video')
    assert same(weights.state_dict, ours)
    assert weights.wrappers == (('model.',) if build is writers.openstl_lightning else ())
    assert same(recognise(weights.state_dict).state_dict, ours)


def _released() -> list[Any]:
    rows = []
    for metafile in sorted(CONFIGS.glob('*/metafile.yml')):
        for entry in yaml.safe_load(metafile.read_text(encoding='utf-8'))['Models']:
            for file in entry.get('Released', []):
                name = file['URL'].rpartition('/')[2]
                rows.append(pytest.param(entry['Name'], name, file, id=name))
    return rows


@pytest.mark.parametrize(('config', 'file_name', 'file'), _released())
def test_every_released_file_as_its_row_has_it(config: str, file_name: str, file: dict[str, Any]) -> None:
    short = {'xt': 'xtiny', 't': 'tiny', 's': 'small', 'b': 'base', 'l': 'large', 'xl': 'xlarge'}
    size = config.partition('moganet-')[2].split('_')[0].split('-')[0]
    arch = short.get(size, size)
    head = next((name for name in sorted(writers.HEADS, key=len)[::-1] if name in config), 'classifier')
    ours = writers.model(arch, head)
    writer = file['Written By'].split(' ')[0]
    gate = {'once': False, 'twice': True, 'unknown': None}[file['Gate Activation']]
    ema = None if file['EMA'] == 'unknown' else file['EMA']
    copies = (writers.averaged(ours), ours) if ema else (ours,)
    data = {
        'timm': lambda: writers.timm_extracted(ours, *([copies[0]] if ema else [])),
        'OpenMixup': lambda: writers.openmixup(*copies, config=writers.openmixup_config(gate, bool(ema))),
        'mmpretrain': lambda: writers.port(ours),
    }.get(writer, lambda: writers.mmcv1(writer, ours))()
    row = Row(file['Written By'], gate, ema)
    weights = recognise(data, file_name, row)
    assert weights.writer == writer and writer in WRITERS
    assert (weights.gate_act_twice, weights.ema, weights.variant) == (gate, ema, arch)
    assert same(weights.state_dict, copies[0])


def test_backbone_alone() -> None:
    ours = OrderedDict((k, v) for k, v in writers.model('small').items() if k.startswith('backbone.'))
    bare = OrderedDict((k.removeprefix('backbone.'), v) for k, v in ours.items())
    for state, wrappers in ((ours, ('backbone.',)), (bare, ())):
        for data in (state, {'state_dict': state}, {'model': state}):
            weights = recognise(data)
            assert told(weights) == ('unknown', '', None, None, 'small', None)
            assert same(weights.state_dict, ours) and weights.wrappers == wrappers
            assert weights.num_classes is None


def test_timm_without_its_classifier() -> None:
    data = writers.timm_extracted(writers.model('custom'))
    del data['state_dict']['head.weight'], data['state_dict']['head.bias']
    assert told(recognise(data)) == ('timm', '', None, False, None, None)


def test_bare_state_dict_of_timm() -> None:
    ours = writers.model('custom')
    weights = recognise(writers.timm_names(ours))
    assert told(weights) == ('timm', '', None, False, None, 'classification') and same(weights.state_dict, ours)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_told_and_kept(dtype: torch.dtype) -> None:
    ours = writers.model('custom', dtype=dtype)
    weights = recognise(writers.timm_extracted(ours))
    assert weights.precision == str(dtype).removeprefix('torch.') and same(weights.state_dict, ours)
    ours['head.fc.weight'] = ours['head.fc.weight'].float()
    assert recognise(writers.timm_extracted(ours)).precision == 'mixed'


def test_safetensors_have_texts_for_meta() -> None:
    ours = writers.model('custom')
    weights = recognise({'state_dict': dict(ours), 'meta': {'format': 'pt', 'gate_act_twice': 'True', 'ema': 'false'}})
    assert told(weights) == ('moganet', '', False, True, None, 'classification')
    assert recognise({'state_dict': dict(ours), 'meta': {'format': 'pt'}}).gate_act_twice is None


def test_through_a_file(tmp_path: Path) -> None:
    """Namespace, nesting and torch's metadata come back from the file as they were."""
    backbone = writers.small_backbone()
    state = backbone.state_dict()
    state._metadata['']['gate_act_twice'] = True
    names = list(state)
    torch.save({'state_dict': state, 'args': Namespace(lr=1.0)}, tmp_path / 'x.pth')
    weights = recognise(torch_load.load(tmp_path / 'x.pth', unsafe=False, mapped=False), 'x.pth')
    assert (weights.writer, weights.gate_act_twice) == ('moganet', True)
    assert weights.gate_source == 'the metadata of the state dict'
    assert all(torch.equal(weights.state_dict[f'backbone.{name}'], state[name]) for name in names)
    assert weights.state_dict._metadata['backbone.norm1']['version'] == 2
    assert weights.meta['args'] == {'lr': 1.0}


def test_training_tensors_are_left_out_and_listed() -> None:
    ours = writers.model('custom')
    more = {'mix_block.weight': torch.ones(1), 'criterion.weight': torch.ones(1), 'criterion.pos': torch.ones(1)}
    more |= {'data_preprocessor.mean': torch.ones(3), 'version': 1, 'neck.extra': torch.ones(1)}
    weights = recognise({'state_dict': {**ours, **more}})
    assert same(weights.state_dict, {**ours, 'neck.extra': more['neck.extra']})
    assert {(entry.pattern, entry.number) for entry in weights.dropped} == {
        ('*', 1), ('mix_block.*', 1), ('criterion.*', 2), ('data_preprocessor.*', 1)
    }  # fmt: skip
