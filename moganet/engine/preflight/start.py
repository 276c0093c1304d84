"""The config of a run, and the weights that it begins with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.registry import init_default_scope
from torch import nn

from ...checkpoints import SCHEME, zoo
from ...checkpoints.download import cached_path
from ..fill import pretrained_parts
from ..launch import build_parts, fill_for_training, training_config
from .result import OK, WARNING
from .subject import Subject


def check_config(subject: Subject) -> tuple[str, str]:
    """Read, check and complete the config as train.py does, and build its model.

    Raises:
        ValueError, KeyError, FileNotFoundError: what is wrong, in one line.
    """
    cfg, scope, notes = training_config(subject.options)
    init_default_scope(scope)
    model = build_parts(cfg, scope, data=False)  # the next check looks for them
    subject.cfg, subject.scope, subject.model = cfg, scope, model
    parameters = sum(parameter.numel() for parameter in model.parameters())
    run = f'{subject.gpus} process{"es" if subject.gpus > 1 else ""} on {subject.device.type}'
    return OK, '; '.join([f'{type(model).__name__} of {scope}, {parameters:,} parameters, {run}', *notes])


def check_checkpoint(subject: Subject) -> tuple[str, str]:
    """See that what the run begins or goes on with is here and fits, and fill the model with it; fetch nothing.

    Raises:
        ValueError, KeyError, FileNotFoundError: it is not, or does not.
    """
    subject.needs_config()
    options, cfg, model = subject.options, subject.cfg, subject.model
    _draw_weights(model)
    absent = [told for given in _named(subject) if (told := _to_be_fetched(given))]
    if absent:
        return WARNING, f'not here yet, so the run will fetch it before it begins: {", ".join(absent)}'
    notes = fill_for_training(cfg, model, options)
    return OK, '; '.join(notes) or 'none is named: the run begins with random weights'


def _named(subject: Subject) -> list[str]:
    """Return the checkpoints that a run would read."""
    resume = subject.options.resume
    if resume not in (None, 'auto'):
        return [str(resume)]
    if (resume or subject.cfg.get('resume')) and any(Path(subject.cfg.work_dir).glob('*.pth')):
        return []
    modules = subject.model.modules()
    named = [part.get('checkpoint') for module in modules for part in pretrained_parts(_init_cfg(module))]
    return [str(given) for given in dict.fromkeys([*named, subject.cfg.get('load_from')]) if given]


def _init_cfg(module: nn.Module) -> Any:
    return getattr(module, 'init_cfg', None)


def _to_be_fetched(given: str) -> str:
    """Return what a checkpoint that is not on this machine is called and where it is, or nothing."""
    text = given.removeprefix(SCHEME)
    url = text
    if '://' not in text:
        if Path(text).expanduser().is_file() or not zoo.is_known(text):
            return ''
        url = zoo.find(text).url
    scheme = url.partition('://')[0].lower()
    if scheme == 'file' or (scheme in ('http', 'https') and cached_path(url).is_file()):
        return ''
    return url if url == text else f'{text} ({url})'


def _draw_weights(model: Any) -> None:
    """Give a model the random weights that it begins with, as the Runner does; files are filled in afterwards."""
    if hasattr(model, 'init_weights'):
        with _without_pretrained(model):
            model.init_weights()


@contextmanager
def _without_pretrained(model: nn.Module) -> Iterator[None]:
    kept: list[tuple[Any, Any]] = []
    for module in model.modules():
        given = _init_cfg(module)
        pretrained = list(pretrained_parts(given))
        if pretrained:
            kept.append((module, given))
            parts = given if isinstance(given, (list, tuple)) else [given]
            module.init_cfg = [part for part in parts if part not in pretrained]  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, given in kept:
            module.init_cfg = given
