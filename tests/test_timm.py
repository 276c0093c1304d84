"""MogaNet in timm: registry, interface, and weights that come whole or not at all."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from timm.data import create_transform, resolve_data_config
from timm.models import group_parameters, save_for_hf
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn

import moganet.timm
from moganet.checkpoints import MisfitError, TornFileError, download, zoo
from moganet.metafiles import read_metafiles
from moganet.models import MogaNetClassifier
from moganet.models.backbones.moganet import VARIANTS

REPO = Path(__file__).resolve().parents[1]
NAMES = [f'moganet_{arch}' for arch in VARIANTS]
SMALL = dict(embed_dims=(8, 8, 8, 16), depths=(1, 1, 2, 1), ffn_ratios=(2, 2, 2, 2))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))


@pytest.fixture(scope='module')
def trained() -> OrderedDict[str, Tensor]:
    """Weights of MogaNet-XT under today's names, no two layers alike."""
    torch.manual_seed(1)
    model = MogaNetClassifier('xtiny', layer_scale_init_value=0.05)
    return model.state_dict()


def by_timm(path: Path, weights: OrderedDict[str, Tensor]) -> Path:
    """Write a file as the authors' training with timm does."""
    names = (name.removeprefix('backbone.').replace('head.fc.', 'head.') for name in weights)
    state = OrderedDict(zip(names, weights.values()))
    torch.save({'arch': 'moganet_xtiny', 'state_dict': state, 'author': 'MogaNet'}, path)
    return path


def by_openmixup(path: Path, weights: OrderedDict[str, Tensor]) -> Path:
    torch.save({'meta': {'openmixup_version': '0.2.7'}, 'state_dict': OrderedDict(weights)}, path)
    return path


def filled_by_hand(weights: OrderedDict[str, Tensor], twice: bool = False) -> MogaNetClassifier:
    model = MogaNetClassifier('xtiny', gate_act_twice=twice).eval()
    model.load_state_dict(dict(weights))
    return model


def on_meta(name: str, **options: Any) -> nn.Module:
    with torch.device('meta'):
        return timm.create_model(name, **options)


def picture(side: int = 64, channels: int = 3) -> Tensor:
    return torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0))


def test_the_six_models_are_registered_with_what_was_released() -> None:
    assert sorted(timm.list_models('moganet*')) == sorted(NAMES)
    tags = set(timm.list_pretrained('moganet*'))
    assert {f'{name}.timm_in1k' for name in NAMES} <= tags
    assert {'moganet_tiny.timm_in1k_256', 'moganet_xtiny.openmixup_refined_in1k_256'} <= tags
    for tag in tags:
        cfg = timm.get_pretrained_cfg(tag)
        file = zoo.by_url(cfg.url)
        assert file is not None and f'moganet-{cfg.architecture[8:]}_' in file.model
        assert ('-256px' in file.model) == (cfg.input_size == (3, 256, 256))
    for name in NAMES:
        assert timm.get_pretrained_cfg(name).url == zoo.find(name.replace('_', '-') + '_in1k').url


@pytest.mark.parametrize('name', NAMES)
def test_sizes_are_those_of_the_metafile(name: str) -> None:
    rows = read_metafiles(REPO)['classification']
    row = next(row for row in rows if row['Name'].startswith(name.replace('_', '-') + '_8xb'))
    model = on_meta(name)
    assert sum(value.numel() for value in model.parameters()) == row['Metadata']['Parameters']
    assert [stage['num_chs'] for stage in model.feature_info] == list(VARIANTS[name[8:]].embed_dims)
    assert [stage['reduction'] for stage in model.feature_info] == [4, 8, 16, 32]


@pytest.mark.parametrize(('tag', 'short', 'side'), [('', 248, 224), ('.timm_in1k_256', 284, 256)])
def test_transforms_are_those_of_the_release(tag: str, short: int, side: int) -> None:
    model = on_meta(f'moganet_xtiny{tag}')
    config = resolve_data_config({}, model=model)
    resize, crop, _, normalise = create_transform(**config).transforms
    assert resize.size == short and resize.interpolation.value == 'bicubic' and tuple(crop.size) == (side, side)
    assert normalise.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert normalise.std.tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_pretrained_is_the_released_file_through_our_reader(
    trained: OrderedDict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = by_timm(tmp_path / 'moganet_xtiny_sz224_8xbs128_ep300.pth.tar', trained), []
    monkeypatch.setattr(download, 'fetch', lambda url, **_: asked.append(url) or path)
    model = timm.create_model('moganet_xtiny', pretrained=True)
    assert asked == [timm.get_pretrained_cfg('moganet_xtiny').url]
    assert model.load_report.fit.complete and model.load_report.checkpoint.weights.writer == 'timm'
    assert model.training and not model.backbone.gate_act_twice
    with torch.no_grad():
        assert torch.equal(model.eval()(picture()), filled_by_hand(trained)(picture()))
        maps = timm.create_model('moganet_xtiny', pretrained=True, features_only=True).eval()(picture())
        wanted = filled_by_hand(trained).backbone.forward_stages(picture(), (0, 1, 2, 3))
    assert len(maps) == 4 and all(torch.equal(a, b) for a, b in zip(maps, wanted))


def test_the_gate_follows_from_the_file(
    trained: OrderedDict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = by_openmixup(tmp_path / 'moga_xtiny_sz224_8xb128_fp16_ep300.pth', trained)
    monkeypatch.setattr(download, 'fetch', lambda url, **_: path)
    model = timm.create_model('moganet_xtiny.openmixup_in1k', pretrained=True).eval()
    assert model.backbone.gate_act_twice is True
    with torch.no_grad():
        twice = filled_by_hand(trained, twice=True)(picture())
        assert torch.equal(model(picture()), twice)
        assert not torch.allclose(twice, filled_by_hand(trained)(picture()))
    with pytest.raises(MisfitError, match='gate_act_twice=True'):
        timm.create_model('moganet_xtiny.openmixup_in1k', pretrained=True, gate_act_twice=False)
    # timm's own folder notes it, and gives it back.
    save_for_hf(model, tmp_path / 'saved')
    again = timm.create_model(f'local-dir:{tmp_path / "saved"}', pretrained=True)
    assert again.backbone.gate_act_twice is True


def test_another_classifier_is_new_and_told(
    trained: OrderedDict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = dict(file=str(by_timm(tmp_path / 'a.pth', trained)))
    model = timm.create_model('moganet_xtiny', pretrained=True, num_classes=7, pretrained_cfg_overlay=overlay)
    assert model.load_report.new == ('head.fc.weight', 'head.fc.bias') and model.get_classifier().out_features == 7
    assert 'head.fc.weight, head.fc.bias are new' in capsys.readouterr().err
    assert torch.equal(model.backbone.norm4.weight, trained['backbone.norm4.weight'])
    bare = timm.create_model('moganet_xtiny', pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay).eval()
    with torch.no_grad():
        assert bare(picture()).shape == (1, 192)


def test_the_first_convolution_is_changed_for_other_channels(
    trained: OrderedDict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = dict(file=str(by_timm(tmp_path / 'a.pth', trained)))
    grey = timm.create_model('moganet_xtiny', pretrained=True, in_chans=1, pretrained_cfg_overlay=overlay).eval()
    assert '3 channels to 1' in capsys.readouterr().err
    with torch.no_grad():
        same = filled_by_hand(trained)(picture(channels=1).expand(1, 3, 64, 64))
        # The three channels are added up in another order.
        torch.testing.assert_close(grey(picture(channels=1)), same, rtol=1e-4, atol=1e-4)


def test_files_are_refused_with_a_reason(trained: OrderedDict[str, Tensor], tmp_path: Path) -> None:
    path = by_timm(tmp_path / 'a.pth', trained)

    def create(file: Path, name: str = 'moganet_xtiny', **options: Any) -> nn.Module:
        return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=dict(file=str(file)), **options)

    with pytest.raises(MisfitError, match='another shape'):
        create(path, 'moganet_tiny')
    seven = by_timm(tmp_path / 'seven.pth', MogaNetClassifier('xtiny', 7).state_dict())
    with pytest.raises(MisfitError, match='head.fc.weight'):
        create(seven)
    (tmp_path / 'cut.pth').write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(TornFileError):
        create(tmp_path / 'cut.pth')
    with pytest.raises(FileNotFoundError, match='none.pth'):
        create(tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='MOGANET_CACHE'):
        create(path, cache_dir=tmp_path)
    with pytest.raises(ValueError, match='MogaNetForImageClassification.from_pretrained'):
        overlay = dict(hf_hub_id='me/moganet')
        timm.create_model('moganet_xtiny', pretrained=True, pretrained_cfg_overlay=overlay)
    with pytest.raises(ValueError, match='neither file nor url'):
        timm.create_model('moganet_xtiny', pretrained=True, pretrained_cfg_overlay=dict(url=''))


@pytest.mark.parametrize('write', [by_timm, by_openmixup])
def test_timms_own_reader_fills_nothing_in_silence(
    write: Any, trained: OrderedDict[str, Tensor], tmp_path: Path
) -> None:
    path = write(tmp_path / 'a.pth', trained)
    with pytest.raises(ValueError, match='pretrained_cfg_overlay'):
        timm.create_model('moganet_xtiny', checkpoint_path=str(path))


def test_weights_of_ones_own_say_their_gate_or_the_caller_does(trained: OrderedDict[str, Tensor]) -> None:
    plain = dict(trained)  # as timm's checkpoints hold them: without torch's metadata
    with pytest.raises(ValueError, match='nothing says how often the gate'):
        MogaNetClassifier('xtiny').load_state_dict(plain)
    told = timm.create_model('moganet_xtiny', gate_act_twice=False)
    assert not told.load_state_dict(plain).missing_keys
    MogaNetClassifier('xtiny').load_state_dict(told.state_dict())
    nn.Sequential(MogaNetClassifier('xtiny')).load_state_dict(nn.Sequential(told).state_dict())
    with pytest.raises(ValueError, match='trained with the gate activated once'):
        MogaNetClassifier('xtiny', gate_act_twice=True).load_state_dict(told.state_dict())


def test_the_interface_of_timms_models() -> None:
    model = MogaNetClassifier(SMALL, num_classes=5, drop_rate=0.1).eval()
    x = picture(32)
    with torch.no_grad():
        last = model.forward_features(x)
        assert last.shape == (1, 16, 1, 1) and torch.equal(model.forward_head(last), model(x))
        pooled = model.forward_head(last, pre_logits=True)
        assert torch.equal(model.get_classifier()(pooled), model(x))
        final, maps = model.forward_intermediates(x, indices=[-1, 0])
        assert torch.equal(final, last) and [value.shape[1] for value in maps] == [8, 16]
        early = model.forward_intermediates(x, indices=[1], stop_early=True)
        assert early[0] is early[1][0] and early[0].shape[2] == 4
        assert len(model.forward_intermediates(x, 2, intermediates_only=True)) == 2
        model.reset_classifier(3, 'max')
        assert model(x).shape == (1, 3) and torch.equal(model.forward_head(last, True), last.amax((2, 3)))
        model.reset_classifier(0, '')
        assert torch.equal(model(x), last)
    for wrong in (dict(global_pool='mean'), dict(global_pool=''), dict(num_classes=-1)):
        with pytest.raises(ValueError):
            MogaNetClassifier(SMALL, **wrong)
    for stages in ([4], [-5], 0, 5):
        with pytest.raises(ValueError, match='there are 4'):
            model.forward_intermediates(x, stages)


def test_stages_after_the_last_one_wanted_are_removed() -> None:
    features = on_meta('moganet_xtiny', features_only=True, out_indices=(0, -2))
    names = [name for name, _ in features.named_parameters()]
    assert not [name for name in names if 'blocks4' in name or 'norm4' in name or 'head' in name]
    assert features.feature_info.channels() == [32, 96] and features.feature_info.reduction() == [4, 16]
    found = on_meta('moganet_xtiny', features_only=True, out_indices=(0, -2)).to_empty(device='cpu')(picture())
    assert [tuple(value.shape) for value in found] == [(1, 32, 16, 16), (1, 96, 4, 4)]


def test_timms_hooks_give_the_same_maps() -> None:
    torch.manual_seed(0)
    whole = timm.create_model('moganet_xtiny', features_only=True).eval()
    other = timm.create_model('moganet_xtiny', features_only=True, feature_cls='hook', out_indices=(1, 3)).eval()
    other.body.backbone.load_state_dict(whole.model.backbone.state_dict())
    with torch.no_grad():
        found, wanted = other(picture()), whole(picture())
    assert torch.equal(found[0], wanted[1]) and torch.equal(found[1], wanted[3])


def test_layers_from_the_stem_to_the_head() -> None:
    model = on_meta('moganet_xtiny')
    for coarse, number in ((True, 1 + 4 + 1), (False, 1 + sum(VARIANTS['xtiny'].depths) + 1)):
        groups = group_parameters(model, model.group_matcher(coarse), reverse=True)
        assert len(set(groups.values())) == number and groups['head.fc.weight'] == number - 1
        assert groups['backbone.patch_embed1.projection.0.weight'] == 0
        assert groups['backbone.blocks1.0.norm1.weight'] == 1
        assert groups['backbone.patch_embed2.norm.weight'] == groups['backbone.blocks2.0.norm1.weight']
        assert groups['backbone.norm4.weight'] == groups['backbone.blocks4.1.norm1.weight'] == number - 2
    decayed = param_groups_layer_decay(model, 0.05, model.no_weight_decay(), layer_decay=0.8)
    assert {group['lr_scale'] for group in decayed} == {0.8**depth for depth in range(number)}


def test_recomputing_blocks_changes_no_gradient() -> None:
    torch.manual_seed(0)
    model = MogaNetClassifier(SMALL, num_classes=5)
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        assert model.backbone.blocks3[0].with_cp is enable
        model.zero_grad()
        model(torch.cat([picture(32), picture(32).flip(3)])).square().sum().backward()
        gradients.append(model.backbone.patch_embed1.projection[0].weight.grad.clone())
    torch.testing.assert_close(*gradients)


def test_without_timm_there_is_one_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('timm', 'timm.data', 'timm.models'):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, 'moganet.timm')
    with pytest.raises(ImportError, match=r'^moganet\.timm needs timm.*: pip install --no-deps timm\S*$'):
        importlib.import_module('moganet.timm')


def test_the_module_of_ours_does_not_stand_in_for_timm() -> None:
    assert moganet.timm.__name__ == 'moganet.timm' and REPO / 'moganet' not in Path(timm.__file__).parents
    code = 'import importlib.util as util; print(util.find_spec("timm").origin)'
    done = subprocess.run([sys.executable, '-c', code], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.strip() == timm.__file__
