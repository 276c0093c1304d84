"""MogaNet in Hugging Face's layout: saved, pushed and read again, whole or with a reason why not."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from moganet.checkpoints import (
    CheckpointError,
    DownloadError,
    MisfitError,
    TornFileError,
    cache,
    download,
    open_checkpoint,
    zoo,
)
from moganet.checkpoints.errors import DamagedWeightsError
from moganet.hub import MogaNetBackbone, MogaNetForImageClassification

from .hub_server import Hub, serving

SMALL = dict(embed_dims=(8, 8, 8, 16), depths=(1, 1, 2, 1), ffn_ratios=(2, 2, 2, 2))
PAGES = [f'MogaNet/moganet_{arch}_224_in1k' for arch in ('xtiny', 'tiny', 'small', 'base', 'large', 'xlarge')]
PAGES += ['MogaNet/moganet_xtiny_256_in1k', 'MogaNet/moganet_tiny_256_in1k']


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's caches or proxies, and no credentials."""
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(constants, 'HF_TOKEN_PATH', str(tmp_path / 'token'))
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(constants, 'HF_HUB_DISABLE_TELEMETRY', True)
    # Its client waits 23 s for a server that is not there.
    monkeypatch.setattr('huggingface_hub.utils._http.time.sleep', lambda seconds: None)
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name in ('HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN'):
            monkeypatch.delenv(name)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as running:
        yield running


def classifier(seed: int = 0, **options: Any) -> MogaNetForImageClassification:
    torch.manual_seed(seed)
    given = dict(num_classes=5, layer_scale_init_value=0.5, gate_act_twice=True)
    return MogaNetForImageClassification(SMALL, **{**given, **options}).eval()


def picture() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    with torch.no_grad():
        found, wanted = first(picture()), second(picture())
    pairs = zip(found, wanted) if isinstance(found, tuple) else [(found, wanted)]
    return all(torch.equal(a, b) for a, b in pairs)


def rewrite(folder: Path, change: Any, **meta: str) -> None:
    """Write a saved model's weights again, changed."""
    with safe_open(folder / 'model.safetensors', 'pt') as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        kept = file.metadata()
    change(tensors)
    save_file(tensors, folder / 'model.safetensors', {**kept, **meta})


def test_a_classifier_is_saved_and_read_again(tmp_path: Path) -> None:
    model = classifier()
    model.save_pretrained(tmp_path / 'saved')
    files = sorted(path.name for path in (tmp_path / 'saved').iterdir())
    assert files == ['README.md', 'config.json', 'model.safetensors']
    config = json.loads((tmp_path / 'saved/config.json').read_text())
    assert config['gate_act_twice'] is True and config['num_classes'] == 5
    with safe_open(tmp_path / 'saved/model.safetensors', 'pt') as file:
        assert file.metadata() == {'format': 'pt', 'gate_act_twice': 'True'}
    again = MogaNetForImageClassification.from_pretrained(tmp_path / 'saved')
    assert not again.training and again.load_report.fit.complete and same(again, model)
    # Any other door of ours takes the file.
    weights = open_checkpoint(tmp_path / 'saved/model.safetensors').weights
    assert (weights.writer, weights.task, weights.num_classes, weights.gate_act_twice) == (
        *('moganet', 'classification', 5),
        True,
    )
    assert cache.known_sha256(tmp_path / 'saved/model.safetensors') == again.load_report.checkpoint.sha256


def test_what_has_changed_since_is_saved(tmp_path: Path) -> None:
    model = classifier(gate_act_twice=None)
    model.reset_classifier(3, 'max')
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    assert (config['num_classes'], config['global_pool'], config['gate_act_twice']) == (3, 'max', False)
    assert same(MogaNetForImageClassification.from_pretrained(tmp_path), model)


def test_a_backbone_is_saved_and_read_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = MogaNetBackbone(SMALL, out_indices=(1, 3), gate_act_twice=True, layer_scale_init_value=0.5).eval()
    model.save_pretrained(tmp_path / 'backbone')
    again = MogaNetBackbone.from_pretrained(tmp_path / 'backbone')
    assert again.out_indices == (1, 3) and same(again, model)
    # A backbone takes its part of a classifier; the other way there is no head.
    whole = classifier(in_chans=1)
    whole.save_pretrained(tmp_path / 'whole')
    part = MogaNetBackbone.from_pretrained(tmp_path / 'whole', out_indices=3)
    assert sorted(part.load_report.unused) == ['head.fc.bias', 'head.fc.weight'] and part.gate_act_twice is True
    assert torch.equal(part.norm4.weight, whole.backbone.norm4.weight)
    with pytest.raises(MisfitError, match='head.fc'):
        MogaNetForImageClassification.from_pretrained(tmp_path / 'backbone')


def test_another_classifier_is_new_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier().save_pretrained(tmp_path)
    model = MogaNetForImageClassification.from_pretrained(tmp_path, num_classes=7)
    assert model.load_report.new == ('head.fc.weight', 'head.fc.bias') and model.head.fc.out_features == 7
    assert 'head.fc.weight, head.fc.bias are new' in capsys.readouterr().err


@pytest.mark.parametrize('by_variable', [False, True])
def test_pushed_to_a_hub_and_read_from_there(
    by_variable: bool, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier()
    with monkeypatch.context() as patch:
        patch.setattr(constants, 'ENDPOINT', hub.url)
        model.push_to_hub('me/moganet', token='hf_none')
    assert set(hub.repositories['me/moganet']) == {'README.md', 'config.json', 'model.safetensors'}
    assert b'library_name: moganet' in hub.repositories['me/moganet']['README.md']
    if by_variable:
        # What HF_ENDPOINT sets when the hub's library is imported.
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
        monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
        monkeypatch.setattr(constants, 'ENDPOINT', hub.url)
    options = {} if by_variable else {'endpoint': hub.url}
    again = MogaNetForImageClassification.from_pretrained('me/moganet', cache_dir=tmp_path / 'mine', **options)
    assert same(again, model) and again.load_report.checkpoint.sha256
    asked = len(hub.requests)
    kept = MogaNetForImageClassification.from_pretrained(
        'me/moganet', cache_dir=tmp_path / 'mine', local_files_only=True, **options
    )
    assert same(kept, model) and len(hub.requests) == asked


def test_what_a_hub_does_not_give_is_told(hub: Hub, tmp_path: Path) -> None:
    classifier().save_pretrained(tmp_path / 'saved')
    files = {name: (tmp_path / 'saved' / name).read_bytes() for name in ('config.json', 'model.safetensors')}
    hub.repositories = {
        'me/whole': files,
        'me/no-weights': {'config.json': files['config.json']},
        'me/no-config': {'model.safetensors': files['model.safetensors']},
        'me/short': {**files, 'model.safetensors': files['model.safetensors'][:-100]},
    }

    def read(name: str, folder: str, endpoint: str = hub.url, **options: Any) -> Any:
        return MogaNetForImageClassification.from_pretrained(
            name, endpoint=endpoint, cache_dir=tmp_path / folder, **options
        )

    with pytest.raises(FileNotFoundError, match='me/no-weights on http.* has no model.safetensors'):
        read('me/no-weights', 'a')
    with pytest.raises(FileNotFoundError, match='me/no-config on http.* has no config.json'):
        read('me/no-config', 'a')
    with pytest.raises(TornFileError, match='fetch it again'):
        read('me/short', 'a')
    with pytest.raises(DownloadError, match='me/none: config.json cannot be fetched'):
        read('me/none', 'a')
    with pytest.raises(DownloadError, match='not in the cache'):
        read('me/whole', 'b', local_files_only=True)
    with pytest.raises(DownloadError, match='127.0.0.1:1 cannot be reached'):
        read('me/whole', 'b', endpoint='http://127.0.0.1:1')
    with pytest.raises(ValueError, match='neither a folder here nor the name of a repository'):
        read('no/such/folder', 'b')
    hub.cut = {'model.safetensors'}
    with pytest.raises(DownloadError, match='model.safetensors cannot be fetched'):
        read('me/whole', 'c')


def test_damaged_and_contradictory_folders_are_refused(tmp_path: Path) -> None:
    def saved(name: str) -> Path:
        classifier().save_pretrained(tmp_path / name)
        return tmp_path / name

    def read(folder: Path, **options: Any) -> Any:
        return MogaNetForImageClassification.from_pretrained(folder, **options)

    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty has no config.json'):
        read(tmp_path / 'empty')
    for text, said in (('{', 'is no JSON'), ('[]', "no 'arch'"), ('{"hidden_size": 3}', "no 'arch'")):
        (saved('config') / 'config.json').write_text(text)
        with pytest.raises(CheckpointError, match=said):
            read(tmp_path / 'config')
    whole = (saved('cut') / 'model.safetensors').read_bytes()
    for size in (0, 100, len(whole) - 1):
        (tmp_path / 'cut/model.safetensors').write_bytes(whole[:size])
        with pytest.raises(CheckpointError):
            read(tmp_path / 'cut')
    rewrite(saved('missing'), lambda tensors: tensors.pop('backbone.norm2.bias'))
    with pytest.raises(MisfitError, match='1 of .* is missing'):
        read(tmp_path / 'missing')
    rewrite(saved('infinite'), lambda tensors: tensors['backbone.norm2.bias'].fill_(float('nan')))
    with pytest.raises(DamagedWeightsError, match='backbone.norm2.bias'):
        read(tmp_path / 'infinite')
    rewrite(saved('gate'), lambda tensors: None, gate_act_twice='False')
    with pytest.raises(CheckpointError, match='gate_act_twice=False'):
        read(tmp_path / 'gate')
    with pytest.raises(CheckpointError, match='gate_act_twice=True'):
        read(saved('asked'), gate_act_twice=False)


def test_the_config_says_the_gate_where_the_file_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mixin's own way of saving notes nothing beside the weights."""
    classifier().save_pretrained(tmp_path)
    save_file(classifier().state_dict(), tmp_path / 'model.safetensors')
    model = MogaNetForImageClassification.from_pretrained(tmp_path)
    assert same(model, classifier()) and 'activated twice, by the caller' in str(model.load_report)
    config = json.loads((tmp_path / 'config.json').read_text())
    del config['gate_act_twice']
    (tmp_path / 'config.json').write_text(json.dumps(config))
    assert capsys.readouterr().err == ''
    assert same(MogaNetForImageClassification.from_pretrained(tmp_path), classifier(gate_act_twice=False))
    assert 'nothing says how often the gate' in capsys.readouterr().err


def test_the_authors_pages_stand_for_their_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr('moganet.hub.hf_hub_download', lambda *args, **options: pytest.fail('the hub was asked'))
    torch.manual_seed(1)
    weights = MogaNetForImageClassification('xtiny').state_dict()
    names = (name.removeprefix('backbone.').replace('head.fc.', 'head.') for name in weights)
    file = zoo.on_hub(PAGES[0])
    assert file is not None
    path = tmp_path / file.file_name
    torch.save({'arch': 'moganet_xtiny', 'state_dict': OrderedDict(zip(names, weights.values()))}, path)
    asked: list[str] = []
    monkeypatch.setattr(download, 'fetch', lambda url, **_: asked.append(url) or path)
    model = MogaNetForImageClassification.from_pretrained(PAGES[0])
    assert asked == [file.url] and model.load_report.fit.complete and model.backbone.gate_act_twice is False
    assert torch.equal(model.head.fc.weight, weights['head.fc.weight'])
    assert f'note: as far as is known, {PAGES[0]}' in capsys.readouterr().err
    backbone = MogaNetBackbone.from_pretrained(PAGES[0])
    assert torch.equal(backbone.norm4.weight, weights['backbone.norm4.weight'])


def test_the_eight_pages_are_known() -> None:
    for page in PAGES:
        file = zoo.on_hub(page)
        assert file is not None and file.writer == 'timm' and page in file.note
    assert zoo.on_hub('MogaNet/moganet_small_256_in1k') is None


def test_without_the_hubs_client_there_is_one_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    monkeypatch.delitem(sys.modules, 'moganet.hub')
    with pytest.raises(ImportError, match=r'^moganet\.hub needs huggingface-hub.*: pip install huggingface-hub\S*$'):
        importlib.import_module('moganet.hub')
