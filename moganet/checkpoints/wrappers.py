"""Prefixes that training tools put before a model's own names, and where in a file MogaNet lies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .envelope import Dropped
from .errors import CheckpointError, ForeignModelError

# Of DDP and MMEngine's averages, torch.compile, activation checkpointing and FSDP; no model of ours has such modules.
_ANYWHERE = frozenset(('module', '_orig_mod', '_checkpoint_wrapped_module', '_fsdp_wrapped_module'))
# Of Lightning, only before everything else.
_IN_FRONT = 'model'
# One convolution of every block, of the backbone and of SimVP's translator.
_LANDMARK = re.compile(
    r'((?:[^.]+\.)*?)(?:blocks[1-4]\.\d+|hid\.enc\.\d+\.block)\.attn\.(?:gate|value\.(?:DW_conv0|PW_conv))\.weight'
)
_STRANGERS = (
    (re.compile(r'layer1\.0\.conv1\.weight'), 'a ResNet'),
    (re.compile(r'stages\.\d+\.(blocks\.)?\d+\.(depthwise_conv|dwconv|conv_dw)\.weight'), 'a ConvNeXt'),
    (re.compile(r'(layers|stages)\.\d+\.blocks\.\d+\.attn\.(w_msa\.)?relative_position_bias_table'), 'a Swin'),
    (re.compile(r'(blocks|layers)\.\d+\.attn\.qkv\.weight'), 'a vision transformer'),
    (re.compile(r'block\d\.\d+\.attn\.spatial_gating_unit\.'), 'a VAN'),
)


@dataclass(frozen=True)
class Unwrapped:
    """Weights under the names of the model that was saved.

    Attributes:
        weights: name to tensor.
        wrappers: the prefixes taken off, outermost first.
        home: ``'backbone.'`` or ``''``: what precedes MogaNet's own names; ``''`` for SimVP, too.
        front: those of them that stand before the whole model, ``'model.'`` or ``''``.
        dropped: what is outside the model, or no tensor.
    """

    weights: dict[str, Tensor]
    wrappers: tuple[str, ...]
    home: str
    front: str
    dropped: tuple[Dropped, ...]


def unwrap(state: Mapping[Any, Any], file_name: str) -> Unwrapped:
    """Take every known prefix off the names of a state dict.

    Raises:
        ForeignModelError: it holds no MogaNet, or two, or one below a prefix that is not known.
        CheckpointError: two names are the same without their prefixes.
    """
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}
    dropped = []
    if len(tensors) < len(state):
        dropped.append(Dropped('*', len(state) - len(tensors), 'no tensors'))
    original: dict[str, str] = {}
    for name in tensors:
        bare = without_wrappers(name)
        if bare in original:
            raise _same(file_name, original[bare], name)
        original[bare] = name
    homes = sorted({found[1] for found in map(_LANDMARK.fullmatch, original) if found})
    if not homes:
        raise ForeignModelError(_stranger(file_name, list(original)))
    if len(homes) > 1:
        raise ForeignModelError(
            f'{file_name} holds more than one MogaNet, below {" and ".join(repr(home) for home in homes)}; '
            'save the one that is meant under state_dict, alone'
        )
    home, front = homes[0], ''
    while home.startswith(f'{_IN_FRONT}.'):
        home, front = home[len(_IN_FRONT) + 1 :], front + f'{_IN_FRONT}.'
    if home not in ('', 'backbone.'):
        raise ForeignModelError(
            f"{file_name} holds a MogaNet below {homes[0]!r}; known are 'backbone.', 'model.', 'module.', '_orig_mod.' "
            'and none; take the prefix off the names and save them under state_dict'
        )
    if front:
        outside = [name for name in original if not name.startswith(front)]
        dropped += [Dropped(name, 1, f'outside of the model, which is below {front!r}') for name in outside]
        original = {name[len(front) :]: whole for name, whole in original.items() if name.startswith(front)}
    weights = {name: tensors[whole] for name, whole in original.items()}
    return Unwrapped(weights, _wrappers_of(tensors, front), home, front, tuple(dropped))


def without_wrappers(name: str) -> str:
    """Return a name without the prefixes that may stand anywhere in it."""
    return '.'.join(part for part in name.split('.') if part not in _ANYWHERE)


def _wrappers_of(names: Iterable[str], front: str) -> tuple[str, ...]:
    """The prefixes in use: those of one of MogaNet's own names, outermost first, then those of parts elsewhere."""
    names = list(names)
    landmark = next(name for name in names if _LANDMARK.fullmatch(without_wrappers(name)))
    known = _ANYWHERE | ({_IN_FRONT} if front else set())
    seen = dict.fromkeys(part for part in landmark.split('.') if part in known)
    for name in names:
        seen.update(dict.fromkeys(part for part in name.split('.') if part in _ANYWHERE))
    return tuple(f'{part}.' for part in seen)


def _same(file_name: str, first: str, second: str) -> CheckpointError:
    return CheckpointError(
        f'{file_name} holds {first!r} and {second!r}, which are the same weight without the prefixes of '
        'training tools; delete the one that is not meant'
    )


def _stranger(file_name: str, names: list[str]) -> str:
    likeness = next((f'looks like {kind}' for test, kind in _STRANGERS if any(map(test.search, names))), '')
    first = ', '.join(names[:4]) or 'nothing'
    return (
        f'{file_name} holds no MogaNet{": it " + likeness if likeness else ""}; its {len(names)} weights begin with '
        f"{first}, where MogaNet's begin with patch_embed1.projection.0.weight; give a checkpoint of MogaNet"
    )
