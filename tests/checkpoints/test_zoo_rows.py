"""The released models by name, as the metafiles have them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from moganet.checkpoints import zoo
from moganet.checkpoints.zoo import by_file_name, by_url, config_path, find, list_models

REPO = Path(__file__).resolve().parents[2]
# Read here once more, without the zoo's own reader.
MODELS = {
    model['Name']: model
    for path in REPO.glob('configs/*/metafile.yml')
    for model in yaml.safe_load(path.read_text(encoding='utf-8'))['Models']
}
FILES = [(name, file) for name, model in MODELS.items() for file in model.get('Released', [])]
TINY = 'moganet-tiny_8xb128_in1k'
PROBE = """
import shutil, sys
from moganet.checkpoints.zoo import config_path, find, list_models
try:
    find('moganet-tiny_in1k')
except FileNotFoundError as error:
    print(error)
shutil.copytree(sys.argv[1], sys.argv[2])
print(config_path('moganet-tiny_in1k'), len(list_models()), find('moganet-tiny_in1k').name)
"""


def test_every_released_file_is_found():
    counts = Counter(MODELS[name]['Config'].split('/')[1] for name, _ in FILES)
    assert counts == {'classification': 30, 'detection': 17, 'segmentation': 10, 'pose': 8}
    names = set()
    for name, file in FILES:
        released = by_url(file['URL'])
        assert released == by_file_name(released.file_name) == find(released.name)
        assert released.file_name == os.path.basename(file['URL'])
        assert (released.model, released.writer, released.note) == (name, file['Written By'], '')
        assert released.gate_act_twice is {'once': False, 'twice': True, 'unknown': None}[file['Gate Activation']]
        assert released.ema is {True: True, False: False, 'unknown': None}[file['EMA']]
        assert released.name.startswith(f'{name}_3rdparty-')
        assert f'configs/{released.config}' == MODELS[name]['Config'] and released.config.startswith(released.task)
        assert list(released.metrics.values()) == [
            value for result in MODELS[name]['Results'] for value in result['Metrics'].values()
        ]
        names.add(released.name)
    assert len(names) == len(FILES) == 65


def test_nothing_else_is_found():
    assert by_url('https://github.com/moganet.pth') is by_file_name('moganet.pth') is None


@pytest.mark.parametrize(
    'name, file_name',
    [
        (f'{TINY}_3rdparty-timm', 'moganet_tiny_sz224_8xbs128_ep300.pth.tar'),
        (f'{TINY}_3rdparty-openmixup', 'moga_tiny_sz224_8xb128_fp16_ep300.pth'),
        (f'{TINY}_3rdparty-mmpretrain', 'moganet-tiny_3rdparty_8xb128_in1k.pth'),
        ('moganet-small_8xb128_in1k_3rdparty-openmixup', 'moga_small_ema_sz224_8xb128_ep300.pth'),
        (
            'moganet-small_8xb128_in1k_3rdparty-openmixup-gate-once',
            'moga_small_ema_sz224_8xb128_no_forcefp32_ep300.pth',
        ),
        ('retinanet_moganet-t_fpn_1x_coco_3rdparty-mmdet', 'retinanet_moganet_tiny_fpn_1x_coco.pth'),
        ('moganet-s_sem-fpn_8xb4-80k_ade20k-512x512_3rdparty-mmseg', 'fpn_moganet_small_80k_ade20k.pth'),
        ('td-hm_moganet-b_8xb32-210e_coco-384x288_3rdparty-mmpose', 'moganet_b_coco_384x288.pth'),
    ],
)
def test_names_are_of_the_row_and_the_writer(name, file_name):
    assert find(name).file_name == file_name


def test_tiny_has_three_files_in_two_modes():
    files = [find(f'{TINY}_3rdparty-{writer}') for writer in ('timm', 'openmixup', 'mmpretrain')]
    assert [file.gate_act_twice for file in files] == [False, True, None]
    assert len({file.url for file in files}) == 3


def test_a_row_means_its_recommended_file():
    for name, model in MODELS.items():
        if 'Weights' in model:
            assert find(name).url == model['Weights']


@pytest.mark.parametrize(
    'alias, row, writer',
    [
        ('moganet-tiny_in1k', TINY, 'timm'),
        ('moganet-tiny_in1k-256px', 'moganet-tiny_8xb128_in1k-256px', 'timm'),
        ('moganet-tiny_refined_in1k-256px', 'moganet-tiny_8xb128-refined_in1k-256px', 'OpenMixup'),
        ('moganet-base_rsb-a3_in1k-160px', 'moganet-base_8xb128-rsb-a3_in1k-160px', 'OpenMixup'),
        ('moganet-xlarge_in1k', 'moganet-xlarge_8xb64_in1k', 'timm'),
    ],
)
def test_aliases(alias, row, writer):
    assert find(alias) is find(row) and find(alias).writer == writer
    assert config_path(alias) == config_path(row)


def test_each_classification_row_with_a_file_has_an_alias():
    aliased = [file.model for file in zoo._zoo().aliases.values()]
    wanted = [name for name, model in MODELS.items() if 'classification' in model['Config'] and 'Weights' in model]
    assert sorted(aliased) == sorted(wanted) and len(wanted) == 15


HUB = [('xtiny', 224), ('tiny', 224), ('small', 224), ('base', 224), ('large', 224), ('xlarge', 224), ('xtiny', 256),
       ('tiny', 256)]  # fmt: skip


@pytest.mark.parametrize('variant, side', HUB)
def test_names_of_the_hub_mean_the_release_and_say_so(variant, side):
    name = f'MogaNet/moganet_{variant}_{side}_in1k'
    found = find(name)
    assert found.writer == 'timm' and f'_{variant}_sz{side}_' in found.file_name
    assert name in found.note and 'no weights' in found.note and found.url in found.note
    assert find(found.name).note == ''
    assert config_path(name) == config_path(found.name)


def test_the_hub_has_no_other_names():
    assert sorted(zoo._zoo().hub) == sorted(f'MogaNet/moganet_{variant}_{side}_in1k' for variant, side in HUB)


def test_no_name_means_two_things():
    names = zoo._zoo().names()
    assert len(set(names)) == len(names) == 65 + 50 + 15 + 8


@pytest.mark.parametrize(
    'name, near',
    [
        ('moganet-tinny_in1k', 'moganet-tiny_in1k'),
        ('MOGANET-TINY_IN1K', 'moganet-tiny_in1k'),
        (f'{TINY}_3rdparty-openmixupp', f'{TINY}_3rdparty-openmixup'),
        ('moganet_tiny_224_in1k', 'MogaNet/moganet_tiny_224_in1k'),
        ('retinanet_moganet-t_fpn_2x_coco', 'retinanet_moganet-t_fpn_1x_coco'),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(name, near):
    for ask in (find, config_path):
        with pytest.raises(KeyError) as caught:
            ask(name)
        (text,) = caught.value.args
        assert text.startswith('no ') and repr(name) in text
        assert near in text.partition('the nearest: ')[2].partition(';')[0].split(', ')
        assert 'there are 75 models, 50 of them with 65 released files' in text
        assert 'list_models()' in text


def test_a_name_that_is_near_none():
    with pytest.raises(KeyError) as caught:
        find('qqq')
    assert 'nearest' not in caught.value.args[0] and '75 models' in caught.value.args[0]


def test_a_row_without_a_file_is_told():
    name = 'moganet-tiny_1xb64-30e_custom'
    assert config_path(name).is_file()
    with pytest.raises(KeyError, match=f'no file was released for {name}, only its config'):
        find(name)


def test_lists():
    assert list_models() == list(zoo._zoo().rows) and sorted(list_models()) == sorted(MODELS)
    trained = [name for name in list_models() if 'Weights' in MODELS[name]]
    assert list_models(pretrained=True) == trained and len(trained) == 50
    assert list_models('moganet-*_in1k', pretrained=True) == [
        f'moganet-{variant}_in1k'
        for variant in ('xtiny_8xb128', 'tiny_8xb128', 'small_8xb128', 'base_8xb128', 'large_8xb128', 'xlarge_8xb64')
    ]
    assert TINY not in list_models('tiny') and TINY in list_models('*-tiny_*') and list_models('nothing*') == []


def test_configs_are_found():
    for name, model in MODELS.items():
        assert config_path(name) == REPO / model['Config']
    for name, file in FILES:
        assert config_path(by_url(file['URL']).name) == REPO / MODELS[name]['Config']


def test_metafiles_are_read_once(monkeypatch):
    find(TINY)
    monkeypatch.setattr(zoo, 'read_metafiles', lambda root: pytest.fail('they were read again'))
    find(TINY)


def test_the_zoo_travels_with_an_installed_package(tmp_path):
    """In the layout of a wheel; that a wheel has the files is tested with the packaging."""
    ignored = shutil.ignore_patterns('__pycache__', '.mim')
    package = shutil.copytree(REPO / 'moganet', tmp_path / 'site/moganet', ignore=ignored)
    shutil.copytree(REPO / 'configs', tmp_path / 'mim/configs', ignore=ignored)
    shutil.copy(REPO / 'model-index.yml', tmp_path / 'mim')
    environment = {**os.environ, 'PYTHONPATH': str(package.parent)}
    command = [sys.executable, '-W', 'ignore', '-c', PROBE, str(tmp_path / 'mim'), str(package / '.mim')]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    without, found = done.stdout.splitlines()
    assert without.startswith(f'{package}/.mim/model-index.yml is missing: this installation'), without
    leaf = package / '.mim/configs/classification' / f'{TINY}.py'
    assert found.split() == [str(leaf), str(len(MODELS)), f'{TINY}_3rdparty-timm']
    assert leaf.is_file()


ENTRY = {'Written By': 'timm', 'Gate Activation': 'once', 'EMA': False}


def write_zoo(folder: Path, *models: dict) -> None:
    (folder / 'configs/classification').mkdir(parents=True)
    (folder / 'model-index.yml').write_text('Import: [configs/classification/metafile.yml]\n')
    (folder / 'configs/classification/metafile.yml').write_text(yaml.safe_dump({'Models': list(models)}))


def row(name: str, *files: dict, **keys: object) -> dict:
    weights = {'Weights': files[0]['URL']} if files else {}
    named = {'Name': name, 'Config': f'configs/classification/{name}.py'}
    entry = {**named, 'Metadata': {'Parameters': 1}, **weights, **keys}
    return {**entry, 'Released': list(files)} if files else entry


def test_the_first_of_several_rows_has_the_alias(tmp_path):
    write_zoo(
        tmp_path,
        row('moganet-tiny_8xb128_in1k', {'URL': 'https://host/a.pth', **ENTRY}),
        row('moganet-tiny_1xb64_in1k', {'URL': 'https://host/b.pth', **ENTRY}),
    )
    found = zoo._read(tmp_path)
    assert list(found.aliases) == ['moganet-tiny_in1k'] and found.aliases['moganet-tiny_in1k'].file_name == 'a.pth'


@pytest.mark.parametrize(
    'model, told',
    [
        (row('x', {'URL': 'u', **ENTRY, 'Gate Activation': 'thrice'}), "Gate Activation 'thrice' and EMA False"),
        (row('x', {'URL': 'u', **ENTRY, 'EMA': 'maybe'}), 'true, false or unknown are allowed'),
        (row('x', *[{'URL': f'u{number}', **ENTRY} for number in range(3)]), 'two released files called x_3rdparty-'),
        (row('x', {'URL': 'u', **ENTRY}, Weights='v'), 'Weights of x are none of its Released files'),
    ],
)
def test_an_entry_that_cannot_be_used(tmp_path, model, told):
    write_zoo(tmp_path, model)
    with pytest.raises(ValueError, match=told):
        zoo._read(tmp_path)


def test_a_metafile_that_is_missing(tmp_path):
    (tmp_path / 'model-index.yml').write_text('Import: [configs/classification/metafile.yml]\n')
    with pytest.raises(FileNotFoundError, match='imports configs/classification/metafile.yml, which does not exist'):
        zoo._read(tmp_path)
