"""The set-up's second set: another Python, another environment, torch's build for CUDA; nothing is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import setup_env
from envsetup import STATE, mmcv_wheel, sets, steps, torch_build
from envsetup.errors import SetupError
from envsetup.pip import Pip

from .test_setup_env import fake_python, run_script

ROOT = Path(__file__).resolve().parents[2]


def make_line(*arguments: str) -> str:
    """The lines that ``make`` would run, as if nobody had set its variables."""
    variables = {name: value for name, value in os.environ.items() if name not in ('VENV', 'SET', 'PYTHON')}
    done = subprocess.run(['make', '-n', *arguments], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestEntry:
    def test_it_looks_for_its_own_python(self):
        there = {'python3.10': (3, 10), 'python3.11': (3, 11), 'python3': (3, 11)}
        assert setup_env.find_python('', there.get, setup_env.FIT['classic']) == 'python3.10'
        assert setup_env.find_python('', there.get) == 'python3.11'

    def test_without_it_the_line_says_what_to_install(self, tmp_path, monkeypatch):
        fake_python(tmp_path / 'python3')
        done = run_script('--set', 'classic', '--venv', str(tmp_path / 'v'), PATH=str(tmp_path), PYTHON='')
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert 'Python 3.10 is needed (found: 3.11): install it' in done.stderr
        assert 'apt-get install python3.10 python3.10-venv python3.10-dev' in done.stderr
        assert 'PYTHON=/path/to/python3.10' in done.stderr
        assert not (tmp_path / 'v').exists()

    def test_each_set_has_its_own_place(self):
        assert setup_env.parse([]).venv == '.venv'
        assert setup_env.parse(['--set', 'classic']).venv == '.venv-classic'
        assert setup_env.parse(['--set', 'classic', '--venv', 'mine']).venv == 'mine'

    def test_one_set_never_takes_the_environment_of_the_other(self, tmp_path):
        """Its Python would be unfit, and what is unfit is made anew."""
        venv = tmp_path / 'v'
        making = 'mkdir -p "$3/bin"; cp "$0" "$3/bin/python"'
        older = fake_python(tmp_path / 'older', '3 10', making)
        assert setup_env.prepare(str(venv), older, 'classic') == 'ours'
        assert setup_env.prepare(str(venv), '', 'classic') == 'ours'
        (venv / 'precious').touch()
        done = run_script('--venv', str(venv), PYTHON='')
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
        assert 'holds the classic set, and would lose it to the modern one' in done.stderr
        assert (venv / 'precious').exists()

    def test_an_environment_without_a_word_about_it_is_modern(self, tmp_path):
        fake_python(tmp_path / 'v/bin/python')
        (tmp_path / 'v' / STATE).write_text('{"made_by": "tools/misc/setup_env.py"}')
        assert setup_env.prepare(str(tmp_path / 'v'), '') == 'ours'
        with pytest.raises(SetupError, match='holds the modern set, and would lose it to the classic one'):
            setup_env.prepare(str(tmp_path / 'v'), '', 'classic')

    def test_a_torn_note_is_made_anew(self, tmp_path):
        (tmp_path / 'v').mkdir()
        (tmp_path / 'v' / STATE).write_text('{"made_')
        making = 'mkdir -p "$3/bin"; cp "$0" "$3/bin/python"'
        older = fake_python(tmp_path / 'older', '3 10', making)
        assert setup_env.prepare(str(tmp_path / 'v'), older, 'classic') == 'ours'
        assert setup_env.set_of(str(tmp_path / 'v')) == 'classic'

    def test_the_second_half_is_told_the_set(self, tmp_path):
        fake_python(tmp_path / 'v/bin/python', '3 10', 'exit 0')
        python = tmp_path / 'v/bin/python'
        said = 'elif [ "$2" = --inside ]; then echo "$@"; else echo'
        python.write_text(python.read_text().replace('else echo', said))
        (tmp_path / 'v' / STATE).write_text('{"set": "classic"}')
        done = run_script('--venv', str(tmp_path / 'v'), '--set', 'classic', '--for', 'test', PYTHON='')
        assert done.stdout.rstrip().endswith('--for test --set classic')

    def test_print_shows_its_lines(self):
        done = run_script('--set', 'classic', '--print', PYTHON=sys.executable)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0].endswith(' -c requirements/constraints-classic.txt') and lines[-1].endswith('-e .')
        assert 'MMCV_WITH_OPS=1 pip install --no-deps --no-build-isolation --no-cache-dir mmcv==2.1.0' in lines
        (without_gpu,) = (number for number, line in enumerate(lines) if 'without a GPU' in line)
        assert lines[without_gpu - 1].startswith('pip install numpy==1.26.4 torch==2.1.2')
        assert lines[without_gpu + 1].startswith('pip install --no-deps') and 'nvidia-cudnn' in lines[without_gpu + 1]

    def test_an_unknown_set_is_one_line(self):
        done = run_script('--set', 'baroque')
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and 'modern' in done.stderr


class TestMake:
    def test_it_sets_up_beside_the_modern_one_and_runs_the_same_tests(self):
        def of(text: str) -> str:
            return text.replace('--set "classic"', '--set "modern"').replace('.venv-classic', '.venv')

        classic = make_line('test-classic')
        assert '--set "classic" --venv ".venv-classic" --for test' in classic
        assert classic != of(classic) == make_line('test')

    def test_the_user_may_name_another_place(self):
        assert '--set "classic" --venv "/x" --for test' in make_line('test-classic', 'VENV=/x')
        assert '--set "classic" --venv ".venv-classic" --for "pose"' in make_line('setup', 'SET=classic', 'TASK=pose')

    def test_ci_does_not_run_it(self):
        assert 'classic' not in (ROOT / '.ci/run').read_text()


class TestSteps:
    def setup_for(self, tmp_path: Path, goal: str = 'test') -> steps.Setup:
        return steps.Setup(ROOT, tmp_path, goal, Pip(tmp_path / 'log', ['false']), 'classic')

    def with_versions(self, monkeypatch, setup: steps.Setup, **changes: str) -> None:
        pins = dict(text.split('==') for group in setup.groups.values() for text in group.requirements)
        pins.update({name.replace('_', '-'): version for name, version in changes.items()})
        monkeypatch.setattr(steps.Setup, 'version', lambda self, name: pins[name])
        monkeypatch.setattr(steps.platform, 'system', lambda: 'Linux')

    def test_it_has_the_same_steps(self, tmp_path):
        titles = [step.title for step in self.setup_for(tmp_path).steps()]
        modern = [step.title for step in steps.Setup(ROOT, tmp_path, 'test', Pip(tmp_path / 'log')).steps()]
        # The wheel of xtcocotools is for numpy 1, which is the one here; export and kernels need a newer torch.
        modern_only = {'xtcocotools', sets.FOR_TESTS['export'], sets.FOR_TESTS['triton']}
        assert modern_only < set(modern)
        assert [text for text in modern if '==' not in text and text not in modern_only] == [
            text for text in titles if '==' not in text
        ]
        assert titles[1] == 'torch==2.1.2' and any(text.startswith('mmcv==2.1.0, with operators') for text in titles)

    def test_every_version_is_exact(self, tmp_path):
        groups = self.setup_for(tmp_path).groups.values()
        assert not [text for group in groups for text in group.requirements if '==' not in text]

    @pytest.mark.parametrize(
        ('gpu', 'offered', 'answers', 'expected'),
        [
            (False, ['2.1.2'], False, ('--no-deps', 'numpy==1.26.4', 'torch==2.1.2', 'filelock==')),
            (False, ['2.1.2'], True, ('-c', 'CONSTRAINTS', 'numpy==1.26.4', 'torch==2.1.2', '--extra-index-url')),
            (False, ['2.1.2+cpu', '2.1.2'], False, ('-c', 'CONSTRAINTS', 'numpy==1.26.4', 'torch==2.1.2')),
            # With all that torch asks for.
            (True, ['2.1.2'], False, ('-c', 'CONSTRAINTS', 'numpy==1.26.4', 'torch===2.1.2')),
        ],
    )
    def test_the_registrys_torch_comes_with_what_it_cannot_do_without(
        self, tmp_path, monkeypatch, fake_pip, status, gpu, offered, answers, expected
    ):
        setup = self.setup_for(tmp_path)
        self.with_versions(monkeypatch, setup)
        choose = torch_build.choose_torch

        def choose_here(*arguments):
            return choose(*arguments[:3], lambda name: offered, lambda url: answers)

        monkeypatch.setattr(torch_build, 'choose_torch', choose_here)
        setup.gpu, setup.pip = gpu, fake_pip()
        setup.install_torch(status)
        ((arguments, _),) = [json.loads(line) for line in (tmp_path / 'calls').read_text().splitlines()]
        given = arguments[arguments.index('--no-input') + 1 :]
        wanted = [text.replace('CONSTRAINTS', str(ROOT / 'requirements/constraints-classic.txt')) for text in expected]
        assert len(given) >= len(wanted) and all(text.startswith(start) for text, start in zip(given, wanted)), given
        assert ('nvidia-cudnn-cu12==8.9.2.26' in given) == (expected[0] == '--no-deps')
        assert not [text for text in given if text.startswith('triton')]

    @pytest.mark.parametrize(
        ('changes', 'gpu', 'done'),
        [
            ({}, False, True),
            ({'nvidia_cudnn_cu12': ''}, False, False),
            # pip has brought what torch asks for, in the versions that it asks for.
            ({'nvidia_cudnn_cu12': ''}, True, True),
            ({'torch': '2.1.2+cpu', 'nvidia_cudnn_cu12': ''}, False, True),
            ({'torch': '2.1.2+cpu'}, True, False),
            ({'torch': ''}, False, False),
        ],
    )
    def test_a_pip_that_was_cut_off_between_torch_and_cuda_is_called_again(
        self, tmp_path, monkeypatch, changes, gpu, done
    ):
        setup = self.setup_for(tmp_path)
        self.with_versions(monkeypatch, setup, **changes)
        setup.gpu = gpu
        assert setup.has_torch() == done

    @pytest.mark.parametrize(
        ('torch', 'torchvision', 'done'),
        [('2.1.2', '0.16.2', True), ('2.1.2', '0.28.0', False), ('2.1.2+cpu', '0.16.2', True), ('2.1.2', '', False)],
    )
    def test_torchvision_needs_no_substitute(self, tmp_path, monkeypatch, torch, torchvision, done):
        setup = self.setup_for(tmp_path)
        self.with_versions(monkeypatch, setup, torch=torch, torchvision=torchvision)
        setup.gpu = False
        assert setup.has_torchvision() == done

    def test_the_key_is_another(self, tmp_path):
        modern = steps.Setup(ROOT, tmp_path, 'test', Pip(tmp_path / 'log'))
        assert modern.key != self.setup_for(tmp_path).key

    def test_its_wheel_lies_beside_the_other(self):
        mine = mmcv_wheel.Target('mmcv==2.1.0', '2.1.2', 'cpu')
        assert mine.key.startswith(f'mmcv-2.1.0-cp3{sys.version_info[1]}-torch2.1.2-ops_cpu-')

    def test_the_original_keeps_its_name_without_operators(self, tmp_path):
        """Told to do without, it calls itself mmcv-lite, and pip does not take that for the mmcv it was asked for."""
        target = mmcv_wheel.Target('mmcv==2.1.0', '2.1.2', 'none')
        assert mmcv_wheel._variables(target, tmp_path)['MMCV_WITH_OPS'] == '1'


def test_its_tools_for_tests_are_asked_for(tmp_path):
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path / 'v')], check=True)
    command = [str(tmp_path / 'v/bin/python'), '-m', 'envsetup.sets', str(ROOT), '--set', 'classic', '--check-dev']
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / 'tools/misc', check=False)
    assert done.returncode == 1 and 'lacks pytest, huggingface-hub, timm, which' in done.stderr


def test_the_constraints_are_those_that_the_set_names(tmp_path):
    assert sets.constraints_of(ROOT, 'modern') == ROOT / 'requirements/constraints.txt'
    assert sets.constraints_of(ROOT, 'classic') == ROOT / 'requirements/constraints-classic.txt'
    (tmp_path / 'requirements').mkdir()
    (tmp_path / 'requirements/modern.txt').write_text('# [torch]\ntorch\n')
    with pytest.raises(ValueError, match='names no constraints file'):
        sets.constraints_of(tmp_path, 'modern')
