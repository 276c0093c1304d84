"""DeepSpeed's ZeRO, as MMEngine's strategy has it, for optimizers with a group for each parameter."""

from __future__ import annotations

from typing import Any

from mmengine._strategy import DeepSpeedStrategy
from mmengine.logging import MMLogger
from mmengine.registry import STRATEGIES

from ...compat import quiet_console
from ..faults import stop_where_the_log_fails


@STRATEGIES.register_module()
class ZeroStrategy(DeepSpeedStrategy):
    """MMEngine's DeepSpeedStrategy, which fails on the groups that MMEngine's own constructor of optimizers makes.

    DeepSpeed cuts each group of parameters into a part for each process, and has none for some process where a group is
    a single small parameter. The arguments are those of MMEngine's.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger of the run, as ResumableRunner does."""
        logger = super().build_logger(*args, **kwargs)
        quiet_console(logger)
        stop_where_the_log_fails(logger)
        return logger

    def build_optim_wrapper(self, optim_wrapper: Any, model: Any = None) -> Any:
        """Build the optimizer's wrapper, with one group for all parameters that have the same settings."""
        built = super().build_optim_wrapper(optim_wrapper, model)
        built.optimizer.param_groups = merged_groups(built.optimizer.param_groups)
        return built


def merged_groups(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the groups of an optimizer that has taken no step, those with equal settings as one.

    Parameters that are frozen are left out.
    """
    merged: dict[str, dict[str, Any]] = {}
    for group in groups:
        trained = [parameter for parameter in group['params'] if parameter.requires_grad]
        settings = repr(sorted((key, value) for key, value in group.items() if key != 'params'))
        if trained:
            merged.setdefault(settings, {**group, 'params': []})['params'].extend(trained)
    return list(merged.values())
