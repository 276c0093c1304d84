"""A job whose processes torchrun has started again, after one of them had died."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, get_world_size

from ..checkpoints import Checkpoint
from .faults import RunFault
from .resume import latest_checkpoint

# When the job began, by the clock of the disk that its checkpoints are written to, seconds since the epoch. Its
# launcher sets it for the processes of all restarts. TORCHELASTIC_RESTART_COUNT alone would not do: a node that is
# drawn into the restart of another one does not count it.
_BEGAN = 'MOGANET_JOB_BEGAN'


class DisagreementError(RunFault):
    """The processes of a run would not go on from the same place."""


def note_beginning(environment: MutableMapping[str, str], work_dir: str | Path) -> None:
    """Note that a job begins, for the processes that inherit the environment."""
    with tempfile.NamedTemporaryFile(dir=work_dir, prefix='.begin_') as probe:
        environment[_BEGAN] = repr(os.stat(probe.name).st_mtime)


def began(environment: MutableMapping[str, str]) -> float | None:
    """Return what :func:`note_beginning` has noted."""
    return float(environment[_BEGAN]) if _BEGAN in environment else None


def own_checkpoint(work_dir: str | Path, foreign: bool) -> tuple[Checkpoint | None, list[str]]:
    """Return the last checkpoint that this job has written, and notes; None where it was not restarted or has none.

    The work dir may hold those of a run before as well, and nobody has asked to go on from them. Only a job that
    torchrun has restarted, and no launcher of ours has started, cannot tell them apart.

    Raises:
        ValueError: there are some, and none can be resumed from.
    """
    count = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))
    since = began(os.environ)
    if since is None and not count:
        return None, []
    checkpoint, notes = latest_checkpoint(work_dir, foreign, since or 0)
    of = f'restart {count} of {os.environ.get("TORCHELASTIC_MAX_RESTARTS", count)}' if count else 'restarted'
    if checkpoint is not None:
        return checkpoint, [*notes, f'{of}, so it goes on by itself']
    return None, [f'{of}: the job has written no checkpoint yet, so it begins as it began'] if count else []


def check_agreement(cfg: Any) -> None:
    """See that all processes go on from the same checkpoint; all of them have to call it.

    Raises:
        DisagreementError: they do not. Each looks into the work dir for itself, and on another disk it is another one.
    """
    if get_world_size() == 1:
        return
    everyone = all_gather_object(Path(cfg.load_from).name if cfg.resume else 'the beginning')
    other = next((rank for rank, place in enumerate(everyone) if place != everyone[0]), None)
    if other is not None:
        raise DisagreementError(
            f'process 0 would start from {everyone[0]}, and process {other} from {everyone[other]}; '
            f'all nodes need the same work dir, on a disk that they share: {cfg.work_dir}'
        )
