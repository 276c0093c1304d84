"""What is installed here, and the sets that are known to work: the facts that the doctor judges.

Only the standard library is used and nothing of this package is imported, so that it serves where torch is broken or
missing, and can be loaded by its path before anything is installed.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

SETS = ('modern', 'classic')

# Import name -> the distributions that provide it, the maintained fork first. They overwrite each other's files.
DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-full', 'mmcv-lite'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpose': ('mmpose',),
}

# Runs in a process of its own. It stops at the first failure: a half-imported package spoils what comes after it.
_PROBE = r"""
import importlib, json, sys, warnings
warnings.simplefilter('ignore')
for name in sys.argv[1:]:
    found = {'name': name}
    print('@begin ' + name, flush=True)
    try:
        module = importlib.import_module(name)
        found['version'] = str(getattr(module, '__version__', ''))
        if name == 'torch':
            found['cuda'] = module.version.cuda or ''
            found['gpus'] = [module.cuda.get_device_name(i) for i in range(module.cuda.device_count())]
        if name == 'mmcv.ops':
            found['cuda'] = str(module.get_compiling_cuda_version())
    except BaseException as error:
        found['error'] = (type(error).__name__ + ': ' + str(error)).strip()
    print('@end ' + json.dumps(found), flush=True)
    if 'error' in found:
        break
"""


@dataclass(frozen=True)
class Group:
    """What one pip call installs: ``pip install OPTIONS REQUIREMENTS``."""

    name: str
    options: tuple[str, ...]
    requirements: tuple[str, ...]

    def line(self, only: str = '') -> str:
        """The pip line for the whole group, or for the one requirement whose distribution is ``only``."""
        chosen = [text for text in self.requirements if not only or requirement_name(text) == only]
        quoted = [f"'{text}'" if re.search('[<>]', text) else text for text in chosen]
        return ' '.join(['pip install', *self.options, *quoted])


@dataclass
class Probe:
    """What happened when a module was imported in another process."""

    ok: bool
    version: str = ''
    error: str = ''
    cuda: str = ''
    gpus: list[str] = field(default_factory=list)


@dataclass
class Facts:
    """An environment, as far as the doctor looks at it.

    ``distributions`` maps normalised names to versions; ``probes`` maps modules to what importing them gave, and lacks
    those that were not asked for; ``nvidia`` says that the driver sees a GPU, whatever torch says.
    """

    python: str
    system: str
    distributions: dict[str, str]
    probes: dict[str, Probe]
    nvidia: bool = False

    def as_dict(self) -> dict[str, object]:
        """The facts as plain data, for JSON."""
        return asdict(self)


def normalise(name: str) -> str:
    """A distribution's name as the package index compares it: ``Onedl_MMCV`` -> ``onedl-mmcv``."""
    return re.sub(r'[-_.]+', '-', name).lower()


def requirement_name(text: str) -> str:
    """The distribution that a requirement such as ``numpy>=1.26`` names."""
    return normalise(re.split(r'[\[<>=!~; ]', text, maxsplit=1)[0])


def carried(name: str) -> Path:
    """Where a file that travels with the package lies: beside the package in a checkout, in ``.mim`` once installed.

    Args:
        name: the file, relative to the repository: ``model-index.yml``.

    Raises:
        FileNotFoundError: neither is there, so the installation is incomplete.
    """
    package = Path(__file__).resolve().parent
    for folder in (package.parent, package / '.mim'):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(
        f'{package}/.mim/{name} is missing: this installation of moganet is incomplete, '
        'install it again with `pip install --no-deps --force-reinstall .` from its sources'
    )


def requirements_dir() -> Path:
    """Where the requirement sets lie.

    Raises:
        FileNotFoundError: they are missing.
    """
    return carried('requirements/modern.txt').parent


def is_main_process() -> bool:
    """Whether this is the first process of all, by the variables that launchers set."""
    for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'):
        if name in os.environ:
            return os.environ[name] == '0'
    return True


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file, as they stand there: without comments, empty lines and options such as ``-c``."""
    lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
    return [line for line in lines if line and not line.startswith(('#', '-'))]


def read_set(name: str, folder: Path | None = None) -> dict[str, Group]:
    """Reads ``requirements/<name>.txt``: its groups in order, each requirement with the version of its constraints.

    Args:
        name: ``modern`` or ``classic``.
        folder: where the files lie; found beside or inside the package by default.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: a requirement stands before the first ``# [group]`` line.
    """
    folder = folder or requirements_dir()
    pins: dict[str, str] = {}
    groups: dict[str, Group] = {}
    current = ''
    for line in (folder / f'{name}.txt').read_text(encoding='utf-8').splitlines():
        opened = re.match(r'# \[([\w-]+)\](.*)', line)
        if opened:
            current = opened.group(1)
            groups[current] = Group(current, tuple(opened.group(2).split()), ())
        elif line.startswith('-c '):
            pins = read_pins(folder / line[3:].strip())
        elif line.strip() and not line.startswith('#'):
            if not current:
                raise ValueError(f'{folder}/{name}.txt: {line!r} stands before the first "# [group]" line')
            group = groups[current]
            bare = re.fullmatch(r'[\w.-]+', line.strip())
            requirement = pins.get(requirement_name(line), line.strip()) if bare else line.strip()
            groups[current] = Group(current, group.options, (*group.requirements, requirement))
    return groups


def read_pins(path: Path) -> dict[str, str]:
    """Reads a constraints file: distribution -> ``distribution==version``."""
    return {requirement_name(line): line for line in requirement_lines(path)}


def read_minima(folder: Path | None = None) -> dict[str, str]:
    """The lowest versions that moganet itself runs with: distribution -> version."""
    lines = requirement_lines((folder or requirements_dir()) / 'runtime.txt')
    return {requirement_name(line): line.split('>=')[1].strip() for line in lines if '>=' in line}


def installed_distributions() -> dict[str, str]:
    """Normalised name -> version of everything that this interpreter has installed; the first on the path counts."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = distribution.metadata['Name']
        if name:
            found.setdefault(normalise(name), distribution.version)
    return found


def has_nvidia_gpu() -> bool:
    """Whether NVIDIA's driver is here and sees a GPU that the user has not hidden with ``CUDA_VISIBLE_DEVICES``."""
    if os.environ.get('CUDA_VISIBLE_DEVICES', 'all').strip() in ('', '-1'):
        return False
    tool = shutil.which('nvidia-smi')
    if tool is None:
        return False
    try:
        listed = subprocess.run([tool, '-L'], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return listed.returncode == 0 and 'GPU' in listed.stdout


def probe(modules: Sequence[str], timeout: float = 300.0) -> dict[str, Probe]:
    """Imports modules in other processes, where a crash or a hang cannot take this one down.

    One process imports as many as it can; after a failure, what is left goes on in a fresh one.

    Args:
        modules: import names, in order; each may rely on those before it.
        timeout: seconds after which an import counts as hanging.
    """
    results: dict[str, Probe] = {}
    left = list(modules)
    while left:
        output, reason = _run_probe(left, timeout)
        at = left[0]
        for line in output.splitlines():
            if line.startswith('@begin '):
                at = line[7:]
            elif line.startswith('@end '):
                found = json.loads(line[5:])
                name = found.pop('name')
                results[name] = Probe(ok='error' not in found, **found)
        if at not in results:
            # The process ended, or hung, without a word about the module that it was at.
            results[at] = Probe(ok=False, error=reason)
            if at == 'torch' and reason == _too_long(timeout):
                # Nearly all that is left imports torch, and each would hang as long.
                late = Probe(ok=False, error=f'not tried, because of torch: {reason}')
                return results | {name: late for name in left if name not in results}
        left = [name for name in left if name not in results]
    return results


def _run_probe(modules: list[str], timeout: float) -> tuple[str, str]:
    """What the probing process printed, and how it ended, for the case that it left something unsaid."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONWARNINGS': 'ignore'}
    command = [sys.executable, '-c', _PROBE, *modules]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        output = expired.stdout or b''
        text = output.decode(errors='replace') if isinstance(output, bytes) else output
        return text, _too_long(timeout)
    ended = f'importing it ended the process with code {done.returncode}'
    return done.stdout, ': '.join([ended, *done.stderr.strip().splitlines()[-1:]])


def _too_long(timeout: float) -> str:
    return f'importing it took longer than {timeout:.0f} s'


def collect(modules: Sequence[str]) -> Facts:
    """The facts about this environment; each of ``modules`` is imported once, elsewhere."""
    return Facts(
        python=platform.python_version(),
        system=platform.system(),
        distributions=installed_distributions(),
        probes=probe(modules),
        nvidia=has_nvidia_gpu(),
    )
