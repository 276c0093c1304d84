"""mmcv's wheel: compiled once, kept in the user's cache, taken from there by every later environment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import SetupError
from .pip import Pip
from .progress import NinjaCount, StatusLine

# A compiling process of mmcv with torch's headers takes this much memory.
JOB_BYTES = 2 * 2**30
# Hides torch from mmcv's set-up, which then builds without operators.
NO_TORCH = "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"


@dataclass(frozen=True)
class Target:
    """What a wheel is for; two that differ in any part cannot share one.

    ``variant`` is ``none`` (without operators), ``cpu`` or ``cuda-sm90`` (the GPUs' architectures).
    """

    requirement: str
    torch: str
    variant: str

    @property
    def key(self) -> str:
        """The name of its folder in the cache."""
        name, version = self.requirement.split('==')
        tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
        machine = sysconfig.get_platform().replace('-', '_')
        libc = ''.join(platform.libc_ver()) if self.variant != 'none' else ''
        parts = (name, version, tag, f'torch{self.torch}', f'ops_{self.variant}', machine, libc)
        return '-'.join(part for part in parts if part)


def cache_root(fallback: Path) -> Path:
    """``$XDG_CACHE_HOME/moganet/wheels``, else under ``~/.cache``; ``fallback`` when that cannot be written."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    folder = Path(base, 'moganet', 'wheels')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        fallback.mkdir(parents=True, exist_ok=True)
        return fallback


def has_operators(names: list[str]) -> bool:
    """Whether mmcv's compiled library is among the files of a wheel or an installation."""
    return any(name.startswith('mmcv/_ext') and name.endswith(('.so', '.pyd')) for name in names)


def is_whole(wheel: Path, operators: bool) -> bool:
    """Whether a wheel can be read to its end, and has operators just when it should."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            whole = archive.testzip() is None and any(name.endswith('.dist-info/RECORD') for name in names)
            return whole and has_operators(names) == operators
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError):
        return False


def find(root: Path, target: Target) -> Path | None:
    """The whole wheel for a target in the cache; what is torn is passed over."""
    wheels = sorted((root / target.key).glob('*.whl'))
    return next((wheel for wheel in wheels if is_whole(wheel, target.variant != 'none')), None)


def keep(wheel: Path, root: Path, target: Target) -> Path:
    """Puts a wheel into the cache in one step: whoever looks finds it whole or not at all."""
    folder = root / target.key
    folder.mkdir(parents=True, exist_ok=True)
    half = folder / f'{wheel.name}.{os.getpid()}.part'
    shutil.move(wheel, half)
    os.replace(half, folder / wheel.name)
    return folder / wheel.name


def find_nvcc() -> Path | None:
    """CUDA's compiler, where torch will look for it: below CUDA_HOME or CUDA_PATH, on the path, in /usr/local/cuda."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    if not home:
        found = shutil.which('nvcc')
        home = os.path.dirname(os.path.dirname(found)) if found else '/usr/local/cuda'
    nvcc = Path(home, 'bin', 'nvcc')
    return nvcc if os.access(nvcc, os.X_OK) else None


def torch_cuda(folder: Path) -> str:
    """The CUDA that torch was compiled with, such as ``13.0``, read without importing it; empty when it has none.

    Args:
        folder: where packages are installed.
    """
    try:
        text = (folder / 'torch/version.py').read_text(encoding='utf-8')
    except OSError:
        return ''
    found = re.search(r"^cuda\b.*= '([\d.]+)'", text, re.M)
    return found.group(1) if found else ''


def choose_variant(operators: bool, gpu: bool, cuda: str = '') -> str:
    """How mmcv is to be built for this machine.

    Args:
        operators: whether it needs them.
        gpu: whether they must run on a GPU.
        cuda: what torch was compiled with, for the message.

    Raises:
        SetupError: there is a GPU, and no compiler for it.
    """
    if not operators:
        return 'none'
    if not gpu:
        return 'cpu'
    if find_nvcc() is None:
        toolkit = f'the CUDA toolkit {cuda}'.strip()
        raise SetupError(
            f"mmcv's operators must be compiled for the GPU, and nvcc is not in {_places()}: install {toolkit} and run "
            'the same line again, name its folder with CUDA_HOME=/path, or do without the GPU with '
            'CUDA_VISIBLE_DEVICES='
        )
    command = ['nvidia-smi', '--query-gpu=compute_cap', '--format=csv,noheader']
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted({line.strip().replace('.', '') for line in asked.stdout.splitlines() if line.strip()})
    return 'cuda-' + '-'.join(f'sm{name}' for name in found) if asked.returncode == 0 and found else 'cuda'


def _places() -> str:
    named = next((name for name in ('CUDA_HOME', 'CUDA_PATH') if os.environ.get(name)), None)
    return f'{named}={os.environ[named]}' if named else 'CUDA_HOME, CUDA_PATH, PATH or /usr/local/cuda'


def check_compiler() -> None:
    """Raises SetupError when C++ extensions cannot be compiled here; the message says what to install."""
    named = os.environ.get('CXX', '').split()
    if not any(shutil.which(name) for name in (*named[:1], 'c++', 'g++', 'clang++')):
        raise SetupError(
            'no C++ compiler, which the operators of detection, segmentation and pose need: install one (Debian, '
            'Ubuntu: apt-get install g++) and run the same line again; classification does without'
        )
    header = Path(sysconfig.get_paths()['include'], 'Python.h')
    if not header.is_file():
        name = f'python{sys.version_info[0]}.{sys.version_info[1]}'
        raise SetupError(
            f"Python's headers are missing ({header}): install them (Debian, Ubuntu: apt-get install {name}-dev) and "
            'run the same line again'
        )


def job_count() -> int:
    """Compiling processes at once: as many as there are cores, fewer when memory is short."""
    if os.environ.get('MAX_JOBS', '').isdigit():
        return int(os.environ['MAX_JOBS'])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return max(1, min(cores, memory // JOB_BYTES))


def build(target: Target, options: tuple[str, ...], root: Path, pip: Pip, status: StatusLine) -> Path:
    """Makes the wheel for a target and keeps it in the cache.

    Compiling takes minutes, so it happens in a folder of the cache that outlives it: cut off, it goes on with the file
    that it was at. Only one process at a time works on a target; others wait, and find the wheel.

    Args:
        target: what to build.
        options: of the set's mmcv group.
        root: the cache.
        pip: builds it.
        status: shows the count of compiled files.
    """
    folder = root / f'{target.key}.build'
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / 'lock', status) as lock, pip.sharing(lock):
        ready = find(root, target)
        if ready is not None:
            return ready
        source = _unpacked(target, options, folder, pip, status)
        out = folder / 'out'
        shutil.rmtree(out, ignore_errors=True)
        count, start = NinjaCount(), time.monotonic()

        def follow(line: str) -> str:
            count.feed(line)
            return count.text(time.monotonic() - start)

        with tempfile.TemporaryDirectory() as hidden:
            variables = _variables(target, Path(hidden))
            arguments = [
                'wheel',
                '-v',
                '--disable-pip-version-check',
                '--no-input',
                *options,
                '-w',
                str(out),
                str(source),
            ]
            pip.run(arguments, status, variables, follow)
        wheels = list(out.glob('*.whl'))
        if len(wheels) != 1 or not is_whole(wheels[0], target.variant != 'none'):
            shutil.rmtree(source, ignore_errors=True)
            raise SetupError(
                f'building {target.requirement} gave no whole wheel: see {pip.log}, and run the same line again'
            )
        kept = keep(wheels[0], root, target)
    shutil.rmtree(folder, ignore_errors=True)
    return kept


def _variables(target: Target, hidden: Path) -> dict[str, str]:
    """The environment of a build."""
    if target.variant == 'none':
        (hidden / 'torch.py').write_text(NO_TORCH, encoding='utf-8')
        paths = [str(hidden), *filter(None, [os.environ.get('PYTHONPATH')])]
        # The fork has no switch for it, and the original, switched, calls itself mmcv-lite, which pip then refuses.
        return {'MMCV_WITH_OPS': '1', 'PYTHONPATH': os.pathsep.join(paths)}
    variables = {'MMCV_WITH_OPS': '1', 'MAX_JOBS': str(job_count())}
    if target.variant == 'cpu':
        # Without nvcc a visible GPU would make mmcv try CUDA, and fail.
        return {**variables, 'CUDA_VISIBLE_DEVICES': '', 'FORCE_CUDA': '0'}
    return {**variables, 'FORCE_CUDA': '1'}


def _unpacked(target: Target, options: tuple[str, ...], folder: Path, pip: Pip, status: StatusLine) -> Path:
    """The source of mmcv, downloaded and unpacked; as it is when that was done before."""
    done = folder / 'unpacked'
    if not done.is_file():
        shutil.rmtree(folder / 'source', ignore_errors=True)
        name = target.requirement.split('==')[0]
        download = ['download', '-q', '--disable-pip-version-check', '--no-input', *options]
        download += ['--no-binary', name, '-d', str(folder / 'source'), target.requirement]
        with tempfile.TemporaryDirectory() as hidden:
            # pip asks the source for its metadata, which needs no torch.
            pip.run(download, status, _variables(Target(target.requirement, target.torch, 'none'), Path(hidden)))
        for archive in (folder / 'source').iterdir():
            shutil.unpack_archive(archive, folder / 'source')
        done.touch()
    return next(path for path in (folder / 'source').iterdir() if path.is_dir())


@contextlib.contextmanager
def _locked(path: Path, status: StatusLine) -> Iterator[int]:
    """Holds a file's lock and gives its descriptor; the system lets go of it when all end that have it, however."""
    with open(path, 'w') as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                status.tick('another set-up is compiling it, waiting')
                time.sleep(1)
        yield file.fileno()
