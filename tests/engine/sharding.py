"""Runs of two processes on gloo, sharded and not, whose checkpoints tests compare."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import nn

from moganet.engine import ResumableRunner, ShardedRunner
from moganet.engine.faults import RunFault
from moganet.engine.hooks import Stopped
from moganet.models import MogaNet

RUNNERS: dict[str, Any] = {'ddp': ResumableRunner, 'fsdp': ShardedRunner}
SMALL = {'embed_dims': [8, 8, 16, 16], 'depths': [1, 1, 1, 1], 'ffn_ratios': [2, 2, 2, 2]}


class Small(BaseModel):
    """Every layer of a MogaNet, small, its first stage frozen, with dropped paths and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MogaNet(SMALL, frozen_stages=0, drop_path_rate=0.3, layer_scale_init_value=1.0)
        self.head = nn.Linear(16, 5)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        out = self.head(self.backbone(torch.stack(list(inputs)))[-1].mean((2, 3)))
        if mode == 'loss':
            target = torch.tensor([sample.label for sample in data_samples])
            return {'loss': nn.functional.cross_entropy(out, target)}
        return out if mode == 'tensor' else [BaseDataElement(metainfo={'out': one.tolist()}) for one in out]


class Pictures(BaseDataset):
    """Sixteen pictures, each with noise of its own: four batches of two in each of two processes."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{'img_path': f'{number}.jpg', 'label': number % 5} for number in range(16)]

    def prepare_data(self, index: int) -> dict[str, Any]:
        info = self.get_data_info(index)
        return {'inputs': torch.randn(3, 32, 32) + info['label'], 'data_samples': BaseDataElement(metainfo=info)}


class Befall(Hook):
    """Something befalls one process, in one iteration: a signal, or pictures that are no numbers."""

    priority = 'HIGHEST'  # before anything keeps the batch

    def __init__(self, rank: int, at: int, what: str) -> None:
        self.rank, self.at, self.what = rank, at, what

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.at and runner.rank == self.rank:
            if self.what == 'nan':
                data_batch['inputs'] = [picture * float('nan') for picture in data_batch['inputs']]
            else:
                os.kill(os.getpid(), signal.Signals[self.what])


def train(strategy: str, folder: str, **options: Any) -> Any:
    """Train eight iterations by a strategy; return the Runner. A run that is stopped or ends by a fault is told."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        'model': Small(),
        'work_dir': folder,
        'train_dataloader': {
            'batch_size': 2,
            'num_workers': 0,
            'dataset': Pictures(),
            'sampler': {'type': 'DefaultSampler', 'shuffle': True},
        },
        'train_cfg': {'by_epoch': True, 'max_epochs': 2},
        'optim_wrapper': {
            # A gradient that is zero but for rounding must not become a step.
            'optimizer': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.05, 'eps': 1e-3},
            'clip_grad': {'max_norm': 1.0},
            'paramwise_cfg': {'norm_decay_mult': 0.0, 'bias_decay_mult': 0.0},
            'accumulative_counts': 2,
        },
        'param_scheduler': {'type': 'CosineAnnealingLR', 'by_epoch': True, 'convert_to_iter_based': True},
        'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 4}},
        'custom_hooks': [{'type': 'EMAHook', 'momentum': 0.1, 'update_buffers': True}],
        'default_scope': 'mmengine',
        'randomness': {'seed': 1},
        'launcher': 'pytorch',
        'env_cfg': {},
        'experiment_name': Path(folder).name,
        'cfg': Config({'model_wrapper_cfg': {'type': 'MMDistributedDataParallel', 'device_ids': None}}),
    }
    hooks = options.pop('more_hooks', [])
    for name, value in options.items():
        settings[name] = {**settings[name], **value} if isinstance(value, dict) else value
    settings['custom_hooks'] = [*settings['custom_hooks'], *hooks]
    if strategy == 'fsdp':
        settings['strategy'] = {'type': 'FullyShardedStrategy'}
    runner = RUNNERS[strategy](**settings)
    try:
        runner.train()
    except (Stopped, RunFault) as end:
        Path(folder, f'end{runner.rank}.txt').write_text(f'{type(end).__name__}: {getattr(end, "told", end)}')
    return runner


def in_two_processes(work: Callable[[Path], None], folder: Path) -> None:
    """Run a function in two processes that meet on gloo, and demand that it ends well in both."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context('spawn')
    ranks = [context.Process(target=_rank, args=(work, folder, rank, port)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(240)
        if process.exitcode is None:
            process.kill()
    logs = [Path(folder, f'rank{rank}.log').read_text()[-4000:] for rank in range(2)]
    assert [process.exitcode for process in ranks] == [0, 0], '\n'.join(logs)


def _rank(work: Callable[[Path], None], folder: Path, rank: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1')
    os.environ['MASTER_PORT'] = str(port)
    with open(folder / f'rank{rank}.log', 'w') as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        torch.distributed.init_process_group('gloo')
        try:
            work(folder)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        torch.distributed.destroy_process_group()
