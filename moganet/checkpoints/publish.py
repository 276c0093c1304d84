"""What of a training's checkpoint is made public: the weights that were evaluated, and what their users need."""

from __future__ import annotations

from typing import Any

from ..version import __version__
from .config_text import without_paths
from .convert import convert, is_backbone_alone
from .formats import Dropped, Weights

# How long the training was; versions are kept as well, see _is_kept.
_KEPT = ('epoch', 'iter')
_CONFIG = 'cfg'
# What the conversion writes anew, under these names or newer ones.
_CONVERTED = ('gate_act_twice', 'ema', 'converted_from', 'dataset_meta', 'CLASSES', 'PALETTE')


def publish(weights: Weights, gate_act_twice: bool | None = None) -> tuple[dict[str, Any], tuple[Dropped, ...]]:
    """Return a checkpoint to be saved, and what it leaves out of the weights and of ``meta``.

    It is the conversion to ``model``, or to ``backbone`` where there is nothing else, with more in ``meta``: the
    config, in which absolute paths are cut to their last part; versions; epoch and iteration.

    Args:
        weights: as :func:`~.formats.recognise` returns them; the copy in ``state_dict`` is published.
        gate_act_twice: whether the model applies the gate's activation twice, where nothing else says it.

    Raises:
        CheckpointError: they cannot be converted, see :func:`~.convert.convert`.
    """
    checkpoint = convert(weights, 'backbone' if is_backbone_alone(weights) else 'model', gate_act_twice)
    meta, left_out = checkpoint['meta'], []
    if weights.alternative is not None:
        other, chosen = ('the raw weights', 'moving average') if weights.ema else ('the moving average', 'raw weights')
        left_out.append(Dropped(other, len(weights.alternative), f'published: the {chosen}'))
    dropped = []
    for key, value in weights.meta.items():
        if key in _CONVERTED:
            continue
        text = _public(key, value)
        if text is None:
            dropped.append(key)
        else:
            meta[key] = text
    if dropped:
        left_out.append(Dropped('meta', len(dropped), f'of the training alone ({", ".join(sorted(dropped))})'))
    meta['moganet_version'] = __version__
    return checkpoint, tuple(left_out)


def _public(key: str, value: Any) -> Any:
    """Return what of an entry of ``meta`` is made public, or None."""
    if key == _CONFIG and isinstance(value, str):
        try:
            return without_paths(value)
        except ValueError:
            return None
    if key in _KEPT and isinstance(value, (int, str)):
        return value
    return value if key.endswith('_version') and isinstance(value, str) else None
