"""The training loops, where hooks of the toolboxes reach into them."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook

from moganet.datasets.draws import DrawnDataset
from moganet.engine.hooks import Stopped

from .toy import Samples, Send, runner, same, weights

LOADER = {'batch_size': 3, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': True}}


class ReplaceLoader(Hook):
    """Put another loader in place for the last epoch, as mmpose's YOLOXPoseModeSwitchHook does."""

    priority = 'VERY_HIGH'  # before the hook that tells the sampler its epoch

    def before_train_epoch(self, runner: Any) -> None:
        if runner.epoch == 1:
            loader = runner.build_dataloader({**LOADER, 'dataset': Samples()})
            runner.train_loop.dataloader = loader


class IterateBetween(Hook):
    """Go through some of the training data in the midst of an epoch, as mmpretrain's PreciseBNHook does."""

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter % 3 == 1:
            for _, _ in zip(range(2), runner.train_loop.dataloader):
                pass


ITERATIONS = {'type': 'IterBasedTrainLoop', 'max_iters': 10}


@pytest.mark.parametrize(
    ('hook', 'train_cfg'),
    [
        (ReplaceLoader, {'by_epoch': True, 'max_epochs': 2}),
        (IterateBetween, {'by_epoch': True, 'max_epochs': 2}),
        (IterateBetween, ITERATIONS),
    ],
)
def test_hooks_that_reach_into_the_loop(tmp_path: Path, hook: type[Hook], train_cfg: dict[str, Any]) -> None:
    whole = runner(tmp_path / 'whole', custom_hooks=[hook()], train_cfg=train_cfg)
    whole.train()
    assert isinstance(whole.train_loop.dataloader.dataset, DrawnDataset)
    if hook is ReplaceLoader:  # by one of the same samples
        plain = runner(tmp_path / 'plain', train_cfg=train_cfg)
        plain.train()
        assert same(weights(plain), weights(whole))

    stopped = runner(tmp_path / 'run', custom_hooks=[hook(), Send(signal.SIGTERM, 5)], train_cfg=train_cfg)
    with pytest.raises(Stopped):
        stopped.train()
    again = runner(tmp_path / 'run', custom_hooks=[hook()], train_cfg=train_cfg, resume=True)
    again.train()
    assert again.iter == whole.iter and same(weights(again), weights(whole))
