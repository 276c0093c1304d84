"""MMEngine's Runner, whose runs can be stopped anywhere and go on as if they had not been."""

from __future__ import annotations

from typing import Any

from mmengine.logging import MMLogger
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..compat import quiet_console
from .faults import stop_where_the_log_fails
from .resumable import Resumable


@RUNNERS.register_module()
class ResumableRunner(Resumable, Runner):
    """A Runner that resumes exactly, and whose files are whole or absent; see :class:`.resumable.Resumable`.

    ``runner_type = 'ResumableRunner'`` in a config has the toolboxes' own ``train.py`` use it.

    Dumps of environment, config and hooks go to the log file alone.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger of the run, with the console filter on it before the first line is logged."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        stop_where_the_log_fails(logger)
        return logger

    def _init_model_weights(self) -> None:
        # A resumed run takes all its weights from its checkpoint: others are neither drawn nor fetched.
        if not self._resume:
            super()._init_model_weights()
