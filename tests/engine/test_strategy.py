"""Runs that are sharded over two processes take the steps, and write the checkpoints, of runs that are not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from moganet.checkpoints import open_checkpoint

from .sharding import Befall, Small, in_two_processes, train

_STOP, _NAN_LAST = {'what': 'SIGTERM', 'at': 2}, {'what': 'nan', 'at': 5}


def _all_runs(folder: Path) -> None:
    """Train all runs that the tests below look at; called in both processes."""
    for name in ('ddp', 'fsdp'):
        train(name, str(folder / name))
        train(name, str(folder / f'{name}_stopped'), more_hooks=[Befall(1, **_STOP)])
        _copy(folder / f'{name}_stopped' / 'interrupted.pth', folder / f'{name}.pth')
        skips = {'type': 'FiniteLossHook', 'action': 'skip'}
        train(name, str(folder / f'{name}_skipped'), more_hooks=[Befall(0, **_NAN_LAST), skips])
    for before, after in (('fsdp', 'fsdp'), ('fsdp', 'ddp'), ('ddp', 'fsdp')):
        train(after, str(folder / f'{before}_then_{after}'), load_from=str(folder / f'{before}.pth'), resume=True)
    train('fsdp', str(folder / 'ended'), more_hooks=[Befall(1, **_NAN_LAST)])


def _copy(source: Path, target: Path) -> None:
    torch.distributed.barrier()
    if torch.distributed.get_rank() == 0:
        shutil.copy(source, target)
    torch.distributed.barrier()


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs."""
    folder = tmp_path_factory.mktemp('runs')
    in_two_processes(_all_runs, folder)
    return folder


def _read(path: Path) -> dict[str, Any]:
    return torch.load(path, map_location='cpu', weights_only=False)


def _tensors(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint that a run goes on from."""
    found = {name: checkpoint[key][name] for key in ('state_dict', 'ema_state_dict') for name in checkpoint[key]}
    for number, state in checkpoint['optimizer']['state'].items():
        found.update({f'{number}.{name}': value for name, value in state.items()})
    return found


def _same(one: Path, other: Path, tolerance: float) -> None:
    """Demand that two checkpoints have the same tensors, but for what adding in another order rounds."""
    a, b = _tensors(_read(one)), _tensors(_read(other))
    assert list(a) == list(b)
    for name in a:
        assert torch.allclose(a[name], b[name], rtol=tolerance, atol=tolerance), name


def test_steps_are_those_of_ddp(runs: Path) -> None:
    _same(runs / 'ddp/iter_8.pth', runs / 'fsdp/iter_8.pth', 1e-5)


def test_checkpoint_is_a_plain_one(runs: Path) -> None:
    """Beside its numbers it differs in nothing from DDP's, and the plain model takes it whole."""
    ddp, fsdp = _read(runs / 'ddp/iter_8.pth'), _read(runs / 'fsdp/iter_8.pth')
    assert ddp.keys() == fsdp.keys() and ddp['meta'].keys() == fsdp['meta'].keys()
    for key in ('state_dict', 'ema_state_dict'):
        assert {name: value.shape for name, value in ddp[key].items()} == {n: v.shape for n, v in fsdp[key].items()}
        assert ddp[key]._metadata == fsdp[key]._metadata
    assert ddp['optimizer']['param_groups'] == fsdp['optimizer']['param_groups']
    assert ddp['optimizer']['state'].keys() == fsdp['optimizer']['state'].keys()
    assert ddp['param_schedulers'] == fsdp['param_schedulers']
    assert {type(value) for value in _tensors(fsdp).values()} == {Tensor}
    Small().load_state_dict(open_checkpoint(runs / 'fsdp/iter_8.pth').data['state_dict'], strict=True)


def test_stopped_run_goes_on_bit_for_bit(runs: Path) -> None:
    """SIGTERM came to one process, with half of a step's gradients under way."""
    assert all((runs / f'fsdp_stopped/end{rank}.txt').read_text().startswith('Stopped') for rank in range(2))
    assert _read(runs / 'fsdp.pth')['meta']['iter'] == 3
    _same(runs / 'fsdp/iter_8.pth', runs / 'fsdp_then_fsdp/iter_8.pth', 0)


def test_either_goes_on_from_the_other(runs: Path) -> None:
    _same(runs / 'ddp/iter_8.pth', runs / 'fsdp_then_ddp/iter_8.pth', 1e-5)
    _same(runs / 'fsdp/iter_8.pth', runs / 'ddp_then_fsdp/iter_8.pth', 1e-5)


def test_batch_that_is_left_out(runs: Path) -> None:
    """The second of the two batches of a step, which one process alone finds not finite."""
    assert (runs / 'fsdp_skipped/not_finite_iter_6_rank_0.pkl').is_file()
    _same(runs / 'ddp_skipped/iter_8.pth', runs / 'fsdp_skipped/iter_8.pth', 1e-5)


def test_loss_that_ends_the_run(runs: Path) -> None:
    """Both processes end, and both tell what the one has found."""
    told = [(runs / f'ended/end{rank}.txt').read_text() for rank in range(2)]
    assert told[0] == told[1] and told[0].startswith('NotFiniteError: the loss of iteration 6 is not finite')
    assert 'process 1: not finite: ' in told[0] and 'the pictures, as the model is given them' in told[0]
    assert 'process 0' not in told[0]
