"""Which build of torch and torchvision this machine gets."""

from __future__ import annotations

import re
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
    """The build of torch: a CUDA one where there is an NVIDIA GPU, the CPU one elsewhere.

    Args:
        requirements: of the set's torch group; one of them is ``torch==VERSION``.
        gpu: whether NVIDIA's driver sees a GPU.
        system: ``Linux``, ``Darwin``, ...; only on Linux there are two builds.
        offered: the versions of a distribution that pip's ordinary settings offer.
        answers: whether an index can be reached.

    Raises:
        SetupError: there is a GPU, and builds for the CPU alone are offered.
    """
    wanted = tuple(requirements)
    version = next(text for text in wanted if text.startswith('torch==')).split('==')[1]
    if gpu and system == 'Linux':
        build = _cuda_build('torch', version, offered('torch'))
        return Choice(tuple(f'torch==={build}' if text.startswith('torch==') else text for text in wanted))
    if system != 'Linux':
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
    version = requirement.split('==')[1]
    if not torch.endswith('+cpu'):
        builds = offered('torchvision')
        same = f'{version}+{torch.partition("+")[2]}'
        return Choice((f'torchvision==={same if same in builds else _cuda_build("torchvision", version, builds)}',))
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


def _cuda_build(name: str, version: str, offered: Sequence[str]) -> str:
    """The version to ask for with three signs, which mean exactly that one.

    With two, pip prefers 2.13.0+cpu to 2.13.0 wherever both are offered, and leaves alone the one that is installed.
    """
    builds = [text for text in offered if text.split('+')[0] == version]
    # A build for a certain CUDA is offered to those who have named its index: they know their driver.
    found = next((text for text in builds if re.search(r'\+cu\d', text)), None)
    if found is None and builds and version not in builds:
        raise SetupError(
            f'this machine has a GPU, and of {name} {version} pip is offered {", ".join(builds)}: name an index that '
            "has a CUDA build in pip's settings, or do without the GPU with CUDA_VISIBLE_DEVICES="
        )
    return found or version
