"""Training by epochs."""

from __future__ import annotations

from mmengine.registry import LOOPS
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from .resumable import ResumableLoop


@LOOPS.register_module()
class ResumableEpochLoop(ResumableLoop, EpochBasedTrainLoop):
    """MMEngine's loop by epochs, which goes on within an epoch where it was stopped; takes the same arguments."""

    def run(self) -> nn.Module:
        """Train from where the run stands to its end."""
        self.runner.call_hook('before_train')
        self.begin()
        if self._done() == 0:
            self.validate_what_is_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self.validate_if_due()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train to the end of the epoch that the run stands in."""
        done = self._done()
        self.hook_again('before_train_epoch', again=done > 0)
        self.runner.model.train()
        for number, batch in enumerate(self.batches(self._epoch, done), start=done):
            self.run_iter(number, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def validate_if_due(self) -> None:
        """Validate where the interval says so."""
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and due:
            self.validate()

    def _done(self) -> int:
        """Return how many batches of the epoch the run has had; 0 where another batch size makes the count useless."""
        done = self._iter - self._epoch * len(self.dataloader)
        return done if 0 <= done <= len(self.dataloader) else 0
