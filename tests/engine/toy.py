"""A model and a data set that train in milliseconds, under the Runner that trains everything."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from moganet.engine import ResumableRunner

_number = itertools.count()


class Toy(BaseModel):
    """A norm with statistics, dropout, two terms of the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Linear(4, 1)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        out = self.head(self.body(torch.stack(list(inputs))))
        if mode == 'loss':
            return {'loss_size': out.square().mean(), 'loss_sum': out.abs().sum(), 'number': out.detach().mean()}
        return out if mode == 'tensor' else [BaseDataElement() for _ in inputs]


class Samples(BaseDataset):
    """Twelve samples, each with noise of its own."""

    def load_data_list(self) -> list[dict[str, Any]]:
        return [{'img_path': f'pictures/{number}.jpg', 'value': float(number)} for number in range(12)]

    def prepare_data(self, index: int) -> dict[str, Any]:
        info = self.get_data_info(index)
        return {'inputs': torch.randn(3) + info['value'], 'data_samples': BaseDataElement(metainfo=info)}


class Send(Hook):
    """Send this process a signal within an iteration."""

    def __init__(self, number: int, at: int) -> None:
        self.number, self.at = number, at

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.at:
            os.kill(os.getpid(), self.number)


def runner(work_dir: Path, model: nn.Module | None = None, **options: Any) -> ResumableRunner:
    """Return a Runner of two epochs of four iterations; ``options`` are the Runner's."""
    loader = {'batch_size': 3, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': True}}
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        'model': Toy() if model is None else model,
        'work_dir': str(work_dir),
        'train_dataloader': {**loader, 'dataset': Samples()},
        'train_cfg': {'by_epoch': True, 'max_epochs': 2},
        'optim_wrapper': {'optimizer': {'type': 'AdamW', 'lr': 0.01}},
        'default_hooks': {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}},
        'default_scope': 'mmengine',
        'randomness': {'seed': 1},
        'experiment_name': f'toy{next(_number)}',
        **options,
    }
    return ResumableRunner(**settings)


def weights(trained: ResumableRunner) -> dict[str, Tensor]:
    """Return a copy of the model's weights."""
    return {name: value.clone() for name, value in trained.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two models have the same weights, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
