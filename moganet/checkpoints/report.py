"""Whether a checkpoint fills a model, told on one screen."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from ..completeness import Fit, by_module, gate_error, partial
from .checkpoint import Checkpoint, open_checkpoint
from .dry_run import below, dry_run
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

    def without_weights(self) -> LoadReport:
        """Return the same report without the weights of the file, for who keeps it."""
        weights = self.checkpoint.weights
        both = None if weights.alternative is None else OrderedDict[str, Tensor]()
        weights = replace(weights, state_dict=OrderedDict(), alternative=both)
        return replace(self, checkpoint=replace(self.checkpoint, data={}, weights=weights))


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
        ValueError: options of :func:`open_checkpoint`, for a checkpoint that is open.
        KeyError, FileNotFoundError, CheckpointError: as :func:`open_checkpoint`.
    """
    model = _without_wrappers(model)
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = open_checkpoint(
            checkpoint,
            sha256=sha256,
            prefer=prefer,
            gate_act_twice=gate_act_twice,
            foreign=not holds_moganet(model),
            unsafe=unsafe,
        )
    elif (prefer, gate_act_twice, sha256, unsafe) != (None, None, None, False):
        raise ValueError('prefer, gate_act_twice, sha256 and unsafe say how to open a checkpoint; this one is open')
    _check_gate(model, checkpoint)
    given, unused = _part_for(model, checkpoint.weights.state_dict)
    fit = dry_run(model, given)
    report = LoadReport(checkpoint, fit, unused=unused)
    if new_parts:
        report = replace(report, new=_new_parts(model, fit))
    if strict and not _is_filled(report):
        raise MisfitError(f'{checkpoint.given} does not fill the model: {fit.describe()}. {_CAUSES}', report)
    for name, *_ in fit.reshaped:
        del given[name]
    with partial():
        model.load_state_dict(given, strict=False)
    return report


def holds_moganet(model: nn.Module) -> bool:
    """Whether a model is a MogaNet, or has one for its backbone."""
    return any(name.startswith((_STEM, _BACKBONE + _STEM)) for name, _ in model.named_parameters())


def _without_wrappers(model: nn.Module) -> nn.Module:
    """Return the model inside of those that compile it or spread it over devices, which put a prefix to its names."""
    while True:
        inner = getattr(model, '_orig_mod', None)  # torch.compile's
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _part_for(model: nn.Module, weights: OrderedDict[str, Tensor]) -> tuple[OrderedDict[str, Tensor], tuple[str, ...]]:
    """Return the weights for a model, and the names left over: a backbone alone takes its part of a whole model's."""
    alone = any(name.startswith(_STEM) for name, _ in model.named_parameters())
    prefix = _BACKBONE if alone and any(name.startswith(_BACKBONE + _STEM) for name in weights) else ''
    part = below(prefix, weights)
    return part, tuple(name for name in weights if not name.startswith(prefix))


def _check_gate(model: nn.Module, checkpoint: Checkpoint) -> None:
    trained = checkpoint.weights.gate_act_twice
    for module in model.modules():
        if trained is not None and getattr(module, 'gate_act_twice', trained) != trained:
            raise MisfitError(gate_error(checkpoint.given, trained))


def _new_parts(model: nn.Module, fit: Fit) -> tuple[str, ...]:
    """Return what fine-tuning may leave as it was initialised: the last layers and the parts that :func:`load` names.

    A backbone is none of them, wherever in a model a MogaNet is; and where nothing is filled, nothing is new.
    """
    names = {name for name in model.state_dict() if not name.endswith('num_batches_tracked')}
    filled = {name.partition('.')[0] for name in names - set(fit.missing)}
    if not filled:
        return ()
    backbones = (_BACKBONE, *{name.partition(_STEM)[0] for name in names if _STEM in name})
    last = [
        name
        for name, given, own in fit.reshaped
        if not name.startswith((*backbones, 'neck.')) and given[1:] == own[1:] and len(given) == len(own)
    ]
    absent = [
        name for name in fit.missing if name.partition('.')[0] not in filled and not name.startswith(backbones)
    ]
    return (*last, *absent)


def _is_filled(report: LoadReport) -> bool:
    left = {*report.fit.missing, *report.fit.surplus, *(name for name, *_ in report.fit.reshaped)}
    return left <= set(report.new)
