from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.api import _terminate_process_handler
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from moganet.engine import processes
from moganet.engine.processes import Nodes, main, read_nodes, torchrun_arguments


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process's environment and signals as they are: ``main`` is made for one of its own."""
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for one, handler in handlers.items():
        signal.signal(one, handler)


def test_one_node_finds_a_free_port() -> None:
    nodes = read_nodes('2', {})
    assert (nodes.processes, nodes.nodes, nodes.rank, nodes.address) == (2, 1, 0, '127.0.0.1')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', nodes.port))


def test_several_nodes_meet_at_the_toolboxes_port() -> None:
    nodes = read_nodes('8', {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': 'first.example'})
    assert nodes == Nodes(8, 2, 1, 'first.example', 29500)
    assert read_nodes('8', {'NNODES': '2', 'NODE_RANK': '1', 'PORT': '1234'}).port == 1234


@pytest.mark.parametrize(
    ('processes', 'environment', 'told'),
    [
        ('0', {}, 'GPUS=0: a whole number from 1'),
        ('two', {}, 'GPUS=two'),
        ('-1', {}, 'GPUS=-1'),
        ('1', {'NNODES': '0'}, 'NNODES=0'),
        ('1', {'NODE_RANK': '1'}, 'NODE_RANK=1: 0 is needed'),
        ('1', {'NNODES': '2', 'NODE_RANK': '2'}, 'NODE_RANK=2: a whole number from 0 to 1'),
        ('1', {'PORT': '70000'}, 'PORT=70000'),
        ('1', {'PORT': 'http'}, 'PORT=http'),
        ('1', {'MAX_RESTARTS': '-1'}, 'MAX_RESTARTS=-1: a whole number from 0'),
    ],
)
def test_numbers_are_checked(processes: str, environment: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_nodes(processes, environment)


def test_port_in_use_is_refused_where_the_first_node_listens() -> None:
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        port = str(other.getsockname()[1])
        with pytest.raises(ValueError, match=f'PORT={port} cannot be used: Address already in use'):
            read_nodes('1', {'PORT': port})
        # The second node only connects to it.
        assert read_nodes('1', {'PORT': port, 'NNODES': '2', 'NODE_RANK': '1'}).port == int(port)


def test_more_processes_than_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    assert read_nodes('2', {}).processes == 2
    with pytest.raises(ValueError, match='GPUS=3: this machine has 2'):
        read_nodes('3', {})


def test_torchrun_line() -> None:
    line = torchrun_arguments(Nodes(2, 1, 0, '127.0.0.1', 1234), 'tools/train.py', ['config.py', '--seed', '1'])
    assert line[:5] == [
        *('--nnodes=1', '--nproc_per_node=2', '--node_rank=0'),
        *('--master_addr=127.0.0.1', '--master_port=1234'),
    ]
    assert line[5:] == ['tools/train.py', 'config.py', '--seed', '1', '--launcher', 'pytorch']


def test_torchrun_line_of_a_job_that_is_restarted() -> None:
    nodes = read_nodes('8', {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': '127.0.0.2', 'MAX_RESTARTS': '3'})
    line = torchrun_arguments(nodes, 'tools/train.py', [])
    assert line[:4] == ['--nnodes=2', '--nproc_per_node=8', '--max_restarts=3', '--rdzv_backend=c10d']
    # The first node listens; this one can be reached under the address from which it reaches that one.
    assert line[4:7] == ['--rdzv_endpoint=127.0.0.2:29500', '--rdzv_conf=is_host=False', '--local_addr=127.0.0.1']


@pytest.mark.parametrize(
    ('codes', 'code', 'told'),
    [
        ({1: -9, 0: -15}, 137, ['process 1 was ended by SIGKILL; the system does so when memory runs out, see dmesg']),
        ({3: 1, 0: 1}, 1, ['process 3 ended with exit code 1']),
        ({0: 2, 1: -15}, 2, []),  # a user's error has been told in full
    ],
)
def test_the_first_process_that_ends_is_named(
    codes: dict[int, int], code: int, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(line: list[str]) -> None:
        raise ChildFailedError('tool', {rank: ProcessFailure(rank, 1, code, '') for rank, code in codes.items()})

    heard = _errors_told(monkeypatch)
    monkeypatch.setattr(processes, 'check', lambda kind, arguments: '.')
    monkeypatch.setattr(processes.torchrun, 'main', fail)
    assert main(['test', 'tool.py', '2', 'config.py']) == code
    assert heard == told


@pytest.mark.parametrize('stopped', [True, False])
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_a_job_that_is_asked_to_stop_has_succeeded_if_its_checkpoint_is_there(
    number: signal.Signals, stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted = tmp_path / 'interrupted.pth'
    interrupted.touch()
    os.utime(interrupted, (1e9, 1e9))  # of a run before

    def work(line: list[str]) -> None:
        signal.signal(signal.SIGTERM, _terminate_process_handler)  # torchrun does so when it starts the processes
        if stopped:
            interrupted.touch()
        os.kill(os.getpid(), number)

    told = _errors_told(monkeypatch)
    monkeypatch.setattr(processes, 'check', lambda kind, arguments: str(tmp_path))
    monkeypatch.setattr(processes.torchrun, 'main', work)
    assert main(['train', 'tool.py', '2', 'config.py']) == (0 if stopped else 128 + number)
    assert bool(told) == (not stopped)


@pytest.mark.parametrize(
    ('ends', 'code'), [('pass', 0), ('sys.exit(2)', 2), ("sys.exit('told')", 1), ('raise KeyboardInterrupt', 130)]
)
def test_one_process_runs_the_tool_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ends: str, code: int
) -> None:
    told = _errors_told(monkeypatch)
    monkeypatch.setattr(processes, 'check', lambda kind, arguments: pytest.fail('the tool checks by itself'))
    monkeypatch.setattr(sys, 'argv', [])
    tool = tmp_path / 'tool.py'
    tool.write_text(
        'import os, sys\n'
        "print(__name__, *sys.argv[1:], *(os.environ[name] for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')))\n"
        "assert os.environ['MASTER_ADDR'] and int(os.environ['MASTER_PORT'])\n" + ends,
        encoding='utf-8',
    )
    assert main(['train', str(tool), '1', 'config.py', '--seed', '1']) == code
    printed = capsys.readouterr().out
    assert printed.split() == ['__main__', 'config.py', '--seed', '1', '--launcher', 'pytorch', '0', '0', '1']
    assert ['interrupted; --resume goes on' in error for error in told] == ([True] if code == 130 else [])


def test_several_processes_are_checked_before_they_start(monkeypatch: pytest.MonkeyPatch) -> None:
    told = _errors_told(monkeypatch)

    def refuse(kind: str, arguments: list[str]) -> None:
        raise ValueError(f'{kind} cannot take {arguments}')

    monkeypatch.setattr(processes, 'check', refuse)
    monkeypatch.setattr(processes.torchrun, 'main', lambda line: pytest.fail('nothing may start'))
    assert main(['test', 'tool.py', '2', 'config.py']) == 2
    assert told == ["test cannot take ['config.py']"]


def test_processes_share_the_processors_that_this_one_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    _errors_told(monkeypatch)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(6)), raising=False)
    monkeypatch.setattr(os, 'cpu_count', lambda: 64)
    monkeypatch.setattr(os, 'environ', {k: v for k, v in os.environ.items() if not k.endswith('_NUM_THREADS')})
    monkeypatch.setattr(processes, 'check', lambda kind, arguments: '.')
    monkeypatch.setattr(processes.torchrun, 'main', lambda line: None)
    assert main(['test', 'tool.py', '2', 'config.py']) == 0
    assert os.environ['OMP_NUM_THREADS'] == os.environ['MKL_NUM_THREADS'] == '3'


@pytest.mark.parametrize(('kind', 'goes_on'), [('train', True), ('test', False)])
def test_an_interrupted_test_has_nothing_to_go_on_from(
    kind: str, goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = _errors_told(monkeypatch)

    def interrupted(line: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, 'check', lambda kind, arguments: '.')
    monkeypatch.setattr(processes.torchrun, 'main', interrupted)
    assert main([kind, 'tool.py', '2', 'config.py']) == 130
    assert ['--resume' in error for error in told] == [goes_on]


def _errors_told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ``main`` tells the user from here on; it tells nothing itself, as in any process but the first."""
    told: list[str] = []
    monkeypatch.setattr(processes, 'print_error', lambda error: told.append(str(error)))
    return told
