"""Every rule of the doctor on made-up facts, and the whole of it on the environment that runs the tests."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moganet.doctor import main, render, verdicts
from moganet.doctor_rules import ALL, BASE, TASKS, diagnose
from moganet.environment import Facts, Probe, has_nvidia_gpu, probe, read_set

ROOT = Path(__file__).resolve().parents[1]
MODERN = {
    'torch': '2.13.0+cpu',
    'numpy': '2.4.6',
    'torchvision': '0.16.2',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmpretrain': '1.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'mmpose': '1.3.2',
}
CLASSIC = {
    'torch': '2.1.2',
    'numpy': '1.26.4',
    'torchvision': '0.16.2',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmpretrain': '1.2.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'mmpose': '1.3.2',
}
DENSE = ('detection', 'segmentation', 'pose')
EVERY_PROBE = list(dict.fromkeys([*BASE, *(name for names in TASKS.values() for name in names)]))


def facts(
    base: dict[str, str], python: str = '3.11.7', nvidia: bool = False, probes=None, **versions: str | None
) -> Facts:
    """Facts like those of a known set: ``versions`` changes distributions (None: not installed), ``probes`` imports."""
    found = {**base, **{name.replace('_', '-'): version for name, version in versions.items()}}
    results = {name: Probe(ok=True) for name in EVERY_PROBE}
    for name, result in (probes or {}).items():
        results[name] = result if isinstance(result, Probe) else Probe(ok=False, error=result)
    return Facts(python, 'Linux', {name: version for name, version in found.items() if version}, results, nvidia)


def only_problem(found: Facts):
    problems = diagnose(found)
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize('found', [facts(MODERN), facts(CLASSIC, python='3.10.13')], ids=['modern', 'classic'])
def test_the_known_sets_fit(found):
    assert diagnose(found) == []
    assert verdicts([], ALL) == dict.fromkeys(ALL, '')


def test_torch_missing():
    broken = dict.fromkeys(
        ['torch', 'torchvision', 'mmengine', 'mmcv', *TASKS['pose']], "ModuleNotFoundError: No module named 'torch'"
    )
    problem = only_problem(facts(MODERN, torch=None, probes=broken))
    assert problem.tasks == ALL and problem.text == 'torch is not installed'
    assert 'torch==2.13.0' in problem.mend


def test_torch_missing_under_an_older_python_gets_the_classic_line():
    problem = only_problem(facts(MODERN, python='3.10.4', torch=None))
    assert 'torch==2.1.2' in problem.mend


def test_torch_too_old():
    problem = next(found for found in diagnose(facts(CLASSIC, torch='1.13.1')) if 'too old' in found.text)
    assert problem.level == 'error' and problem.tasks == ALL and 'torch 1.13.1' in problem.text


def test_torch_that_crashes():
    problem = only_problem(facts(MODERN, probes={'torch': 'importing it ended the process with code -4'}))
    assert 'code -4' in problem.text and problem.mend.startswith('pip install --force-reinstall')


def test_a_gpu_that_torch_does_not_use_is_a_warning_with_the_line_for_the_cuda_build():
    problem = only_problem(facts(MODERN, nvidia=True))
    assert problem.level == 'warning' and "torchvision and mmcv's operators must be exchanged" in problem.text
    torch, vision, operators = problem.mend.split(' && ', 3)[1:]
    # With its dependencies: the ordinary build needs the nvidia-* packages, which the one for the CPU has not brought.
    assert problem.mend.startswith('pip uninstall -y torch torchvision && ') and torch == 'pip install torch===2.13.0'
    assert vision == 'pip install --no-deps torchvision===0.28.0'
    assert 'FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install --force-reinstall' in operators
    assert verdicts([problem], ALL)['detection'] == ''
    cuda = Probe(ok=True, cuda='12.8', gpus=['H100'])
    assert (
        diagnose(
            facts(MODERN, nvidia=True, torch='2.13.0', probes={'torch': cuda, 'mmcv.ops': Probe(ok=True, cuda='12.8')})
        )
        == []
    )


def test_the_cuda_build_keeps_the_version_of_torch_and_leaves_out_what_is_not_there():
    lite = {'mmcv.ops': "ModuleNotFoundError: No module named 'mmcv._ext'"}
    found = facts(MODERN, torch='2.6.0+cpu', torchvision='0.21.0+cpu', nvidia=True, probes=lite)
    mend = diagnose(found, ['classification'])[0].mend
    assert mend.split(' && ')[1:] == ['pip install torch===2.6.0', "pip install --no-deps 'torchvision==0.21.*'"]


@pytest.mark.parametrize(('visible', 'expected'), [(None, True), ('0,1', True), ('', False), ('-1', False)])
def test_a_gpu_that_the_user_hides_does_not_count(tmp_path, monkeypatch, visible, expected):
    (tmp_path / 'nvidia-smi').write_text('#!/bin/sh\necho "GPU 0: NVIDIA H100"\n')
    (tmp_path / 'nvidia-smi').chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    assert has_nvidia_gpu() == expected


def test_python_too_old():
    assert any('Python 3.9.1 is too old' in problem.text for problem in diagnose(facts(CLASSIC, python='3.9.1')))


def test_numpy_2_beside_a_torch_compiled_for_numpy_1():
    problem = only_problem(facts(CLASSIC, numpy='2.2.6'))
    assert problem.mend == 'pip install numpy==1.26.4' and problem.tasks == ALL


def test_numpy_missing_and_too_old():
    assert only_problem(facts(MODERN, numpy=None)).mend == 'pip install numpy==2.4.6'
    assert 'too old' in only_problem(facts(CLASSIC, numpy='1.21.0')).text


def test_torchvision_that_cannot_be_imported_beside_a_cpu_torch():
    said = 'RuntimeError: operator torchvision::nms does not exist'
    later = {'torchvision': said, 'mmpretrain.models': said, 'mmdet.models': said}
    problem = only_problem(facts(MODERN, torchvision='0.28.0', probes=later))
    assert 'torchvision 0.28.0 does not fit torch 2.13.0+cpu' in problem.text
    assert problem.mend == 'pip install --no-deps torchvision==0.16.2'
    # That version has no build for newer Pythons.
    newer = only_problem(facts(MODERN, python='3.12.1', torchvision='0.28.0', probes=later))
    assert 'torchvision==0.28.0 --index-url' in newer.mend


def test_torchvision_of_another_torch():
    problem = only_problem(
        facts(MODERN, torch='2.6.0', torchvision='0.28.0', probes={'torchvision': 'RuntimeError: nms'})
    )
    assert problem.mend == "pip install --no-deps 'torchvision==0.21.*'"


def test_torchvision_missing():
    assert only_problem(facts(CLASSIC, torchvision=None)).mend == 'pip install --no-deps torchvision==0.16.2'


@pytest.mark.parametrize(
    ('twin', 'kept', 'tasks'),
    [
        ('mmengine', 'onedl-mmengine', ALL),
        ('mmcv', 'onedl-mmcv', ALL),
        ('mmcv-lite', 'onedl-mmcv', ALL),
        ('onedl-mmcv-cu128-torch2-8', 'onedl-mmcv', ALL),
        ('mmdet', 'onedl-mmdetection', ('detection',)),
        ('mmsegmentation', 'onedl-mmsegmentation', ('segmentation',)),
        ('mmpretrain', 'onedl-mmpretrain', ('classification',)),
    ],
)
def test_two_distributions_of_one_package(twin, kept, tasks):
    found = facts(MODERN)
    found.distributions[twin] = '2.0.0'
    problem = only_problem(found)
    assert 'overwrite each other' in problem.text and problem.tasks == tasks and problem.level == 'error'
    assert 'pip uninstall -y' in problem.mend and f'{kept}=={MODERN[kept]}' in problem.mend


def test_forks_and_originals_mixed():
    mixed = {name: version for name, version in MODERN.items() if name != 'onedl-mmdetection'} | {'mmdet': '3.3.0'}
    warned = only_problem(facts(mixed))
    assert warned.level == 'warning' and 'mmdet are originals' in warned.text
    failed = diagnose(facts(mixed, probes={'mmdet.models': 'ImportError: cannot import name'}))
    assert failed[0].level == 'error' and 'onedl-mmdetection==3.5.1' in failed[0].mend


def test_an_original_that_refuses_mmcv_gets_the_forks_under_a_new_torch():
    said = 'AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0.'
    found = facts(
        CLASSIC, torch='2.4.0', torchvision='0.19.0', numpy='2.0.1', mmcv='2.2.0', probes={'mmdet.models': said}
    )
    problem = only_problem(found)
    assert problem.tasks == ('detection',)
    assert problem.text == 'mmdet refuses MMCV 2.2.0, it wants mmcv>=2.0.0rc4, <2.2.0'
    assert 'onedl-mmcv==2.3.6' in problem.mend and 'pip uninstall -y' in problem.mend


def test_the_same_under_torch_2_1_gets_the_mmcv_of_that_time():
    said = 'AssertionError: MMCV==2.2.0 is used but incompatible. Please install mmcv>=2.0.0rc4, <2.2.0.'
    problem = only_problem(facts(CLASSIC, mmcv='2.2.0', probes={'mmseg.models': said}))
    assert problem.tasks == ('segmentation',) and ' mmcv==2.1.0' in problem.mend and 'onedl-mmcv==' not in problem.mend


def test_mmcv_without_operators_stops_the_dense_tasks_alone():
    problem = only_problem(facts(MODERN, probes={'mmcv.ops': "ModuleNotFoundError: No module named 'mmcv._ext'"}))
    assert problem.tasks == DENSE and 'without its operators' in problem.text
    assert 'MMCV_WITH_OPS=1 pip install --force-reinstall' in problem.mend and 'onedl-mmcv==2.3.6' in problem.mend
    reasons = verdicts([problem], ALL)
    assert reasons['classification'] == '' and all(reasons[task] for task in DENSE)


def test_operators_of_another_torch():
    said = 'ImportError: mmcv/_ext.so: undefined symbol: _ZN3c10'
    problem = only_problem(facts(MODERN, probes={'mmcv.ops': said}))
    assert 'compiled against another torch' in problem.text and '--no-cache-dir' in problem.mend


def test_operators_that_do_not_know_the_gpu():
    probes = {'torch': Probe(ok=True, cuda='12.8', gpus=['H100']), 'mmcv.ops': Probe(ok=True, cuda='not available')}
    problem = only_problem(facts(MODERN, torch='2.13.0', probes=probes))
    assert problem.level == 'error' and problem.tasks == DENSE and 'FORCE_CUDA=1 MMCV_WITH_OPS=1' in problem.mend
    assert 'do not run on the H100' in problem.text and 'the CUDA toolkit 12.8' in problem.text


def test_xtcocotools_of_the_other_numpy():
    said = 'ValueError: numpy.dtype size changed, may indicate binary incompatibility.'
    problem = only_problem(facts(MODERN, probes={'xtcocotools.mask': said}))
    assert problem.tasks == ('pose',) and '--no-binary xtcocotools xtcocotools==1.14.3' in problem.mend


def test_opencv_without_a_desktop():
    said = 'ImportError: libGL.so.1: cannot open shared object file: No such file or directory'
    problem = only_problem(facts(MODERN, probes={'cv2': said}))
    assert problem.tasks == ALL and 'opencv-python-headless==' in problem.mend


@pytest.mark.parametrize(
    ('distribution', 'module', 'tasks', 'line'),
    [
        ('onedl-mmengine', 'mmengine', ALL, 'onedl-mmengine==0.10.12'),
        ('onedl-mmcv', 'mmcv', ALL, 'MMCV_WITH_OPS=1'),
        ('onedl-mmpretrain', 'mmpretrain', ('classification',), 'onedl-mmpretrain==1.3.6'),
        ('mmpose', 'mmpose', ('pose',), 'pip install --no-deps --no-build-isolation mmpose==1.3.2'),
    ],
)
def test_a_toolbox_that_is_not_installed(distribution, module, tasks, line):
    found = facts(MODERN)
    del found.distributions[distribution]
    for name in found.probes:
        if name.split('.')[0] == module:
            found.probes[name] = Probe(ok=False, error=f"ModuleNotFoundError: No module named '{module}'")
    problem = only_problem(found)
    assert problem.text == f'{module} is not installed' and problem.tasks == tasks and line in problem.mend


@pytest.mark.parametrize(
    ('said', 'line'),
    [
        ("ModuleNotFoundError: No module named 'skimage'", 'pip install scikit-image==0.26.0'),
        ("ModuleNotFoundError: No module named 'imgaug'", 'pip install --no-deps --no-build-isolation imaug==0.4.3'),
        ("ModuleNotFoundError: No module named 'pkg_resources'", 'pip install setuptools==80.10.2'),
        ("ModuleNotFoundError: No module named 'frobnicate.it'", 'pip install frobnicate'),
    ],
)
def test_a_library_that_is_missing(said, line):
    problem = only_problem(facts(MODERN, probes={'mmdet.models': said}))
    assert problem.tasks == ('detection',) and problem.mend == line


def test_an_unknown_failure_is_shown_as_it_is():
    problem = only_problem(facts(MODERN, probes={'mmseg.models': 'KeyError: "surprise"'}))
    assert 'surprise' in problem.text and problem.tasks == ('segmentation',)


def test_what_was_not_asked_for_is_not_judged():
    found = facts(MODERN, probes={'mmcv.ops': "ModuleNotFoundError: No module named 'mmcv._ext'"})
    assert diagnose(found, ['classification']) == []


def test_the_report_names_versions_problem_and_line():
    found = facts(MODERN, probes={'mmcv.ops': "ModuleNotFoundError: No module named 'mmcv._ext'"})
    text = render(found, diagnose(found), ALL)
    assert '2.3.6 (onedl-mmcv), operators: no' in text
    assert 'mend: pip install' in text
    assert text.splitlines()[-4].split() == ['classification', 'ok']
    assert 'cannot run: mmcv is installed without' in text.splitlines()[-3]


def test_a_crash_or_a_failure_leaves_the_rest_to_a_fresh_process(tmp_path, monkeypatch):
    (tmp_path / 'crashing.py').write_text('import os\nos.abort()\n')
    (tmp_path / 'quitting.py').write_text('import os\nos._exit(0)\n')
    (tmp_path / 'failing.py').write_text('raise RuntimeError("no\\nway")\n')
    (tmp_path / 'leaving.py').write_text('raise SystemExit(3)\n')
    (tmp_path / 'hanging.py').write_text('import time\ntime.sleep(60)\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    names = ['json', 'crashing', 'quitting', 'failing', 'leaving', 'hanging', 'csv']
    found = probe(names, timeout=3)
    assert list(found) == names
    assert [name for name in names if found[name].ok] == ['json', 'csv']
    assert 'code -6' in found['crashing'].error and 'ended the process' in found['quitting'].error
    assert found['failing'].error == 'RuntimeError: no\nway' and 'longer than 3 s' in found['hanging'].error


def test_a_torch_that_hangs_is_waited_for_once(tmp_path, monkeypatch):
    (tmp_path / 'torch.py').write_text('import time\ntime.sleep(60)\n')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    begun = time.monotonic()
    found = probe(['json', 'torch', 'csv', 'torch_user'], timeout=3)
    assert time.monotonic() - begun < 15
    assert list(found) == ['json', 'torch', 'csv', 'torch_user'] and found['json'].ok
    assert found['torch'].error == 'importing it took longer than 3 s'
    assert 'not tried, because of torch' in found['torch_user'].error and not found['csv'].ok


def test_it_runs_where_nothing_is_installed(tmp_path):
    """A bare Python: no torch, no MMEngine, and it still says what to type."""
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path)], check=True)
    command = [str(tmp_path / 'bin/python'), '-m', 'moganet.doctor', '--task', 'classification']
    bare = {'PATH': os.environ['PATH'], 'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1'}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=bare)
    assert done.returncode == 1, done.stderr
    assert 'error: torch is not installed' in done.stdout and 'classification  cannot run' in done.stdout


@pytest.mark.parametrize('error', ['OSError("libcudart.so.12")', 'ValueError("numpy.dtype size changed")'])
def test_it_runs_where_torch_is_broken(tmp_path, error):
    """Importing the package imports torch; what that raises must not take the doctor down."""
    (tmp_path / 'torch.py').write_text(f'raise {error}\n')
    command = [sys.executable, '-m', 'moganet.doctor', '--task', 'classification']
    broken = {**os.environ, 'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=broken)
    assert done.returncode == 1, done.stderr
    assert f'cannot be imported: {error.split("(")[0]}' in done.stdout and 'mend: pip install' in done.stdout


def run_beside(folder: Path, *arguments: str) -> 'subprocess.CompletedProcess[str]':
    """Runs the doctor with a folder of made-up packages first on the path."""
    command = [sys.executable, '-m', 'moganet.doctor', *arguments]
    environment = {**os.environ, 'PYTHONPATH': f'{folder}{os.pathsep}{ROOT}'}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_it_runs_where_torch_crashes(tmp_path):
    """As one does that was compiled for another processor; the doctor's own process must never import it."""
    (tmp_path / 'torch.py').write_text('import os\nos.abort()\n')
    done = run_beside(tmp_path, '--task', 'classification')
    assert done.returncode == 1, done.stderr
    assert 'cannot be imported: importing it ended the process with code -6' in done.stdout
    assert 'mend: pip install --force-reinstall' in done.stdout


def test_it_does_not_import_torch_itself(tmp_path):
    """Nor does it wait for one that hangs."""
    (tmp_path / 'torch.py').write_text('import os\nos._exit(9)\n')
    done = run_beside(tmp_path, '--help')
    assert done.returncode == 0 and 'usage: python -m moganet.doctor' in done.stdout


def test_it_runs_beside_a_torch_that_is_too_old(tmp_path):
    """torch.compiler, which importing the package uses, came with 2.1."""
    (tmp_path / 'torch.py').write_text(
        "__version__ = '2.0.1'\n"
        'class version:\n    cuda = None\n'
        'class cuda:\n    device_count = staticmethod(lambda: 0)\n'
    )
    (tmp_path / 'torch-2.0.1.dist-info').mkdir()
    (tmp_path / 'torch-2.0.1.dist-info/METADATA').write_text('Metadata-Version: 2.1\nName: torch\nVersion: 2.0.1\n')
    for name in ('config/__init__', 'config/utils', 'device', 'logging/__init__', 'logging/history_buffer', 'model'):
        path = tmp_path / f'mmengine/{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('MODULE2PACKAGE = {}\nget_device = HistoryBuffer = None\n')
    (tmp_path / 'mmengine/__init__.py').touch()
    done = run_beside(tmp_path, '--task', 'classification')
    assert done.returncode == 1, done.stderr
    assert 'error: torch 2.0.1 is too old: 2.1 or newer is needed' in done.stdout and done.stderr == ''


def test_the_sets_are_read_with_their_versions():
    modern, classic = read_set('modern'), read_set('classic')
    assert modern['mmcv'].line() == 'pip install --no-deps --no-build-isolation --no-cache-dir onedl-mmcv==2.3.6'
    assert all('==' in text for known in (modern, classic) for group in known.values() for text in group.requirements)
    assert 'setuptools==69.5.1' in classic['build'].line() and classic['toolboxes'].options == ('--no-deps',)


def test_a_broken_set_is_an_error(tmp_path):
    (tmp_path / 'modern.txt').write_text('torch==2\n')
    with pytest.raises(ValueError, match='before the first'):
        read_set('modern', tmp_path)


def test_this_environment_runs_every_task(capsys):
    assert main(['--json']) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown['tasks'] == dict.fromkeys(ALL, '')
    assert shown['facts']['probes']['mmcv.ops']['ok'] and shown['facts']['distributions']['torch']


def test_an_unknown_task_takes_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        main(['--task', 'cooking'])
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith('error: ')
