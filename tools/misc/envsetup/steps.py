"""The steps of the set-up: each asks the environment whether it is done, so one that was cut off goes on from there."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlparse

from . import MIM, mmcv_wheel, torch_build
from .errors import SetupError
from .pip import Pip, child_variables
from .progress import StatusLine, spell_seconds
from .sets import FOR_TESTS, constraints_of, load_environment
from .state import read_state, sweep, write_state

# What is set up for the goal on the left serves those on the right, too.
SERVES = {
    'test': ('test', 'all', 'classification'),
    'all': ('all', 'classification'),
    'classification': ('classification',),
}


@dataclass(frozen=True)
class Step:
    """One line of the set-up: ``run`` is called unless ``done`` says yes."""

    title: str
    done: Callable[[], bool]
    run: Callable[[StatusLine], str]


@dataclass
class Setup:
    """What the steps share.

    Args:
        root: the repository.
        venv: the environment that the running interpreter belongs to.
        goal: ``classification``, ``all`` (every task) or ``test`` (also the development tools).
        pip: the environment's own.
        name: the set of ``requirements/`` that is installed.
    """

    root: Path
    venv: Path
    goal: str
    pip: Pip
    name: str = 'modern'
    environment: ModuleType = field(init=False)
    groups: dict = field(init=False)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        self.environment = load_environment(self.root)
        self.groups = self.environment.read_set(self.name, self.root / 'requirements')

    @functools.cached_property
    def gpu(self) -> bool:
        """Whether there is an NVIDIA GPU; asked only where something depends on it, for the driver takes its time."""
        return bool(self.environment.has_nvidia_gpu())

    def version(self, name: str) -> str:
        """The installed version of a distribution; empty when it is missing or only half there."""
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return ''
        # pip writes INSTALLER after everything else.
        return found.version if found.read_text('INSTALLER') else ''

    def has(self, group: str) -> bool:
        """Whether every requirement of a group is installed in its version, whatever the build."""
        pins = (text.split('==') for text in self.groups[group].requirements)
        return all(self.version(name).split('+')[0] == version for name, version in pins)

    @property
    def constraints(self) -> list[str]:
        """The arguments that hold pip to the exact set."""
        return ['-c', str(constraints_of(self.root, self.name))]

    def install(self, group: str) -> Callable[[StatusLine], str]:
        """A step's action: one pip call for a whole group."""

        def run(status: StatusLine) -> str:
            options = self.groups[group].options
            extra = [] if '--no-deps' in options else self.constraints
            self.pip.install([*options, *extra, *self.groups[group].requirements], status)
            return ''

        return run

    def group_step(self, group: str, title: str) -> Step:
        """The step that installs a group as it stands."""
        return Step(title, lambda: self.has(group), self.install(group))

    def fits_gpu(self, name: str) -> bool:
        """Whether a distribution is not in its build for the CPU alone where there is a GPU."""
        return not (self.version(name).endswith('+cpu') and self.gpu)

    def has_torch(self) -> bool:
        """Whether torch is there, for the GPU where there is one, and with what its CUDA build cannot do without."""
        if not (self.has('torch') and self.fits_gpu('torch')):
            return False
        bare = 'torch-fallback' in self.groups and platform.system() == 'Linux' and '+' not in self.version('torch')
        return not bare or self.gpu or self.has('torch-fallback')

    def install_torch(self, status: StatusLine) -> str:
        """torch, in the build for this machine."""
        requirements = self.groups['torch'].requirements
        choice = torch_build.choose_torch(requirements, self.gpu, platform.system(), self.pip.versions)
        if choice.reason and 'torch-fallback' in self.groups:
            self.install('torch-fallback')(status)
        else:
            self.pip.install([*self.constraints, *choice.arguments], status)
        return ', '.join(part for part in (self.version('torch'), choice.reason) if part)

    def has_torchvision(self) -> bool:
        """Whether torchvision is there: the version of the set, or the fallback beside a CPU-only torch."""
        (fallback,) = self.groups.get('torchvision-fallback', self.groups['torchvision']).requirements
        alone = (
            self.version('torch').endswith('+cpu')
            and self.version('torchvision').split('+')[0] == fallback.split('==')[1]
        )
        return alone or (self.has('torchvision') and self.fits_gpu('torchvision'))

    def install_torchvision(self, status: StatusLine) -> str:
        """torchvision, in a build that imports beside torch."""
        (wanted,) = self.groups['torchvision'].requirements
        (fallback,) = self.groups.get('torchvision-fallback', self.groups['torchvision']).requirements
        choice = torch_build.choose_torchvision(wanted, fallback, self.version('torch'), self.pip.versions)
        self.pip.install([*self.groups['torchvision'].options, *choice.arguments], status)
        return choice.reason

    def has_mmcv(self) -> bool:
        """Whether mmcv is there, with operators for this torch where the goal needs them."""
        if not self.has('mmcv'):
            return False
        folder = Path(sysconfig.get_paths()['platlib'])
        files = [f'mmcv/{path.name}' for path in (folder / 'mmcv').glob('_ext*')]
        if not mmcv_wheel.has_operators(files):
            return self.goal == 'classification'
        noted, torch = read_state(self.venv), self.version('torch')
        if noted.get('mmcv_torch') != torch:
            return False
        for_gpu = str(noted.get('mmcv_variant', '')).startswith('cuda')
        return self.goal == 'classification' or for_gpu or torch.endswith('+cpu') or not self.gpu

    def install_mmcv(self, status: StatusLine) -> str:
        """mmcv from the cache, or built into it; classification does not wait for operators that it does not use."""
        (requirement,) = self.groups['mmcv'].requirements
        cuda = mmcv_wheel.torch_cuda(Path(sysconfig.get_paths()['platlib']))
        variant = mmcv_wheel.choose_variant(self.goal != 'classification', self.gpu, cuda)
        target = mmcv_wheel.Target(requirement, self.version('torch'), variant)
        root = mmcv_wheel.cache_root(self.venv / 'wheels')
        wheel = mmcv_wheel.find(root, target)
        origin = f'from {root}'
        if wheel is None:
            if variant != 'none':
                mmcv_wheel.check_compiler()
            wheel = mmcv_wheel.build(target, self.groups['mmcv'].options, root, self.pip, status)
            origin = f'built, and kept in {root}'
        self.pip.install(['--no-deps', '--no-index', '--force-reinstall', str(wheel)], status)
        write_state(self.venv, mmcv_torch=target.torch, mmcv_variant=variant)
        return origin

    def install_xtcocotools(self, status: StatusLine) -> str:
        """xtcocotools from its source."""
        mmcv_wheel.check_compiler()
        return self.install('xtcocotools')(status)

    def has_moganet(self) -> bool:
        """Whether this very repository is installed, editable, and its configs can be found by ``moganet::``."""
        try:
            url = json.loads(metadata.distribution('moganet').read_text('direct_url.json') or '{}').get('url', '')
        except (metadata.PackageNotFoundError, ValueError):
            return False
        same = os.path.realpath(unquote(urlparse(url).path)) == os.path.realpath(self.root)
        version = re.search(
            r"'(.+)'", (self.root / 'moganet/version.py').read_text(encoding='utf-8').split('__version__')[1]
        )
        linked = all((self.root / 'moganet/.mim' / name).exists() for name in MIM)
        return same and linked and version is not None and self.version('moganet') == version.group(1)

    def install_moganet(self, status: StatusLine) -> str:
        """This repository, editable."""
        self.pip.install(['--no-deps', '--no-build-isolation', '-e', str(self.root)], status)
        return ''

    def steps(self) -> list[Step]:
        """Everything that the goal needs, in order."""
        torch = next(text for text in self.groups['torch'].requirements if text.startswith('torch=='))
        (mmcv,) = self.groups['mmcv'].requirements
        every_task = self.goal != 'classification'
        found = [
            self.group_step('build', 'build tools'),
            Step(torch, self.has_torch, self.install_torch),
            Step('torchvision', self.has_torchvision, self.install_torchvision),
            self.group_step('toolboxes', 'the engine and the toolbox of classification'),
            self.group_step('libraries', 'what the toolboxes use'),
        ]
        if every_task:
            found.append(self.group_step('dense-toolboxes', 'the toolboxes of detection, segmentation and pose'))
            if 'xtcocotools' in self.groups:
                found.append(Step('xtcocotools', lambda: self.has('xtcocotools'), self.install_xtcocotools))
        suffix = ', with operators (the first time it takes about ten minutes)' if every_task else ', without operators'
        found.append(Step(mmcv + suffix, self.has_mmcv, self.install_mmcv))
        if self.goal == 'test':
            found += [self.group_step(group, title) for group, title in FOR_TESTS.items() if group in self.groups]
        found.append(Step('moganet itself', self.has_moganet, self.install_moganet))
        return found

    @property
    def key(self) -> str:
        """Changes whenever the set, the repository's place or the interpreter does."""
        parts = [str(self.root), sys.version]
        folder = self.root / 'requirements'
        files = (folder / f'{self.name}.txt', constraints_of(self.root, self.name), folder / 'runtime.txt')
        parts += [path.read_text() for path in files]
        return hashlib.sha256('\0'.join(parts).encode()).hexdigest()


def carry_out(steps: list[Step]) -> int:
    """Runs the steps that are not done; returns how many those were."""
    ran = 0
    for number, step in enumerate(steps, 1):
        if step.done():
            continue
        ran += 1
        status = StatusLine(f'[{number}/{len(steps) + 1}] {step.title}')
        try:
            result = step.run(status)
        except OSError as error:
            status.fail()
            place = f' {error.filename}' if error.filename else ''
            message = f'{step.title}: {error.strerror or error}{place}; mend that and run the same line again'
            raise SetupError(message) from error
        except BaseException:
            status.fail()
            raise
        if not step.done():
            status.fail()
            raise SetupError(
                f'{step.title} is still not as it should be: remove {sys.prefix} and run the same line again'
            )
        status.finish(result)
    return ran


def check(setup: Setup) -> int:
    """Lets the doctor have the last word; returns its exit code, and is silent when all is well."""
    tasks = ['classification'] if setup.goal == 'classification' else ['all']
    command = [sys.executable, '-m', 'moganet.doctor', '--task', *tasks]
    done = subprocess.run(command, cwd=setup.root, capture_output=True, text=True, check=False, env=child_variables())
    if done.returncode:
        print(done.stdout + done.stderr, file=sys.stderr)
    return done.returncode


def set_up(setup: Setup) -> int:
    """Carries the whole thing out; returns the exit code."""
    start = time.monotonic()
    state = read_state(setup.venv)
    served = {goal for done, goals in SERVES.items() if state.get(f'ready_{done}') == setup.key for goal in goals}
    sweep(Path(sysconfig.get_paths()['purelib']))
    if not (setup.goal in served and all(step.done() for step in setup.steps())):
        what = f'{setup.goal} on {"the GPU" if setup.gpu else "the CPU"}, Python {platform.python_version()}'
        what += '' if setup.name == 'modern' else f', the {setup.name} set'
        print(f'setting up {setup.venv} for {what}; details: {setup.pip.log}')
        steps = setup.steps()
        ran = carry_out(steps)
        status = StatusLine(f'[{len(steps) + 1}/{len(steps) + 1}] looking it over')
        code = check(setup)
        status.finish('fits' if code == 0 else 'does not fit')
        if code:
            return code
        write_state(setup.venv, **{f'ready_{setup.goal}': setup.key})
        print(f'ready: {ran} of {len(steps)} steps were due, {spell_seconds(time.monotonic() - start)}')
    return 0


def main(root: str, venv: str, goal: str, name: str = 'modern') -> int:
    """Sets the environment up that the running interpreter belongs to; errors become one line and exit code 2."""
    goal = goal if goal in SERVES else 'all'
    folder = Path(venv)
    pip = Pip(folder / 'setup.log')
    try:
        with open(folder / 'setup.lock', 'w') as lock, pip.sharing(lock.fileno()):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print('another set-up of this environment is running: waiting for it')
                fcntl.flock(lock, fcntl.LOCK_EX)
            return set_up(Setup(Path(root), folder, goal, pip, name))
    except SetupError as error:
        print(f'error: {error}', file=sys.stderr)
    except OSError as error:
        print(
            f'error: cannot write {error.filename or folder}: {error.strerror}; choose another place with VENV=/path',
            file=sys.stderr,
        )
    return 2
