"""Start several processes of a tool: what ``tools/dist_train.sh`` and ``tools/dist_test.sh`` do.

It is torchrun with the checks of the tool done once, before any process starts, so that a user's error is one line
rather than one traceback a process. A single process needs no torchrun: the tool runs in this one.

Environment, as in the toolboxes: NNODES, NODE_RANK, MASTER_ADDR, PORT; and MAX_RESTARTS, torchrun's --max-restarts.
"""

from __future__ import annotations

import os
import runpy
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from .cli import USER_ERRORS, parse_test, parse_train, print_error
from .hooks.checkpoint import INTERRUPTED
from .network import own_address
from .restart import began, note_beginning

_DEFAULT_PORT = 29500  # the toolboxes' own; every node of several has to know it
_LAUNCHER = ('--launcher', 'pytorch')


@dataclass(frozen=True)
class Nodes:
    """Where the processes run, how they meet, and how often they are started again after one has died."""

    processes: int
    nodes: int
    rank: int
    address: str
    port: int
    restarts: int = 0


def read_nodes(processes: str, environment: Mapping[str, str]) -> Nodes:
    """Read and check how many processes to start here, and how they find those of other nodes.

    Args:
        processes: how many on this node, as given on the command line.
        environment: the variables NNODES, NODE_RANK, MASTER_ADDR, PORT and MAX_RESTARTS, all optional.

    Raises:
        ValueError: a number is none or out of range, there are fewer GPUs, or the port is in use.
    """
    count = _whole('GPUS', processes, 1, 1024)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and count > gpus:
        raise ValueError(f'GPUS={count}: this machine has {gpus} GPU(s) that torch can see; give at most {gpus}')
    nodes = _whole('NNODES', environment.get('NNODES', '1'), 1, 65536)
    rank = _whole('NODE_RANK', environment.get('NODE_RANK', '0'), 0, nodes - 1)
    address = environment.get('MASTER_ADDR', '127.0.0.1')
    given = environment.get('PORT')
    if given is None and nodes == 1:
        port = _free_port()
    else:
        port = _whole('PORT', given or str(_DEFAULT_PORT), 1, 65535)
        if rank == 0:
            _check_port(port)
    restarts = _whole('MAX_RESTARTS', environment.get('MAX_RESTARTS', '0'), 0, 1000)
    return Nodes(count, nodes, rank, address, port, restarts)


def _whole(name: str, text: str, low: int, high: int) -> int:
    if not text.strip().lstrip('-').isdigit() or not low <= int(text) <= high:
        allowed = f'{low}' if low == high else f'a whole number from {low} to {high}'
        raise ValueError(f'{name}={text}: {allowed} is needed')
    return int(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def _check_port(port: int) -> None:
    """Refuse a port that another program listens on here, where the first node has to listen."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as torch's own store does
        try:
            probe.bind(('', port))
        except OSError as error:
            raise ValueError(
                f'PORT={port} cannot be used: {error.strerror}; give another, PORT=N'
                ' (on one node it may be left out: a free one is found)'
            ) from error


def torchrun_arguments(nodes: Nodes, script: str, arguments: Sequence[str]) -> list[str]:
    """Return the command line of ``torch.distributed.run``."""
    return [
        f'--nnodes={nodes.nodes}',
        f'--nproc_per_node={nodes.processes}',
        *(_meeting_again(nodes) if nodes.restarts else _meeting_once(nodes)),
        script,
        *arguments,
        *_LAUNCHER,
    ]


def _meeting_once(nodes: Nodes) -> list[str]:
    return [f'--node_rank={nodes.rank}', f'--master_addr={nodes.address}', f'--master_port={nodes.port}']


def _meeting_again(nodes: Nodes) -> list[str]:
    """Have the processes of a restart meet in a place of their own.

    In one that is given, as above, they would find the addresses of those that have died.
    """
    return [
        f'--max_restarts={nodes.restarts}',
        '--rdzv_backend=c10d',
        f'--rdzv_endpoint={nodes.address}:{nodes.port}',
        f'--rdzv_conf=is_host={nodes.rank == 0}',
        f'--local_addr={own_address(nodes.address, nodes.port)}',
    ]


def check(kind: str, arguments: Sequence[str]) -> str:
    """Do the checks of a tool, without starting it; return its work dir.

    Raises:
        ValueError, KeyError, FileNotFoundError: the tool would refuse these arguments.
    """
    from .launch import prepare_testing, prepare_training

    if kind == 'train':
        return str(prepare_training(parse_train(arguments), started=False).cfg.work_dir)
    return str(prepare_testing(parse_test(arguments)).cfg.work_dir)


def _processors() -> int:
    """Return how many processors this process may use: a job's share of a machine may be smaller than the machine."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_alone(nodes: Nodes, script: str, arguments: Sequence[str]) -> int:
    """Run a tool as the only process of a distributed job, within this process; return its exit code."""
    ranks = {'RANK': 0, 'LOCAL_RANK': 0, 'WORLD_SIZE': 1, 'LOCAL_WORLD_SIZE': 1}
    os.environ.update({name: str(value) for name, value in ranks.items()})
    os.environ.update(MASTER_ADDR=nodes.address, MASTER_PORT=str(nodes.port))
    sys.argv = [script, *arguments, *_LAUNCHER]
    try:
        runpy.run_path(script, run_name='__main__')
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def main(argv: Sequence[str]) -> int:
    """Check, start and wait; return the exit code.

    Args:
        argv: ``train`` or ``test``, the script to run, how many processes, and the script's arguments.
    """
    kind, script, processes, *arguments = argv
    alone, work_dir = False, ''
    try:
        nodes = read_nodes(processes, os.environ)
        alone = nodes.processes == nodes.nodes == 1
        if not alone:
            work_dir = check(kind, arguments)
    except USER_ERRORS as error:
        print_error(error)
        return 2
    _share_processors(nodes.processes)
    try:
        if alone:
            return run_alone(nodes, script, arguments)
        if kind == 'train':
            note_beginning(os.environ, work_dir)
        signal.signal(signal.SIGUSR1, _pass_on)
        return run_together(nodes, script, arguments)
    except SignalException as end:
        return 0 if kind == 'train' and _has_stopped(work_dir) else _interrupted(kind, end.sigval)
    except KeyboardInterrupt:
        return _interrupted(kind, signal.SIGINT)


def run_together(nodes: Nodes, script: str, arguments: Sequence[str]) -> int:
    """Run a tool in the processes of this node; return the exit code."""
    if nodes.restarts:
        # torch would have the processes of every restart meet in one store.
        os.environ['TORCH_DISABLE_SHARE_RDZV_TCP_STORE'] = '1'
    try:
        torchrun.main(torchrun_arguments(nodes, script, arguments))
    except ChildFailedError as error:
        return _tell_of_the_first(error)
    return 0


def _share_processors(processes: int) -> None:
    """Give each process its share of the processors; torchrun and MMEngine would both set 1 thread, and warn of it."""
    threads = max(1, _processors() // processes)
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, str(threads))


def _pass_on(number: int, frame: FrameType | None) -> None:
    """End as torchrun ends by SIGTERM: the processes get the signal, and their end is waited for."""
    raise SignalException(f'signal {number}', signal.Signals(number))


def _tell_of_the_first(error: ChildFailedError) -> int:
    """Tell which process ended first, and how; the others followed. Return the exit code.

    It has told its reason itself, where it could; torchrun's report would bury that.
    """
    rank, failure = next(iter(error.failures.items()))  # in the order in which they were seen to end
    code = int(failure.exitcode)
    if code < 0:
        memory = '; the system does so when memory runs out, see dmesg' if code == -signal.SIGKILL else ''
        print_error(f'process {rank} was ended by {signal.Signals(-code).name}{memory}')
        return 128 - code
    if code != 2:  # a user's error is one line
        print_error(f'process {rank} ended with exit code {code}')
    return code


def _has_stopped(work_dir: str) -> bool:
    """Whether a training, asked to stop, has written its checkpoint."""
    path = Path(work_dir, INTERRUPTED)
    return path.is_file() and path.stat().st_mtime >= (began(os.environ) or 0)


def _interrupted(kind: str, number: int) -> int:
    print_error('interrupted' + ('; --resume goes on from the last checkpoint' if kind == 'train' else ''))
    return 128 + number
