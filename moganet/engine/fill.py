"""Fill the model of a run from a checkpoint, and have the Runner read the same file the same way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import nn

from ..checkpoints import SCHEME, Checkpoint, LoadReport, load
from ..models import MogaNet


def fill(model: nn.Module, given: str | Checkpoint, *, new_parts: bool = False) -> tuple[str, LoadReport]:
    """Fill a model, completely or not at all.

    Args:
        model: what the config describes.
        given: a path, a URL, a name of the zoo, or an opened checkpoint.
        new_parts: leave last layers for other classes, and parts that the file has nothing of, as initialised.

    Returns:
        What the Runner is to be given for it, and the report.

    Raises:
        ValueError, KeyError, FileNotFoundError: the file cannot be had, is unsafe or damaged, or does not fill
            the model.
    """
    report = load(model, given, new_parts=new_parts)
    return address(report), report


def address(report: LoadReport) -> str:
    """Return what MMEngine's loader is to be given for a checkpoint: its absolute path, behind our scheme."""
    return SCHEME + str(Path(report.checkpoint.path).resolve())


def fill_pretrained(cfg: Any, model: nn.Module) -> list[str]:
    """Fill each MogaNet whose ``init_cfg`` names a checkpoint, and rewrite that name for the Runner; return reports.

    MMEngine warns of missing keys only, and a wrong ``prefix`` then trains from random weights. The prefix is not
    needed with our reader, which tells a whole model's file from a backbone's.
    """
    reports = {}
    for module in model.modules():
        init_cfg = getattr(module, 'init_cfg', None)
        if not isinstance(module, MogaNet) or not isinstance(init_cfg, dict) or init_cfg.get('type') != 'Pretrained':
            continue
        given = str(init_cfg.get('checkpoint') or '')
        reports[given] = load(module, given)
    for init_cfg in _init_cfgs(cfg.get('model')):
        if init_cfg.get('checkpoint') in reports:
            init_cfg.pop('prefix', None)
            init_cfg['checkpoint'] = address(reports[init_cfg['checkpoint']])
    return [str(report) for report in reports.values()]


def _init_cfgs(part: Any) -> Iterator[Any]:
    """Yield the ``init_cfg`` of each MogaNet that a config describes."""
    if isinstance(part, dict):
        init_cfg = part.get('init_cfg')
        if 'MogaNet' in str(part.get('type')) and isinstance(init_cfg, dict):
            yield init_cfg
        for value in part.values():
            yield from _init_cfgs(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from _init_cfgs(value)
