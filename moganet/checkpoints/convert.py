"""Recognised weights as a checkpoint that the toolboxes read by themselves."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .errors import CheckpointError
from .formats import Dropped, Weights
from .gate import KEY

TARGETS = ('model', 'mmpretrain', 'backbone')
_HOME = 'backbone.'


def convert(weights: Weights, to: str, gate_act_twice: bool | None = None) -> dict[str, Any]:
    """Return a checkpoint to be saved, whose ``meta`` carries the mode of the gate.

    Args:
        weights: as :func:`~.formats.recognise` returns them; the copy in ``state_dict`` is converted.
        to: ``model``, the whole model under the names that its toolbox has today, whichever it is; ``mmpretrain``, the
            same, of a classifier alone; or ``backbone``, MogaNet alone, under its own names, for
            ``init_cfg=dict(type='Pretrained', checkpoint=...)`` of any toolbox.
        gate_act_twice: whether the model applies the gate's activation twice, where nothing else says it.

    Raises:
        ValueError: ``to`` is no target.
        CheckpointError: the weights lack what is asked for, or the mode of the gate is not known, or is another.
    """
    if to not in TARGETS:
        raise ValueError(f'to is {to!r}; it must be one of {", ".join(TARGETS)}')
    name = weights.file_name or 'the checkpoint'
    _check_parts(weights, to, name)
    gate = _gate(weights, gate_act_twice, name)
    meta: dict[str, Any] = {
        KEY: gate,
        'ema': weights.ema,
        'converted_from': _source(weights),
    }
    metadata = {module: dict(entry) for module, entry in getattr(weights.state_dict, '_metadata', {}).items()}
    metadata.setdefault('backbone', {})[KEY] = gate
    state: OrderedDict[str, Tensor] = OrderedDict(weights.state_dict)
    if to == 'backbone':
        state = _below_home(weights.state_dict)
        metadata = {key.removeprefix('.'): value for key, value in _below('backbone', metadata).items()}
    else:
        named = _dataset_meta(weights.meta)
        if named:
            meta['dataset_meta'] = named
    state._metadata = OrderedDict(metadata)  # type: ignore[attr-defined]
    return {'meta': meta, 'state_dict': state}


def is_backbone_alone(weights: Weights) -> bool:
    """Whether there is nothing but a backbone."""
    return all(name.startswith(_HOME) for name in weights.state_dict)


def left_out(weights: Weights, to: str) -> tuple[Dropped, ...]:
    """Return what a conversion leaves out of the weights: the parts around a backbone."""
    if to != 'backbone':
        return ()
    parts = Counter(name.partition('.')[0] for name in weights.state_dict if not name.startswith(_HOME))
    return tuple(Dropped(f'{part}.*', number, 'no part of the backbone') for part, number in parts.items())


def _check_parts(weights: Weights, to: str, name: str) -> None:
    if weights.task == 'video':
        raise CheckpointError(f'{name} is a video model, which no toolbox has a place for; it cannot become {to!r}')
    if to == 'backbone':
        return
    if is_backbone_alone(weights):
        raise CheckpointError(f"{name} is a backbone alone, and {to!r} is a whole model; convert it to 'backbone'")
    if to == 'mmpretrain' and weights.task != 'classification':
        what = f'a {weights.task} model' if weights.task else 'a model with a head that is not known'
        raise CheckpointError(
            f"{name} is {what}, without the classifier that 'mmpretrain' needs (head.fc.weight); convert it "
            "to 'model', which keeps all its parts, or to 'backbone'"
        )


def _gate(weights: Weights, given: bool | None, name: str) -> bool:
    known = weights.gate_act_twice
    if known is None and given is None:
        raise CheckpointError(
            f'{name}: nothing says whether its gate acts once or twice, and its tensors do not tell; give {KEY}=False '
            f'(--gate once: timm, and the detection, segmentation and pose models) or {KEY}=True (--gate twice: '
            'OpenMixup)'
        )
    if known is not None and given is not None and known != given:
        raise CheckpointError(
            f'{name} is for {KEY}={known}, by {weights.gate_source}, and {KEY}={given} was given; '
            'leave the argument out'
        )
    return bool(known if known is not None else given)


def _source(weights: Weights) -> str:
    writer = f'{weights.writer} {weights.generation}'.strip()
    return f'{writer}, {weights.file_name}' if weights.file_name else writer


def _below_home(state: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    return OrderedDict((key.removeprefix(_HOME), value) for key, value in state.items() if key.startswith(_HOME))


def _below(module: str, metadata: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The entries of a module and of those below it."""
    return {
        key.removeprefix(module): value
        for key, value in metadata.items()
        if key == module or key.startswith(f'{module}.')
    }


def _dataset_meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says of the classes, and of keypoints, under the names of OpenMMLab 2.x; 1.x had two capitals."""
    said = meta.get('dataset_meta')
    if isinstance(said, Mapping):
        return dict(said)
    return {key.lower(): meta[key] for key in ('CLASSES', 'PALETTE') if meta.get(key) is not None}
