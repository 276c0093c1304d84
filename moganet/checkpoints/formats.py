"""Whose is it: recognise who wrote a checkpoint, and give its weights the names that this project's models have."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from .config_text import ConfigText, read_config_text
from .ema import split_flat
from .envelope import Dropped, Envelope, open_envelope
from .errors import CheckpointError
from .gate import KEY, flag, gate_mode
from .naming import Rename, renamed, renamed_metadata, renaming, without_useless
from .origin import Evidence, Origin, Released, origin_of, task_of
from .shapes import num_classes_of, precision_of, variant_of
from .wrappers import Unwrapped, unwrap

__all__ = ['Dropped', 'Released', 'Weights', 'as_they_are', 'recognise']


@dataclass(frozen=True)
class Weights:
    """A checkpoint's weights under today's names, and all that is known of them. No tensor is copied or cast.

    Attributes:
        file_name: the file they come from.
        writer: one of :data:`~.origin.WRITERS`; ``moganet`` is this project.
        generation: of the writer's code, such as ``'2.x'``; ``''`` where it does not matter or is not known.
        state_dict: the weights. The backbone's are under ``backbone.`` for every task, also where a file has nothing
            else; ``head.fc.`` is the classifier. Torch's metadata of the modules is attached where the file has it.
        ema: whether they are a moving average; None where nobody knows.
        alternative: the other copy, raw or averaged, where the file holds both.
        gate_act_twice: whether the model applies the gate's activation twice; None where nothing says it.
        gate_source: what says so.
        variant: ``xtiny`` to ``xlarge``; None for video, and for an arch of somebody's own.
        task: ``classification``, ``detection``, ``segmentation``, ``pose`` or ``video``; None for a backbone alone.
        num_classes: how many classes the head tells apart; None without such a head.
        wrappers: the prefixes of training tools that the names had, outermost first; ``backbone.``, the last, if the
            file holds a backbone alone under it.
        precision: ``float32``, ``float16``, ``bfloat16``, or ``mixed``.
        dropped: what of the file is in neither copy: a pattern, how many, why.
        meta: what the file says about itself.
    """

    file_name: str
    writer: str
    generation: str
    state_dict: OrderedDict[str, Tensor]
    ema: bool | None
    alternative: OrderedDict[str, Tensor] | None
    gate_act_twice: bool | None
    gate_source: str
    variant: str | None
    task: str | None
    num_classes: int | None
    wrappers: tuple[str, ...]
    precision: str
    dropped: tuple[Dropped, ...]
    meta: dict[str, Any]


def recognise(
    data: Mapping[str, Any],
    file_name: str = '',
    released: Released | None = None,
    *,
    prefer: Literal['ema', 'raw'] | None = None,
    gate_act_twice: bool | None = None,
) -> Weights:
    """Tell whose a checkpoint is, and rename its weights.

    Args:
        data: the top-level dict of a file as it was read; of a safetensors file its tensors as ``state_dict`` and its
            texts as ``meta``.
        file_name: for messages.
        released: the file's row of the metafile, if it has one.
        prefer: which copy to return where the file holds the raw weights and their moving average. By default the one
            that was evaluated, as the row says, and the average without a row.
        gate_act_twice: what the caller knows of the gate, for a file that does not say it, or says both. The file's own
            meta stands.

    Raises:
        NotACheckpointError: there are no weights.
        CheckpointError: they are not MogaNet's, or the file contradicts itself or its row.
    """
    if prefer not in (None, 'ema', 'raw'):
        raise ValueError(f"prefer is {prefer!r}; it must be 'ema', 'raw' or None")
    name = file_name or 'the checkpoint'
    envelope = open_envelope(data, name)
    copies = _copies(envelope, name)
    if prefer == 'raw' and copies.spoilt:
        raise CheckpointError(
            f"{name}'s raw weights cannot be told from its ema_* buffers: {copies.spoilt}; take the moving average"
        )
    config = read_config_text(envelope.meta)
    metadata = _metadata(envelope.weights, copies)
    own = flag(envelope.meta, KEY, name)
    of_state_dict = flag(metadata.get('backbone', {}), KEY, name)
    evidence = _evidence(envelope, copies, config, noted=own is not None or of_state_dict is not None)
    origin = origin_of(evidence, released, name)
    gate = gate_mode(own, of_state_dict, config, released, origin, gate_act_twice, name)
    ema = copies.first_is_ema
    if ema is None:
        ema = _told_ema(envelope.meta, config, released, name)
    if copies.second is not None and ema != _wants_ema(prefer, released):
        copies, ema = replace(copies, first=copies.second, second=copies.first), not ema
    _attach(metadata, copies)
    return _weights(file_name, envelope, copies, origin, gate, ema)


def _evidence(envelope: Envelope, copies: _Copies, config: ConfigText, noted: bool) -> Evidence:
    """Collect what a file shows of its origin; ``noted`` says that it carries the mode of the gate."""
    return Evidence(
        names=copies.names,
        home=copies.found.home,
        task=copies.task,
        keys=envelope.keys,
        meta=envelope.meta,
        config=config,
        ours=config.ours or noted,
        flat_ema=copies.flat,
    )


def _attach(metadata: OrderedDict[str, dict[str, Any]], copies: _Copies) -> None:
    """Give either copy the metadata of the modules, as torch does."""
    for copy in (copies.first, copies.second):
        if copy is not None and metadata:
            copy._metadata = metadata  # type: ignore[attr-defined]


def _weights(
    file_name: str,
    envelope: Envelope,
    copies: _Copies,
    origin: Origin,
    gate: tuple[bool | None, str],
    ema: bool | None,
) -> Weights:
    """Put together what was found; the first of the copies is the chosen one."""
    found, first = copies.found, copies.first
    alone = copies.task is None and found.home and all(key.startswith(found.home) for key in copies.names)
    return Weights(
        file_name=file_name,
        writer=origin.writer,
        generation=origin.generation,
        state_dict=first,
        ema=ema,
        alternative=copies.second,
        gate_act_twice=gate[0],
        gate_source=gate[1],
        variant=variant_of(first),
        task=copies.task,
        num_classes=num_classes_of(first, copies.task),
        wrappers=(*found.wrappers, found.home) if alone else found.wrappers,
        precision=precision_of(first),
        dropped=(*envelope.dropped, *copies.dropped),
        meta=envelope.meta,
    )


@dataclass(frozen=True)
class _Copies:
    """The weights of a file, once or twice.

    Attributes:
        found: the main copy as it lay in the file.
        names: its names there, without wrappers.
        task: what the model is for.
        rename: what renames it.
        first: the main copy under today's names.
        second: the other one.
        first_is_ema: whether ``first`` is the moving average; None where only the file's surroundings may tell.
        flat: whether there are OpenMMLab 1.x's ``ema_*`` buffers.
        spoilt: why those are no second copy, or ``''``.
        dropped: what is in neither.
    """

    found: Unwrapped
    names: tuple[str, ...]
    task: str | None
    rename: Rename
    first: OrderedDict[str, Tensor]
    second: OrderedDict[str, Tensor] | None
    first_is_ema: bool | None
    flat: bool
    spoilt: str
    dropped: tuple[Dropped, ...]


def _copies(envelope: Envelope, name: str) -> _Copies:
    """Rename what an envelope holds."""
    found = unwrap(envelope.weights, name)
    useful, useless = without_useless(found.weights)
    flat = split_flat(useful)
    task = task_of(flat.weights, found.home)
    rename = renaming(task, found.home)
    first = renamed(flat.weights, rename, name)
    second = None if flat.raw is None else renamed(flat.raw, rename, name)
    dropped = [*found.dropped, *useless, *flat.dropped]
    if envelope.other is not None:
        second, more = _second_copy(envelope.other, first, rename, name)
        dropped += more
    return _Copies(
        found=found,
        names=tuple(flat.weights),
        task=task,
        rename=rename,
        first=first,
        second=second,
        first_is_ema=True if flat.found else envelope.weights_are_ema,
        flat=flat.found,
        spoilt=flat.dropped[0].reason if flat.dropped else '',
        dropped=tuple(dropped),
    )


def as_they_are(data: Mapping[str, Any], file_name: str = '') -> Weights:
    """Take the weights of another model than MogaNet, as MMEngine does: ``module.`` in front is dropped, no more.

    Raises:
        NotACheckpointError: there are no weights.
    """
    envelope = open_envelope(data, file_name or 'the checkpoint')
    tensors = {name: value for name, value in envelope.weights.items() if isinstance(value, Tensor)}
    state_dict = OrderedDict((name.removeprefix('module.'), value) for name, value in tensors.items())
    noted = getattr(envelope.weights, '_metadata', None)
    if isinstance(noted, Mapping):
        named = ((f'{name}.'.removeprefix('module.').removesuffix('.'), entry) for name, entry in noted.items())
        state_dict._metadata = OrderedDict(named)  # type: ignore[attr-defined]
    return Weights(
        file_name=file_name,
        writer='unknown',
        generation='',
        state_dict=state_dict,
        ema=None,
        alternative=None,
        gate_act_twice=None,
        gate_source='',
        variant=None,
        task=None,
        num_classes=None,
        wrappers=('module.',) if any(name.startswith('module.') for name in tensors) else (),
        precision=precision_of(state_dict),
        dropped=tuple(envelope.dropped),
        meta=envelope.meta,
    )


def _second_copy(
    state: Mapping[Any, Any], first: Mapping[str, Tensor], rename: Rename, name: str
) -> tuple[OrderedDict[str, Tensor], list[Dropped]]:
    """The other copy of the weights, which must hold what the first holds."""
    found = unwrap(state, name)
    useful, useless = without_useless(found.weights)
    second = renamed(useful, rename, name)
    odd = sorted(first.keys() ^ second.keys())
    if odd:
        raise CheckpointError(
            f'{name} holds raw weights and their moving average, and {len(odd)} weights are in only one of them, such '
            f'as {odd[0]}: it is damaged; get it again, or delete one of the two from it'
        )
    return second, [*found.dropped, *useless]


def _metadata(state: Mapping[Any, Any], copies: _Copies) -> OrderedDict[str, dict[str, Any]]:
    """What torch attached to a state dict, under today's names."""
    attached = getattr(state, '_metadata', None)
    root = '' if copies.found.home or copies.task == 'video' else 'backbone'
    given = attached if isinstance(attached, Mapping) else {}
    return renamed_metadata(given, copies.found.front, root, copies.rename)


def _told_ema(meta: dict[str, Any], config: ConfigText, released: Released | None, name: str) -> bool | None:
    """Whether the only copy of a file is a moving average."""
    own = flag(meta, 'ema', name)
    if own is not None:
        return own
    if released is not None and released.ema is not None:
        return released.ema
    # OpenMMLab's hooks, of either generation, save the average in the place of the weights.
    return any(kind.endswith('EMAHook') for kind in config.types) if config.given else None


def _wants_ema(prefer: str | None, released: Released | None) -> bool:
    if prefer is not None:
        return prefer == 'ema'
    return released.ema if released is not None and released.ema is not None else True
