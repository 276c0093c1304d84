"""Configs that are looked at and not trained."""

from __future__ import annotations

from typing import Any

from mmengine.registry import init_default_scope

from .. import compat
from ..analysis import Complexity, Memory, count, training_memory
from .config_file import read_checked, read_config
from .model_build import build_checked
from .parts_check import check_optimizer, check_parts
from .settings_check import check_settings


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
    cfg = _read(path, options, shape, ('model',), 'counting')
    try:
        return count(cfg, shape, counter)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ValueError(f'{path}: its model cannot be counted: {type(error).__name__}: {error}') from error


def measure_config(
    path: str, options: dict[str, Any], batch: int | None, shape: tuple[int, int] | None
) -> Memory:
    """Read and check a config, of ours or of a toolbox, and count the memory of one training step of it.

    Args:
        path: the config file.
        options: ``--cfg-options``.
        batch: pictures; the config's own when None.
        shape: height and width; those that the config trains on when None.

    Raises:
        ValueError, KeyError, FileNotFoundError: the config, the batch or the shape is wrong; told in one line.
    """
    cfg = _read(path, options, shape, ('model', 'train_dataloader', 'optim_wrapper'), 'a training step')
    if batch is not None and batch < 1:
        raise ValueError(f'--batch {batch}: at least one picture is needed')
    try:
        return training_memory(cfg, batch, shape)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise ValueError(f'{path}: its training step cannot be run: {type(error).__name__}: {error}') from error


def check_config(path: str, options: dict[str, Any]) -> str:
    """Check a config, of ours or of a toolbox, as ``tools/train.py`` does before it starts; data are not looked for.

    Every type and argument that it names is looked up, its parts are built once (no data are read), and the model's
    neck and heads are compared with what a MogaNet gives them.

    Args:
        path: the config file.
        options: ``--cfg-options``.

    Returns:
        One line that says what was found.

    Raises:
        ValueError, KeyError, FileNotFoundError: what is wrong, told in one line with the nearest valid name.
    """
    compat.silence_noise()
    cfg, scope = read_checked(path, options, ('model',), 'a check')
    check_settings(cfg)
    splits = tuple(split for split in ('train', 'val', 'test') if cfg.get(f'{split}_dataloader'))
    check_parts(cfg, scope, splits, data=False)
    model = build_checked(cfg, scope)
    if cfg.get('optim_wrapper') and cfg.get('train_cfg'):
        check_optimizer(cfg, scope, model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return f'{path}: {type(model).__name__} of {scope}, {parameters:,} parameters, nothing wrong'


def config_text(path: str, options: dict[str, Any]) -> str:
    """Return a config with its bases and ``--cfg-options`` merged, as the text of a config file.

    Raises:
        ValueError, KeyError, FileNotFoundError: it cannot be read.
    """
    return str(read_config(path, options).pretty_text)


def _read(
    path: str, options: dict[str, Any], shape: tuple[int, int] | None, needed: tuple[str, ...], purpose: str
) -> Any:
    """Read and check a config, import its toolbox and enter its scope."""
    compat.silence_noise()
    if shape is not None and min(shape) < 1:
        raise ValueError(f'--shape {shape[0]} {shape[1]}: height and width of at least 1 pixel are needed')
    cfg, scope = read_checked(path, options, needed, purpose)
    init_default_scope(scope)
    return cfg
