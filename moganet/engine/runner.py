"""MMEngine's Runner, quieter on the console."""

from __future__ import annotations

from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..compat import quiet_console


class ConsoleRunner(Runner):
    """A Runner whose dumps of environment, config and hooks go to the log file alone; nothing else differs."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger of the run, with the console filter on it before the first line is logged."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        return logger
