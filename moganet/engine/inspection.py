"""Configs that are looked at and not run."""

from __future__ import annotations

from typing import Any

from mmengine.registry import init_default_scope

from .. import compat
from ..analysis import Complexity, count
from . import config_check
from .config_file import read_config


def count_config(path: str, options: dict[str, Any], shape: tuple[int, int] | None, counter: str) -> Complexity:
    """Read and check a config, of ours or of a toolbox, and count its model.

    Args:
        path: the config file.
        options: ``--cfg-options``.
        shape: height and width; the tables' own when None.
        counter: ``authors`` or ``mmengine``.

    Raises:
        ValueError, KeyError, FileNotFoundError: the config or the shape is wrong; told in one line.
    """
    compat.silence_noise()
    if shape is not None and min(shape) < 1:
        raise ValueError(f'--shape {shape[0]} {shape[1]}: height and width of at least 1 pixel are needed')
    cfg = read_config(path, options)
    config_check.require_keys(cfg, ('model',), 'counting')
    scope = cfg.get('default_scope') or 'mmengine'
    config_check.import_toolbox(scope)
    config_check.check_types(cfg, scope)
    init_default_scope(scope)
    try:
        return count(cfg, shape, counter)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ValueError(f'{path}: its model cannot be counted: {type(error).__name__}: {error}') from error
