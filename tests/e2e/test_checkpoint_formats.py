"""Files of every writer, in the models of every toolbox: each fills the model that it is of, by each of the doors."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn

from moganet import get_config
from moganet.checkpoints import load
from moganet.checkpoints.writer import save

from ..checkpoints import writers
from ..configs import leaves
from .tools import LEAVES

NARROW = dict(embed_dims=(32, 64, 96, 192), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
CODES = {
    'retinanet': 'mmdet',
    'mask-rcnn': 'mmdet',
    'sem-fpn': 'mmseg',
    'upernet': 'mmseg',
    'pose': 'mmpose',
}
Build = Callable[[writers.Weights, writers.Weights], Any]  # of the average and the raw weights


def _prefixed(*prefixes: str) -> Build:
    return lambda ours, _: {'state_dict': writers.prefixed(ours, ''.join(prefixes)), 'meta': {'gate_act_twice': False}}


# What each writer builds of the weights that are to be loaded, and of a copy of them. OpenMixup's gates act twice.
CLASSIFIER: dict[str, Build] = {
    'timm': lambda ours, _: writers.timm_raw(ours),
    'timm with its average': lambda ours, raw: writers.timm_raw(raw, ours),
    'timm extracted': lambda ours, raw: writers.timm_extracted(raw, ours),
    'timm extracted, the average alone': lambda ours, raw: writers.timm_extracted(raw, ours, ema_only=True),
    'timm by DDP': lambda ours, _: {'state_dict': writers.prefixed(writers.timm_names(ours), 'module.')},
    'a bare state dict': lambda ours, _: writers.timm_names(ours),
    'OpenMixup': lambda ours, _: writers.openmixup(ours),
    'OpenMixup with ema_*': lambda ours, raw: writers.openmixup(ours, raw),
    'the port to mmpretrain': lambda ours, _: writers.port(ours),
}
ANY: dict[str, Build] = {
    'MMEngine': lambda ours, _: writers.mmengine(ours, config=writers.our_config()),
    'MMEngine with its average': lambda ours, raw: writers.mmengine(ours, raw, config=writers.our_config()),
    'DDP': _prefixed('module.'),
    'compiled': _prefixed('_orig_mod.'),
    'both': _prefixed('module.', '_orig_mod.'),
}
OTHERS = ('half precision', 'safetensors', 'old torch')
CASES = [
    *(('classification', kind) for kind in CLASSIFIER),
    *((name, 'OpenMMLab 1.x') for name in CODES),
    *((name, kind) for name in ('classification', 'retinanet', 'sem-fpn', 'pose') for kind in (*ANY, *OTHERS)),
    *((name, 'MMEngine with its average') for name in ('mask-rcnn', 'upernet')),
]


@functools.cache
def _model(name: str, twice: bool = False) -> nn.Module:
    """Build the model of a leaf, narrow."""
    cfg = leaves.read(LEAVES[name].config)
    cfg.model.backbone.update(arch=NARROW, gate_act_twice=twice)
    return leaves.build_model(cfg)


def _weights(name: str) -> writers.Weights:
    """Return weights that a model does not have by itself: the counters are no zeros, and the norms have seen data."""
    torch.manual_seed(7)
    return OrderedDict(
        (key, torch.rand(value.shape) + 1 if value.is_floating_point() else value + 3)
        for key, value in _model(name).state_dict().items()
    )


def _forget(model: nn.Module) -> None:
    for value in model.state_dict().values():
        value.zero_()


def _written(kind: str, name: str, ours: writers.Weights, folder: Path) -> Path:
    """Write the file of a kind, with a copy of other numbers where it has two."""
    raw = OrderedDict((key, value / 2 if value.is_floating_point() else value) for key, value in ours.items())
    path = folder / ('a.safetensors' if kind == 'safetensors' else 'a.pth')
    if kind == 'safetensors':
        save({'state_dict': ours, 'meta': {'gate_act_twice': False}}, path)
    elif kind == 'half precision':
        half = {key: value.half() if value.is_floating_point() else value for key, value in ours.items()}
        torch.save({'state_dict': half}, path)
    elif kind == 'old torch':
        torch.save(ANY['MMEngine'](ours, raw), path, _use_new_zipfile_serialization=False)
    elif kind == 'OpenMMLab 1.x':
        torch.save(writers.mmcv1(CODES[name], ours), path)
    else:
        torch.save({**CLASSIFIER, **ANY}[kind](ours, raw), path)
    return path


def _differ(model: nn.Module, ours: dict[str, Tensor], kind: str) -> list[str]:
    if kind == 'half precision':
        ours = {key: value.half().float() if value.is_floating_point() else value for key, value in ours.items()}
    found = model.state_dict()
    return [key for key in found.keys() | ours.keys() if not torch.equal(found[key], ours[key])]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))


@pytest.mark.parametrize(('name', 'kind'), CASES)
def test_a_file_fills_the_model_that_it_is_of(name: str, kind: str, tmp_path: Path) -> None:
    model = _model(name, kind.startswith('OpenMixup'))
    ours = _weights(name)
    path = _written(kind, name, ours, tmp_path)
    _forget(model)
    report = load(model, path)
    assert report.fit.complete and report.fit.unexpected == () and _differ(model, ours, kind) == []
    _forget(model)
    load_checkpoint(model, f'moganet://{path}', strict=True)
    assert _differ(model, ours, kind) == []


@pytest.mark.parametrize('kind', ['timm with its average', 'OpenMixup with ema_*', 'the port to mmpretrain'])
@pytest.mark.parametrize('name', ['retinanet', 'sem-fpn', 'pose'])
def test_a_classifiers_file_fills_the_backbone(name: str, kind: str, tmp_path: Path) -> None:
    model = _model(name, kind.startswith('OpenMixup'))
    ours = _weights('classification')
    path = _written(kind, name, ours, tmp_path)
    doors: list[Callable[[], object]] = [
        lambda: load(model, path, new_parts=True),
        lambda: load_checkpoint(model, f'moganet://{path}'),
        lambda: _initialised(model.backbone, path),
    ]
    for door in doors:
        _forget(model)
        door()
        for key, value in model.state_dict().items():
            expected = ours[key] if key.startswith('backbone.') else torch.zeros(())
            assert torch.equal(value, expected.expand(value.shape)), key


def _initialised(backbone: Any, path: Path) -> None:
    """Fill a backbone as a Runner does that finds this ``init_cfg``."""
    backbone.init_cfg, backbone._is_init = dict(type='Pretrained', checkpoint=f'moganet://{path}'), False
    backbone.init_weights()


def _mmpretrain(cfg: Any, path: str) -> nn.Module:
    from mmpretrain.apis import get_model as toolbox

    return toolbox(cfg, pretrained=path, device='cpu')


def _mmdet(cfg: Any, path: str) -> nn.Module:
    from mmdet.apis import init_detector

    return init_detector(cfg, path, device='cpu')


def _mmseg(cfg: Any, path: str) -> nn.Module:
    from mmseg.apis import init_model

    return init_model(cfg, path, device='cpu')


def _mmpose(cfg: Any, path: str) -> nn.Module:
    from mmpose.apis import init_model

    return init_model(cfg, path, device='cpu')


@pytest.mark.parametrize(
    ('name', 'kind', 'build'),
    [
        ('classification', 'timm with its average', _mmpretrain),
        ('retinanet', 'OpenMMLab 1.x', _mmdet),
        ('sem-fpn', 'OpenMMLab 1.x', _mmseg),
        ('pose', 'OpenMMLab 1.x', _mmpose),
    ],
)
def test_the_toolboxes_own_ways(name: str, kind: str, build: Any, tmp_path: Path) -> None:
    """A config in their hands, and a name of ours."""
    ours = _weights(name)
    path = _written(kind, name, ours, tmp_path)
    cfg = get_config(str(LEAVES[name].config))
    cfg.model.backbone.arch = NARROW
    model = build(cfg, f'moganet://{path}')
    assert _differ(model, ours, kind) == []
    if name == 'retinanet':
        assert len(model.dataset_meta['classes']) == len(writers.CLASSES)
    cfg.model.backbone.gate_act_twice = True
    with pytest.raises(ValueError, match='activated once.*gate_act_twice=False'):
        build(cfg, f'moganet://{path}')
    del ours['backbone.blocks3.0.mlp.fc1.weight']
    with pytest.raises(ValueError, match='do not fill the backbone: .* 1 of .* is missing'):
        build(cfg, f'moganet://{_written(kind, name, ours, tmp_path)}')

