"""The raw weights that OpenMMLab 1.x keeps beside a moving average, under flat names.

Its hook registers a buffer for each parameter at the model's root, the parameter's name with every dot made an
underscore: ``ema_backbone_blocks1_0_attn_proj_1_weight``. It swaps the two before each evaluation, and the file is
saved after that: the parameters' own names hold the average, the buffers the raw weights. Statistics of norms are not
averaged, so that both have the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .envelope import Dropped

PREFIX = 'ema_'
_BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked')


@dataclass(frozen=True)
class Flat:
    """What the flat buffers of a file give.

    Attributes:
        weights: the weights without those buffers; the average where there are any.
        raw: the raw weights, all of them, or None.
        found: whether there are such buffers.
        dropped: those that could not be used, with the reason.
    """

    weights: dict[str, Tensor]
    raw: dict[str, Tensor] | None
    found: bool
    dropped: tuple[Dropped, ...]


def split_flat(weights: dict[str, Tensor]) -> Flat:
    """Separate the flat buffers and give them their names back, by matching those of the parameters that are there.

    A buffer that is no parameter's, that could be two parameters', or a parameter without a buffer, spoils the whole
    second copy: half a set of raw weights is of no use.
    """
    buffers = {name: value for name, value in weights.items() if name.startswith(PREFIX) and '.' not in name}
    own = {name: value for name, value in weights.items() if name not in buffers}
    if not buffers:
        return Flat(own, None, False, ())
    candidates: dict[str, list[str]] = {}
    for name in own:
        if not name.endswith(_BUFFERS):
            candidates.setdefault(PREFIX + name.replace('.', '_'), []).append(name)
    reason = _spoilt(buffers, candidates, own)
    if reason:
        return Flat(own, None, True, (Dropped(f'{PREFIX}*', len(buffers), reason),))
    owners = {flat: names[0] for flat, names in candidates.items()}
    raw = dict(own)
    raw.update((owners[flat], value) for flat, value in buffers.items())
    return Flat(own, raw, True, ())


def _spoilt(buffers: dict[str, Tensor], candidates: dict[str, list[str]], own: dict[str, Tensor]) -> str:
    """Why the buffers are no second copy, or nothing."""
    for flat, names in candidates.items():
        if len(names) > 1 and flat in buffers:
            return f'{flat} could be {" or ".join(names)}'
    strays = [flat for flat in buffers if flat not in candidates]
    if strays:
        return f'{len(strays)} are of no parameter, such as {strays[0]}'
    bare = [names[0] for flat, names in candidates.items() if flat not in buffers]
    if bare:
        return f'{len(bare)} parameters have none, such as {bare[0]}'
    odd = [flat for flat, value in buffers.items() if value.shape != own[candidates[flat][0]].shape]
    if odd:
        return f"{len(odd)} have not their parameter's shape, such as {odd[0]}"
    return ''
