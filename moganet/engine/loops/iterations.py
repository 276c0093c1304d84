"""Training by iterations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop
from torch import nn

from .resumable import ResumableLoop


@LOOPS.register_module()
class ResumableIterLoop(ResumableLoop, IterBasedTrainLoop):
    """MMEngine's loop by iterations, which goes on where it was stopped; takes the same arguments."""

    def run(self) -> nn.Module:
        """Train from where the run stands to its end."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.begin()
        self.validate_what_is_due()
        batches = self._endless()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(batches))
            self.validate_if_due()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def validate_if_due(self) -> None:
        """Validate where the interval says so."""
        self._decide_current_val_interval()
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self.runner.val_loop is not None and self._iter >= self.val_begin and due:
            self.validate()

    def _endless(self) -> Iterator[Any]:
        """Yield batch after batch from where the run stands; most samplers for this loop never end by themselves."""
        sampler = self.draws.sampler
        epoch, skip = 0, self._iter
        while True:
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            yield from self.batches(epoch, skip)
            passed = self.draws.passed
            if not passed:
                raise ValueError('the training data have no batch: there are fewer samples than a batch takes')
            epoch, skip = epoch + 1, max(0, skip - passed)
