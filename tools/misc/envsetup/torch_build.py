"""Which build of torch and torchvision this machine gets."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import SetupError

# PyTorch's own index of CPU builds: on Linux the registry's plain build brings 4 GB of CUDA along.
CPU_INDEX = 'https://download.pytorch.org/whl/cpu'
ANSWER_SECONDS = 4.0


@dataclass(frozen=True)
class Choice:
    """What to hand to ``pip install``, and why when it is not the ordinary build."""

    arguments: tuple[str, ...]
    reason: str = ''


def answers(url: str, timeout: float = ANSWER_SECONDS) -> bool:
    """Whether a server gives a page within ``timeout`` seconds."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as page:
            return bool(page.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def choose_torch(
    requirements: Sequence[str],
    gpu: bool,
    system: str,
    offered: Callable[[str], list[str]],
    answers: Callable[[str], bool] = answers,
) -> Choice:
    """The build of torch: the CUDA one where there is an NVIDIA GPU, the CPU one elsewhere.

    Args:
        requirements: of the set's torch group; one of them is ``torch==VERSION``.
        gpu: whether NVIDIA's driver sees a GPU.
        system: ``Linux``, ``Darwin``, ...; only on Linux there are two builds.
        offered: the versions of a distribution that pip's ordinary settings offer.
        answers: whether an index can be reached.
    """
    wanted = tuple(requirements)
    version = next(text for text in wanted if text.startswith('torch==')).split('==')[1]
    # pip prefers 2.13.0+cpu to 2.13.0 wherever both are offered; three signs mean exactly that one.
    if gpu and system == 'Linux' and {version, f'{version}+cpu'} <= set(offered('torch')):
        return Choice(tuple(text.replace('torch==', 'torch===') for text in wanted))
    if gpu or system != 'Linux':
        return Choice(wanted)
    if f'{version}+cpu' in offered('torch'):
        return Choice(wanted)
    if answers(f'{CPU_INDEX}/torch/'):
        return Choice((*wanted, '--extra-index-url', CPU_INDEX))
    return Choice(
        wanted, "PyTorch's index of CPU builds does not answer: taking the registry's build, a large download"
    )


def choose_torchvision(
    requirement: str,
    fallback: str,
    torch: str,
    offered: Callable[[str], list[str]],
    answers: Callable[[str], bool] = answers,
    python: tuple[int, int] = sys.version_info[:2],
) -> Choice:
    """The build of torchvision that imports beside the torch that is installed.

    Args:
        requirement: the version that belongs to torch.
        fallback: the last version that imports without its compiled library, whatever torch.
        torch: the installed version, with its local part (``2.13.0+cpu``).
        offered: the versions of a distribution that pip's ordinary settings offer.
        answers: whether an index can be reached.
        python: the version of the running interpreter.

    Raises:
        SetupError: neither is to be had for this Python.
    """
    if not torch.endswith('+cpu'):
        return Choice((requirement,))
    version = requirement.split('==')[1]
    matching = f'torchvision=={version}+cpu'
    if f'{version}+cpu' in offered('torchvision'):
        return Choice((matching,))
    if answers(f'{CPU_INDEX}/torchvision/'):
        return Choice((matching, '--extra-index-url', CPU_INDEX))
    last = fallback.split('==')[1]
    if python >= (3, 12):
        raise SetupError(
            f'no CPU build of torchvision {version} can be reached, and torchvision {last} has none for Python '
            f'{python[0]}.{python[1]}: remove this environment and run the same line with PYTHON=python3.11'
        )
    reason = (
        f'torchvision {last}: no CPU build of {version} is on offer here, and its CUDA build cannot be imported beside '
        f'a CPU-only torch; of {last} all but its own compiled operators works'
    )
    return Choice((fallback,), reason)


def imports(module: str) -> str:
    """Why a module cannot be imported by this interpreter; empty when it can."""
    command = [sys.executable, '-W', 'ignore', '-c', f'import {module}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return '' if done.returncode == 0 else (done.stderr.strip().splitlines() or ['it crashed'])[-1]
