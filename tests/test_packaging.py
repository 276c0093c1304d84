"""What the wheel, the source distribution and an editable install hold, and that ``moganet::`` works from each."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_string
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from moganet import __version__
from moganet.environment import DISTRIBUTIONS, read_set

ROOT = Path(__file__).resolve().parents[1]
# Everything that a build reads; the copies keep the repository clean of build folders.
SOURCES = ('moganet', 'configs', 'tools', 'tests', 'requirements', '.ci')
PIP = [sys.executable, '-m', 'pip', '-q', '--disable-pip-version-check', '--no-input']
CONFIG = 'classification/moganet-xtiny_8xb128_in1k.py'

INHERIT = f"""
import sys
import moganet
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.utils import get_installed_path
open('leaf.py', 'w').write("_base_ = ['moganet::{CONFIG}']\\nwork_dir = 'mine'\\n")
config = Config.fromfile('leaf.py')
assert config.model.backbone.type == 'MogaNet' and config.work_dir == 'mine', config
assert get_config('moganet::{CONFIG}').model.backbone.arch == config.model.backbone.arch
print(get_installed_path('moganet'))
"""
# MMEngine marks what comes from such a base as of the scope `moganet`, where it must find the toolbox's types.
BUILD = """
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
init_default_scope(config.default_scope)
model = MODELS.build(config.model)
print(type(model).__name__, type(model.backbone).__name__, type(TRANSFORMS.build(config.test_pipeline[-1])).__name__)
"""
# How openmim 0.3 and OpenMMLab's original MMEngine look for `.mim`.
ORIGINALS_WAY = """
import os, warnings
warnings.simplefilter('ignore')
from pkg_resources import get_distribution
found = get_distribution('moganet')
path = os.path.join(found.location, 'moganet')
if not os.path.exists(path):
    path = os.path.join(found.location, found.get_metadata('top_level.txt').split('\\n')[0])
assert os.path.exists(os.path.join(path, '.mim', 'tools')), path
print(path)
"""


def run(command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f'{command}\n{done.stdout}\n{done.stderr}'
    return done.stdout


def files_below(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob('*') if path.is_file() and path.suffix != '.pyc')
    return {str(path.relative_to(folder)) for path in paths}


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of the repository without anything that was built in it."""
    copy = tmp_path_factory.mktemp('source with space')
    for name in SOURCES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    return copy


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('wheel')
    run([*PIP, 'wheel', '--no-build-isolation', '--no-deps', '-w', out, source])
    (found,) = out.glob('*.whl')
    return found


@pytest.fixture(scope='module')
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(f'moganet-{__version__}.dist-info/METADATA').decode())


def test_the_wheel_is_for_any_platform_and_named_by_the_version(wheel):
    assert wheel.name == f'moganet-{__version__}-py3-none-any.whl'


@pytest.mark.parametrize('folder', ['configs', 'tools', 'requirements'])
def test_the_wheel_holds_all_of(wheel, source, folder):
    with zipfile.ZipFile(wheel) as archive:
        prefix = f'moganet/.mim/{folder}/'
        held = {name[len(prefix) :] for name in archive.namelist() if name.startswith(prefix)}
    assert held == files_below(source / folder) and held


def test_the_wheel_holds_the_model_index_and_nothing_but_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert 'moganet/.mim/model-index.yml' in names and 'moganet/py.typed' in names
    assert {name.split('/')[0] for name in names} == {'moganet', f'moganet-{__version__}.dist-info'}
    assert not [name for name in names if '__pycache__' in name]


def test_every_module_is_in_the_wheel(wheel, source):
    """A folder without ``__init__.py`` would be left out silently."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.endswith('.py') and '/.mim/' not in name}
    assert held == {f'moganet/{name}' for name in files_below(source / 'moganet') if name.endswith('.py')}


@pytest.mark.parametrize('name', ['modern', 'classic'])
def test_the_readme_shows_the_versions_of_the_sets(name):
    lines = (ROOT / 'README.md').read_text(encoding='utf-8').splitlines()
    (head,) = (line for line in lines if line.startswith('| set | Python | torch |'))
    (row,) = (line for line in lines if line.startswith(f'| {name} | 3.'))
    shown = {key: cell.split()[0] for key, cell in list(zip(head.split(' | '), row.split(' | ')))[2:9]}
    pins = dict(text.split('==') for group in read_set(name).values() for text in group.requirements)
    chosen = {key: next(pins[one] for one in DISTRIBUTIONS[key] if one in pins) for key in DISTRIBUTIONS}
    assert shown == {'torch': pins['torch'], **chosen}


def test_torch_and_numpy_alone_are_required(metadata):
    required = [text for text in metadata.get_all('Requires-Dist') if 'extra ==' not in text]
    assert sorted(text.split('>=')[0] for text in required) == ['numpy', 'torch']
    assert metadata['Requires-Python'] == '>=3.10'


def test_the_extras_name_the_two_known_sets(metadata):
    def extra(name):
        found = [text for text in metadata.get_all('Requires-Dist') if f'extra == "{name}"' in text.replace("'", '"')]
        return {text.split(';')[0].strip() for text in found}

    assert {'onedl-mmcv==2.3.6', 'onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1', 'torch==2.13.0'} <= extra(
        'modern'
    )
    assert {'mmcv==2.1.0', 'mmengine==0.10.7', 'mmdet==3.3.0', 'torch==2.1.2'} <= extra('classic')
    assert {text.split('==')[0] for text in extra('dev')} == {'mypy', 'pytest', 'pytest-xdist', 'ruff'}
    assert not [text for text in extra('classic') if text.startswith('onedl')]
    assert not [text for text in extra('modern') if text.startswith(('mmcv', 'mmengine', 'mmdet'))]


def test_the_source_distribution_holds_what_a_build_and_a_reader_need(source, tmp_path):
    code = 'import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))'
    run([sys.executable, '-c', code, tmp_path], cwd=source)
    with tarfile.open(tmp_path / f'moganet-{__version__}.tar.gz') as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    for folder in ('configs', 'tools', 'requirements', 'moganet', 'tests'):
        assert {f'{folder}/{name}' for name in files_below(source / folder)} <= names
    assert {'setup.py', 'pyproject.toml', 'model-index.yml', 'requirements.txt', 'Makefile'} <= names
    assert not [name for name in names if '.mim' in name]


def test_configs_are_inherited_from_an_installed_wheel(wheel, tmp_path):
    run([*PIP, 'install', '--no-deps', '--no-index', '--target', tmp_path / 'site', wheel])
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}
    shown = run([sys.executable, '-W', 'ignore', '-c', INHERIT + BUILD], cwd=tmp_path, env=environment).splitlines()
    assert str(tmp_path / 'site/moganet') in shown
    assert shown[-1] == 'ImageClassifier MogaNet PackInputs'
    shown = run([sys.executable, '-c', ORIGINALS_WAY], cwd=tmp_path, env=environment)
    assert shown.splitlines()[-1] == str(tmp_path / 'site/moganet')


def test_the_installed_doctor_finds_the_sets(wheel, tmp_path):
    run([*PIP, 'install', '--no-deps', '--no-index', '--target', tmp_path / 'site', wheel])
    code = 'import moganet.environment as e; print(e.requirements_dir()); print(e.read_set("modern")["mmcv"].line())'
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path / 'site')}
    shown = run([sys.executable, '-c', code], cwd=tmp_path, env=environment).splitlines()
    assert shown[-2] == str(tmp_path / 'site/moganet/.mim/requirements') and 'mmcv==' in shown[-1]


def test_configs_are_inherited_from_an_editable_install(source, tmp_path):
    """In an environment of its own, which borrows the packages of the running one."""
    run([sys.executable, '-m', 'venv', '--without-pip', tmp_path / 'venv'])
    python = tmp_path / 'venv/bin/python'
    (site,) = (tmp_path / 'venv/lib').glob('python*/site-packages')
    (site / 'borrowed.pth').write_text(sysconfig.get_paths()['purelib'] + '\n')
    run([*PIP, '--python', python, 'install', '--no-deps', '--no-build-isolation', '--no-index', '-e', source])
    assert sorted(path.name for path in (source / 'moganet/.mim').iterdir()) == [
        'configs',
        'model-index.yml',
        'requirements',
        'tools',
    ]
    assert all(path.is_symlink() and path.exists() for path in (source / 'moganet/.mim').iterdir())
    shown = run([python, '-W', 'ignore', '-c', INHERIT], cwd=tmp_path)
    assert shown.splitlines()[-1] == str(source / 'moganet')
    assert run([python, '-c', ORIGINALS_WAY], cwd=tmp_path).splitlines()[-1] == str(source / 'moganet')


def test_a_wheel_can_be_built_after_an_editable_install(source, wheel, tmp_path):
    """The links in ``moganet/.mim`` do not get into its way."""
    (source / 'moganet/.mim').mkdir(exist_ok=True)
    if not (source / 'moganet/.mim/configs').exists():
        (source / 'moganet/.mim/configs').symlink_to('../../configs')
    run([*PIP, 'wheel', '--no-build-isolation', '--no-deps', '-w', tmp_path, source])
    (again,) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert set(first.namelist()) == set(second.namelist())


def load(path):
    spec = spec_from_file_location(f'loaded_{Path(path).parent.name}', ROOT / path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_version_is_read_without_importing():
    assert load('setup.py').read_version() == __version__


def test_a_build_and_the_set_up_link_the_same_things():
    """The set-up's list must be readable by any Python 3, the build's without the tools."""
    assert load('setup.py').MIM == load('tools/misc/envsetup/__init__.py').MIM


def test_a_build_imports_nothing_of_the_package(tmp_path):
    """It runs where torch is not installed yet."""
    (tmp_path / 'torch.py').write_text('raise SystemExit("torch was imported")\n')
    (tmp_path / 'numpy.py').write_text('raise SystemExit("numpy was imported")\n')
    code = 'import setup; print(len(setup.read_extras()["modern"])); import sys; assert "moganet" not in sys.modules'
    environment = {**os.environ, 'PYTHONPATH': str(tmp_path)}
    assert int(run([sys.executable, '-c', code], cwd=ROOT, env=environment)) > 5
