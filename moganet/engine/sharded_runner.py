"""A run whose model is sharded over its processes, and which is otherwise a run of ResumableRunner."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from mmengine.hooks import EMAHook
from mmengine.registry import RUNNERS
from mmengine.runner import FlexibleRunner
from mmengine.runner.utils import _get_batch_size
from torch import nn

from .parts import Parts
from .resumable import Resumable

# What MMEngine's FlexibleRunner does not read, and what was not tried with a sharded model.
UNREAD = ('activation_checkpointing', 'compile', 'efficient_conv_bn_eval')


class _OrderedRunner(FlexibleRunner):
    """MMEngine's FlexibleRunner, which does what Runner does in Runner's order."""

    model: Any
    optim_wrapper: Any
    param_schedulers: Any
    _train_loop: Any
    _val_loop: Any

    def __init__(self, model: Any, **options: Any) -> None:
        super().__init__(model, **options)
        # A seed draws the same weights then; MMEngine's FlexibleRunner builds the data first.
        self.model = self.strategy.build_model(self.model)

    def train(self) -> nn.Module:
        """Train; MMEngine's loads a checkpoint before the hooks that take part in it are there."""
        self._train_loop = self.build_train_loop(self._train_loop)
        if self._val_loop is not None:
            self._val_loop = self.build_val_loop(self._val_loop)
        self.strategy.prepare(
            self.model,
            optim_wrapper=self.optim_wrapper,
            param_scheduler=self.param_schedulers,
            dispatch_kwargs={
                'epoch_length': len(self.train_dataloader),
                'max_epochs': self.max_epochs,
                'max_iters': self.max_iters,
                'train_micro_batch_size_per_gpu': _get_batch_size(self.train_dataloader),
                # A resumed run takes all its weights from its checkpoint: others are neither drawn nor fetched.
                'init_weights_for_test_or_val': not self._resume,
            },
        )
        self.model, self.optim_wrapper = self.strategy.model, self.strategy.optim_wrapper
        if self.param_schedulers is not None:
            self.param_schedulers = self.strategy.param_schedulers
        self.call_hook('before_run')
        self.load_or_resume()
        self.optim_wrapper.initialize_count_status(self.model, self.iter, self.max_iters)
        model: nn.Module = self.train_loop.run()
        self.call_hook('after_run')
        return model


@RUNNERS.register_module()
class ShardedRunner(Resumable, _OrderedRunner):
    """MMEngine's FlexibleRunner, by default with :class:`.strategies.FullyShardedStrategy`, which resumes exactly.

    ``runner_type = 'ShardedRunner'`` in a config has the toolboxes' own ``train.py`` use it, and is what
    ``tools/train.py --strategy fsdp`` sets. Its checkpoints are those of ResumableRunner, and either goes on from the
    other's.
    """

    @classmethod
    def from_cfg(cls, cfg: Any) -> ShardedRunner:
        """Build a Runner from a config.

        Raises:
            ValueError: the config asks for what this Runner does not do.
        """
        unread = [key for key in UNREAD if cfg.get(key)]
        if unread:
            raise ValueError(f'{unread[0]} is not read by {cls.__name__}; {advice(unread[0])}')
        cfg = cfg.copy()
        cfg.setdefault('env_cfg', {})
        cfg.setdefault('strategy', {'type': 'FullyShardedStrategy', 'sync_bn': cfg.get('sync_bn')})
        runner: ShardedRunner = super().from_cfg(cfg)
        return runner

    def register_hooks(self, default_hooks: Any = None, custom_hooks: Any = None) -> None:
        """Register the hooks of a config; averages of the weights are made of each process's part."""
        super().register_hooks(default_hooks, custom_hooks)
        for hook in self.hooks:
            if isinstance(hook, EMAHook):
                hook.before_run = partial(_average_parts, hook.before_run)


def advice(key: str) -> str:
    """Return what to do about a key of :data:`UNREAD`."""
    return 'set model.backbone.with_cp=True instead' if key == 'activation_checkpointing' else 'leave it out'


def _average_parts(before_run: Any, runner: ShardedRunner) -> None:
    """Have a hook begin its average with this process's part of the weights."""
    before_run(SimpleNamespace(model=Parts(runner.model)))
