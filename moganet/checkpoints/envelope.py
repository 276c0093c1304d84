"""What surrounds the weights in a file: which entry of its top-level dict is what."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from .errors import NotACheckpointError

_WEIGHTS = ('state_dict', 'model')
AVERAGED = ('state_dict_ema', 'model_ema')
# MMEngine's EMAHook puts the average into state_dict, and what it replaced there into this entry.
_REPLACED = 'ema_state_dict'
_TRAINING = {
    'optimizer': "the optimizer's state",
    'optimizer_states': "the optimizer's state",
    'amp_scaler': "the loss scaler's state",
    'message_hub': "the training's log",
    'param_schedulers': "the schedule's state",
    'scheduler': "the schedule's state",
    'lr_schedulers': "the schedule's state",
}


class Dropped(NamedTuple):
    """What of a file is not among the weights: a name or a pattern, how many entries, and why."""

    pattern: str
    number: int
    reason: str


@dataclass(frozen=True)
class Envelope:
    """The parts of a file.

    Attributes:
        weights: the file's main weights, its metadata attached where it has any.
        other: the second copy of them, or None.
        weights_are_ema: whether ``weights`` are the moving average and ``other`` is not; None where the file does not
            say.
        meta: what the file says about itself, of whatever writer.
        keys: the names of its top-level entries; empty when those are the weights themselves.
        dropped: the entries that are neither.
    """

    weights: Mapping[Any, Any]
    other: Mapping[Any, Any] | None
    weights_are_ema: bool | None
    meta: dict[str, Any]
    keys: frozenset[str]
    dropped: tuple[Dropped, ...]


def open_envelope(data: Mapping[str, Any], file_name: str) -> Envelope:
    """Sort the entries of a file.

    Raises:
        NotACheckpointError: none of them holds weights.
    """
    found = [key for key in (*_WEIGHTS, *AVERAGED, _REPLACED) if _holds_weights(data.get(key))]
    main = next((key for key in found if key in _WEIGHTS), None)
    averaged = next((key for key in found if key in AVERAGED), None)
    if main is None and averaged is None:
        if not _holds_weights(data):
            listed = ', '.join(str(key) for key in list(data)[:5]) or 'nothing'
            raise NotACheckpointError(
                f'{file_name} holds no weights; they would be under state_dict, state_dict_ema or model, or at the top '
                f'level, where it has {listed}; give the file that the training saved'
            )
        return Envelope(data, None, None, {}, frozenset(), ())
    used = {key for key in (main, averaged) if key is not None}
    other, are_ema = None, None
    if main is None:
        are_ema = True
    elif averaged is not None:
        other, are_ema = data[averaged], False
    elif _REPLACED in found:
        used.add(_REPLACED)
        other, are_ema = data[_REPLACED], True
    elif isinstance(data.get('args'), Namespace):
        # timm's own file has a second copy whenever its training kept an average.
        are_ema = False
    meta, dropped = _rest({key: value for key, value in data.items() if key not in used})
    weights = data[main if main is not None else str(averaged)]
    return Envelope(weights, other, are_ema, meta, frozenset(str(key) for key in data), dropped)


def _holds_weights(entry: Any) -> bool:
    return isinstance(entry, Mapping) and any(isinstance(value, Tensor) for value in entry.values())


def _rest(entries: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Dropped, ...]]:
    """What the file says about itself, and what else it holds."""
    meta: dict[str, Any] = {}
    dropped = []
    for key, value in entries.items():
        if key == 'meta' and isinstance(value, Mapping):
            continue
        if isinstance(value, Namespace):
            meta[key] = vars(value)
        elif value is None or isinstance(value, (str, int, float, bool)):
            meta[key] = value
        else:
            count = len(value) if isinstance(value, Sized) and not isinstance(value, Tensor) else 1
            dropped.append(Dropped(str(key), count, _TRAINING.get(str(key), 'no weights of the model')))
    if isinstance(entries.get('meta'), Mapping):
        meta.update(entries['meta'])
    return meta, tuple(dropped)
