"""What the backbone asks of the weights that it is given, whoever loads them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..completeness import SOURCE, Fit, compare, gate_error, gate_mode_of, partial_is_allowed

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
        ValueError: something would stay as it was initialised, has another shape, or was trained as another function.
    """
    if not prefix:
        _take_backbone(state_dict)
    given = {name[len(prefix) :]: value for name, value in state_dict.items() if name.startswith(prefix)}
    fit = compare(backbone.state_dict(), given)
    if not fit.complete and not partial_is_allowed():
        raise ValueError(_misfit(fit, prefix, state_dict))
    twice, said = gate_mode_of(given, metadata)
    if twice is not None and twice != backbone.gate_act_twice:
        raise ValueError(gate_error(said, twice))


def _take_backbone(state_dict: dict[str, Any]) -> None:
    first = next(iter(state_dict.values()), None)
    if getattr(first, SOURCE, None) is None or not any(name.startswith(_BACKBONE) for name in state_dict):
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
