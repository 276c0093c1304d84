"""The run that a preflight is about, and what its checks have found so far."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from mmengine.device import get_device

from .result import NotRunError

if TYPE_CHECKING:
    from ..launch import TrainOptions
    from .step import Step


@dataclass
class Subject:
    """A run; each check fills in what later ones need.

    Attributes:
        options: of ``tools/train.py``.
        gpus: its processes.
        cfg, scope, model: the config as a run has it, its toolbox, its model with the weights that it begins with.
        loaders: split to loader, without worker processes.
        step: a training step, measured.
    """

    options: TrainOptions
    gpus: int
    cfg: Any = None
    scope: str = ''
    model: Any = None
    loaders: dict[str, Any] = field(default_factory=dict)
    step: Step | None = None

    @property
    def batch(self) -> int:
        """Pictures of a process's batch."""
        return int(self.cfg.train_dataloader.get('batch_size') or 1)

    @property
    def accumulated(self) -> int:
        """Batches of an optimizer's step."""
        return int(self.cfg.optim_wrapper.get('accumulative_counts') or 1)

    @property
    def averages(self) -> int:
        """Averages of the weights that the run keeps."""
        return sum('EMAHook' in str(hook.get('type')) for hook in self.cfg.get('custom_hooks') or ())

    @property
    def device(self) -> torch.device:
        """Where the run will compute."""
        return torch.device(get_device())

    @property
    def processes_here(self) -> int:
        """The processes that share this machine: where there are more than GPUs, the others run elsewhere."""
        return self.gpus if self.device.type == 'cpu' else min(self.gpus, torch.cuda.device_count())

    def needs_config(self) -> None:
        """Refuse to go on without a config and its model.

        Raises:
            NotRunError: there is none.
        """
        if self.model is None:
            raise NotRunError('it needs a config that is right')

    def iterations_per_epoch(self) -> int:
        """Return how many batches each process has in an epoch.

        Raises:
            NotRunError: the training data could not be read.
        """
        if 'train' not in self.loaders:
            raise NotRunError('it needs the training data')
        return math.ceil(len(self.loaders['train']) / self.gpus)

    def iterations(self) -> int:
        """Return how many batches each process has in the whole run.

        Raises:
            NotRunError: the config does not say it.
        """
        loop = self.cfg.train_cfg
        if loop.get('max_iters'):
            return int(loop.max_iters)
        if loop.get('max_epochs'):
            return int(loop.max_epochs) * self.iterations_per_epoch()
        raise NotRunError('train_cfg says neither max_epochs nor max_iters')
