"""The set-up's entry and its steps, with made-up interpreters and environments; nothing is installed."""

import ast
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import setup_env
from envsetup import MIM, STATE, sets, steps
from envsetup.errors import SetupError
from envsetup.pip import Pip
from envsetup.state import read_state, sweep, write_state

ROOT = Path(__file__).resolve().parents[2]
# The set whose Python runs these tests.
HERE = 'classic' if sys.version_info < (3, 11) else 'modern'


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / 'tools/misc/setup_env.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


def fake_python(path: Path, version: str = '3 11', more: str = '') -> str:
    """An interpreter that says its version, and does ``more`` when it is called with -m; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nif [ "$1" = -m ]; then\n{more}\n:\nelse echo {version}; fi\n')
    path.chmod(0o755)
    return str(path)


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

    def test_a_named_one_must_be_that_of_the_existing_environment(self, tmp_path):
        there = fake_python(tmp_path / 'v/bin/python')
        (tmp_path / 'v' / STATE).write_text('{}')
        assert setup_env.prepare(str(tmp_path / 'v'), '') == 'ours'
        assert setup_env.prepare(str(tmp_path / 'v'), there) == 'ours'
        other = fake_python(tmp_path / 'other', '3 12')
        with pytest.raises(SetupError, match=r'other is Python 3\.12, and \S+ is there already with Python 3\.11'):
            setup_env.prepare(str(tmp_path / 'v'), other)
        with pytest.raises(SetupError, match=r'PYTHON=/no/such does not run; leave it out'):
            setup_env.prepare(str(tmp_path / 'v'), '/no/such')
        (tmp_path / 'v' / STATE).unlink()
        assert setup_env.prepare(str(tmp_path / 'v'), '') == 'foreign'
        done = run_script('--venv', str(tmp_path / 'v'), PYTHON=other)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stdout == ''

    def test_print_shows_the_lines_of_the_set(self):
        done = run_script('--print', PYTHON=sys.executable)
        assert done.returncode == 0, done.stderr
        assert 'MMCV_WITH_OPS=1 pip install --no-deps' in done.stdout
        assert 'torch==' in done.stdout and done.stdout.splitlines()[-1].endswith('-e .')


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


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

    @pytest.mark.parametrize(('lacks', 'code'), [('exit 0', 1), ('echo "error: no pytest" >&2; exit 3', 3)])
    def test_a_foreign_one_is_asked_for_the_tools_of_tests(self, tmp_path, lacks, code):
        more = f'case $2 in moganet.doctor) exit 1;; envsetup.sets) {lacks};; esac'
        fake_python(tmp_path / 'v/bin/python', more=more)
        done = run_script('--venv', str(tmp_path / 'v'), '--for', 'test')
        assert done.returncode == code
        assert run_script('--venv', str(tmp_path / 'v'), '--for', 'all').returncode == 1

    def test_the_tools_that_are_missing_are_named_with_their_line(self, tmp_path):
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path / 'v')], check=True)
        python = str(tmp_path / 'v/bin/python')
        command = [python, '-m', 'envsetup.sets', str(ROOT), '--check-dev']
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / 'tools/misc', check=False)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
        names = 'mypy, pytest, ruff, huggingface-hub, timm, onnx, onnxruntime, onnxscript, openvino, triton'
        assert f'lacks {names}, which' in done.stderr
        assert f': {python} -m pip install mypy==' in done.stderr and 'xdist' not in done.stderr
        # With timm's own dependencies pip would exchange torchvision.
        assert f' && {python} -m pip install --no-deps timm==' in done.stderr

    def test_this_one_has_the_tools(self, capsys):
        assert sets.check_dev(ROOT, HERE) == 0
        assert capsys.readouterr().err == ''

    def test_two_at_once_make_it_once(self, tmp_path):
        """The second one waits, and finds the environment there."""
        python = fake_python(tmp_path / 'python')
        # It takes a while, and gives an interpreter that calls itself usable.
        making = f'echo made >> {tmp_path}/log; sleep 1; mkdir -p "$3/bin"; cp "$0" "$3/bin/python"'
        fake_python(tmp_path / 'python', more=making)
        code = 'import sys, setup_env; print(setup_env.prepare(sys.argv[1], sys.argv[2]))'
        command = [sys.executable, '-c', code, str(tmp_path / 'v'), python]
        both = [subprocess.Popen(command, cwd=ROOT / 'tools/misc', stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = sorted(process.communicate()[0] for process in both)
        assert said[1] == 'ours\n' and 'waiting for it' in said[0]
        assert (tmp_path / 'log').read_text() == 'made\n'
        assert sorted(path.name for path in tmp_path.iterdir()) == ['log', 'python', 'v']

    def test_a_killed_one_leaves_the_next_waiting_for_its_child(self, tmp_path):
        making = f'echo made >> {tmp_path}/log; sleep 1; mkdir -p "$3/bin"; cp "$0" "$3/bin/python"'
        python = fake_python(tmp_path / 'python', more=making)
        code = 'import sys, setup_env; setup_env.prepare(sys.argv[1], sys.argv[2])'
        command = [sys.executable, '-c', code, str(tmp_path / 'v'), python]
        first = subprocess.Popen(command, cwd=ROOT / 'tools/misc')
        wait_for(tmp_path / 'log')
        first.kill()
        first.wait()
        assert setup_env.prepare(str(tmp_path / 'v'), python) == 'ours'
        assert (tmp_path / 'log').read_text() == 'made\n'

    def test_an_ended_one_ends_what_it_has_started(self, tmp_path):
        making = f'sh -c "while :; do echo beat >> {tmp_path}/beats; sleep 0.1; done"; true'
        python = fake_python(tmp_path / 'python', more=making)
        command = [sys.executable, str(ROOT / 'tools/misc/setup_env.py'), '--venv', str(tmp_path / 'v')]
        variables = {**os.environ, 'PYTHON': python}
        process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True)
        wait_for(tmp_path / 'beats')
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
        assert process.returncode == 130 and said.strip() == 'error: interrupted; the same line goes on from here'
        size = (tmp_path / 'beats').stat().st_size
        time.sleep(0.5)
        assert (tmp_path / 'beats').stat().st_size == size

    def test_a_lock_that_was_removed_meanwhile_counts_for_nothing(self, tmp_path):
        path = str(tmp_path / 'v.setup-lock')
        first, taken = setup_env.take_lock(path), []
        waiting = threading.Thread(target=lambda: taken.append(setup_env.take_lock(path)))
        waiting.start()
        time.sleep(0.3)
        os.remove(path)
        os.close(first)
        waiting.join(30)
        assert os.path.samestat(os.fstat(taken[0]), os.stat(path))
        os.close(taken[0])

    def test_a_lock_that_cannot_be_had_is_done_without(self, tmp_path):
        (tmp_path / 'v.setup-lock').mkdir()
        with setup_env.alone(str(tmp_path / 'v')) as locks:
            assert locks == ()

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
        assert not setup_env.is_usable(str(tmp_path), setup_env.FIT[HERE])
        setup_env.make_venv(sys.executable, str(tmp_path))
        assert setup_env.is_usable(str(tmp_path), setup_env.FIT[HERE]) and setup_env.kind_of(str(tmp_path)) == 'ours'
        (note,) = tmp_path.glob('lib/python*/site-packages/pip-*.dist-info/INSTALLER')
        note.unlink()
        assert not setup_env.is_usable(str(tmp_path), setup_env.FIT[HERE])


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
        assert 'timm' in test and 'timm' not in all_

    @pytest.mark.parametrize(
        ('torch', 'torchvision', 'gpu', 'done'),
        [
            ('2.13.0+cpu', '0.28.0+cpu', False, (True, True)),
            ('2.13.0+cpu', '0.16.2', False, (True, True)),
            ('2.13.0+cpu', '0.28.0+cpu', True, (False, False)),
            ('2.13.0', '0.28.0+cpu', True, (True, False)),
            ('2.13.0', '0.16.2', True, (True, False)),
            ('2.13.0', '0.28.0', True, (True, True)),
            ('2.13.0+cu128', '0.28.0+cu128', True, (True, True)),
        ],
    )
    def test_builds_for_the_cpu_do_not_count_beside_a_gpu(self, tmp_path, monkeypatch, torch, torchvision, gpu, done):
        setup = self.setup_for('all', tmp_path)
        pins = [text.split('==') for group in setup.groups.values() for text in group.requirements]
        versions = {name: version for name, version in pins if name != 'torchvision'}
        versions |= {'torch': torch, 'torchvision': torchvision}
        monkeypatch.setattr(steps.Setup, 'version', lambda self, name: versions[name])
        setup.gpu = gpu
        found = {step.title.split('==')[0]: step.done() for step in setup.steps()[:3]}
        assert (found['torch'], found['torchvision']) == done

    @pytest.mark.parametrize(
        ('noted', 'gpu', 'done'),
        [
            ({'mmcv_torch': '2.13.0', 'mmcv_variant': 'cpu'}, False, True),
            ({'mmcv_torch': '2.13.0', 'mmcv_variant': 'cpu'}, True, False),
            ({'mmcv_torch': '2.13.0', 'mmcv_variant': 'cuda-sm90'}, True, True),
            # Noted before there was a word about the variant.
            ({'mmcv_torch': '2.13.0'}, True, False),
            ({'mmcv_torch': '2.13.0'}, False, True),
            ({'mmcv_torch': '2.13.0+cpu', 'mmcv_variant': 'cpu'}, False, False),
        ],
    )
    def test_operators_must_be_for_this_torch_and_gpu(self, tmp_path, monkeypatch, noted, gpu, done):
        setup = self.setup_for('all', tmp_path)
        monkeypatch.setattr(steps.Setup, 'has', lambda self, group: True)
        monkeypatch.setattr(steps.Setup, 'version', lambda self, name: '2.13.0')
        monkeypatch.setattr(steps.mmcv_wheel, 'has_operators', lambda names: True)
        write_state(tmp_path, **noted)
        setup.gpu = gpu
        assert setup.has_mmcv() == done

    def test_the_driver_is_asked_only_where_it_matters(self, tmp_path, monkeypatch):
        setup = self.setup_for('all', tmp_path)
        monkeypatch.setattr(setup.environment, 'has_nvidia_gpu', lambda: pytest.fail('asked without need'))
        monkeypatch.setattr(steps.Setup, 'version', lambda self, name: '2.13.0' if name == 'torch' else '')
        assert setup.fits_gpu('torch') and setup.steps()

    def test_every_link_of_moganet_counts(self, tmp_path, monkeypatch):
        setup = self.setup_for('all', tmp_path)
        (tmp_path / 'moganet/.mim').mkdir(parents=True)
        (tmp_path / 'moganet/version.py').write_text("__version__ = '1.0'\n")
        setup.root = tmp_path
        installed = type('Installed', (), {'read_text': lambda self, name: json.dumps({'url': f'file://{tmp_path}'})})
        monkeypatch.setattr(steps.metadata, 'distribution', lambda name: installed())
        monkeypatch.setattr(steps.Setup, 'version', lambda self, name: '1.0')
        for name in MIM:
            (tmp_path / 'moganet/.mim' / name).touch()
        assert setup.has_moganet()
        for name in MIM:
            (tmp_path / 'moganet/.mim' / name).unlink()
            assert not setup.has_moganet()
            (tmp_path / 'moganet/.mim' / name).touch()

    def test_children_share_the_lock(self, tmp_path, monkeypatch):
        def look(setup):
            (lock,) = setup.pip.locks
            assert os.path.samestat(os.fstat(lock), os.stat(tmp_path / 'setup.lock'))
            with open(tmp_path / 'setup.lock') as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return 7

        monkeypatch.setattr(steps, 'set_up', look)
        assert steps.main(str(ROOT), str(tmp_path), 'all') == 7

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
