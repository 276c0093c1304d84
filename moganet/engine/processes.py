"""Start several processes of a tool: what ``tools/dist_train.sh`` and ``tools/dist_test.sh`` do.

It is torchrun with the checks of the tool done once, before any process starts, so that a user's error is one line
rather than one traceback a process. A single process needs no torchrun: the tool runs in this one.

Environment, as in the toolboxes: NNODES, NODE_RANK, MASTER_ADDR, PORT.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from .cli import USER_ERRORS, parse_test, parse_train, print_error

_DEFAULT_PORT = 29500  # the toolboxes' own; every node of several has to know it
_LAUNCHER = ('--launcher', 'pytorch')


@dataclass(frozen=True)
class Nodes:
    """Where the processes run and how they meet."""

    processes: int
    nodes: int
    rank: int
    address: str
    port: int


def read_nodes(processes: str, environment: Mapping[str, str]) -> Nodes:
    """Read and check how many processes to start here, and how they find those of other nodes.

    Args:
        processes: how many on this node, as given on the command line.
        environment: the variables NNODES, NODE_RANK, MASTER_ADDR and PORT, all optional.

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
    return Nodes(count, nodes, rank, address, port)


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
        f'--node_rank={nodes.rank}',
        f'--nproc_per_node={nodes.processes}',
        f'--master_addr={nodes.address}',
        f'--master_port={nodes.port}',
        script,
        *arguments,
        *_LAUNCHER,
    ]


def check(kind: str, arguments: Sequence[str]) -> None:
    """Do the checks of a tool, without starting it.

    Raises:
        ValueError, KeyError, FileNotFoundError: the tool would refuse these arguments.
    """
    from .launch import prepare_testing, prepare_training

    if kind == 'train':
        prepare_training(parse_train(arguments))
    else:
        prepare_testing(parse_test(arguments))


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
    try:
        nodes = read_nodes(processes, os.environ)
        alone = nodes.processes == nodes.nodes == 1
        if not alone:
            check(kind, arguments)
    except USER_ERRORS as error:
        print_error(error)
        return 2
    # The processors are shared out; left unset, torchrun and MMEngine both set 1 thread a process and warn of it.
    threads = max(1, _processors() // nodes.processes)
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, str(threads))
    try:
        if alone:
            return run_alone(nodes, script, arguments)
        torchrun.main(torchrun_arguments(nodes, script, arguments))
    except ChildFailedError as error:
        # The process has told its reason; torchrun's report would bury it.
        return max((abs(failure.exitcode) for failure in error.failures.values()), default=1) or 1
    except (KeyboardInterrupt, SignalException):
        print_error('interrupted' + ('; --resume goes on from the last checkpoint' if kind == 'train' else ''))
        return 130
    return 0
