"""Whether a checkpoint fills a model, told on one screen."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..completeness import Fit, by_module, gate_error, partial
from .checkpoint import Checkpoint, open_checkpoint
from .errors import MisfitError
from .formats import Dropped

_BACKBONE = 'backbone.'
_STEM = 'patch_embed1.'
_CAUSES = (
    'Likeliest: (1) the config is of another variant or task than the file; (2) the file holds a backbone or a '
    "classifier alone: give it as the backbone's init_cfg=dict(type='Pretrained', checkpoint=...); (3) it is another "
    'model altogether. moganet.checkpoints.load(model, file, strict=False) fills what fits.'
)


@dataclass(frozen=True)
class LoadReport:
    """What a checkpoint did, or would do, to a model.

    Attributes:
        checkpoint: the file.
        fit: how its names and shapes meet the model's.
        new: parameters that stay as they were initialised, as :func:`load` was allowed to leave them: last layers for
            another number of classes, and parts that the file has nothing of.
        unused: names that a backbone has no use for when it is loaded alone, such as those of a head.
    """

    checkpoint: Checkpoint
    fit: Fit
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [*describe(self.checkpoint), ('loaded', f'{self.fit.filled} of {self.fit.expected} tensors')]
        if self.new:
            classes = self.checkpoint.weights.num_classes
            had = f': the file has {classes} classes' if classes else ''
            lines.append(('new', f'{len(self.new)} ({by_module(self.new, shown=8)}), as initialised{had}'))
        for title, names in (
            ('missing', [name for name in self.fit.missing if name not in self.new]),
            ('unexpected', self.fit.unexpected),
            ('other shape', [name for name, *_ in self.fit.reshaped if name not in self.new]),
            ('not needed', self.unused),
        ):
            if names:
                lines.append((title, f'{len(names)} ({by_module(names, shown=8)})'))
        return as_columns(lines)


def describe(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Return title and text of each line that a report has of a file, whatever the model."""
    weights = checkpoint.weights
    written = ' '.join(part for part in (weights.writer, weights.generation) if part)
    details = [weights.precision, checkpoint.container]
    if weights.wrappers:
        details.append('without ' + ', '.join(weights.wrappers))
    gate = {True: 'activated twice', False: 'activated once', None: 'unknown'}[weights.gate_act_twice]
    average = {True: 'moving average (EMA)', False: 'raw', None: 'not known whether raw or averaged'}[weights.ema]
    both = ', the file holds both' if weights.alternative is not None else ''
    model = ', '.join(
        part
        for part in (
            weights.task or 'a backbone alone',
            f'MogaNet {weights.variant}' if weights.variant else '',
            f'{weights.num_classes} classes' if weights.num_classes else '',
        )
        if part
    )
    lines = [
        ('checkpoint', str(checkpoint.path)),
        ('sha256', checkpoint.sha256),
        ('format', f'{written} ({", ".join(details)})'),
        ('model', model),
        ('weights', average + both),
        ('gate', gate + (f', by {weights.gate_source}' if weights.gate_source else '')),
    ]
    lines += dropped_lines(weights.dropped)
    return [*lines, ('note', checkpoint.note)] if checkpoint.note else lines


def dropped_lines(dropped: tuple[Dropped, ...]) -> list[tuple[str, str]]:
    """Return title and text of a line for each kind of entry that is left out."""
    return [('left out', f'{number} of {pattern}: {reason}') for pattern, number, reason in dropped]


def module_lines(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Return title and text of a line for each module: how many tensors and numbers it has."""
    modules: dict[str, list[int]] = {}
    for name, tensor in checkpoint.weights.state_dict.items():
        modules.setdefault('.'.join(name.split('.')[:2]), []).append(tensor.numel())
    return [(module, f'{len(sizes)} tensors, {sum(sizes):,} numbers') for module, sizes in modules.items()]


def as_columns(lines: list[tuple[str, str]]) -> str:
    """Return one line a pair, titles in a column."""
    width = max(len(title) for title, _ in lines)
    return '\n'.join(f'{title:<{width}}  {text}' for title, text in lines)


def load(
    model: nn.Module,
    checkpoint: str | Path | Checkpoint,
    *,
    strict: bool = True,
    new_parts: bool = False,
    prefer: Literal['ema', 'raw'] | None = None,
    gate_act_twice: bool | None = None,
    sha256: str | None = None,
    unsafe: bool = False,
) -> LoadReport:
    """Fill a model from a checkpoint, completely or not at all.

    Args:
        model: a toolbox's model with a MogaNet backbone, or a MogaNet alone, which takes its part of any file.
        checkpoint: a path, a URL, a name of the zoo, or what :func:`open_checkpoint` returned.
        strict: refuse a file that does not fill the whole model; without it what fits is loaded, and the report says
            what was not.
        new_parts: for fine-tuning: leave last layers for another number of classes, and parts that the file has
            nothing of (a detector's neck and heads, where it holds a classifier), as they were initialised. The
            backbone is filled all the same.
        prefer, gate_act_twice, sha256, unsafe: see :func:`open_checkpoint`.

    Returns:
        What was loaded; ``print`` it.

    Raises:
        MisfitError: the file does not fill the model, or was trained with another gate. The model is as it was.
        KeyError, FileNotFoundError, CheckpointError: as :func:`open_checkpoint`.
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = open_checkpoint(
            checkpoint,
            sha256=sha256,
            prefer=prefer,
            gate_act_twice=gate_act_twice,
            foreign=not _holds_moganet(model),
            unsafe=unsafe,
        )
    _check_gate(model, checkpoint)
    given, unused = _part_for(model, checkpoint.weights.state_dict)
    fit = dry_run(model, given)
    report = LoadReport(checkpoint, fit, unused=unused)
    if new_parts:
        report = replace(report, new=(*_other_classes(fit), *_absent_parts(model, fit)))
    if strict and not _is_filled(report):
        raise MisfitError(f'{checkpoint.given} does not fill the model: {fit.describe()}. {_CAUSES}', report)
    reshaped = {name for name, *_ in fit.reshaped}
    with partial():
        model.load_state_dict({name: v for name, v in given.items() if name not in reshaped}, strict=False)
    return report


def dry_run(model: nn.Module, given: Mapping[str, Tensor]) -> Fit:
    """Return how weights would fill a model, by loading them into its skeleton, which holds no numbers.

    Modules may rename or resize what they are given, so that a comparison of names would not do.
    """
    tensors = [*model.parameters(), *model.buffers()]
    bare: dict[int, Any] = {id(tensor): _without_numbers(tensor) for tensor in tensors}
    skeleton = copy.deepcopy(model, bare)
    own = skeleton.state_dict()
    reshaped: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    given = dict(given)
    with partial(), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='.*copying from a non-meta parameter')
        try:
            result = skeleton.load_state_dict(dict(given), strict=False)
        except RuntimeError as error:
            for name in re.findall(r'size mismatch for (\S+):', str(error)):
                reshaped.append((name, tuple(given[name].shape), tuple(own[name].shape)))
                given[name] = own[name]
            if not reshaped:
                raise
            result = skeleton.load_state_dict(given, strict=False)
    missing = [name for name in result.missing_keys if not name.endswith('num_batches_tracked')]
    return Fit(len(own), tuple(missing), tuple(result.unexpected_keys), tuple(reshaped))


def _without_numbers(tensor: Tensor) -> Tensor:
    bare = torch.empty_like(tensor, device='meta')
    return nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare


def _part_for(model: nn.Module, weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the weights for a model, and the names left over: a backbone alone takes its part of a whole model's."""
    alone = any(name.startswith(_STEM) for name, _ in model.named_parameters())
    if alone and any(name.startswith(_BACKBONE + _STEM) for name in weights):
        part = {name[len(_BACKBONE) :]: value for name, value in weights.items() if name.startswith(_BACKBONE)}
        return part, tuple(name for name in weights if not name.startswith(_BACKBONE))
    if not alone and any(name.startswith(_STEM) for name in weights):
        return {_BACKBONE + name: value for name, value in weights.items()}, ()
    return dict(weights), ()


def _holds_moganet(model: nn.Module) -> bool:
    """Whether a model is a MogaNet, or has one for its backbone."""
    return any(name.startswith((_STEM, _BACKBONE + _STEM)) for name, _ in model.named_parameters())


def _check_gate(model: nn.Module, checkpoint: Checkpoint) -> None:
    trained = checkpoint.weights.gate_act_twice
    for module in model.modules():
        if trained is not None and getattr(module, 'gate_act_twice', trained) != trained:
            raise MisfitError(gate_error(checkpoint.given, trained))


def _other_classes(fit: Fit) -> tuple[str, ...]:
    """Return the names of last layers that differ in their outputs alone, outside backbone and neck."""
    return tuple(
        name
        for name, given, own in fit.reshaped
        if not name.startswith((_BACKBONE, 'neck.')) and given[1:] == own[1:] and len(given) == len(own)
    )


def _absent_parts(model: nn.Module, fit: Fit) -> tuple[str, ...]:
    """Return the missing names of parts, such as ``neck``, all of whose parameters and buffers are missing."""
    present = {name.partition('.')[0] for name in set(model.state_dict()) - set(fit.missing)} | {'backbone'}
    return tuple(name for name in fit.missing if name.partition('.')[0] not in present)


def _is_filled(report: LoadReport) -> bool:
    left = {*report.fit.missing, *(name for name, *_ in report.fit.reshaped)}
    return left <= set(report.new)
