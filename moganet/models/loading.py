"""What the backbone asks of the weights that it is given, whoever loads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from ..completeness import Fit, compare, gate_error, gate_mode_of, partial_is_allowed, source_of, surplus_of

# Where the toolboxes' models keep their backbone.
_BACKBONE = 'backbone.'


def check_filling(
    backbone: nn.Module, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any]
) -> None:
    """Refuse weights that would not fill a whole backbone, or that were trained with another gate.

    Args:
        backbone: the module, with the attribute ``gate_act_twice``.
        state_dict: what is being loaded, of the whole model. What :mod:`moganet.checkpoints` has read may be a whole
            model's where a backbone alone is loaded; then the backbone's part takes its place.
        prefix: what precedes the backbone's own names in it.
        metadata: what the state dict notes of this module.

    Raises:
        ValueError: something would stay as it was initialised, has another shape, is of a larger backbone, or was
            trained as another function.
    """
    if not prefix:
        _take_backbone(state_dict)
    given = {name[len(prefix) :]: value for name, value in state_dict.items() if name.startswith(prefix)}
    fit = compare(backbone.state_dict(), given)
    fit = replace(fit, surplus=surplus_of(backbone, fit.unexpected))
    if not fit.complete and not partial_is_allowed():
        raise ValueError(_misfit(fit, prefix, state_dict))
    twice, said = gate_mode_of(given, metadata)
    if twice is not None and twice != backbone.gate_act_twice:
        raise ValueError(gate_error(said, twice))


def check_origin(state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any], told: bool) -> None:
    """Refuse a whole classifier's weights that were not read by :mod:`moganet.checkpoints`, where that matters.

    Other readers, such as timm's, neither rename what a released file holds nor keep what it says of its gate, which
    no tensor shows.

    Args:
        state_dict: what is being loaded.
        prefix: what precedes the classifier's own names in it.
        metadata: what it notes of the classifier.
        told: whether the caller has said how often the gate is activated.

    Raises:
        ValueError: the names are those of timm's files, or nobody says it.
    """
    if partial_is_allowed():
        return  # moganet.checkpoints.load has seen to both
    of_backbone = getattr(state_dict, '_metadata', None) or {}
    noted = metadata if 'gate_act_twice' in metadata else of_backbone.get(f'{prefix}{_BACKBONE}'[:-1], {})
    own = {name: value for name, value in state_dict.items() if name.startswith(prefix + _BACKBONE)}
    if any(name.startswith(f'{prefix}patch_embed1.') for name in state_dict):
        reason = 'these weights have the names of the files that timm wrote'
    elif not told and gate_mode_of(own, noted)[0] is None:
        reason = 'nothing says how often the gate of these weights is activated (gate_act_twice), and no tensor does'
    else:
        return
    raise ValueError(
        f'{reason}: load the file by moganet.checkpoints.load(model, FILE), in timm by create_model(..., '
        'pretrained=True, pretrained_cfg_overlay=dict(file=FILE)) in place of checkpoint_path; for weights of your own '
        'build the model with gate_act_twice=False (once) or True (twice)'
    )


def _take_backbone(state_dict: dict[str, Any]) -> None:
    read_by_us = any(source_of(value) for value in state_dict.values() if isinstance(value, Tensor))
    if not read_by_us or not any(name.startswith(_BACKBONE) for name in state_dict):
        return
    for name in list(state_dict):
        value = state_dict.pop(name)
        if name.startswith(_BACKBONE):
            state_dict[name[len(_BACKBONE) :]] = value


def _misfit(fit: Fit, prefix: str, state_dict: dict[str, Tensor]) -> str:
    stems = [name.partition('patch_embed1.')[0] for name in state_dict if 'patch_embed1.' in name]
    if stems and stems[0] != prefix:
        names = f"their names begin with {stems[0]!r} here: give init_cfg's prefix={stems[0]!r}"
    else:
        names = "their names have another prefix (init_cfg's prefix='backbone.' for a whole model's file)"
    return (
        f'these weights do not fill the backbone: of its parameters and buffers {fit.describe()}. '
        f'Likeliest: (1) they are of another variant: give its arch; (2) {names}; '
        "(3) they are no MogaNet's. To fill a part on purpose: with moganet.checkpoints.partial(): ..."
    )
