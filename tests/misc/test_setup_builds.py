"""Which builds the set-up takes, how it calls pip, and the cache of compiled wheels; nothing is installed."""

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from envsetup import mmcv_wheel, torch_build
from envsetup.errors import SetupError
from envsetup.pip import Pip, explain
from envsetup.progress import NinjaCount, StatusLine, spell_seconds

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestTorchBuild:
    wanted = ('numpy==2.4.6', 'torch==2.13.0')

    @staticmethod
    def never(*_: str) -> list[str]:
        pytest.fail('asked without need')

    @pytest.mark.parametrize(
        ('offered', 'build'),
        [
            (['2.15.0', '2.13.0'], '2.13.0'),
            # pip would prefer the build for the CPU, were it not for the three signs.
            (['2.13.0+cpu', '2.13.0'], '2.13.0'),
            (['2.15.0+cu140', '2.13.0+cu128', '2.13.0+cpu', '2.13.0'], '2.13.0+cu128'),
            ([], '2.13.0'),
        ],
    )
    def test_a_gpu_gets_a_build_for_it(self, offered, build):
        choice = torch_build.choose_torch(self.wanted, True, 'Linux', lambda name: offered, self.never)
        assert choice.arguments == ('numpy==2.4.6', f'torch==={build}')

    def test_a_gpu_does_not_get_a_build_for_the_cpu(self):
        with pytest.raises(SetupError, match=r'is offered 2\.13\.0\+cpu: name an index.*CUDA_VISIBLE_DEVICES='):
            torch_build.choose_torch(self.wanted, True, 'Linux', lambda name: ['2.13.0+cpu'], self.never)

    def test_only_linux_has_two_builds(self):
        assert torch_build.choose_torch(self.wanted, False, 'Darwin', self.never, self.never).arguments == self.wanted

    def test_pips_own_settings_come_first(self):
        choice = torch_build.choose_torch(
            self.wanted, False, 'Linux', lambda name: ['2.13.0+cpu', '2.13.0'], self.never
        )
        assert choice == torch_build.Choice(self.wanted)

    def test_then_pytorchs_index(self):
        choice = torch_build.choose_torch(self.wanted, False, 'Linux', lambda name: ['2.13.0'], lambda url: True)
        assert choice.arguments == (*self.wanted, '--extra-index-url', torch_build.CPU_INDEX)

    def test_then_what_there_is_with_a_word_about_it(self):
        choice = torch_build.choose_torch(self.wanted, False, 'Linux', lambda name: ['2.13.0'], lambda url: False)
        assert choice.arguments == self.wanted and 'does not answer' in choice.reason

    @pytest.mark.parametrize(
        ('torch', 'offered', 'answers', 'expected'),
        [
            ('2.13.0', [], False, ('torchvision===0.28.0',)),
            ('2.13.0', ['0.28.0+cpu', '0.28.0'], False, ('torchvision===0.28.0',)),
            ('2.13.0+cu128', ['0.28.0+cu140', '0.28.0+cu128'], False, ('torchvision===0.28.0+cu128',)),
            ('2.13.0+cu128', ['0.28.0'], False, ('torchvision===0.28.0',)),
            ('2.13.0+cpu', ['0.28.0+cpu'], False, ('torchvision==0.28.0+cpu',)),
            ('2.13.0+cpu', ['0.28.0'], True, ('torchvision==0.28.0+cpu', '--extra-index-url', torch_build.CPU_INDEX)),
            ('2.13.0+cpu', ['0.28.0'], False, ('torchvision==0.16.2',)),
        ],
    )
    def test_torchvision_follows_torch(self, torch, offered, answers, expected):
        choice = torch_build.choose_torchvision(
            'torchvision==0.28.0', 'torchvision==0.16.2', torch, lambda name: offered, lambda url: answers, (3, 11)
        )
        assert choice.arguments == expected
        assert bool(choice.reason) == (expected == ('torchvision==0.16.2',))

    def test_the_fallback_has_no_build_for_newer_pythons(self):
        with pytest.raises(SetupError, match=r'none for Python 3\.12.*PYTHON=python3\.11'):
            torch_build.choose_torchvision(
                'torchvision==0.28.0', 'torchvision==0.16.2', '2.13.0+cpu', lambda name: [], lambda url: False, (3, 12)
            )

    def test_an_index_that_does_not_exist_does_not_answer(self):
        assert not torch_build.answers('http://127.0.0.1:9/simple/', timeout=1)


class TestPip:
    def test_install_is_quiet_and_outlives_user_wide_settings(self, fake_pip, status, tmp_path):
        fake_pip('hello').install(['--no-deps', 'a==1'], status)
        ((arguments, variables),) = [json.loads(line) for line in (tmp_path / 'calls').read_text().splitlines()]
        assert arguments[:2] == ['install', '-q'] and arguments[-2:] == ['--no-deps', 'a==1']
        assert '--no-input' in arguments and variables['PIP_USER'] == '0'
        assert 'hello' in (tmp_path / 'log').read_text()

    def test_the_environments_own_programs_come_first(self, fake_pip, status, tmp_path, monkeypatch):
        """torch asks the path for ninja, and pip installs that beside the interpreter."""
        monkeypatch.setenv('PATH', '/usr/bin:/bin')
        pip = fake_pip()
        pip.install(['a'], status)
        pip.run(['wheel'], status, {'MAX_JOBS': '1'})
        pip.versions('torch')
        calls = [json.loads(line)[1] for line in (tmp_path / 'calls').read_text().splitlines()]
        assert [call['PATH'] for call in calls] == [f'{Path(sys.executable).parent}:/usr/bin:/bin'] * 3
        assert calls[1]['MAX_JOBS'] == '1'

    @pytest.mark.parametrize(
        ('said', 'expected'),
        [
            (
                'NewConnectionError: Failed to establish a new connection: Temporary failure in name resolution',
                'network',
            ),
            ('OSError: [Errno 28] No space left on device', 'the disk is full'),
            ("error: command 'g++' failed: No such file or directory", 'apt-get install g++'),
            ('fatal error: Python.h: No such file or directory', f'apt-get install python3.{sys.version_info[1]}-dev'),
            ("OSError: [Errno 30] Read-only file system: '/x'", 'cannot be written'),
            (
                '  The detected CUDA version (12.4) mismatches the version that was used to compile\n'
                '  PyTorch (13.0). Please make sure to use the same CUDA versions.',
                'install the CUDA toolkit 13.0 and run the same line again with CUDA_HOME=/usr/local/cuda-13.0',
            ),
            (
                "RuntimeError: ('The detected CUDA version (%s) mismatches the version that was used to compilePyTorch "
                "(%s). Please make sure to use the same CUDA versions.', '12.4', '13.0')",
                'found here is 12.4, and torch was compiled with 13.0: install the CUDA toolkit 13.0',
            ),
            ('g++: internal compiler error: Killed (program cc1plus)', 'MAX_JOBS=1'),
            ('ERROR: No matching distribution found for frob==3', 'no frob==3 for this Python'),
        ],
    )
    def test_a_known_failure_becomes_one_line_that_says_what_to_do(self, fake_pip, status, capsys, said, expected):
        with pytest.raises(SetupError) as caught:
            fake_pip(said, 1).install(['a'], status)
        assert expected in str(caught.value) and 'log' in str(caught.value)
        assert '\n' not in str(caught.value) and capsys.readouterr().err == ''

    def test_an_unknown_failure_shows_the_end_of_the_log(self, fake_pip, status, capsys):
        with pytest.raises(SetupError, match='the whole output is in'):
            fake_pip('\n'.join(f'line {number}' for number in range(100)), 1).install(['a'], status)
        shown = capsys.readouterr().err
        assert 'line 99' in shown and 'line 50' not in shown

    def test_only_the_failed_call_is_explained(self, fake_pip, status, tmp_path):
        (tmp_path / 'log').write_text('No space left on device\n')
        with pytest.raises(SetupError, match='the whole output'):
            fake_pip('something else', 1).install(['a'], status)

    def test_its_lines_are_passed_on_as_they_come(self, fake_pip, status):
        seen = []
        fake_pip('one\ntwo').run([], status, on_line=lambda line: seen.append(line) or '')
        assert seen == ['one', 'two']

    def test_a_lock_outlives_a_killed_set_up(self, tmp_path):
        """It lasts until the pip that goes on has ended, and that one is not disturbed."""
        child = (
            'import pathlib, time\n'
            "print('started', flush=True)\n"
            "while not pathlib.Path('go').exists(): time.sleep(0.05)\n"
            "print('more', flush=True)\n"
            "pathlib.Path('done').touch()\n"
        )
        driver = start_driver(tmp_path, [sys.executable, '-c', child])
        driver.kill()
        driver.wait()
        with open(tmp_path / 'lock') as lock:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (tmp_path / 'go').touch()
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert (tmp_path / 'done').exists()

    @pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
    def test_what_pip_has_started_ends_with_an_interrupted_set_up(self, tmp_path, number):
        beating = 'while :; do echo beat >> beats; sleep 0.1; done'
        driver = start_driver(tmp_path, ['sh', '-c', f"echo started; sh -c '{beating}'; true"])
        driver.send_signal(number)
        assert driver.wait(30) == 130
        size = (tmp_path / 'beats').stat().st_size if (tmp_path / 'beats').exists() else 0
        time.sleep(0.5)
        assert not (tmp_path / 'beats').exists() or (tmp_path / 'beats').stat().st_size == size

    def test_versions_are_read_from_pips_answer(self, fake_pip):
        said = 'torch (2.15.0)\nAvailable versions: 2.15.0, 2.13.0+cpu, 2.13.0\n  INSTALLED: 2.1'
        assert fake_pip(said).versions('torch') == ['2.15.0', '2.13.0+cpu', '2.13.0']
        assert fake_pip('', 1).versions('torch') == []

    def test_harmless_output_explains_nothing(self):
        assert explain('Collecting torch\nInstalling collected packages: torch') == ''


class TestProgress:
    def test_ninja_is_understood_within_pips_output(self):
        count = NinjaCount()
        for line in ('  running build_ext', '  [1/157] c++ -MMD -o a.o', '    [39/157] c++ -o b.o', '  arr[3/4] = 1;'):
            count.feed(line)
        assert (count.done, count.total) == (39, 157)
        assert count.text(39.0) == '39 of 157 files, about 1 min 58 s left'

    def test_nothing_is_said_before_the_first_file(self):
        assert NinjaCount().text(100.0) == ''

    def test_seconds(self):
        assert [spell_seconds(value) for value in (0.4, 59.4, 59.6, 185)] == ['0 s', '59 s', '1 min 00 s', '3 min 05 s']

    def test_a_log_gets_a_line_every_half_minute(self):
        stream = io.StringIO()
        line = StatusLine('[1/2] torch', stream)
        line.tick('a')
        line.shown -= 31
        line.tick('b')
        line.tick('c')
        line.finish('done')
        assert [text.strip().split(',')[0] for text in stream.getvalue().splitlines()] == [
            '[1/2] torch',
            '... b',
            'done',
        ]

    def test_a_terminal_gets_one_line(self):
        stream = Terminal()
        line = StatusLine('[1/2] torch', stream)
        line.tick('a')
        line.finish('2.13.0')
        assert stream.getvalue().count('\n') == 1 and '2.13.0, 0 s' in stream.getvalue()


# Holds a lock and runs a command as the set-up does.
DRIVER = """
import fcntl, io, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from envsetup.pip import Pip
from envsetup.progress import StatusLine
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.default_int_handler)
pip = Pip(Path('log'), sys.argv[2:])
try:
    with open('lock', 'w') as lock, pip.sharing(lock.fileno()):
        fcntl.flock(lock, fcntl.LOCK_EX)
        pip.run([], StatusLine('step', io.StringIO()))
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_driver(folder: Path, command: list[str]) -> subprocess.Popen:
    """Starts the driver, and waits until its command has said ``started``."""
    driver = subprocess.Popen([sys.executable, '-c', DRIVER, str(ROOT / 'tools/misc'), *command], cwd=folder)
    deadline = time.monotonic() + 60
    while not (folder / 'log').exists() or 'started\n' not in (folder / 'log').read_text():
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return driver


def make_wheel(path: Path, operators: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('mmcv/__init__.py', 'x = 1\n' * 1000)
        if operators:
            archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', b'\0' * 4096)
        archive.writestr('mmcv-2.dist-info/RECORD', '')
    return path


def make_program(path: Path, text: str = '') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)
    return path


class TestWheelCache:
    target = mmcv_wheel.Target('onedl-mmcv==2.3.6', '2.13.0+cpu', 'cpu')

    def test_the_key_tells_apart_what_cannot_share_a_wheel(self):
        others = [
            mmcv_wheel.Target('onedl-mmcv==2.3.7', '2.13.0+cpu', 'cpu'),
            mmcv_wheel.Target('onedl-mmcv==2.3.6', '2.13.0', 'cpu'),
            mmcv_wheel.Target('onedl-mmcv==2.3.6', '2.13.0+cpu', 'none'),
            mmcv_wheel.Target('onedl-mmcv==2.3.6', '2.13.0+cpu', 'cuda-sm90'),
        ]
        assert len({target.key for target in (self.target, *others)}) == 5
        assert f'cp{sys.version_info[0]}{sys.version_info[1]}' in self.target.key and '2.13.0+cpu' in self.target.key

    def test_a_whole_wheel_is_found(self, tmp_path):
        kept = mmcv_wheel.keep(make_wheel(tmp_path / 'out/a.whl', True), tmp_path / 'cache', self.target)
        assert mmcv_wheel.find(tmp_path / 'cache', self.target) == kept
        assert [path.name for path in kept.parent.iterdir()] == ['a.whl']

    def test_a_torn_wheel_is_never_used(self, tmp_path):
        kept = mmcv_wheel.keep(make_wheel(tmp_path / 'out/a.whl', True), tmp_path / 'cache', self.target)
        whole = kept.read_bytes()
        for torn in (whole[: len(whole) // 2], whole[:200] + bytes(64) + whole[264:], b''):
            kept.write_bytes(torn)
            assert mmcv_wheel.find(tmp_path / 'cache', self.target) is None

    def test_a_wheel_without_operators_does_not_pass_for_one_with(self, tmp_path):
        mmcv_wheel.keep(make_wheel(tmp_path / 'out/a.whl', False), tmp_path / 'cache', self.target)
        assert mmcv_wheel.find(tmp_path / 'cache', self.target) is None

    def test_half_a_copy_is_not_found(self, tmp_path):
        make_wheel(tmp_path / self.target.key / 'a.whl.123.part', True)
        assert mmcv_wheel.find(tmp_path, self.target) is None

    def test_the_cache_is_the_users(self, tmp_path, monkeypatch):
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'mine'))
        assert mmcv_wheel.cache_root(tmp_path / 'else') == tmp_path / 'mine/moganet/wheels'
        (tmp_path / 'file').write_text('')
        monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
        assert mmcv_wheel.cache_root(tmp_path / 'else') == tmp_path / 'else'

    def test_no_compiler_says_what_to_install(self, monkeypatch):
        monkeypatch.setenv('PATH', '/nowhere')
        monkeypatch.delenv('CXX', raising=False)
        with pytest.raises(SetupError, match=r'apt-get install g\+\+'):
            mmcv_wheel.check_compiler()

    def test_without_operators_torch_is_hidden_from_the_build(self, tmp_path):
        target = mmcv_wheel.Target('onedl-mmcv==2.3.6', '2.13.0+cpu', 'none')
        variables = {**os.environ, **mmcv_wheel._variables(target, tmp_path)}
        code = 'try:\n import torch\nexcept ModuleNotFoundError as error:\n print(error.name)'
        done = subprocess.run([sys.executable, '-c', code], env=variables, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == 'torch'

    def test_the_variant_follows_gpu_and_toolkit(self, tmp_path, monkeypatch):
        monkeypatch.setenv('PATH', str(tmp_path))
        monkeypatch.setenv('CUDA_HOME', str(tmp_path))
        make_program(tmp_path / 'nvidia-smi', 'echo 9.0\necho 8.0\necho 9.0')
        assert mmcv_wheel.choose_variant(True, False) == 'cpu'
        assert mmcv_wheel.choose_variant(False, True) == 'none'
        with pytest.raises(SetupError, match=r'nvcc is not in CUDA_HOME=\S+: install the CUDA toolkit 13\.0 and run'):
            mmcv_wheel.choose_variant(True, True, '13.0')
        make_program(tmp_path / 'bin/nvcc')
        assert mmcv_wheel.choose_variant(True, True) == 'cuda-sm80-sm90'

    def test_nvcc_is_looked_up_where_torch_does(self, tmp_path, monkeypatch):
        for name in ('CUDA_HOME', 'CUDA_PATH'):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('PATH', str(tmp_path / 'c/bin'))
        found = make_program(tmp_path / 'c/bin/nvcc')
        assert mmcv_wheel.find_nvcc() == found
        monkeypatch.setenv('CUDA_PATH', str(tmp_path / 'b'))
        # torch goes by the variable, and so fails with what is not there.
        assert mmcv_wheel.find_nvcc() is None
        found = make_program(tmp_path / 'b/bin/nvcc')
        assert mmcv_wheel.find_nvcc() == found
        monkeypatch.setenv('CUDA_HOME', str(tmp_path / 'a'))
        found = make_program(tmp_path / 'a/bin/nvcc')
        assert mmcv_wheel.find_nvcc() == found

    def test_the_last_place_for_nvcc_is_where_the_toolkit_installs_itself(self, monkeypatch):
        asked = []
        for name in ('CUDA_HOME', 'CUDA_PATH'):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('PATH', '/nowhere')
        monkeypatch.setattr(mmcv_wheel.os, 'access', lambda path, mode: asked.append(str(path)) or True)
        assert str(mmcv_wheel.find_nvcc()) == '/usr/local/cuda/bin/nvcc' == asked[-1]

    @pytest.mark.parametrize(
        ('line', 'expected'), [("cuda: Optional[str] = '13.0'", '13.0'), ("cuda = '12.1'", '12.1'), ('cuda = None', '')]
    )
    def test_the_cuda_of_torch_is_read(self, tmp_path, line, expected):
        assert mmcv_wheel.torch_cuda(tmp_path) == ''
        (tmp_path / 'torch').mkdir()
        (tmp_path / 'torch/version.py').write_text(f"__version__ = '2.13.0'\n{line}\nhip = None\n")
        assert mmcv_wheel.torch_cuda(tmp_path) == expected

    def test_jobs_follow_the_user(self, monkeypatch):
        monkeypatch.setenv('MAX_JOBS', '7')
        assert mmcv_wheel.job_count() == 7
        monkeypatch.delenv('MAX_JOBS')
        assert 1 <= mmcv_wheel.job_count() <= (os.cpu_count() or 1)

    def test_building_goes_through_a_folder_that_outlives_it(self, tmp_path, status):
        """The first build is cut off; the second goes on in the unpacked source without another download."""
        pip = BuildingPip(tmp_path / 'log')
        with pytest.raises(KeyboardInterrupt):
            mmcv_wheel.build(self.target, ('--no-deps',), tmp_path, pip, status)
        wheel = mmcv_wheel.build(self.target, ('--no-deps',), tmp_path, pip, status)
        assert [call[0] for call in pip.calls] == ['download', 'wheel', 'wheel']
        assert mmcv_wheel.find(tmp_path, self.target) == wheel
        assert [path.name for path in tmp_path.iterdir() if path.suffix == '.build'] == []
        assert mmcv_wheel.build(self.target, ('--no-deps',), tmp_path, pip, status) == wheel
        assert len(pip.calls) == 3


class BuildingPip(Pip):
    """Downloads a made-up source and makes a wheel of it, the second time it is asked."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.calls: list[list[str]] = []

    def run(self, arguments, status, environment=None, on_line=None):
        self.calls.append(list(arguments))
        # Killed alone, the set-up leaves the build's folder locked.
        assert len(self.locks) == 1 and os.fstat(self.locks[0])
        if arguments[0] == 'download':
            folder = Path(arguments[arguments.index('-d') + 1])
            folder.mkdir(parents=True)
            with zipfile.ZipFile(folder / 'mmcv-2.zip', 'w') as archive:
                archive.writestr('mmcv-2/setup.py', '')
        elif len(self.calls) == 2:
            raise KeyboardInterrupt
        else:
            assert environment['MMCV_WITH_OPS'] == '1'
            assert on_line('  [3/9] c++ x.o').startswith('3 of 9')
            make_wheel(Path(arguments[arguments.index('-w') + 1], 'mmcv-2.whl'), True)
