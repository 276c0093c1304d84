"""How much memory a run may still take."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import torch

_CGROUPS = Path('/sys/fs/cgroup')


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device, what this process has reserved there included; of a CPU the host's.

    Slurm, Docker and others limit what the host has by a control group; its limit counts as well.
    """
    if device.type == 'cuda':
        return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    return min([_available(), *(limit for limit in _left_of_groups())])


def _available() -> int:
    """Return what Linux says is available, or where there is no Linux, all of the memory."""
    with contextlib.suppress(OSError):
        for line in Path('/proc/meminfo').read_text().splitlines():
            if line.startswith('MemAvailable:'):
                return int(line.split()[1]) * 1024
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _left_of_groups() -> list[int]:
    """Return what is left of each limit that holds for this process: of its control group and those above it."""
    found = []
    for root, own in _groups():
        names = ('memory.max', 'memory.current') if root == _CGROUPS else (
            'memory.limit_in_bytes', 'memory.usage_in_bytes')  # fmt: skip
        folder = root / own.lstrip('/')
        # In a container the path may be the host's; what is seen of it then is the root.
        for place in [folder, *folder.parents]:
            with contextlib.suppress(OSError, ValueError):  # not there, or 'max'
                limit, used = (int((place / name).read_text()) for name in names)
                found.append(limit - used + _reclaimable(place))
            if place == root:
                break
    return found


def _groups() -> list[tuple[Path, str]]:
    """Return root and path of the groups of both versions that count this process's memory."""
    with contextlib.suppress(OSError):
        lines = [line.split(':', 2) for line in Path('/proc/self/cgroup').read_text().splitlines()]
        return [
            (_CGROUPS if not controllers else _CGROUPS / 'memory', path)
            for _, controllers, path in lines
            if not controllers or 'memory' in controllers.split(',')
        ]
    return []


def _reclaimable(place: Path) -> int:
    """Return the bytes of files that were read and that the kernel gives up first."""
    stat = dict(line.split() for line in (place / 'memory.stat').read_text().splitlines())
    return int(stat.get('total_inactive_file', stat.get('inactive_file', 0)))
