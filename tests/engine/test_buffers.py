from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from moganet.engine.hooks import BroadcastBuffersHook

from ..e2e.tools import fork_calls
from .toy import runner


def _evaluate(rank: int, folder: str) -> None:
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    model = nn.BatchNorm1d(3)
    model.running_mean.fill_(rank + 5)
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    assert model.running_mean.tolist() == [5, 5, 5]


def test_processes_evaluate_with_the_statistics_that_are_saved(tmp_path: Path) -> None:
    assert fork_calls(_evaluate, [(rank, str(tmp_path)) for rank in (0, 1)]) == [0, 0]


def test_every_run_does_so_once_the_average_is_in_place(tmp_path: Path) -> None:
    hooks = [type(hook).__name__ for hook in runner(tmp_path, custom_hooks=[{'type': 'EMAHook'}]).hooks]
    assert hooks.index('BroadcastBuffersHook') > hooks.index('EMAHook')
