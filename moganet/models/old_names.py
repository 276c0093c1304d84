"""Arguments that MogaNet does not have, each refused with what to write in its place.

The authors' code for OpenMMLab 1.x took ``**kwargs``, so a misspelt or misplaced option was ignored in silence; several
of its own configs lost their norm settings that way. Here nothing is ignored: an old name is answered with the new one,
and what is left of the backbone of a base config with the key that removes it.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, ParamSpec, TypeVar

P = ParamSpec('P')
R = TypeVar('R')

OLD_ARGUMENTS = {
    'attn_force_fp32': (
        "'gate_fp32' (precision alone) and 'gate_act_twice' (the gate's activation applied twice): "
        'attn_force_fp32=True was both, and weights trained with it need gate_act_twice=True'
    ),
    'attn_act_type': 'nothing: the gate is SiLU in every released model',
    'attn_channel_split': 'a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=..., attn_channel_split=...)',
    'attn_dw_dilation': 'a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=..., attn_dw_dilation=...)',
    'attn_final_dilation': ('a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=..., attn_final_dilation=...)'),
    'conv_norm_cfg': "'norm_cfg', one for the whole network",
    'conv_norm_type': "'norm_cfg', one for the whole network",
    'depths': 'a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=...)',
    'embed_dims': 'a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=...)',
    'ffn_ratios': 'a custom arch: dict(embed_dims=..., depths=..., ffn_ratios=...)',
    'fork_feat': "'out_indices': the backbone always returns a tuple of feature maps",
    'head_init_scale': "nothing: the classifier is the toolbox's head",
    'in_chans': "'in_channels'",
    'init_value': "'layer_scale_init_value'",
    'num_classes': "the toolbox's head: the backbone has no classifier",
    'pretrained': (
        "'init_cfg': init_cfg=dict(type='Pretrained', checkpoint=...); a segmentor hands its own key on to "
        'the backbone, so a base that sets it needs model=dict(pretrained=None, ...)'
    ),
    'stem_norm_cfg': "'norm_cfg', one for the whole network",
    'stem_norm_type': "'norm_cfg', one for the whole network",
}


def refuse_unknown_arguments(init: Callable[P, R]) -> Callable[P, R]:
    """Make a constructor refuse the arguments that it does not have in words that help, and keep its signature.

    Python's own TypeError would name the argument, and not the line of the config that put it there.
    """
    allowed = [name for name in inspect.signature(init).parameters if name != 'self']

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        unknown = [name for name in kwargs if name not in allowed]
        if unknown:
            raise ValueError(unknown_argument(unknown[0], allowed, unknown[1:]))
        return init(*args, **kwargs)

    return checked


def unknown_argument(name: str, allowed: Collection[str], others: Collection[str] = ()) -> str:
    """Return the message for an argument that MogaNet does not have.

    Args:
        name: the argument.
        allowed: those that it has.
        others: what else was given and is unknown.
    """
    if name in OLD_ARGUMENTS:
        return f'MogaNet has no argument {name!r}; in its place: {OLD_ARGUMENTS[name]}'
    near = difflib.get_close_matches(name, allowed, n=1)
    if near and not others:
        return f'MogaNet has no argument {name!r}; did you mean {near[0]!r}?'
    also = f' (nor {", ".join(others)})' if others else ''
    return (
        f'MogaNet has no argument {name!r}{also}; what a base config says of its own backbone is removed by '
        f"backbone=dict(_delete_=True, type='MogaNet', ...); allowed: {', '.join(allowed)}"
    )


class RenamedBackbone:
    """What ``type='MogaNet_feat'`` finds in the registry: an error that gives the new name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            "the backbone is registered as 'MogaNet', once for every toolbox: write type='MogaNet' in place of "
            "type='MogaNet_feat'; its options are listed in the docstring of moganet.MogaNet"
        )
