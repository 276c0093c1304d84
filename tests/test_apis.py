"""The zoo from Python, with checkpoints in the place of those that cannot be fetched here."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch

import moganet
from moganet import get_config, get_model, list_models
from moganet.checkpoints import MisfitError, download


def _timm(path: Path, classes: int = 1000) -> Path:
    """Write the file of MogaNet-XT as timm's training does, its values from a seed."""
    torch.manual_seed(1)
    model = get_model('moganet-xtiny_8xb128_in1k', head=dict(num_classes=classes))
    weights = OrderedDict(
        (name.removeprefix('backbone.').replace('head.fc.', 'head.'), value)
        for name, value in model.state_dict().items()
    )
    torch.save({'arch': 'moganet_xtiny', 'state_dict': weights, 'author': 'MogaNet'}, path)
    return path


def test_names_give_configs() -> None:
    assert 'moganet-tiny_8xb128_in1k' in list_models('moganet-tiny*')
    assert get_config('moganet-tiny_in1k').model.backbone.arch == 'tiny'
    config = get_config('retinanet_moganet-t_fpn_1x_coco')
    assert config.model.type == 'RetinaNet' and config.model.backbone.init_cfg.type == 'Pretrained'
    # Nothing is fetched that was not asked for, init_weights() being called or not.
    assert get_model('retinanet_moganet-t_fpn_1x_coco').backbone.init_cfg is None
    with pytest.raises(KeyError, match='moganet-tiny_in1k'):
        get_config('moganet-tinny_in1k')


def test_a_model_is_filled_by_name_and_computes_what_the_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _timm(tmp_path / 'moganet_xtiny_sz224_8xbs128_ep300.pth.tar')
    monkeypatch.setattr(download, 'fetch', lambda url, **_: path)
    model = get_model('moganet-xtiny_in1k', pretrained=True)
    assert model.load_report.fit.complete and not model.training
    # A model is copied, averaged and pickled with what it has, and the file is no part of it.
    assert not model.load_report.checkpoint.data and not model.load_report.checkpoint.weights.state_dict
    bare = moganet.MogaNet('xtiny').eval()
    weights = torch.load(path)['state_dict']
    bare.load_state_dict({name: value for name, value in weights.items() if not name.startswith('head.')})
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model.backbone(image)[-1], bare(image)[-1])


def test_the_gate_follows_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _timm(tmp_path / 'a.pth')
    weights = torch.load(path)['state_dict']
    named = {}
    for name, value in weights.items():
        head = name.startswith('head.')
        named[f'head.fc.{name[len("head.") :]}' if head else f'backbone.{name}'] = value
    torch.save({'state_dict': named, 'meta': {}}, tmp_path / 'moga_xtiny_sz224_8xb128_fp16_ep300.pth')
    monkeypatch.setattr(download, 'fetch', lambda url, **_: tmp_path / url.rpartition('/')[2])
    model = get_model('moganet-xtiny_8xb128_in1k', pretrained='moganet-xtiny_8xb128_in1k_3rdparty-openmixup')
    assert model.backbone.gate_act_twice is True
    assert get_model('moganet-xtiny_8xb128_in1k', pretrained=path).backbone.gate_act_twice is False
    with pytest.raises(MisfitError, match='gate_act_twice=True'):
        get_model(
            'moganet-xtiny_8xb128_in1k',
            pretrained='moganet-xtiny_8xb128_in1k_3rdparty-openmixup',
            backbone=dict(gate_act_twice=False),
        )


def test_other_classes_keep_a_new_head(tmp_path: Path) -> None:
    path = _timm(tmp_path / 'a.pth')
    model = get_model('moganet-xtiny_8xb128_in1k', pretrained=path, head=dict(num_classes=7))
    assert model.head.fc.weight.shape[0] == 7 and model.load_report.new == ('head.fc.weight', 'head.fc.bias')
    model = get_model('moganet-xtiny_8xb128_in1k', pretrained=_timm(tmp_path / 'b.pth', classes=7), strict=False)
    assert model.head.fc.weight.shape[0] == 1000 and 'other shape  2 (head.fc: 2)' in str(model.load_report)
    # Nobody asked for other classes here.
    with pytest.raises(MisfitError, match='another shape'):
        get_model('moganet-xtiny_8xb128_in1k', pretrained=_timm(tmp_path / 'b.pth', classes=7))


def test_changes_are_the_callers() -> None:
    narrow = dict(_delete_=True, embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2))
    for _ in range(2):
        get_model('moganet-xtiny_8xb128_in1k', backbone=dict(arch=narrow), head=dict(in_channels=8))
    assert narrow['_delete_'] is True


def test_wrong_arguments_are_told() -> None:
    with pytest.raises((KeyError, ValueError), match='num_clases'):
        get_model('moganet-xtiny_8xb128_in1k', head=dict(num_clases=7))
    with pytest.raises(ValueError, match='backbone cannot be merged into the model of moganet-xtiny.*: arch='):
        get_model('moganet-xtiny_8xb128_in1k', backbone=dict(arch=dict(depths=(1, 1, 1, 1))))
    with pytest.raises(ValueError, match=r'pretrained=True: a config \(.*in1k.py\) has no released file'):
        get_model(str(get_config('moganet-xtiny_8xb128_in1k').filename), pretrained=True)
    with pytest.raises(KeyError, match='no file was released'):
        get_model('cascade-mask-rcnn_moganet-l_fpn_giou-4conv1fc-ms-crop-3x_coco', pretrained=True)


def test_a_model_need_not_have_a_backbone(tmp_path: Path) -> None:
    config = tmp_path / 'head.py'
    head = "dict(type='LinearClsHead', num_classes=3, in_channels=8)"
    config.write_text(f"default_scope = 'mmpretrain'\nmodel = {head}\n")
    assert get_model(str(config), device='meta').fc.weight.device.type == 'meta'
    with pytest.raises(MisfitError, match='2 of 2 are missing'):
        get_model(str(config), pretrained=_timm(tmp_path / 'a.pth'))
