"""What fills a model and what does not, for models and files that are odd in one way each."""

from __future__ import annotations

import copy
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import _load_checkpoint, load_checkpoint
from torch import Tensor, nn

from moganet import MogaNet
from moganet.checkpoints import MisfitError, load, open_checkpoint
from moganet.checkpoints.download import cached_path
from moganet.models.layers import MogaBlock

from .models import NARROW, Classifier, Detector, copied, equal, timm_data


@pytest.fixture
def timm_file(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / 'file.pth.tar'
    torch.save(timm_data(Classifier()), path)
    return path


def _saved(model: nn.Module, path: Path) -> Path:
    torch.save({'state_dict': model.state_dict()}, path)
    return path


class Pair(nn.Module):
    """Two models, as for distillation."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.student, self.teacher = Classifier(**changes), Classifier(**changes)


class Encoder(nn.Module):
    """A MogaNet without counters, below a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MogaNet(NARROW, norm_cfg=dict(type='GN', num_groups=2))
        self.fc = nn.Linear(8, 5)


class Compiled(nn.Module):
    """What torch.compile returns, as far as names go; the real one takes ten seconds to import."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._orig_mod = model


@pytest.mark.parametrize('wrap', [nn.DataParallel, Compiled, lambda model: Compiled(nn.DataParallel(model))])
def test_wrapped_models_are_filled(wrap: Any, timm_file: Path) -> None:
    model, plain = Classifier(), Classifier()
    assert load(wrap(model), timm_file).fit.complete
    load(plain, timm_file)
    assert equal(copied(model), copied(plain))


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'arch': {**NARROW, 'depths': (1, 1, 3, 1)}}, r'68 more are given than its parts have \(.*blocks3'),
        ({'norm_cfg': {'type': 'BN'}}, r'34 more are given than its parts have \(.*patch_embed1'),
    ],
    ids=['a deeper file', "a file with the norms' statistics"],
)
@pytest.mark.parametrize('door', ['load', 'load for fine-tuning', 'mmengine', 'mmengine by path', 'torch'])
def test_a_file_of_more_than_the_model_is_refused(
    door: str, changes: dict[str, Any], told: str, tmp_path: Path
) -> None:
    """Every tensor of the model would be filled, and it would compute something else."""
    path = _saved(Classifier(**changes), tmp_path / 'a.pth')
    model = Classifier(**({} if 'arch' in changes else {'norm_cfg': {'type': 'GN', 'num_groups': 2}}))
    before = copied(model)
    doors = {
        'load': lambda: load(model, path),
        'load for fine-tuning': lambda: load(model, path, new_parts=True),
        'mmengine': lambda: load_checkpoint(model, f'moganet://{path}'),
        'mmengine by path': lambda: load_checkpoint(model, str(path)),
        'torch': lambda: model.load_state_dict(torch.load(path)['state_dict']),
    }
    with pytest.raises(ValueError, match=told):
        doors[door]()
    assert equal(copied(model), before)
    assert 'unexpected' in str(load(model, path, strict=False))


def test_a_layer_with_more_and_a_list_that_is_longer(tmp_path: Path) -> None:
    class Headed(nn.Module):
        def __init__(self, bias: bool = True, convs: int = 2, other: bool = False) -> None:
            super().__init__()
            self.neck = nn.Conv2d(2, 2, 1, bias=bias)
            self.convs = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(convs))
            self.scale = nn.Parameter(torch.ones(1))
            if other:
                self.mask_head = nn.Sequential(nn.Linear(2, 2))

    path = _saved(Headed(other=True), tmp_path / 'a.pth')
    # A part that the model has not at all is in nobody's way.
    assert load(Headed(), path).fit.unexpected == ('mask_head.0.weight', 'mask_head.0.bias')
    with pytest.raises(MisfitError, match=r'1 more is given than its parts have \(neck: 1\)'):
        load(Headed(bias=False), path)
    with pytest.raises(MisfitError, match=r'2 more are given than its parts have \(convs.1: 2\)'):
        load(Headed(convs=1), path)
    with pytest.raises(MisfitError, match=r'2 more are given than its parts have \(1: 2\)'):
        load(nn.Sequential(nn.Linear(2, 2)), _saved(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), path))


def test_new_parts_may_have_counters(timm_file: Path) -> None:
    """A norm's counter is not missed, and makes no part one that the file has something of."""
    model = Detector()
    model.bbox_head = nn.Sequential(nn.Conv2d(8, 4, 1), nn.BatchNorm2d(4))
    report = load(model, timm_file, new_parts=True)
    assert {name.partition('.')[0] for name in report.new} == {'neck', 'bbox_head'} and len(report.new) == 8


@pytest.mark.parametrize('kind', ['a backbone elsewhere', 'nothing fits', 'half a backbone alone'])
def test_fine_tuning_is_not_from_nothing(kind: str, timm_file: Path, tmp_path: Path) -> None:
    model: nn.Module = {'a backbone elsewhere': Encoder, 'nothing fits': lambda: nn.Sequential(nn.Linear(2, 2))}.get(
        kind, lambda: MogaNet(NARROW, norm_cfg=dict(type='GN', num_groups=2))
    )()
    path = timm_file
    if kind == 'a backbone elsewhere':  # its classifier is there, under the name that the model has
        path = tmp_path / 'a.pth'
        weights = {**torch.load(timm_file, weights_only=True)['state_dict'], 'module.fc.weight': torch.ones(5, 8)}
        torch.save({'state_dict': {**weights, 'module.fc.bias': torch.ones(5)}}, path)
    elif kind == 'half a backbone alone':
        path = tmp_path / 'a.pth'
        whole = model.state_dict()
        torch.save({'state_dict': {name: whole[name] for name in whole if 'blocks4' not in name}}, path)
    before = copied(model)
    with pytest.raises(MisfitError, match='missing'):
        load(model, path, new_parts=True)
    assert equal(copied(model), before)


@pytest.mark.parametrize(
    ('name', 'shape'),
    [('backbone.norm2.weight', (9,)), ('neck.weight', (9, 8, 1, 1)), ('bbox_head.weight', (9, 4, 1, 1)), ('scale', ())],
)
def test_fine_tuning_leaves_last_layers_alone(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Of another number of outputs, with the same inputs; neither what precedes them nor what is no layer."""
    model = Detector()
    model.scale = nn.Parameter(torch.ones(3))
    weights = {**model.state_dict(), name: torch.ones(shape)}
    torch.save({'state_dict': weights}, tmp_path / 'a.pth')
    with pytest.raises(MisfitError, match=f'1 has another shape .{name}: '):
        load(model, tmp_path / 'a.pth', new_parts=True)
    torch.save({'state_dict': {**model.state_dict(), 'bbox_head.bias': torch.ones(9)}}, tmp_path / 'a.pth')
    assert load(model, tmp_path / 'a.pth', new_parts=True).new == ('bbox_head.bias',)


class Video(nn.Module):
    """The video model, as far as its names tell it: blocks of MogaNet, and no backbone."""

    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        self.hid = nn.Module()
        self.hid.enc = nn.ModuleList([nn.Module()])
        self.hid.enc[0].block = MogaBlock(8, 2, norm_cfg={'type': 'BN'}, act_cfg={'type': 'GELU'}, gate_act_twice=twice)


def test_another_gate_is_refused_without_a_backbone(tmp_path: Path) -> None:
    torch.save({'state_dict': dict(Video().state_dict()), 'meta': {'gate_act_twice': True}}, tmp_path / 'a.pth')
    assert load(Video(twice=True), tmp_path / 'a.pth').fit.complete
    with pytest.raises(MisfitError, match='activated twice'):
        load(Video(), tmp_path / 'a.pth')


def test_two_backbones_in_one_model(tmp_path: Path) -> None:
    path = _saved(given := Pair(gate_act_twice=True), tmp_path / 'a.pth')
    model = Pair(gate_act_twice=True)
    assert load(model, path).fit.complete and equal(copied(model), copied(given))
    other = Pair()
    before = copied(other)
    for door in (load, lambda model, path: load_checkpoint(model, f'moganet://{path}')):
        with pytest.raises(ValueError, match='activated twice.*gate_act_twice=True'):
            door(other, path)
    assert equal(copied(other), before)


@pytest.mark.parametrize('kind', ['a lock', 'a result with its gradients'])
def test_models_that_cannot_be_copied(kind: str, timm_file: Path, tmp_path: Path) -> None:
    model = Classifier()
    model.odd = threading.Lock() if kind == 'a lock' else model.head.fc.weight * 2  # type: ignore[assignment]
    assert load(model, timm_file).fit.complete
    before = copied(model)
    for changes in ({'classes': 3}, {'arch': {**NARROW, 'depths': (1, 1, 2, 1)}}):
        with pytest.raises(MisfitError, match='another shape|more are given'):
            load(model, _saved(Classifier(**changes), tmp_path / 'a.pth'))
    assert equal(copied(model), before)


@pytest.mark.parametrize('door', ['load', 'mmengine'])
def test_versions_of_modules_arrive(door: str, tmp_path: Path) -> None:
    """A module that is told no version takes what it is given for that of an old release."""
    seen: dict[str, Any] = {}

    def note(state: object, prefix: str, metadata: dict[str, Any], *rest: object) -> None:
        seen[prefix] = metadata.get('version')

    model, alone = Classifier(), MogaNet(NARROW)
    path = _saved(model, tmp_path / 'a.pth')
    model.backbone.norm1._register_load_state_dict_pre_hook(note)
    alone.norm1._register_load_state_dict_pre_hook(note)
    if door == 'load':
        load(model, path)
        load(alone, path)
        assert seen == {'backbone.norm1.': 2, 'norm1.': 2}
    else:
        load_checkpoint(model, f'moganet://{path}')
        assert seen == {'backbone.norm1.': 2}


@pytest.mark.parametrize('shape', [(2, 2), (3, 2)])
def test_a_renamed_weight_of_another_shape_is_told(shape: tuple[int, int], tmp_path: Path) -> None:
    model = nn.Linear(2, 2)

    def rename(state: dict[str, Tensor], *rest: object) -> None:
        state['weight'] = state.pop('old')

    model._register_load_state_dict_pre_hook(rename)
    torch.save({'state_dict': {'old': torch.ones(shape), 'bias': torch.ones(2)}}, tmp_path / 'a.pth')
    if shape == (2, 2):
        assert load(model, tmp_path / 'a.pth').fit.complete
        return
    with pytest.raises(MisfitError, match='cannot take these weights: .*size mismatch for weight') as raised:
        load(model, tmp_path / 'a.pth')
    assert '\n' not in str(raised.value)


def test_what_a_module_raises_is_told(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)

    def refuse(*rest: object) -> None:
        raise AssertionError('no old files')

    model._register_load_state_dict_pre_hook(refuse)
    with pytest.raises(MisfitError, match='cannot take these weights: no old files'):
        load(model, _saved(nn.Linear(2, 2), tmp_path / 'a.pth'))


def test_what_was_read_can_be_saved_again(timm_file: Path, tmp_path: Path) -> None:
    """With nothing beside the tensors that a reader would refuse, and no copy under names of another writer."""
    read = _load_checkpoint(f'moganet://{timm_file}')
    torch.save(read, tmp_path / 'again.pth')
    again = open_checkpoint(tmp_path / 'again.pth').weights
    assert equal({**again.state_dict}, {**open_checkpoint(timm_file).weights.state_dict}) and again.alternative is None


def test_a_report_without_weights_says_the_same(timm_file: Path) -> None:
    report = load(Classifier(), timm_file)
    light = report.without_weights()
    assert str(light) == str(report) and 'the file holds both' in str(light)
    kept = copy.deepcopy(light)
    assert not kept.checkpoint.data and not kept.checkpoint.weights.state_dict
    assert not kept.checkpoint.weights.alternative


def test_a_folder_of_the_name_is_not_in_the_way(
    timm_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moganet.checkpoints import download

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(download, 'fetch', lambda url, **_: timm_file)
    for name in ('moganet-tiny_in1k', 'results'):
        (tmp_path / name).mkdir()
    assert open_checkpoint('moganet-tiny_in1k').path == timm_file
    with pytest.raises(FileNotFoundError, match='no such checkpoint: results'):
        open_checkpoint('results')


def test_a_mirror_is_read_like_the_file_that_it_leaves(tmp_path: Path) -> None:
    """The Runner is given the file's path, whose name has a row; what it reads must be what was reported."""
    url = 'http://mirror.example/moganet/moga_xtiny_sz224_8xb128_fp16_ep300.pth'
    path = cached_path(url)
    path.parent.mkdir(parents=True)
    torch.save({'state_dict': dict(Classifier().state_dict())}, path)
    by_url, by_path = open_checkpoint(url).weights, open_checkpoint(path).weights
    assert by_url.gate_act_twice is by_path.gate_act_twice is True
    assert by_url.gate_source == by_path.gate_source == 'the metafile'


@pytest.mark.parametrize('option', [{'prefer': 'raw'}, {'gate_act_twice': True}, {'sha256': '0' * 8}, {'unsafe': True}])
def test_an_open_checkpoint_is_not_opened_otherwise(option: dict[str, Any], timm_file: Path) -> None:
    opened = open_checkpoint(timm_file)
    with pytest.raises(ValueError, match='this one is open'):
        load(Classifier(), opened, **option)


def test_counters_that_are_absent_are_not_counted(tmp_path: Path) -> None:
    """Torch before 0.4.1 did not save them; it noted no version, so that a norm takes zero."""
    weights = {k: v for k, v in Classifier().state_dict().items() if not k.endswith('num_batches_tracked')}
    torch.save({'state_dict': weights}, tmp_path / 'a.pth')
    fit = load(Classifier(), tmp_path / 'a.pth').fit
    assert fit.complete and fit.filled == fit.expected == len(weights)
