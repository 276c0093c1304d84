"""Read a config file, with the user's changes, and say plainly what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..names import missing_file
from . import config_check
from .settings_check import check_kinds


def read_checked(path: str, options: dict[str, Any], needed: tuple[str, ...], purpose: str) -> tuple[Any, str]:
    """Read a config, import its toolbox and check every type and argument that it names.

    Args:
        path: the file.
        options: ``--cfg-options``.
        needed: top-level keys that must be there.
        purpose: what they are needed for, in a word.

    Returns:
        The config and its toolbox's scope.

    Raises:
        ValueError, KeyError, FileNotFoundError: as the checks say.
    """
    cfg = read_config(path, options)
    config_check.require_keys(cfg, needed, purpose)
    check_kinds(cfg)
    scope = cfg.get('default_scope') or 'mmengine'
    config_check.import_toolbox(scope)
    config_check.check_types(cfg, scope)
    return cfg, scope


def read_config(path: str, options: dict[str, Any]) -> Any:
    """Read a config, merge ``--cfg-options`` into it and check its top-level keys.

    Args:
        path: the file.
        options: dotted key to value.

    Raises:
        FileNotFoundError: the config, or a base of it, is not there.
        KeyError: a key is unknown.
        ValueError: it is no config, or what it imports is not here.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        if file.is_dir():
            raise FileNotFoundError(f'no such config: {path} is a folder; give one of its files')
        raise missing_file('config', path, '*.py')
    if file.suffix != '.py':
        raise ValueError(f'config {path}: a .py file is needed')
    try:
        cfg = Config.fromfile(str(file))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'config {path}: a base of it is not there: {error}') from error
    except ImportError as error:
        # MMEngine's own line for custom_imports names the module and not what is wrong with it.
        why = str(error) if (cause := _first_cause(error)) is error else f'{type(cause).__name__}: {cause}. {error}'
        raise ValueError(f'config {path} cannot be read: {why}; `python -m moganet.doctor` may say why') from error
    except KeyError as error:
        raise KeyError(f'config {path} cannot be read: {error.args[0] if error.args else error}') from error
    except Exception as error:  # a config is a program of its own
        raise ValueError(f'config {path} cannot be read: {type(error).__name__}: {error}') from error
    config_check.check_options(options, cfg)
    if options:
        try:
            cfg.merge_from_dict(options)
        except (KeyError, TypeError, AttributeError, AssertionError, IndexError, ValueError) as error:
            reason = error.args[0] if error.args else error
            raise ValueError(f'--cfg-options {", ".join(options)} cannot be merged into {path}: {reason}') from error
    config_check.check_top_level(list(cfg.keys()))
    return cfg


def _first_cause(error: BaseException) -> BaseException:
    """Return the error that an error began with."""
    while earlier := error.__cause__ or error.__context__:
        error = earlier
    return error
