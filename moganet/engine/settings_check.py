"""Check what a Runner reads of a config itself, through no constructor that would refuse it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..names import did_you_mean

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# What each part of a config is; a part that may be left out may be None as well.
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(('model', 'optim_wrapper', 'train_cfg', 'val_cfg', 'test_cfg', 'default_hooks'), (dict,)),
    **dict.fromkeys(('visualizer', 'env_cfg', 'randomness', 'auto_scale_lr', 'log_processor'), (dict,)),
    **dict.fromkeys(('data_preprocessor', 'tta_model'), (dict,)),
    **dict.fromkeys(('val_evaluator', 'test_evaluator', 'param_scheduler'), (dict, list, tuple)),
    **dict.fromkeys(_LOADERS, (dict,)),
    **dict.fromkeys(('load_from', 'work_dir', 'experiment_name', 'default_scope', 'launcher'), (str,)),
    'custom_hooks': (list, tuple),
    'resume': (bool,),
    'log_level': (str, int),
}
_WORDS: dict[type, str] = {
    dict: 'a dict',
    list: 'a list',
    tuple: 'a tuple',
    str: 'a text',
    bool: 'True or False',
    int: 'a number',
}
# The keys of parts without a type, of which MMEngine reads no others.
_KEYS = {
    'randomness': ('seed', 'diff_rank_seed', 'deterministic'),
    'auto_scale_lr': ('base_batch_size', 'enable'),
    'env_cfg': ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'optim_wrapper.clip_grad': ('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value'),
}
# What is needed together.
_TOGETHER = [tuple(f'{split}_{part}' for part in ('dataloader', 'cfg', 'evaluator')) for split in ('val', 'test')]


@dataclass(frozen=True)
class _Number:
    """A number within limits.

    Attributes:
        least, most: the limits, which may be taken.
        whole: there are no halves of it.
        also: other values that mean something.
    """

    least: float
    most: float = math.inf
    whole: bool = True
    also: tuple[Any, ...] = ()

    def takes(self, value: Any) -> bool:
        if any(value is other or (type(value) is type(other) and value == other) for other in self.also):
            return True
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.least <= value <= self.most and (not self.whole or float(value).is_integer())

    def __str__(self) -> str:
        kind = 'a whole number' if self.whole else 'a number'
        limits = f'of at least {self.least:g}' if self.most == math.inf else f'from {self.least:g} to {self.most:g}'
        return ' or '.join([f'{kind} {limits}', *map(str, self.also)])


@dataclass(frozen=True)
class _Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def takes(self, value: Any) -> bool:
        return any(type(value) is type(allowed) and value == allowed for allowed in self.values)

    def __str__(self) -> str:
        return f'one of {", ".join(map(str, self.values))}'


_FLAG = _Choice((True, False))
_SETTINGS: dict[str, _Number | _Choice] = {
    r'\w+_dataloader\.batch_size': _Number(1),
    r'\w+_dataloader\.num_workers': _Number(0),
    r'\w+_dataloader\.prefetch_factor': _Number(1, also=(None,)),
    r'\w+_dataloader\.timeout': _Number(0, whole=False),
    r'\w+_dataloader\.num_batch_per_epoch': _Number(1, also=(None,)),
    r'\w+_dataloader\.(persistent_workers|pin_memory|drop_last)': _FLAG,
    r'model\..*\bnum_classes': _Number(1),
    r'train_cfg\.(max_epochs|max_iters|val_interval)': _Number(1),
    r'train_cfg\.val_begin': _Number(0),
    r'train_cfg\.by_epoch': _FLAG,
    r'(val|test)_cfg\.fp16': _FLAG,
    r'optim_wrapper\.accumulative_counts': _Number(1),
    r'optim_wrapper\.clip_grad\.(max_norm|clip_value)': _Number(math.ulp(0.0), whole=False),
    r'param_scheduler\[\d+\]\.begin': _Number(0),
    r'param_scheduler\[\d+\]\.end': _Number(1),
    r'auto_scale_lr\.base_batch_size': _Number(1),
    r'auto_scale_lr\.enable': _FLAG,
    r'randomness\.seed': _Number(0, 2**32 - 1, also=(None,)),
    r'randomness\.(diff_rank_seed|deterministic)': _FLAG,
    r'env_cfg\.cudnn_benchmark': _FLAG,
    r'env_cfg\.mp_cfg\.mp_start_method': _Choice(('fork', 'spawn', 'forkserver')),
    r'env_cfg\.mp_cfg\.opencv_num_threads': _Number(0),
    r'default_hooks\.checkpoint\.(interval|max_keep_ckpts)': _Number(1, also=(-1,)),
    r'log_processor\.window_size': _Number(1),
    r'log_level': _Choice(('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')),
}
_WITH_SETTINGS = (
    *_LOADERS,
    *('train_cfg', 'val_cfg', 'test_cfg', 'optim_wrapper', 'auto_scale_lr', 'randomness', 'env_cfg', 'default_hooks'),
    'log_processor',
)


def check_kinds(cfg: Any) -> None:
    """Refuse a part of a config that is of the wrong kind.

    Raises:
        ValueError: one is; the message has its name, and what it must be.
    """
    for name, kinds in _KINDS.items():
        if cfg.get(name) is not None and not isinstance(cfg[name], kinds):
            raise ValueError(f'{name} is {short(cfg[name])}; it must be {" or ".join(_WORDS[kind] for kind in kinds)}')


def check_settings(cfg: Any) -> None:
    """Refuse a setting of a Runner's own that is unknown, out of its range, or without what belongs to it.

    Raises:
        ValueError: a value is wrong; the message has its place, and what is allowed.
        KeyError: a key is unknown, or one that is needed is not there.
    """
    for place, allowed in _KEYS.items():
        node = _at(cfg, place)
        for key in node if isinstance(node, dict) else ():
            if key not in allowed:
                raise KeyError(f'{place} has no key {key!r}{did_you_mean(key, allowed)}')
    for place, value in _settings(cfg):
        rule = next((rule for pattern, rule in _SETTINGS.items() if re.fullmatch(pattern, place)), None)
        if rule is not None and not rule.takes(value):
            raise ValueError(f'{place} is {short(value)}; it must be {rule}')
    _check_presence(cfg)


def _check_presence(cfg: Any) -> None:
    for names in _TOGETHER:
        there = [name for name in names if cfg.get(name) is not None]
        if there and len(there) < len(names):
            missing = [name for name in names if name not in there]
            have, lack = ', '.join(there), ', '.join(missing)
            raise KeyError(f'the config has {have} and no {lack}; give all three, or None for each')
    for name in _LOADERS:
        loader = cfg.get(name) or {}
        for key in ('dataset', 'sampler') if loader else ():
            if loader.get(key) is None:
                raise KeyError(f'{name} has no {key}')
    wrapper = cfg.get('optim_wrapper')
    if wrapper is not None and wrapper.get('optimizer') is None and 'constructor' not in wrapper:
        raise KeyError('optim_wrapper has no optimizer')


def _settings(cfg: Any) -> Iterator[tuple[str, Any]]:
    """Yield what stands up to two levels deep in the parts that have rules, and everything of the model."""
    yield from _leaves('model', cfg.get('model'))
    if isinstance(cfg.get('log_level'), str):
        yield 'log_level', cfg['log_level']
    for part in _WITH_SETTINGS:
        yield from _below(part, cfg.get(part), 2)
    schedules = cfg.get('param_scheduler') or []
    for index, schedule in enumerate(schedules if isinstance(schedules, (list, tuple)) else [schedules]):
        yield from _below(f'param_scheduler[{index}]', schedule, 1)


def _below(place: str, node: Any, levels: int) -> Iterator[tuple[str, Any]]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f'{place}.{key}', value
        if levels > 1:
            yield from _below(f'{place}.{key}', value, levels - 1)


def _at(cfg: Any, place: str) -> Any:
    node = cfg
    for key in place.split('.'):
        node = node.get(key) if hasattr(node, 'get') else None
    return node


def short(value: Any) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def not_a_number(place: str, node: Any) -> str | None:
    """Return the place of the first NaN in a part of a config: there is none that means anything."""
    found = (inner for inner, value in _leaves(place, node) if isinstance(value, float) and math.isnan(value))
    return next(found, None)


def _leaves(place: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(f'{place}.{key}', child)
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _leaves(f'{place}[{index}]', child)
    else:
        yield place, node
