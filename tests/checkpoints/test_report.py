"""Loading: completely and reported, or refused with the model as it was; behind MMEngine's doors, too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import load_checkpoint
from torch import Tensor, nn

from moganet import MogaNet
from moganet.checkpoints import MisfitError, load, open_checkpoint
from moganet.checkpoints.errors import CheckpointError, ForeignModelError
from moganet.completeness import source_of

from .models import NARROW, Classifier, Detector, copied, equal, timm_data


@pytest.fixture
def timm_file(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    path = tmp_path / 'file.pth.tar'
    torch.save(timm_data(Classifier()), path)
    return path


def test_a_classifier_is_filled_and_the_screen_says_by_what(timm_file: Path) -> None:
    model = Classifier()
    report = load(model, timm_file)
    opened = report.checkpoint
    assert equal(copied(model), {**opened.weights.state_dict}) and report.fit.complete
    text = str(report)
    total = len(model.state_dict())
    for line in (
        f'checkpoint  {timm_file}',
        f'sha256      {opened.sha256}',
        'format      timm (float32, zip, without module.)',
        'weights     moving average (EMA), the file holds both',
        'gate        activated once, by ',
        f'loaded      {total} of {total} tensors',
    ):
        assert line in text, text
    assert 'missing' not in text and len(text.splitlines()) < 25


def test_raw_weights_are_taken_when_asked_for(timm_file: Path) -> None:
    averaged, raw = Classifier(), Classifier()
    load(averaged, timm_file)
    assert 'weights     raw, the file holds both' in str(load(raw, timm_file, prefer='raw'))
    assert torch.equal(averaged.head.fc.weight * 2, raw.head.fc.weight)


def test_a_backbone_alone_takes_its_part(timm_file: Path) -> None:
    model = MogaNet(NARROW)
    report = load(model, timm_file)
    assert report.unused == ('head.fc.weight', 'head.fc.bias') and 'not needed  2 (head.fc: 2)' in str(report)
    stem = 'patch_embed1.projection.0.weight'
    assert torch.equal(model.state_dict()[stem], report.checkpoint.weights.state_dict[f'backbone.{stem}'])
    # By torch's own door, too, and with nothing left over.
    MogaNet(NARROW).load_state_dict(report.checkpoint.weights.state_dict)


@pytest.mark.parametrize('damage', ['missing', 'reshaped', 'another task', 'another variant'])
def test_what_does_not_fill_the_model_is_refused_and_changes_nothing(damage: str, tmp_path: Path) -> None:
    model: nn.Module = Classifier()
    data = timm_data(Classifier())
    if damage == 'missing':
        for weights in (data['state_dict'], data['state_dict_ema']):
            del weights['module.norm2.weight']
    elif damage == 'reshaped':
        for weights in (data['state_dict'], data['state_dict_ema']):
            weights['module.head.bias'] = torch.zeros(3)
    elif damage == 'another task':
        model = Detector()
    else:
        data = timm_data(Classifier(arch={**NARROW, 'embed_dims': (8, 8, 16, 8)}))
    torch.save(data, tmp_path / 'a.pth')
    before = copied(model)
    told = {
        'missing': r'a.pth does not fill the model: 1 of 201 is missing \(backbone.norm2: 1\).*Likeliest: \(1\)',
        'reshaped': r'1 has another shape \(head.fc.bias: \(3,\) in the file, \(5,\) in the model\)',
        'another task': r'4 of \d+ are missing \((neck|bbox_head): 2, (neck|bbox_head): 2\)',
        'another variant': r'have another shape',
    }[damage]
    with pytest.raises(MisfitError, match=told) as raised:
        load(model, tmp_path / 'a.pth')
    assert '\n' not in str(raised.value) and 'loaded ' in raised.value.report
    assert equal(copied(model), before)
    if damage in ('missing', 'another variant'):  # MMEngine asks for no more than a whole backbone
        with pytest.raises(ValueError, match='do not fill the backbone'):
            load_checkpoint(model, f'moganet://{tmp_path}/a.pth')
        assert equal(copied(model), before)


def test_what_fits_is_loaded_when_asked_for(timm_file: Path) -> None:
    model = Detector()
    report = load(model, timm_file, strict=False)
    assert set(report.fit.missing) == {'neck.weight', 'neck.bias', 'bbox_head.weight', 'bbox_head.bias'}
    assert 'missing     4 (' in str(report) and 'unexpected  2 (head.fc: 2)' in str(report)
    name = 'backbone.norm1.weight'
    assert torch.equal(model.state_dict()[name], report.checkpoint.weights.state_dict[name])


def test_fine_tuning_leaves_new_classes_and_new_parts(timm_file: Path) -> None:
    few = Classifier(classes=2)
    before = copied(few)
    report = load(few, timm_file, new_parts=True)
    assert report.new == ('head.fc.weight', 'head.fc.bias')
    assert 'new         2 (head.fc: 2), as initialised: the file has 5 classes' in str(report)
    assert 'missing' not in str(report) and 'other shape' not in str(report)
    assert torch.equal(few.head.fc.weight, before['head.fc.weight'])
    assert not torch.equal(few.backbone.norm1.weight, before['backbone.norm1.weight'])

    detector = Detector()
    report = load(detector, timm_file, new_parts=True)
    assert set(report.new) == {'neck.weight', 'neck.bias', 'bbox_head.weight', 'bbox_head.bias'}
    assert 'missing' not in str(report)
    # A backbone is no new part, and a part that the file has half of is none either.
    with pytest.raises(MisfitError, match='another shape'):
        load(Classifier(arch={**NARROW, 'embed_dims': (8, 8, 16, 8)}), timm_file, new_parts=True)
    half = {name: value for name, value in Detector().state_dict().items() if name != 'neck.bias'}
    torch.save({'state_dict': half}, timm_file)
    with pytest.raises(MisfitError, match=r'1 of \d+ is missing \(neck: 1\)'):
        load(detector, timm_file, new_parts=True)


def test_another_gate_is_refused_by_every_door(tmp_path: Path) -> None:
    trained = Classifier(gate_act_twice=True)
    torch.save({'state_dict': trained.state_dict(), 'meta': {'gate_act_twice': True}}, tmp_path / 'a.pth')
    model = Classifier()
    before = copied(model)
    for door in (load, lambda model, path: load_checkpoint(model, f'moganet://{path}')):
        with pytest.raises(ValueError, match='activated twice.*set model.backbone.gate_act_twice=True'):
            door(model, tmp_path / 'a.pth')
    assert equal(copied(model), before)
    same = Classifier(gate_act_twice=True)
    assert 'gate        activated twice, by' in str(load(same, tmp_path / 'a.pth'))
    assert equal(copied(same), copied(trained))


def test_mmengine_reads_by_the_scheme(timm_file: Path) -> None:
    model, other = Classifier(), Classifier()
    load_checkpoint(model, f'moganet://{timm_file}', map_location='cpu')
    load(other, timm_file)
    assert equal(copied(model), copied(other))
    for prefix in ({}, {'prefix': 'backbone.'}):
        backbone = MogaNet(NARROW, init_cfg=dict(type='Pretrained', checkpoint=f'moganet://{timm_file}', **prefix))
        backbone.init_weights()
        assert equal(copied(backbone), copied(other.backbone))


def test_a_training_file_keeps_what_resuming_needs(tmp_path: Path) -> None:
    data = {
        'state_dict': Classifier().state_dict(),
        'meta': {'iter': 7, 'mmengine_version': '0.10'},
        'optimizer': {'state': {}, 'param_groups': []},
        'message_hub': {},
    }
    torch.save(data, tmp_path / 'iter_7.pth')
    given = open_checkpoint(tmp_path / 'iter_7.pth').for_mmengine()
    assert given['meta']['iter'] == 7 and {'optimizer', 'message_hub'} <= set(given)
    assert list(given['state_dict']) == list(data['state_dict'])
    source = source_of(given['state_dict']['head.fc.bias'])
    assert source is not None and source.gate_act_twice is False and source.name.endswith('iter_7.pth')


def test_other_models_are_read_as_they_are(tmp_path: Path) -> None:
    """The tools serve every config of the toolboxes."""
    given = nn.Sequential(nn.Linear(2, 2))
    torch.save({'state_dict': {f'module.{name}': v for name, v in given.state_dict().items()}}, tmp_path / 'a.pth')
    model = nn.Sequential(nn.Linear(2, 2))
    assert load(model, tmp_path / 'a.pth').fit.complete and equal(copied(model), copied(given))
    load_checkpoint(model, f'moganet://{tmp_path}/a.pth', strict=True)
    with pytest.raises(ForeignModelError, match='holds no MogaNet'):
        load(Classifier(), tmp_path / 'a.pth')


def test_modules_may_rename_what_they_are_given(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)

    def rename(state: dict[str, Tensor], *rest: object) -> None:
        if 'old' in state:
            state['weight'] = state.pop('old')

    model._register_load_state_dict_pre_hook(rename)
    torch.save({'state_dict': {'old': torch.ones(2, 2), 'bias': torch.ones(2)}}, tmp_path / 'a.pth')
    assert load(model, tmp_path / 'a.pth').fit.complete
    assert model.weight.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(
    ('given', 'kind', 'told'),
    [
        ('none/here.pth', FileNotFoundError, 'no such checkpoint: none/here.pth'),
        ('moganet-tinny_in1k', KeyError, "moganet-tinny_in1k.*moganet-tiny_in1k"),
        ('moganet://moganet-tinny_in1k', KeyError, 'moganet-tiny_in1k'),
    ],
)
def test_what_is_not_there_is_told(given: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        open_checkpoint(given)


def test_a_name_is_fetched_and_its_row_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moganet.checkpoints import download

    trained = Classifier(gate_act_twice=True)
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 'served.pth')
    asked = []

    def fetch(url: str, sha256: str | None = None, progress: bool = True) -> Path:
        asked.append(url)
        return tmp_path / 'served.pth'

    monkeypatch.setattr(download, 'fetch', fetch)
    opened = open_checkpoint('moganet-tiny_8xb128_in1k_3rdparty-openmixup')
    assert asked == [
        'https://github.com/Westlake-AI/openmixup/releases/download/moganet-in1k-weights/moga_tiny_sz224_8xb128_fp16_ep300.pth'
    ]
    assert opened.weights.gate_act_twice is True and opened.weights.writer in ('OpenMixup', 'moganet')
    with pytest.raises(CheckpointError, match='twice'):
        load(Classifier(), 'moganet-tiny_8xb128_in1k_3rdparty-openmixup')
