"""What ``init_cfg`` names a checkpoint for: filled before the run, and read the same way by the Runner."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from moganet.checkpoints import MisfitError, UnsafeFileError
from moganet.engine.config_check import import_toolbox
from moganet.engine.fill import fill_pretrained

from ..checkpoints.models import NARROW, Classifier, copied, timm_data


@pytest.fixture
def timm_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)
    torch.save(timm_data(Classifier()), 'timm.pth.tar')
    return 'timm.pth.tar'


def _built(backbone: Any = None, head: Any = None, **more: Any) -> tuple[Any, nn.Module]:
    """Return a config, and the model that it describes."""
    import_toolbox('mmpretrain')
    cfg = Config(
        dict(
            model=dict(
                type='mmpretrain.ImageClassifier',
                backbone=dict(type='MogaNet', arch=NARROW, init_cfg=backbone),
                neck=dict(type='mmpretrain.GlobalAveragePooling'),
                head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=8, init_cfg=head),
                **more,
            )
        )
    )
    return cfg, _build(cfg)


def _build(cfg: Any) -> nn.Module:
    # Other tests leave another default scope behind.
    with MODELS.switch_scope_and_registry('mmpretrain') as registry:
        model: nn.Module = registry.build(cfg.copy().model)
    return model


def _pretrained(checkpoint: str, **more: Any) -> dict[str, Any]:
    return dict(type='Pretrained', checkpoint=checkpoint, **more)


def _as_the_runner(cfg: Any) -> dict[str, torch.Tensor]:
    """Return the weights that MMEngine starts a training from."""
    model = _build(cfg)
    model.init_weights()
    return copied(model)


@pytest.mark.parametrize('form', ['a dict', 'a wrong prefix', 'a list', 'a scope', "the model's own", 'pretrained='])
def test_the_runner_starts_from_what_was_reported(form: str, timm_file: str) -> None:
    one = _pretrained(timm_file)
    cfg, model = {
        'a dict': lambda: _built(one),
        'a wrong prefix': lambda: _built(_pretrained(timm_file, prefix='wrong.')),
        'a list': lambda: _built([dict(type='Constant', layer='Conv2d', val=0.0), one]),
        'a scope': lambda: _built({**one, 'type': 'mmengine.Pretrained'}),
        "the model's own": lambda: _built(init_cfg=one),
        'pretrained=': lambda: _built(pretrained=timm_file),
    }[form]()
    (report,) = fill_pretrained(cfg, model)
    assert 'loaded' in report and 'missing' not in report
    filled, started = copied(model), _as_the_runner(cfg)
    name = 'backbone.patch_embed1.projection.0.weight'
    average = torch.load(timm_file, weights_only=True)['state_dict_ema'][f'module.{name.removeprefix("backbone.")}']
    assert torch.equal(filled[name], average) and torch.equal(started[name], average)
    whole = form in ("the model's own", 'pretrained=')
    assert torch.equal(filled['head.fc.weight'], started['head.fc.weight']) is whole


def test_what_does_not_fill_is_refused_in_every_form(timm_file: str) -> None:
    data = torch.load(timm_file, weights_only=True)
    for key in ('state_dict', 'state_dict_ema'):
        del data[key]['module.norm2.weight']
    torch.save(data, 'less.pth.tar')
    one = _pretrained('less.pth.tar')
    for cfg, model in (_built(one), _built([one]), _built(init_cfg=one), _built(pretrained='less.pth.tar')):
        before = copied(model)
        with pytest.raises(MisfitError, match='1 of .* is missing'):
            fill_pretrained(cfg, model)
        assert all(torch.equal(value, before[name]) for name, value in copied(model).items())


def test_files_of_other_parts_are_read_safely_too(timm_file: str) -> None:
    """MMEngine's own reader falls back to the unsafe one, with a warning."""
    torch.save({'state_dict': {'fc.weight': torch.ones(5, 8)}, 'meta': os.system}, 'code.pth')
    for door in (dict(head=_pretrained('code.pth')), dict(init_cfg=_pretrained('code.pth'))):
        with pytest.raises(UnsafeFileError, match='system'):
            fill_pretrained(*_built(**door))
    with pytest.raises(FileNotFoundError, match=r'none\.pth'):
        fill_pretrained(*_built(head=_pretrained('none.pth')))
    torch.save({'state_dict': {'fc.weight': torch.ones(5, 8), 'fc.bias': torch.ones(5)}}, 'head.pth')
    cfg, model = _built(head=_pretrained('head.pth'))
    assert fill_pretrained(cfg, model) == []
    assert _as_the_runner(cfg)['head.fc.weight'].sum() == 40
    # A part of a whole model's file, of ours or another's.
    cfg, model = _built(head=_pretrained(timm_file, prefix='head.'))
    fill_pretrained(cfg, model)
    assert cfg.model.head.init_cfg == _pretrained(f'moganet://{Path(timm_file).resolve()}', prefix='head.')
    average = torch.load(timm_file, weights_only=True)['state_dict_ema']['module.head.weight']
    assert torch.equal(_as_the_runner(cfg)['head.fc.weight'], average)


def test_mmengines_own_schemes_are_left_to_it(timm_file: str) -> None:
    given = _pretrained('torchvision://resnet50')
    cfg, model = _built(head=given)
    assert fill_pretrained(cfg, model) == [] and cfg.model.head.init_cfg == given
