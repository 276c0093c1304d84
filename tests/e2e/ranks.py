"""The processes of one run, and their faults; the server that has the toolboxes imported starts them, no launcher."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import FlexibleRunner, Runner

from .tools import _SERVER, REPO, TOOLS, environment, run_script

# Every layer of a MogaNet, small; 24 pictures are six iterations of two in each of two processes; six are validated.
_LEAF = """
_base_ = '{base}'
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1], ffn_ratios=[2, 2, 2, 2]),
        drop_path_rate=0.3),
    head=dict(in_channels=16))
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(indices=24))
val_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(indices=6))
train_cfg = dict(max_epochs=2, val_interval=2)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, begin=0, end=12)]
default_hooks = dict(
    logger=dict(interval=5),
    checkpoint=dict(_delete_=True, type='CheckpointHook', by_epoch=False, interval=4, max_keep_ckpts=1))
"""
LAST = 'iter_12.pth'

# What happens in one process when a hook is called: (name of the hook, the Runner, what the hook is given).
Fault = Callable[..., None]


def write_leaf(folder: Path, more: str = '') -> Path:
    """Write a config that trains twelve iterations in two processes; return its path."""
    base = REPO / 'configs/classification/moganet-xtiny_1xb32-5e_tiny-imagenet-64px.py'
    (folder / 'leaf.py').write_text(_LEAF.format(base=base) + more)
    return folder / 'leaf.py'


def run_ranks(
    tool: str, *arguments: object, faults: dict[int, Fault] | None = None, processes: int = 2, timeout: float = 240
) -> tuple[list[int], list[str]]:
    """Run a tool in several processes that meet on gloo.

    Args:
        tool: ``train`` or ``test``.
        faults: by rank, what goes wrong there.

    Returns:
        The exit code of each process, and what each wrote to its console.
    """
    port, words = _free_port(), [str(word) for word in arguments]
    logs = [Path(f'rank{rank}.log') for rank in range(processes)]
    ranks = []
    for rank, log in enumerate(logs):
        log.write_text('')
        where = (rank, processes, port, (faults or {}).get(rank), os.getcwd(), str(log))
        ranks.append(_SERVER.Process(target=_run, args=(tool, words, *where)))
    for process in ranks:
        process.start()
    _join(ranks, time.monotonic() + timeout)
    return [process.exitcode or 0 for process in ranks], [log.read_text() for log in logs]


def _join(ranks: list[BaseProcess], deadline: float) -> None:
    for process in ranks:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def _run(
    tool: str, words: list[str], rank: int, processes: int, port: int, fault: Fault | None, folder: str, log: str
) -> None:
    ranks = {'RANK': rank, 'LOCAL_RANK': rank, 'WORLD_SIZE': processes, 'LOCAL_WORLD_SIZE': processes}
    os.environ.update({name: str(value) for name, value in ranks.items()})
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    sys.path.insert(0, folder)  # what a config imports
    if fault is not None:
        _arm(fault)
    run_script([str(TOOLS / f'{tool}.py'), *words, '--launcher', 'pytorch'], folder, [log, log])


def _arm(fault: Fault) -> None:
    for kind in (Runner, FlexibleRunner):
        call_hook = kind.call_hook

        def call(runner: Any, name: str, call_hook: Callable[..., None] = call_hook, **given: Any) -> None:
            fault(name, runner, given)
            call_hook(runner, name, **given)

        kind.call_hook = call


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


# Faults. The one of a step comes in the seventh iteration, the first of the second epoch: after a checkpoint.
AT = 6


def _now(name: str, runner: Any) -> bool:
    return name == 'before_train_iter' and runner.iter == AT


def raises(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Fail as a model does."""
    if _now(name, runner):
        raise LookupError('this process fails')


def is_terminated(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Get SIGTERM."""
    if _now(name, runner):
        os.kill(os.getpid(), signal.SIGTERM)


def is_killed(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Get SIGKILL."""
    if _now(name, runner):
        os.kill(os.getpid(), signal.SIGKILL)


def is_signalled(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Get SIGUSR1."""
    if _now(name, runner):
        os.kill(os.getpid(), signal.SIGUSR1)


def sees_nan(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Have a picture that is no number."""
    if _now(name, runner):
        batch = given['data_batch']
        batch['inputs'] = [picture.float() * float('nan') for picture in batch['inputs']]
    keeps_weights(name, runner, given)


def keeps_weights(name: str, runner: Any, given: dict[str, Any]) -> None:
    """Save the weights that this process has at the end."""
    if name == 'after_train':
        torch.save(runner.model.module.state_dict(), f'weights{os.environ["RANK"]}.pth')


# Within a config, so that it works in processes that torchrun starts: what each start of a job comes to.
_FAULTS = """
import os, signal, time
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Befall(Hook):
    def __init__(self, faults):
        self.faults = faults

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        start = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '9'))
        rank, at, fault = self.faults[start] if start < len(self.faults) else (None, None, None)
        if os.environ['RANK'] == str(rank) and runner.iter == at:
            exec(fault)
"""
_BEFALL = """
custom_imports = dict(imports=['moganet', 'befall'], allow_failed_imports=False)
# Beside the hooks of the base, which a list of custom_hooks would replace.
default_hooks['befall'] = dict(type='Befall', faults={faults!r})
"""
KILLED = 'os.kill(os.getpid(), signal.SIGKILL)'
LAUNCHER_IS_TERMINATED = 'os.kill(os.getppid(), signal.SIGTERM)'
FAILS = "raise LookupError('this process fails')"


def write_befalling(workplace: Path, *faults: tuple[int, int, str]) -> Path:
    """Write a config with faults, one for each start of the job: (rank, iteration, what is run there)."""
    (workplace / 'befall.py').write_text(_FAULTS)
    return write_leaf(workplace, _BEFALL.format(faults=list(faults)))


def befalling_env(workplace: Path, **more: str) -> dict[str, str]:
    """Return an environment in which such a config is read."""
    return environment(PYTHONPATH=str(workplace), **more)
