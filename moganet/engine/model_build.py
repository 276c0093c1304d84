"""Build the model of a config once, for its errors and its shapes; a Runner builds its own."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from ..analysis import described_model
from .fit_check import check_fit_of_parts
from .parts_check import told


def build_checked(cfg: Any, scope: str) -> nn.Module:
    """Build a config's model, nothing loaded, and check that its parts fit each other.

    Args:
        cfg: the config, its types checked. The model gets its ``preprocess_cfg``, in place, as mmpose's train.py does.
        scope: its toolbox.

    Raises:
        ValueError, KeyError: the config describes no model, or one whose parts do not fit.
    """
    if 'preprocess_cfg' in cfg:
        cfg.model.setdefault('data_preprocessor', cfg.preprocess_cfg)
    with MODELS.switch_scope_and_registry(scope) as registry:
        with told('model', described_model(cfg)) as described:
            model: nn.Module = registry.build(described)
        check_fit_of_parts(cfg, model)
    return model
