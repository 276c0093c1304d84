"""MMEngine's Runner, quieter on the console, and telling what its weights were trained as."""

from __future__ import annotations

from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..compat import quiet_console
from ..models import MogaNet


class ConsoleRunner(Runner):
    """A Runner whose dumps of environment, config and hooks go to the log file alone.

    Its checkpoints have the mode of MogaNet's gates in their ``meta``, since no tensor shows it.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger of the run, with the console filter on it before the first line is logged."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        return logger

    def save_checkpoint(self, *args: Any, meta: dict[str, Any] | None = None, **options: Any) -> None:
        """Save a checkpoint as MMEngine does, with ``gate_act_twice`` in its ``meta``."""
        modes = {module.gate_act_twice for module in self.model.modules() if isinstance(module, MogaNet)}
        if len(modes) == 1:
            meta = {**(meta or {}), 'gate_act_twice': modes.pop()}
        super().save_checkpoint(*args, meta=meta, **options)
