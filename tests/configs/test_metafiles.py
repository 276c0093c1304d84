"""The metafiles: a model index that OpenMMLab's tools read, and figures that agree with the configs and the models."""

import re
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import modelindex
import pytest
import yaml

from moganet.analysis import count, default_shape

from ..e2e.tools import TOOLS, script
from .leaves import BENCHMARKS, LEAVES, REPO, TINY, arch_of, build_model, read

DEMO = script(TOOLS / 'misc' / 'demo.py')
MODELS = {
    model['Config'].removeprefix('configs/'): model
    for entry in yaml.safe_load((REPO / 'model-index.yml').read_text(encoding='utf-8'))['Import']
    for model in yaml.safe_load((REPO / entry).read_text(encoding='utf-8'))['Models']
}


def test_the_index_is_one_that_mim_reads():
    index = modelindex.load(str(REPO / 'model-index.yml'))
    index.check(silent=True)
    assert not index.check_errors and not any(model.check_errors for model in index.models)
    assert [collection.name for collection in index.collections] == ['MogaNet']
    assert sorted(model.config for model in index.models) == [f'configs/{leaf}' for leaf in LEAVES]


def test_each_leaf_has_its_entry():
    assert sorted(MODELS) == LEAVES
    for leaf, model in MODELS.items():
        assert model['Name'] == leaf.split('/')[1].removesuffix('.py')
        assert model['In Collection'] == 'MogaNet'


@pytest.mark.parametrize('leaf', BENCHMARKS)
def test_published_entry(leaf):
    """The authors' figures come with the file that has them, who wrote it, and the function it was trained with."""
    model = MODELS[leaf]
    cfg = read(leaf)
    assert 'Measured' not in model
    figures = [value for result in model.get('Results', []) for value in result['Metrics'].values()]
    assert all(0 < value < 100 for value in figures)
    files = model.get('Released', [])
    assert model.get('Weights') == (files[0]['URL'] if files else None)
    assert (files and figures) or model['Note']  # what is missing is told
    for file in files:
        assert set(file) == {'URL', 'Written By', 'Gate Activation', 'EMA'}
        owner = r'(Westlake-AI/(MogaNet|openmixup)|Lupin1998/mmpretrain)'
        assert re.fullmatch(rf'https://github\.com/{owner}/releases/download/\S+\.pth(\.tar)?', file['URL'])
        if '/mmpretrain/' in file['URL']:  # nothing published tells how the port's files were made
            assert file['Written By'] == 'mmpretrain port' and file is not files[0]
            assert file['Gate Activation'] == file['EMA'] == 'unknown'
            continue
        # OpenMixup alone trained with the gate activated twice, by an option that the names of some files deny.
        twice = file['Written By'] == 'OpenMixup' and 'no_forcefp32' not in file['URL']
        assert file['Gate Activation'] == ('twice' if twice else 'once')
    # The config's function is that of the file which is recommended for it.
    twice = bool(cfg.model.backbone.get('gate_act_twice'))
    assert twice == any(file['Gate Activation'] == 'twice' for file in files[:1])
    assert {'Source', 'Framework'} <= set(model['Recipe']) <= {'Source', 'Framework', 'Precision'}
    assert model['Recipe'].get('Precision', 'fp16') in ('fp16', 'bf16')  # what --amp takes


@pytest.mark.parametrize('leaf', TINY)
def test_measured_entry(leaf):
    """Our own figures come with the command that gives them."""
    model = MODELS[leaf]
    assert set(model['Measured']) == {'Command'}
    command = model['Measured']['Command']
    demo = command.removeprefix('make demo TASK=')
    assert f'configs/{leaf}' in command or demo != command and Path(leaf).match(DEMO.TASKS[demo].leaf)
    assert not {'Released', 'Recipe', 'Weights'} & set(model)


@pytest.mark.parametrize('leaf', LEAVES)
def test_batch_and_length(leaf):
    data, cfg = MODELS[leaf]['Metadata'], read(leaf)
    assert data['Batch Size'] == cfg.auto_scale_lr.base_batch_size
    assert data['Processes'] * cfg.train_dataloader.batch_size == data['Batch Size']
    length = data.get('Epochs') or data.get('Iterations')
    # ImageNet's 10 cooldown epochs are not counted, as in the authors' tables.
    cooldown = 10 if MODELS[leaf].get('Recipe', {}).get('Framework', '').startswith('timm') else 0
    assert length == cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters')) - cooldown


@pytest.mark.parametrize('leaf', TINY)
def test_parameters_of_ours(leaf):
    found = sum(parameter.numel() for parameter in build_model(read(leaf), 'meta').parameters())
    assert found == MODELS[leaf]['Metadata']['Parameters']


@pytest.mark.parametrize('leaf', BENCHMARKS)
def test_multiply_adds(leaf):
    data = MODELS[leaf]['Metadata']
    height, width = map(int, data['Input'].split('x'))
    cfg = read(leaf)
    assert default_shape(cfg) == (height, width)
    found = count(cfg)
    assert (found.macs, found.parameters) == (data['FLOPs'], data['Parameters'])


# Figures of the authors' tables that are not what their own counter gives: cut rather than rounded, or mistaken.
WRONGLY_PRINTED = {
    ('moganet-xtiny_', 'Parameters'): '2.956', ('moganet-base_', 'Parameters'): '43.72',
    ('moganet-xlarge_', 'Parameters'): '180.99', ('moganet-xlarge_', 'FLOPs'): '34.55',
    ('retinanet_moganet-t_', 'Parameters'): '14.47', ('retinanet_moganet-t_', 'FLOPs'): '173.46',
    ('td-hm_moganet-xt_', 'Parameters'): '5.65'}


@pytest.mark.parametrize('leaf', BENCHMARKS)
@pytest.mark.parametrize('key, unit, suffix', [('Parameters', 10**6, ' M'), ('FLOPs', 10**9, ' G')])
def test_sizes_are_those_that_the_authors_print(leaf, key, unit, suffix):
    model = MODELS[leaf]
    if 'As Printed' not in model:
        assert 'config only' in model['Note']
        return
    printed = model['As Printed'][key].removesuffix(suffix)
    exact = Decimal(model['Metadata'][key]) / unit
    # Some of the tables were rounded from the two digits that their counter prints.
    two_digits = exact.quantize(Decimal('0.01'), ROUND_HALF_UP)
    rounded = {str(value.quantize(Decimal(printed), ROUND_HALF_UP)) for value in (exact, two_digits)}
    stem = leaf.split('/')[1]
    right = next((v for (name, of), v in WRONGLY_PRINTED.items() if of == key and stem.startswith(name)), None)
    if right is None:
        assert printed in rounded
    else:
        assert printed not in rounded
        assert str(exact.quantize(Decimal(right), ROUND_HALF_UP)) == right
        assert f'{right}{suffix}' in model['Corrected']


@pytest.mark.parametrize('leaf', [leaf for leaf in BENCHMARKS if not leaf.startswith('classification')])
def test_dense_models_start_from_released_weights(leaf):
    init_cfg = read(leaf).model.backbone.init_cfg
    assert init_cfg.type == 'Pretrained'
    batch = {'xlarge': 64}.get(arch_of(leaf), 128)
    assert init_cfg.checkpoint == MODELS[f'classification/moganet-{arch_of(leaf)}_8xb{batch}_in1k.py']['Weights']


PAGES = ['README.md', *sorted(path.relative_to(REPO).as_posix() for pages in ('configs/*/README.md', 'docs/*.md')
                              for path in REPO.glob(pages))]


@pytest.mark.parametrize('page', PAGES)
def test_pages_name_configs_that_exist(page):
    text = (REPO / page).read_text(encoding='utf-8')
    # Configs called my-... are made by the page itself.
    named = {name for name in re.findall(r'configs/[\w/.-]+\.py', text) if '/my-' not in name}
    assert page == 'README.md' or page.startswith('docs/') or named
    assert sorted(name for name in named if not (REPO / name).is_file()) == []
