"""Build each part of a config once, as a Runner will, so that what a constructor refuses is known before a run starts.

A Runner builds hooks, data sets, metrics and schedules one after the other, minutes into a run, from within each
other, and their errors name neither the part nor its place in the config. Nothing is read or written here: data sets
are built without their annotations.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import traceback
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATASETS,
    FUNCTIONS,
    HOOKS,
    LOG_PROCESSORS,
    METRICS,
    MODELS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISUALIZERS,
    DefaultScope,
    build_from_cfg,
)
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn

from ..names import did_you_mean
from .amp_option import PLAIN_WRAPPERS
from .arguments import arguments_of
from .data_check import datasets_of
from .settings_check import short

# Metrics that neither read nor write a file as they are built, once they are given no annotations.
_METRICS = (
    *('Accuracy', 'SingleLabelMetric', 'MultiLabelMetric', 'AveragePrecision', 'CocoMetric', 'IoUMetric'),
    *('DumpResults', 'PCKAccuracy', 'AUC', 'EPE', 'NME', 'InterHandMetric', 'VOCMetric', 'LVISMetric'),
)
_MMENGINE_PREFIX = re.compile(r'^class `\w+` in [\w/.]+: ')
_NAME = 'built to be checked'


def check_parts(cfg: Any, scope: str, splits: tuple[str, ...], data: bool = True) -> None:
    """Build what a run of these splits builds beside the model and what needs it.

    Args:
        cfg: the config, its types checked.
        scope: its toolbox.
        splits: which of ``train``, ``val`` and ``test`` will be read.
        data: whether the data are there, which some data sets look at; else their transforms are built alone.

    Raises:
        ValueError, KeyError: a part cannot be built; the message has its place in the config, and its arguments.
    """
    with DefaultScope.overwrite_default_scope(scope):
        for split in splits:
            loader = cfg.get(f'{split}_dataloader') or {}
            for place, dataset in datasets_of(loader.get('dataset'), f'{split}_dataloader.dataset'):
                _check_dataset(place, dataset, data)
            _check_functions(loader, f'{split}_dataloader')
            for place, metric in _listed(cfg.get(f'{split}_evaluator') or [], f'{split}_evaluator'):
                if str(metric.get('type')).rpartition('.')[2] in _METRICS:
                    # The annotations would be read as it is built.
                    _build(place, METRICS, {key: value for key, value in metric.items() if key != 'ann_file'})
        if cfg.get('log_processor'):
            _build('log_processor', LOG_PROCESSORS, {'type': 'LogProcessor', **cfg.log_processor})
        with _visualizer(cfg):
            hooks = [(f'default_hooks.{name}', hook) for name, hook in (cfg.get('default_hooks') or {}).items()]
            for place, hook in [*hooks, *_listed(cfg.get('custom_hooks') or [], 'custom_hooks')]:
                if isinstance(hook, dict):
                    _check_hook(place, hook)


def check_optimizer(cfg: Any, scope: str, model: nn.Module) -> None:
    """Build the optimizer of a model, and the schedules of its learning rate and momentum.

    Raises:
        ValueError, KeyError: one cannot be built; the message has its place in the config, and its arguments.
    """
    described = cfg.optim_wrapper
    if described.get('type', 'OptimWrapper') not in PLAIN_WRAPPERS or 'optimizer' not in described:
        return
    with DefaultScope.overwrite_default_scope(scope):
        with told('optim_wrapper', described) as copied:
            wrapper = build_optim_wrapper(model, copied)
        loop = cfg.train_cfg
        ends = {True: loop.get('max_epochs'), False: loop.get('max_iters')}
        for place, schedule in _listed(cfg.get('param_scheduler') or [], 'param_scheduler'):
            end = ends[bool(schedule.get('by_epoch', True))]
            default = {} if end is None else {'end': end}
            # An epoch's length is not known before the data are read; any will do.
            _build(place, PARAM_SCHEDULERS, {**default, **schedule}, optimizer=wrapper, epoch_length=100)


@contextlib.contextmanager
def told(place: str, node: Any) -> Iterator[Any]:
    """Give a copy of a part of a config to be built; tell what cannot be with its place and its arguments.

    Args:
        place: the part, in dots.
        node: what is to be built for it.

    Raises:
        KeyError: the builders raise one, which says that a name is unknown.
        ValueError: they raise anything else.
    """
    copied = deepcopy(node)
    try:
        yield copied
    except Exception as error:  # constructors of other packages raise what they like
        failed = _failed_part(error)
        found = _place_of(failed, copied, place) if failed is not None else None
        inner_place, inner = found or (place, node)
        reason = _MMENGINE_PREFIX.sub('', str(error.args[0] if isinstance(error, KeyError) and error.args else error))
        reason = reason or str(traceback.extract_tb(error.__traceback__)[-1].line)  # an assertion without a message
        kind = '' if isinstance(error, (KeyError, ValueError)) else f'{type(error).__name__}: '
        text = f'{inner_place}: {_described(inner)} cannot be built: {kind}{reason}'
        raise (KeyError if isinstance(error, KeyError) else ValueError)(text) from error


def _build(place: str, registry: Any, node: Any, **more: Any) -> None:
    with told(place, node) as copied:
        registry.build(copied, default_args=more or None)


def _check_dataset(place: str, dataset: dict[str, Any], there: bool) -> None:
    """Build a data set without reading its annotations; of one that cannot leave them, its transforms alone."""
    with told(place, dataset) as copied:
        if there and 'lazy_init' in _arguments(dataset['type']):
            DATASETS.build({**copied, 'lazy_init': True})
            return
    for index, step in enumerate(dataset.get('pipeline') or ()):
        if isinstance(step, dict):
            _build(f'{place}.pipeline[{index}]', TRANSFORMS, step)


def _check_hook(place: str, hook: dict[str, Any]) -> None:
    """Build a hook, and see that what it hands on will be taken, as MMEngine tells at the first checkpoint."""
    with told(place, hook) as copied:
        copied.pop('priority', None)
        built = HOOKS.build(copied)
        if isinstance(built, CheckpointHook):
            inspect.signature(Runner.save_checkpoint).bind_partial(**built.args)
        if isinstance(built, EMAHook):
            MODELS.build(built.ema_cfg, default_args={'model': nn.Linear(1, 1)})


def _check_functions(loader: Any, place: str) -> None:
    """Refuse a function of a loader that is not registered; MMEngine takes None for it, and fails later."""
    for key in ('collate_fn', 'worker_init_fn'):
        kind = (loader.get(key) or {}).get('type') if isinstance(loader.get(key), dict) else None
        if isinstance(kind, str) and FUNCTIONS.get(kind) is None:
            raise KeyError(f'{place}.{key}: unknown type {kind!r}{did_you_mean(kind, FUNCTIONS.module_dict)}')


def _arguments(kind: Any) -> set[str]:
    """Return the arguments that a data set's type is known to take."""
    with DATASETS.switch_scope_and_registry(None) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    return arguments_of(cls, through_bases=True) or set()


@contextlib.contextmanager
def _visualizer(cfg: Any) -> Iterator[None]:
    """Build the visualizer, which hooks look for; it is gone afterwards."""
    described = cfg.get('visualizer') or {'type': 'Visualizer'}
    try:
        _build('visualizer', VISUALIZERS, {**described, 'name': _NAME, 'save_dir': cfg.get('work_dir') or '.'})
        yield
    finally:
        for cls in [Visualizer, *_all_subclasses(Visualizer)]:
            cls._instance_dict.pop(_NAME, None)


def _all_subclasses(cls: Any) -> list[Any]:
    return [found for child in cls.__subclasses__() for found in (child, *_all_subclasses(child))]


def _listed(node: Any, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the parts of what may be one or a list of them, each with its place."""
    if isinstance(node, dict):
        return [(place, node)]
    return [(f'{place}[{index}]', part) for index, part in enumerate(node) if isinstance(part, dict)]


def _failed_part(error: BaseException) -> Any:
    """Return the innermost part of a config that MMEngine was building when an error came; None when none was."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None and before not in chain:
        chain.append(before)
    for one in reversed(chain):  # a builder may raise anew, without what was below it
        frames = [frame for frame, _ in traceback.walk_tb(one.__traceback__) if frame.f_code is build_from_cfg.__code__]
        if frames:
            return frames[-1].f_locals.get('cfg')
    return None


def _place_of(wanted: Any, root: Any, place: str) -> tuple[str, Any] | None:
    """Find a part below another one: itself, or what has its type, as builders pass copies on with more in them."""
    parts = list(_dicts(root, place))
    same = [found for found in parts if found[1] is wanted]
    kind = wanted.get('type') if isinstance(wanted, dict) else None
    alike = [found for found in parts if kind is not None and found[1].get('type') == kind]
    return next(iter(same or alike), None)


def _dicts(node: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield place, node
        for key, child in node.items():
            yield from _dicts(child, f'{place}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from _dicts(child, f'{place}[{index}]')


def _described(node: Any) -> str:
    """Return a part as its call: its type, and those of its arguments that are no parts themselves."""
    kind = node.get('type')
    plain = {key: value for key, value in node.items() if key not in ('type', '_scope_') and not _has_parts(value)}
    arguments = ', '.join(f'{key}={short(value)}' for key, value in plain.items())
    return f'{getattr(kind, "__name__", kind) or "what has no type"}({arguments})'


def _has_parts(value: Any) -> bool:
    if isinstance(value, dict):
        return True
    return isinstance(value, (list, tuple)) and any(isinstance(part, dict) for part in value)
