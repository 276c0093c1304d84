"""Check a config before anything is built or written, and name the nearest valid name for an unknown one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from typing import Any

import mmengine.registry
from mmengine.registry import Registry
from mmengine.runner import Runner

from ..compat import quiet_import
from ..models.old_names import OLD_ARGUMENTS
from .names import did_you_mean, slips

TOOLBOXES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')

# Read by MMEngine, by the toolboxes' tools or by ours, beside the arguments of the Runner.
_MORE_KEYS = frozenset(
    ('activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'env_cfg')
    + ('find_unused_parameters', 'launcher', 'model_wrapper_cfg', 'preprocess_cfg', 'runner_type', '_scope_')
    + ('sync_bn', 'tta_model', 'tta_pipeline', 'vis_backends', 'work_dir')
)
# Parts of a config whose ``type`` is no name of a registry that is always filled: mmdet looks the first two up in
# mmcv's operators, tokenizers come with an optional package.
_NOT_REGISTERED = frozenset({'nms', 'roi_layer', 'tokenizer'})
# Parts of a config that are built; a wrong ``type`` in any other is never read.
_BUILT_PARTS = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'default_hooks', 'custom_hooks', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('visualizer', 'log_processor', 'tta_model', 'tta_pipeline'),
)
# Keys that MMEngine takes out of a dict before it passes the others to the constructor.
_NO_ARGUMENTS = frozenset({'type', '_scope_', '_delete_', 'priority'})


def runner_keys() -> set[str]:
    """Return the top-level keys that a run reads."""
    return (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | _MORE_KEYS


def check_top_level(keys: list[str]) -> None:
    """Refuse a top-level key that looks like a slip of one that a run reads.

    A config may hold any other name: bases define variables of their own.

    Raises:
        KeyError: a key is unknown and close to a known one.
    """
    known = runner_keys()
    for key in keys:
        if key in known or len(key) < 8:
            continue
        # One slip, two in a long word: with more, variables of the toolboxes' own configs would be refused.
        near = min(sorted(known), key=lambda name: slips(key, name))
        if slips(key, near) <= (1 if len(key) < 12 else 2):
            raise KeyError(f'unknown key {key!r} at the top level of the config; did you mean {near!r}?')


def check_options(options: dict[str, Any], config_keys: list[str]) -> None:
    """Refuse a ``--cfg-options`` key whose first part is neither in the config nor read by a run.

    Raises:
        KeyError: there is such a key; the message names the nearest valid one.
    """
    known = runner_keys() | set(config_keys)
    for option in options:
        first = option.split('.')[0]
        if first not in known:
            raise KeyError(f'--cfg-options {option}: the config has no {first!r}{did_you_mean(first, known)}')


def require_keys(cfg: Any, keys: tuple[str, ...], purpose: str) -> None:
    """Refuse a config that lacks what a purpose needs.

    Raises:
        KeyError: a key is absent or None.
    """
    missing = [key for key in keys if cfg.get(key) is None]
    if missing:
        unknown = set(cfg.keys()) - runner_keys()
        hint = did_you_mean(missing[0], unknown).replace('did you mean', 'is it')
        raise KeyError(f'the config has no {", ".join(missing)}, which {purpose} needs{hint}')


def import_toolbox(scope: str) -> None:
    """Import the toolbox of a config's ``default_scope``.

    Raises:
        ValueError: there is no such toolbox, or it cannot be imported here.
    """
    if importlib.util.find_spec(scope.split('.')[0]) is None:
        if scope in TOOLBOXES:
            raise ValueError(f'this config needs {scope}, which is not installed; `python -m moganet.doctor` says how')
        raise ValueError(
            f'unknown task: default_scope={scope!r} is no package here; allowed: {", ".join(TOOLBOXES)}'
            f'{did_you_mean(scope, TOOLBOXES)}'
        )
    try:
        with quiet_import():
            importlib.import_module(scope)
            for registry in scope_registries(scope):
                registry.import_from_location()
    except (ImportError, AssertionError, OSError, RuntimeError) as error:
        # The toolboxes assert that the versions of each other fit; broken operators end in OSError or RuntimeError.
        raise ValueError(
            f'{scope} cannot be imported: {error}; `python -m moganet.doctor` tells which packages do not fit'
        ) from error


def scope_registries(scope: str) -> list[Registry]:
    """Return the registries in which a config of this scope finds its types: the toolbox's, and MMEngine's roots."""
    registries = _registries_of(mmengine.registry)
    if scope != 'mmengine':
        registries = _registries_of(importlib.import_module(f'{scope}.registry')) + registries
    return registries


def _registries_of(module: Any) -> list[Registry]:
    return [value for value in vars(module).values() if isinstance(value, Registry)]


def check_types(cfg: Any, scope: str) -> None:
    """Refuse an unknown ``type``, and an unknown argument of a type whose arguments are known in full.

    Args:
        cfg: the config, its toolbox being imported.
        scope: its ``default_scope``.

    Raises:
        KeyError: a type or an argument is unknown; the message gives its place and the nearest valid name.
    """
    table = _TypeTable()
    for part in _BUILT_PARTS:
        for place, node, node_scope in _typed_dicts(cfg.get(part), part, scope):
            table.check(place, node, node_scope)
    for name in ('train_cfg', 'val_cfg', 'test_cfg'):
        _check_loop(cfg.get(name), name)


def _typed_dicts(node: Any, place: str, scope: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield every dict with a ``type`` name below a part of a config, with its place and its scope."""
    if isinstance(node, dict):
        scope = node.get('_scope_') or scope
        if isinstance(node.get('type'), str):
            yield place, node, scope
        for key, value in node.items():
            foreign = key == 'transforms' and 'Albu' in str(node.get('type'))  # names of the package Albumentations
            if key not in _NOT_REGISTERED and not foreign:
                yield from _typed_dicts(value, f'{place}.{key}', scope)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _typed_dicts(value, f'{place}[{index}]', scope)


class _TypeTable:
    """The names that each scope knows, collected once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, list[Any]]] = {}

    def _names(self, scope: str) -> dict[str, list[Any]]:
        if scope not in self._known:
            import_toolbox(scope)
            found: dict[str, list[Any]] = {}
            for registry in scope_registries(scope):
                for name, cls in registry.module_dict.items():
                    found.setdefault(name, []).append(cls)
            self._known[scope] = found
        return self._known[scope]

    def check(self, place: str, node: dict[str, Any], scope: str) -> None:
        name = node['type']
        if '.' in name:
            prefix, name = name.split('.', 1)
            if prefix not in TOOLBOXES and prefix != 'mmengine':
                return  # the path of a class, which Python will import
            scope = prefix
        known = self._names(scope)
        classes = known.get(name)
        # Names in lower case (``conv``, ``nearest``, ``qkv``) are often a class's own choices and no registry's.
        if classes is None and '.' not in name and not name[:1].islower():
            raise KeyError(f'{place}: unknown type {name!r} in {scope}{did_you_mean(name, known)}')
        _check_arguments(place, node, classes or [])


def _check_arguments(place: str, node: dict[str, Any], classes: list[Any]) -> None:
    """Refuse an argument that no class of this name takes; a class with ``**kwargs`` takes any.

    The names of MogaNet's old code are left to the backbone, which tells what replaces each.
    """
    if not _built_plainly(place):
        return
    allowed: set[str] = set()
    for cls in classes:
        try:
            parameters = inspect.signature(cls.__init__ if inspect.isclass(cls) else cls).parameters.values()
        except (TypeError, ValueError):
            return
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return
        allowed |= {parameter.name for parameter in parameters} - {'self'}
    for key in node:
        if classes and key not in allowed and key not in _NO_ARGUMENTS and key not in OLD_ARGUMENTS:
            raise KeyError(f'{place}: {node["type"]} has no argument {key!r}{did_you_mean(key, allowed)}')


def _built_plainly(place: str) -> bool:
    """Whether MMEngine passes the dict at this place to its constructor as it is.

    Norms, activations, losses, schedulers and optimizers are built by functions that take keys out or put them in.
    """
    last = place.rsplit('.', 1)[-1]
    return last in ('backbone', 'neck') or 'pipeline[' in last or place.startswith('default_hooks')


def _check_loop(loop: Any, name: str) -> None:
    """Refuse an unknown argument of the standard loops, whose type may be implied by ``by_epoch``."""
    if not loop:
        return
    from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, TestLoop, ValLoop

    standard = {cls.__name__: cls for cls in (EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop, TestLoop)}
    implied = {'train_cfg': 'EpochBasedTrainLoop' if loop.get('by_epoch') else 'IterBasedTrainLoop'}
    cls = standard.get(loop.get('type') or implied.get(name, 'ValLoop'))
    if cls is None:
        return
    allowed = set(inspect.signature(cls.__init__).parameters) - {'self', 'runner', 'dataloader', 'evaluator'}
    for key in loop:
        if key not in allowed | _NO_ARGUMENTS | {'by_epoch'}:
            raise KeyError(f'{name}: {cls.__name__} has no argument {key!r}{did_you_mean(key, allowed)}')
