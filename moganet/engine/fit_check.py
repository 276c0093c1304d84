"""Check that what follows a MogaNet takes the channels that it gives, before the first step of training would tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ..analysis import default_shape
from ..models import MogaNet

_HEADS = ('head', 'decode_head', 'auxiliary_head', 'bbox_head', 'rpn_head', 'mask_head')


class _WrongWidth(Exception):
    """A layer is given another number of channels than it was built for."""


def check_fit_of_parts(cfg: Any, model: nn.Module) -> None:
    """Refuse a model whose neck or heads were built for other feature maps than its MogaNet returns.

    Shapes alone go through copies of them, so that it takes a second and no memory. A part that cannot be run so, such
    as the decoder of a transformer, is left to the first step.

    Args:
        cfg: the config, for the size of its pictures.
        model: what was built of it.

    Raises:
        ValueError: a part does not fit; the message has the channels that it is given, and those of its config.
    """
    for place, owner in _owners(model):
        backbone = owner.backbone
        try:
            shape = default_shape(cfg)
        except ValueError:
            shape = (256, 256)
        sides = [[-(-side // stride) for side in shape] for stride in backbone.out_strides]
        maps: Any = tuple(
            torch.empty(1, width, *side, device='meta') for width, side in zip(backbone.out_channels, sides)
        )
        giver = f'MogaNet ({_widths(maps)} channels, by out_indices={backbone.out_indices})'
        neck = getattr(owner, 'neck', None)
        if neck is not None:
            maps = _run(f'{place}neck', neck, maps, giver, strict=True)
            giver = f'{place}neck' + (f' ({_widths(maps)} channels)' if _are_maps(maps) else '')
        for name in _HEADS if _are_maps(maps) else ():
            head = getattr(owner, name, None)
            heads = list(head) if isinstance(head, nn.ModuleList) else [head]
            for index, one in enumerate(heads):
                if isinstance(one, nn.Module):
                    listed = f'[{index}]' if isinstance(head, nn.ModuleList) else ''
                    _run(f'{place}{name}{listed}', one, maps, giver, strict=hasattr(one, 'in_index'))


def _owners(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield each module that has a MogaNet for its backbone, with its place in the config, such as ``model.``."""
    for name, module in model.named_modules():
        if isinstance(getattr(module, 'backbone', None), MogaNet):
            yield f'model.{name}.' if name else 'model.', module


def _run(place: str, part: nn.Module, maps: Any, giver: str, strict: bool) -> Any:
    """Run a copy of a part on shapes; None when that cannot be done.

    Args:
        strict: whether its other complaints (of the number of maps, say) are about what it is given, too.
    """
    copied = deepcopy(part).to('meta').eval()
    for name, layer in copied.named_modules():
        layer.register_forward_pre_hook(_width_check(name, layer))
    try:
        with torch.no_grad(), torch.device('meta'):
            return copied(maps)
    except Exception as error:  # a part may be made of anything
        if not isinstance(error, (_WrongWidth, AssertionError, IndexError) if strict else _WrongWidth):
            return None
        settings = ', '.join(
            f'{place}.{key} is {list(value) if isinstance(value, (list, tuple)) else value}'
            for key, value in ((key, getattr(part, key, None)) for key in ('in_channels', 'in_index'))
            if value is not None
        )
        reason = '; '.join(text for text in (str(error), settings) if text)
        raise ValueError(f'{place} ({type(part).__name__}) does not fit {giver}: {reason}') from error


def _width_check(name: str, layer: nn.Module) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    """Return a hook that compares a layer's input with its width, as torch does not everywhere for shapes alone."""
    wanted, axis = 0, 1
    if isinstance(layer, _ConvNd):
        wanted = layer.in_channels
    elif isinstance(layer, _BatchNorm):
        wanted = layer.num_features
    elif isinstance(layer, nn.GroupNorm):
        wanted = layer.num_channels
    elif isinstance(layer, nn.Linear):
        wanted, axis = layer.in_features, -1
    elif isinstance(layer, nn.LayerNorm):
        wanted, axis = layer.normalized_shape[-1], -1

    def check(_: nn.Module, args: tuple[Any, ...]) -> None:
        if wanted and args and isinstance(args[0], Tensor) and args[0].shape[axis] != wanted:
            raise _WrongWidth(f'its layer {name} takes {wanted} channels and is given {args[0].shape[axis]}')

    return check


def _are_maps(maps: Any) -> bool:
    return isinstance(maps, (tuple, list)) and bool(maps) and all(isinstance(item, Tensor) for item in maps)


def _widths(maps: Sequence[Tensor]) -> str:
    return ', '.join(str(item.shape[1]) for item in maps)
