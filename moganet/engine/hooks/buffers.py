"""One set of statistics for all processes, where they evaluate together."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class BroadcastBuffersHook(Hook):
    """Before an evaluation give each process the first one's buffers, which are those that a checkpoint holds.

    Without SyncBN each process has batch norms with statistics of its own, and MMEngine does not exchange them. A
    validation by several processes would tell a metric that no checkpoint has.
    """

    priority = 'LOWEST'  # after EMAHook has put the average in the model's place

    def before_val_epoch(self, runner: Any) -> None:
        """Exchange them."""
        for buffer in runner.model.buffers():
            broadcast(buffer)
