"""From the names in a file to those of this project's models."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from .envelope import Dropped
from .errors import CheckpointError
from .wrappers import without_wrappers

Rename = Callable[[str], str]

_SIGMA = re.compile(r'(\.(?:attn|mlp)\.sigma)$')
_USELESS = (
    (re.compile(r'steps$'), 'steps', "the moving average's counter"),
    (re.compile(r'mix_block\.'), 'mix_block.*', "OpenMixup's mixing of samples, for training alone"),
    (re.compile(r'criterion\.'), 'criterion.*', "the loss's own tensors, for training alone"),
    (re.compile(r'data_preprocessor\.'), 'data_preprocessor.*', 'the config says them'),
)


def renaming(task: str | None, home: str) -> Rename:
    """Return the function from a name in a file, without wrappers, to today's.

    Backbones lie under ``backbone.`` whatever the file; a linear classifier under ``head.fc.``, as mmpretrain has it;
    pose's head under ``head.``, where mmpose 0.x had ``keypoint_head.``. Detection's and segmentation's names have
    not changed. The video model keeps its own, but for the scales of the Moga block, which are modules here.
    """
    if task == 'video':
        return lambda name: _SIGMA.sub(r'\1.scale', name)
    if not home:
        return _from_timm
    if task == 'pose':
        return lambda name: re.sub(r'^keypoint_head\.', 'head.', name)
    return lambda name: name


def _from_timm(name: str) -> str:
    if name in ('head.weight', 'head.bias'):
        return name.replace('head.', 'head.fc.')
    return name if name.startswith('head.') else f'backbone.{name}'


def without_useless(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[Dropped, ...]]:
    """Leave out what no model here has a place for, and say what that was."""
    kept = dict(weights)
    dropped = []
    for test, pattern, reason in _USELESS:
        names = [name for name in kept if test.match(name)]
        for name in names:
            del kept[name]
        if names:
            dropped.append(Dropped(pattern, len(names), reason))
    return kept, tuple(dropped)


def renamed(weights: Mapping[str, Tensor], rename: Rename, file_name: str) -> OrderedDict[str, Tensor]:
    """Return weights under today's names.

    Raises:
        CheckpointError: two names become one.
    """
    result: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in weights.items():
        new = rename(name)
        if new in result:
            raise CheckpointError(f'{file_name} holds {new!r} under two names, one of them {name!r}; delete one')
        result[new] = value
    return result


def renamed_metadata(metadata: Mapping[str, Any], front: str, root: str, rename: Rename) -> OrderedDict[str, Any]:
    """Return the metadata of a state dict, which has an entry a module, under today's names of the modules.

    Args:
        metadata: as torch attaches it: the module's name to a dict, its version among it.
        front: the wrappers that may stand in front, such as ``'model.'``.
        root: today's name of the root: ``'backbone'`` for a backbone alone and timm's model, else ``''``.
        rename: what renames the weights.
    """
    result: OrderedDict[str, Any] = OrderedDict()
    for module, entry in metadata.items():
        if not isinstance(module, str) or not isinstance(entry, Mapping):
            continue
        bare = without_wrappers(module)
        bare = f'{bare}.'.removeprefix(front).removesuffix('.')
        if not bare:
            result.setdefault(root, {}).update(entry)
            continue
        for leaf in ('weight', 'scale'):
            new = rename(f'{bare}.{leaf}')
            if new.endswith(f'.{leaf}'):
                result.setdefault(new.removesuffix(f'.{leaf}'), {}).update(entry)
                break
    return result
