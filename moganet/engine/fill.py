"""Fill the model of a run from a checkpoint, and have the Runner read the same file the same way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ..checkpoints import SCHEME, Checkpoint, LoadReport, load, open_checkpoint
from ..models import MogaNet

# What of the form NAME://PLACE is ours to find.
_SCHEMES = ('http', 'https', 'file', SCHEME.partition(':')[0])


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
    return address(report.checkpoint), report


def address(checkpoint: Checkpoint) -> str:
    """Return what MMEngine's loader is to be given for a checkpoint: its absolute path, behind our scheme."""
    return SCHEME + str(checkpoint.path.resolve())


def fill_pretrained(cfg: Any, model: nn.Module) -> list[str]:
    """Fill what an ``init_cfg`` names a checkpoint for, and rewrite that name for the Runner; return reports.

    MMEngine warns of missing keys only, and a wrong ``prefix`` then trains from random weights. For a MogaNet it is not
    needed with our reader, which tells a whole model's file from a backbone's. Files for other parts are read safely;
    what of them fits, MMEngine sees to. What MMEngine has a scheme of its own for, such as ``torchvision://``, is left
    to it.

    Raises:
        ValueError, KeyError, FileNotFoundError: as :func:`fill`.
    """
    reports, addresses = {}, {}
    for module in model.modules():
        for init_cfg in pretrained_parts(getattr(module, 'init_cfg', None)):
            given = str(init_cfg.get('checkpoint') or '')
            if _is_mmengines(given):
                continue
            whole = any(isinstance(part, MogaNet) for part in module.modules()) and not init_cfg.get('prefix')
            if isinstance(module, MogaNet) or whole:
                reports[given] = load(module, given, new_parts=not isinstance(module, MogaNet))
                addresses[given] = address(reports[given].checkpoint)
            else:
                addresses[given] = address(open_checkpoint(given, foreign=True))
    _rewrite(cfg.get('model'), addresses)
    return [str(report) for report in reports.values()]


def pretrained_parts(init_cfg: Any) -> Iterator[Any]:
    """Yield the parts of an ``init_cfg`` that name a checkpoint: itself, or some of its list."""
    for part in init_cfg if isinstance(init_cfg, (list, tuple)) else (init_cfg,):
        kind = part.get('type') if isinstance(part, dict) else None
        if getattr(kind, '__name__', str(kind)).rpartition('.')[2] in ('Pretrained', 'PretrainedInit'):
            yield part


def _is_mmengines(given: str) -> bool:
    """Whether MMEngine has a scheme for it, or is said to, and we have none."""
    scheme, found, _ = given.partition('://')
    return bool(found) and scheme.lower() not in _SCHEMES


def _rewrite(part: Any, addresses: Mapping[str, str]) -> None:
    """Put addresses in the place of the names in a config's model."""
    if isinstance(part, dict):
        for init_cfg in pretrained_parts(part.get('init_cfg')):
            if init_cfg.get('checkpoint') in addresses:
                init_cfg['checkpoint'] = addresses[init_cfg['checkpoint']]
                if 'MogaNet' in str(part.get('type')):
                    init_cfg.pop('prefix', None)
        if part.get('pretrained') in addresses:  # mmpretrain's word for it
            part['pretrained'] = addresses[part['pretrained']]
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ():
        _rewrite(value, addresses)
