"""Several processes that end because one of them did: which of them tells.

The first process of a machine tells at once. The others wait a moment first: where the first has the same to tell, the
launcher ends them meanwhile, and it is told once. What tells least is that a process has lost another one; that is left
to the launcher, or to the machine of the other one.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time

from .hooks import StopSignalHook

# What the launchers call a process's number on its machine, and among all.
_LOCAL_RANKS = ('LOCAL_RANK', 'SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK')
_RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')
# How long to wait, seconds, for a launcher that looks at its processes ten times a second; it may be kept from it.
_PATIENCE = 3.0
# gloo's and NCCL's words for a connection that the other side has closed. What has timed out is another matter: there
# the place at which each process waited is what tells.
_LOST = re.compile(
    r'gloo/transport/.*(closed by peer|reset by peer|[Bb]roken pipe|refused)'
    r'|remote process (has )?exited|ncclRemoteError|recvValue failed|sendBytes failed|failed to recv, got 0 bytes',
    re.DOTALL,
)


def local_rank() -> str:
    """Return the number of this process on its machine, by the variables that launchers set."""
    return next((os.environ[name] for name in _LOCAL_RANKS if name in os.environ), '0')


def name_of_process() -> str:
    """Return ``process 3``, where there may be several; nothing for the first of a machine."""
    rank = next((os.environ[name] for name in _RANKS if name in os.environ), local_rank())
    return '' if local_rank() == '0' else f'process {rank}'


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error says no more than that another process is gone."""
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def what_was_lost(error: BaseException) -> str:
    """Return the words of a lost peer's error, without the place in gloo's sources and without its advice."""
    line = str(error).strip().splitlines()[-1]
    return re.sub(r'^\[[^]]*\]\s*', '', line).split('. ')[0]


def give_way() -> None:
    """Let the first process of this machine tell what this one is about to tell, if it has the same to tell."""
    if local_rank() != '0':
        _be_ended_by_launcher()
        time.sleep(_PATIENCE)


def leave_to_others() -> bool:
    """Let the launcher, or whatever process has a reason of its own, tell why this process has lost another one.

    It does not return where the launcher of this machine has seen the other one's end: it ends this one too.

    Returns:
        Whether this process should tell that it has lost another one.
    """
    _be_ended_by_launcher()
    if StopSignalHook.came:  # it has tried to before
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * _PATIENCE)
    return local_rank() == '0'


def _be_ended_by_launcher() -> None:
    """Have SIGTERM end this process, which a training listens to."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
