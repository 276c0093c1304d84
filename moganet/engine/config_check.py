"""Check a config before anything is built or written, and name the nearest valid name for an unknown one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Iterator
from typing import Any

import mmengine.registry
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..compat import quiet_import
from ..models import MogaNet
from ..models.old_names import unknown_argument
from ..names import did_you_mean, slips
from ..registry import SCOPE as OWN_SCOPE
from .arguments import arguments_of, wrong_kind
from .optimizers import LayerWiseDecayOptimWrapperConstructor
from .settings_check import not_a_number, short

TOOLBOXES = ('mmpretrain', 'mmdet', 'mmseg', 'mmpose')

# Read by MMEngine, by the toolboxes' tools or by ours, beside the arguments of the Runner.
_MORE_KEYS = frozenset(
    ('activation_checkpointing', 'compile', 'custom_imports', 'efficient_conv_bn_eval', 'env_cfg')
    + ('find_unused_parameters', 'launcher', 'model_wrapper_cfg', 'preprocess_cfg', 'runner_type', '_scope_')
    + ('strategy', 'sync_bn', 'tta_model', 'tta_pipeline', 'vis_backends', 'work_dir')
)
# Parts of a config whose ``type`` is no name of a registry that is always filled: mmdet looks the first two up in
# mmcv's operators, tokenizers come with an optional package.
_NOT_REGISTERED = frozenset({'nms', 'roi_layer', 'tokenizer'})
# Parts of a config that are built; a wrong ``type`` in any other is never read.
_BUILT_PARTS = (
    *('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator'),
    *('optim_wrapper', 'param_scheduler', 'default_hooks', 'custom_hooks', 'train_cfg', 'val_cfg', 'test_cfg'),
    *('visualizer', 'log_processor', 'strategy', 'tta_model', 'tta_pipeline'),
)
# Keys that MMEngine takes out of a dict before it passes the others to the constructor.
_NO_ARGUMENTS = frozenset({'type', '_scope_', '_delete_', 'priority'})
# Parts that MMEngine passes to their constructor as they are. Norms, activations and losses are built by functions that
# take keys out or put them in; the rest of a model tells of an unknown key itself, as it is built before a run starts.
_BUILT_PLAINLY = re.compile(
    r'(^|\.)(backbone|neck)$|pipeline\[|^(default|custom)_hooks|^(val|test)_evaluator(\[\d+\])?$|^visualizer'
    r'|^\w+_dataloader\.(.*\.)?(dataset|datasets\[\d+\]|sampler|batch_sampler)$|^param_scheduler(\[\d+\])?$'
    r'|^optim_wrapper(\.optimizer)?$'
)
# What MMEngine's builders take out of parts that are otherwise passed as they are.
_TAKEN_OUT = {
    'param_scheduler': frozenset({'convert_to_iter_based'}),
    'optim_wrapper': frozenset({'optimizer', 'paramwise_cfg', 'constructor'}),
}
_LOADER_KEYS = frozenset(inspect.signature(DataLoader.__init__).parameters) - {'self'} | {'num_batch_per_epoch'}
# What MMEngine's default constructor of optimizers reads, which ignores the rest without a word.
_PARAMWISE_KEYS = frozenset(
    ('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult')
    + ('dcn_offset_lr_mult', 'bypass_duplicate')
)


# Those that read what MMEngine's reads.
_RUNNERS = ('Runner', 'ResumableRunner', 'ShardedRunner')


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


def check_options(options: dict[str, Any], cfg: Any) -> None:
    """Refuse a ``--cfg-options`` key that would change nothing.

    Options are merged into a config that is read already, so a change of a variable of its file, such as ``codec`` or
    ``data_root``, reaches none of the places where the file used it.

    Raises:
        KeyError: no run reads the first part of a key; the message names the nearest one that is read, or the places
            that hold the variable's value.
    """
    read = runner_keys()
    for option in options:
        first = option.split('.')[0]
        if first in read or cfg.get('runner_type', 'Runner') not in _RUNNERS:  # another may read anything
            continue
        if first not in cfg:
            raise KeyError(f'--cfg-options {option}: the config has no {first!r}{did_you_mean(first, {*read, *cfg})}')
        places = [place for name in cfg if name in read for place in _places_of(cfg[first], cfg[name], name)]
        found = f'; change the places that hold its value: {", ".join(places[:4])}' if places else ''
        raise KeyError(
            f'--cfg-options {option}: {first!r} is a variable of the config file, and a run does not read it{found}'
        )


def _places_of(value: Any, node: Any, place: str) -> Iterator[str]:
    """Yield where a part of a config equals a value, in the notation of ``--cfg-options``."""
    if type(node) is type(value) and node == value:
        yield place
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _places_of(value, child, f'{place}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _places_of(value, child, f'{place}.{index}')


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
    """Refuse an unknown ``type``, an unknown argument of a type whose arguments are known in full, and a value that its
    annotation says it does not take.

    Args:
        cfg: the config, its toolbox being imported.
        scope: its ``default_scope``.

    Raises:
        KeyError: a type or an argument is unknown; the message gives its place and the nearest valid name.
        ValueError: a value is NaN, or of the wrong kind.
    """
    table = _TypeTable()
    for part in _BUILT_PARTS:
        node = cfg.get(part)
        nan = not_a_number(part, node)
        if nan:
            raise ValueError(f'{nan} is nan; a number is needed')
        if part == 'optim_wrapper' and isinstance(node, dict) and 'optimizer' in node:
            node = {'type': 'OptimWrapper', **node}  # what it is by default
        for place, typed, node_scope in _typed_dicts(node, part, scope):
            table.check(place, typed, node_scope)
    if isinstance(cfg.get('runner_type'), str):
        table.check('runner_type', {'type': cfg['runner_type']}, scope)
    _check_untyped(cfg)
    for name in ('train_cfg', 'val_cfg', 'test_cfg'):
        _check_loop(cfg.get(name), name)


def _typed_dicts(node: Any, place: str, scope: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield every dict with a ``type`` name below a part of a config, with its place and its scope."""
    if isinstance(node, dict):
        if node.get('_scope_') != OWN_SCOPE:  # what a base from `moganet::` has; it is looked up where the config is
            scope = node.get('_scope_') or scope
        if isinstance(node.get('type'), str):
            yield place, node, scope
        albu = 'Albu' in str(node.get('type'))
        for key, value in node.items():
            foreign = albu and key in ('transforms', 'bbox_params')  # names of the package Albumentations
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
        _check_values(place, node, classes or [])


def _check_arguments(place: str, node: dict[str, Any], classes: list[Any]) -> None:
    """Refuse an argument that no class of this name takes."""
    if not classes or not _BUILT_PLAINLY.search(place):
        return
    allowed: set[str] = set(_TAKEN_OUT.get(re.split(r'[.\[]', place)[0], ()))
    for cls in classes:
        taken = arguments_of(cls, through_bases=place.rsplit('.', 1)[-1] not in ('backbone', 'neck'))
        if taken is None:
            return
        allowed |= taken
    unknown = [key for key in node if key not in allowed and key not in _NO_ARGUMENTS]
    if unknown and MogaNet in classes:  # it tells what replaces the names of its old code, and what a base left
        raise KeyError(f'{place}: {unknown_argument(unknown[0], allowed, unknown[1:])}')
    if unknown:
        raise KeyError(f'{place}: {node["type"]} has no argument {unknown[0]!r}{did_you_mean(unknown[0], allowed)}')


def _check_values(place: str, node: dict[str, Any], classes: list[Any]) -> None:
    """Refuse a value that no class of this name takes for its argument."""
    for key, value in node.items() if classes else ():
        taken = [wrong_kind(cls, key, value) for cls in classes]
        if key not in _NO_ARGUMENTS and all(taken):
            raise ValueError(f'{place}.{key} is {short(value)}; {node["type"]} takes {taken[0]}')


def _check_untyped(cfg: Any) -> None:
    """Refuse an unknown key in the parts of a config that have no type: the loaders, and the weights' own settings."""
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loaders = cfg.get(part) or {}
        for loader in loaders if isinstance(loaders, (list, tuple)) else (loaders,):
            _check_keys(part, loader, _LOADER_KEYS)
    wrapper = cfg.get('optim_wrapper') or {}
    known = {None: _PARAMWISE_KEYS, LayerWiseDecayOptimWrapperConstructor.__name__: frozenset({'layer_decay_rate'})}
    constructor = wrapper.get('constructor')
    if constructor in known:
        _check_keys('optim_wrapper.paramwise_cfg', wrapper.get('paramwise_cfg') or {}, known[constructor])


def _check_keys(place: str, node: dict[str, Any], allowed: frozenset[str]) -> None:
    for key in node:
        if key not in allowed and key not in _NO_ARGUMENTS:
            raise KeyError(f'{place} has no key {key!r}{did_you_mean(key, allowed)}')


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
