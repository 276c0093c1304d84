"""The set-up's entry and its steps, with made-up interpreters and environments; nothing is installed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import setup_env
from envsetup import STATE, steps
from envsetup.errors import SetupError
from envsetup.pip import Pip
from envsetup.state import read_state, sweep, write_state

ROOT = Path(__file__).resolve().parents[2]


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / 'tools/misc/setup_env.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


class TestPython:
    def test_the_first_fit_one_is_taken(self):
        there = {'python3.11': None, 'python3.12': (3, 12), 'python3': (3, 11)}
        assert setup_env.find_python('', there.get) == 'python3.12'

    def test_python3_serves_when_it_is_fit(self):
        there = {'python3': (3, 11)}
        assert setup_env.find_python('', there.get) == 'python3'

    def test_none_fit_names_what_was_found_and_what_to_install(self):
        there = {'python3': (3, 9), sys.executable: (3, 13)}
        with pytest.raises(
            SetupError, match=r'3\.11 or 3\.12 is needed \(found: 3\.13, 3\.9\).*apt-get install python3\.11'
        ):
            setup_env.find_python('', there.get)

    @pytest.mark.parametrize(('version', 'word'), [((3, 9), 'is Python 3.9'), (None, 'does not run')])
    def test_a_named_unfit_one_is_refused_not_replaced(self, version, word):
        there = {'mine': version, 'python3.11': (3, 11)}
        with pytest.raises(SetupError, match=f'PYTHON=mine {word}'):
            setup_env.find_python('mine', there.get)

    def test_version_of_asks_the_interpreter(self):
        assert setup_env.version_of(sys.executable) == sys.version_info[:2]
        assert setup_env.version_of('/no/such/python') is None

    def test_errors_of_the_command_line_take_one_line(self, tmp_path):
        done = run_script('--venv', str(tmp_path / 'v'), '--for', 'cooking')
        assert done.returncode == 2
        assert done.stderr.startswith('error: ') and len(done.stderr.splitlines()) == 1
        done = run_script('--venv', str(tmp_path / 'v'), PYTHON='/no/such/python')
        assert done.returncode == 2
        assert done.stderr.startswith('error: PYTHON=/no/such/python') and len(done.stderr.splitlines()) == 1
        assert not (tmp_path / 'v').exists()

    def test_print_shows_the_lines_of_the_set(self):
        done = run_script('--print', PYTHON=sys.executable)
        assert done.returncode == 0, done.stderr
        assert 'MMCV_WITH_OPS=1 pip install --no-deps' in done.stdout
        assert 'torch==' in done.stdout and done.stdout.splitlines()[-1].endswith('-e .')


class TestVenv:
    def test_kinds(self, tmp_path):
        assert setup_env.kind_of(str(tmp_path / 'no')) == 'absent'
        assert setup_env.kind_of(str(tmp_path)) == 'absent'
        (tmp_path / 'bin').mkdir()
        assert setup_env.kind_of(str(tmp_path)) == 'foreign'
        (tmp_path / STATE).write_text('{}')
        assert setup_env.kind_of(str(tmp_path)) == 'ours'

    def test_a_foreign_one_is_judged_and_not_touched(self, tmp_path):
        venv = tmp_path / 'theirs'
        (venv / 'bin').mkdir(parents=True)
        python = venv / 'bin/python'
        python.write_text('#!/bin/sh\necho "asked: $@"\nexit 1\n')
        python.chmod(0o755)
        before = sorted(path.name for path in venv.rglob('*'))
        done = run_script('--venv', str(venv), '--for', 'detection')
        assert done.returncode == 1
        assert 'nothing is installed into it' in done.stdout
        assert 'asked: -m moganet.doctor --task detection' in done.stdout
        assert sorted(path.name for path in venv.rglob('*')) == before

    def test_a_folder_that_is_no_environment_is_left_alone(self, tmp_path):
        (tmp_path / 'thesis.txt').write_text('precious')
        done = run_script('--venv', str(tmp_path))
        assert done.returncode == 2
        assert done.stderr.startswith('error: ') and len(done.stderr.splitlines()) == 1
        assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']

    def test_without_the_venv_module_it_says_what_to_install(self, tmp_path):
        python = tmp_path / 'python'
        python.write_text('#!/bin/sh\ncase "$2" in *venv*) exit 1;; *) echo 3 11;; esac\n')
        python.chmod(0o755)
        with pytest.raises(SetupError, match='apt-get install python3.11-venv'):
            setup_env.make_venv(str(python), str(tmp_path / 'v'))

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / 'file').write_text('')
        with pytest.raises(SetupError, match='cannot write .*VENV=/path'):
            setup_env.make_venv(sys.executable, str(tmp_path / 'file/v'))

    def test_a_full_disk(self, tmp_path, monkeypatch):
        monkeypatch.setitem(setup_env.NEEDS_GIB, 'cpu', 10**9)
        monkeypatch.setitem(setup_env.NEEDS_GIB, 'gpu', 10**9)
        with pytest.raises(SetupError, match='GiB are free'):
            setup_env.make_venv(sys.executable, str(tmp_path / 'v'))

    def test_one_that_was_cut_off_is_made_anew(self, tmp_path):
        (tmp_path / STATE).write_text('{"made_by": "tools/misc/setup_env.py"}')
        (tmp_path / 'lib').mkdir()
        assert setup_env.kind_of(str(tmp_path)) == 'ours'
        assert not setup_env.is_usable(str(tmp_path))
        setup_env.make_venv(sys.executable, str(tmp_path))
        assert setup_env.is_usable(str(tmp_path)) and setup_env.kind_of(str(tmp_path)) == 'ours'
        (note,) = tmp_path.glob('lib/python*/site-packages/pip-*.dist-info/INSTALLER')
        note.unlink()
        assert not setup_env.is_usable(str(tmp_path))


class TestSteps:
    def setup_for(self, goal: str, tmp_path: Path) -> steps.Setup:
        return steps.Setup(ROOT, tmp_path, goal, Pip(tmp_path / 'log', ['false']))

    def test_classification_waits_for_no_compiler(self, tmp_path):
        titles = ' | '.join(step.title for step in self.setup_for('classification', tmp_path).steps())
        assert 'without operators' in titles and 'xtcocotools' not in titles and 'development' not in titles

    def test_tests_need_everything(self, tmp_path):
        few, all_, test = (
            [step.title for step in self.setup_for(goal, tmp_path).steps()] for goal in reversed(steps.SERVES)
        )
        assert len(few) < len(all_) < len(test)
        assert any('xtcocotools' in title for title in all_) and 'development tools' in test

    def test_the_key_follows_the_requirement_files(self, tmp_path):
        for name in (
            'moganet/environment.py',
            'requirements/modern.txt',
            'requirements/constraints.txt',
            'requirements/runtime.txt',
        ):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text((ROOT / name).read_text())
        first = steps.Setup(tmp_path, tmp_path, 'all', Pip(tmp_path / 'log')).key
        assert steps.Setup(tmp_path, tmp_path, 'all', Pip(tmp_path / 'log')).key == first
        with open(tmp_path / 'requirements/constraints.txt', 'a') as file:
            file.write('# changed\n')
        assert steps.Setup(tmp_path, tmp_path, 'all', Pip(tmp_path / 'log')).key != first

    def test_only_what_is_due_is_run(self, capsys):
        done, ran = {'a': True, 'b': False}, []

        def step(name):
            def run(status):
                ran.append(name)
                done[name] = True
                return ''

            return steps.Step(name, lambda: done[name], run)

        assert steps.carry_out([step('a'), step('b')]) == 1
        assert ran == ['b'] and '[2/3] b' in capsys.readouterr().out

    def test_a_step_that_changes_nothing_is_an_error(self):
        with pytest.raises(SetupError, match='still not as it should be'):
            steps.carry_out([steps.Step('a', lambda: False, lambda status: '')])

    def test_an_operating_systems_error_becomes_one_line(self):
        def run(status):
            raise OSError(28, 'No space left on device', '/x')

        with pytest.raises(SetupError, match='a: No space left on device /x'):
            steps.carry_out([steps.Step('a', lambda: False, run)])

    def test_the_note_survives_being_torn(self, tmp_path):
        write_state(tmp_path, mmcv_torch='2.13.0')
        write_state(tmp_path, ready_all='k')
        assert read_state(tmp_path) == {'made_by': 'tools/misc/setup_env.py', 'mmcv_torch': '2.13.0', 'ready_all': 'k'}
        (tmp_path / STATE).write_text('{"made_by": "too')
        assert read_state(tmp_path) == {}

    def test_what_a_killed_pip_left_is_swept_away(self, tmp_path):
        for name in ('whole-1.dist-info', 'torn-1.dist-info', '~umpy'):
            (tmp_path / name).mkdir()
        (tmp_path / 'whole-1.dist-info/INSTALLER').write_text('pip\n')
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ['whole-1.dist-info']


def test_any_python_3_can_read_the_entry():
    """A wrong Python gets a clear line only from a file that it can parse."""
    for name in ('setup_env.py', 'envsetup/__init__.py', 'envsetup/errors.py'):
        source = (ROOT / 'tools/misc' / name).read_text()
        assert 'from __future__' not in source
        ast.parse(source, feature_version=(3, 6))
