"""Names of the authors' code for OpenMMLab 1.x, each refused with the name that replaces it.

That code took ``**kwargs``, so a misspelt or misplaced option was ignored in silence; several of its own configs
lost their norm settings that way. Here nothing is ignored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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
    'pretrained': "'init_cfg': init_cfg=dict(type='Pretrained', checkpoint=...)",
    'stem_norm_cfg': "'norm_cfg', one for the whole network",
    'stem_norm_type': "'norm_cfg', one for the whole network",
}


def refuse_old_arguments(init: Callable[P, R]) -> Callable[P, R]:
    """Make a constructor refuse the arguments of :data:`OLD_ARGUMENTS` by name, and keep its signature."""

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name in OLD_ARGUMENTS:
                raise ValueError(f'MogaNet has no argument {name!r}; in its place: {OLD_ARGUMENTS[name]}')
        return init(*args, **kwargs)

    return checked


class RenamedBackbone:
    """What ``type='MogaNet_feat'`` finds in the registry: an error that gives the new name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError(
            "the backbone is registered as 'MogaNet', once for every toolbox: write type='MogaNet' in place of "
            "type='MogaNet_feat'; its options are listed in the docstring of moganet.MogaNet"
        )
