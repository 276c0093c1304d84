"""Which of several processes tells why they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from moganet.engine import failures
from moganet.engine.cli import run_tool
from moganet.engine.failures import give_way, is_lost_peer, leave_to_others, name_of_process
from moganet.engine.faults import RunFault
from moganet.engine.hooks import StopSignalHook

LOST = RuntimeError(
    '[../third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1. This is typical'
)


@pytest.fixture(autouse=True)
def waited(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long was waited, none of it spent; and SIGTERM as it was."""
    seconds: list[float] = []
    monkeypatch.setattr(failures.time, 'sleep', seconds.append)
    handler = signal.getsignal(signal.SIGTERM)
    yield seconds
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ('error', 'lost'),
    [
        (LOST, True),
        (RuntimeError('[gloo/transport/tcp/pair.cc:553] Read error [127.0.0.1]:1: Connection reset by peer'), True),
        (RuntimeError('NCCL error: remote process exited or there was a network error, NCCL version 2.21'), True),
        # Where each process waited tells something.
        (RuntimeError('[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv'), False),
        (ConnectionResetError(104, 'Connection reset by peer'), False),  # of a server of pictures
        (RuntimeError('mat1 and mat2 shapes cannot be multiplied'), False),
    ],
)
def test_lost_peers_are_told_from_errors_of_ones_own(error: Exception, lost: bool) -> None:
    assert is_lost_peer(error) == lost


def test_the_first_process_of_a_machine_waits_for_nobody(monkeypatch: pytest.MonkeyPatch, waited: list[float]) -> None:
    for rank, seconds in (('0', 0), ('1', 1)):
        monkeypatch.setenv('LOCAL_RANK', rank)
        give_way()
        assert len(waited) == seconds
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_processes_are_named_by_their_rank_but_for_the_first_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('RANK', '9')
    monkeypatch.setenv('LOCAL_RANK', '0')
    assert name_of_process() == ''
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert name_of_process() == 'process 9'


def test_what_one_process_finds_is_told_with_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise RunFault('the disk is full')

    def fail() -> None:
        raise LookupError('mistaken')

    monkeypatch.setenv('RANK', '3')
    monkeypatch.setenv('LOCAL_RANK', '3')
    assert run_tool(lambda: refuse) == 1
    with pytest.raises(LookupError):
        run_tool(lambda: fail)
    assert capsys.readouterr().err == 'error: process 3: the disk is full\nprocess 3 ends by this:\n'


@pytest.mark.parametrize('local_rank', ['0', '1'])
def test_a_lost_peer_is_one_line_of_the_first_process(
    local_rank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], waited: list[float]
) -> None:
    def lose() -> None:
        raise LOST

    monkeypatch.setenv('LOCAL_RANK', local_rank)
    monkeypatch.setattr(StopSignalHook, 'came', 0)
    assert run_tool(lambda: lose) == 1
    told = capsys.readouterr().err
    line = (
        'error: another process has ended, or cannot be reached; it tells why (Connection closed by peer [127.0.0.1]:1)'
    )
    assert told == (f'{line}\n' if local_rank == '0' else '')
    give_way()
    assert waited[0] > waited[1] if local_rank == '1' else len(waited) == 1  # who has a reason speaks before


def test_who_has_lost_a_peer_is_ended_by_the_signal_that_its_launcher_has_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have come before the loss is noticed, to a training that listens to it."""
    ended: list[tuple[int, int, bool]] = []

    def kill(pid: int, number: int) -> None:
        ended.append((pid, number, signal.getsignal(number) is signal.SIG_DFL))

    monkeypatch.setattr(os, 'kill', kill)
    for came in (0, signal.SIGTERM):
        monkeypatch.setattr(StopSignalHook, 'came', came)
        leave_to_others()
    assert ended == [(os.getpid(), signal.SIGTERM, True)]
