"""MogaNet: Multi-order Gated Aggregation Network (Li et al., ICLR 2024, arXiv:2211.03295).

Parameter names are those of the released checkpoints, so that their weights load one to one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, overload

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers import ConvPatchEmbed, MogaBlock, StemPatchEmbed
from ..layers.build import build_norm
from ..layers.depthwise import to_fast_layout, to_layout_of
from ..loading import check_filling
from ..old_names import RenamedBackbone, refuse_unknown_arguments

NUM_STAGES = 4
STRIDES = (4, 8, 16, 32)

# Leaves for torch.fx, which looks such names up where they are called.
torch.fx.wrap('to_fast_layout')
torch.fx.wrap('to_layout_of')


@dataclass(frozen=True)
class Variant:
    """Architecture of a MogaNet: four stages.

    Attributes:
        embed_dims: channels of each stage, each divisible by the sum of ``attn_channel_split``.
        depths: blocks of each stage.
        ffn_ratios: hidden width of the FFN over the stage's channels.
        attn_dw_dilation: dilation of the three depthwise convolutions.
        attn_channel_split: relative width of the three orders.
        attn_final_dilation: if false, the last stage takes dilation 1 for its widest kernel.
    """

    embed_dims: tuple[int, ...]
    depths: tuple[int, ...]
    ffn_ratios: tuple[float, ...]
    attn_dw_dilation: tuple[int, ...] = (1, 2, 3)
    attn_channel_split: tuple[int, ...] = (1, 3, 4)
    attn_final_dilation: bool = True


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        'xtiny': Variant((32, 64, 96, 192), (3, 3, 10, 2), (8, 8, 4, 4)),
        'tiny': Variant((32, 64, 128, 256), (3, 3, 12, 2), (8, 8, 4, 4)),
        'small': Variant((64, 128, 320, 512), (2, 3, 12, 2), (8, 8, 4, 4)),
        'base': Variant((64, 160, 320, 512), (4, 6, 22, 3), (8, 8, 4, 4)),
        'large': Variant((64, 160, 320, 640), (4, 6, 44, 4), (8, 8, 4, 4)),
        'xlarge': Variant((96, 192, 480, 960), (6, 6, 44, 4), (8, 8, 4, 4)),
    }
)
"""The six variants of the paper, by name."""

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        'xt': 'xtiny',
        'x-tiny': 'xtiny',
        't': 'tiny',
        's': 'small',
        'b': 'base',
        'l': 'large',
        'xl': 'xlarge',
        'x-large': 'xlarge',
    }
)


class _OutChannels:
    """``MogaNet.out_channels``: of the class the widths of each variant's stages, of a model those of its maps."""

    @overload
    def __get__(self, model: None, owner: type) -> Mapping[str, tuple[int, ...]]: ...

    @overload
    def __get__(self, model: MogaNet, owner: type) -> tuple[int, ...]: ...

    def __get__(self, model: MogaNet | None, owner: type) -> Mapping[str, tuple[int, ...]] | tuple[int, ...]:
        if model is None:
            return MappingProxyType({name: variant.embed_dims for name, variant in VARIANTS.items()})
        return tuple(model.variant.embed_dims[stage] for stage in model.out_indices)


class _OutStrides:
    """``MogaNet.out_strides``: of the class the strides of the four stages, of a model those of its maps."""

    def __get__(self, model: MogaNet | None, owner: type) -> tuple[int, ...]:
        return STRIDES if model is None else tuple(STRIDES[stage] for stage in model.out_indices)


@MODELS.register_module()
class MogaNet(BaseModule):
    """MogaNet backbone for every OpenMMLab toolbox.

    Args:
        arch: one of ``xtiny``, ``tiny``, ``small``, ``base``, ``large``, ``xlarge`` (or ``xt``, ``t``, ``s``, ``b``,
            ``l``, ``xl``), or a dict of :class:`Variant`'s fields with at least ``embed_dims``, ``depths`` and
            ``ffn_ratios``.
        in_channels: channels of the input.
        out_indices: stages (0 to 3, negative ones count from the end) whose maps are returned, ascending. Stages
            after the last one named are not run, and get no gradient.
        drop_rate: dropout in the FFNs.
        drop_path_rate: stochastic depth of the last block; it grows linearly from 0 at the first.
        layer_scale_init_value: initial value of the layer scales.
        frozen_stages: stages 0 to this one get no gradient and stay in eval mode; -1 freezes nothing.
        norm_eval: keep all BN layers in eval mode (their running statistics stay as they are).
        with_cp: keep less for the backward pass and compute it again there, which saves memory and costs time. True:
            keep of each block its input alone, and on a processor in float32 the input of its FFN. ``'ffn'``: keep
            nothing of the FFNs' wide hidden maps, which are most of what is kept. On a processor in float32 that is
            always so: there it is the faster way.
        norm_cfg: norm of the whole network: BN (default), SyncBN or GN. Default ``dict(type='BN', eps=1e-5)``.
        act_cfg: activation of stem and FFN. Default ``dict(type='GELU')``.
        gate_fp32: do the gate's product in float32 under AMP or half precision. Precision alone.
        gate_act_twice: the gate's SiLU applied twice, as in the weights that OpenMixup released. Part of the
            function: it must be what the weights were trained with.
        init_cfg: MMEngine's initialisation config, such as ``dict(type='Pretrained', checkpoint=...)``.

    Attributes:
        out_channels: channels of each map that a model returns; of the class, as ``MogaNet.out_channels['tiny']``,
            those of the four stages of each variant.
        out_strides: by how much each map is smaller than the picture; of the class, ``(4, 8, 16, 32)``.

    Raises:
        ValueError: an unknown or incomplete arch, an argument that is unknown or out of its range.
    """

    out_channels = _OutChannels()
    out_strides = _OutStrides()

    @refuse_unknown_arguments
    def __init__(
        self,
        arch: str | Mapping[str, Any] = 'tiny',
        in_channels: int = 3,
        out_indices: int | Sequence[int] = (0, 1, 2, 3),
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool | Literal['ffn'] = False,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = None,
        gate_fp32: bool = False,
        gate_act_twice: bool = False,
        init_cfg: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.variant = _resolve_arch(arch)
        self.out_indices = _check_out_indices(out_indices)
        _check_rate('drop_rate', drop_rate)
        _check_rate('drop_path_rate', drop_path_rate)
        if not isinstance(in_channels, int) or in_channels < 1:
            raise ValueError(f'in_channels is {in_channels}; it must be a whole number of at least 1')
        if not isinstance(frozen_stages, int) or not -1 <= frozen_stages < NUM_STAGES:
            raise ValueError(f'frozen_stages is {frozen_stages}; it must be -1 (none) or a stage from 0 to 3')
        if with_cp not in (False, True, 'ffn'):
            raise ValueError(f"with_cp is {with_cp!r}; it must be False, True or 'ffn'")
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.gate_act_twice = gate_act_twice
        norm_cfg = dict(type='BN') if norm_cfg is None else norm_cfg
        act_cfg = dict(type='GELU') if act_cfg is None else act_cfg

        widths, depths = self.variant.embed_dims, self.variant.depths
        # On the CPU: MMEngine and users build models under a default device, which may hold no numbers.
        rates = torch.linspace(0, drop_path_rate, sum(depths), device='cpu').tolist()
        for stage, (width, depth) in enumerate(zip(widths, depths)):
            embed = (
                StemPatchEmbed(in_channels, width, norm_cfg, act_cfg)
                if stage == 0
                else ConvPatchEmbed(widths[stage - 1], width, norm_cfg)
            )
            first = sum(depths[:stage])
            blocks = nn.ModuleList(
                MogaBlock(
                    width,
                    self.variant.ffn_ratios[stage],
                    norm_cfg=norm_cfg,
                    act_cfg=act_cfg,
                    drop_rate=drop_rate,
                    drop_path_rate=rate,
                    layer_scale_init_value=layer_scale_init_value,
                    dilations=_stage_dilation(self.variant, stage),
                    channel_split=self.variant.attn_channel_split,
                    gate_fp32=gate_fp32,
                    gate_act_twice=gate_act_twice,
                    with_cp=with_cp,
                )
                for rate in rates[first : first + depth]
            )
            self.add_module(f'patch_embed{stage + 1}', embed)
            self.add_module(f'blocks{stage + 1}', blocks)
            self.add_module(f'norm{stage + 1}', build_norm(norm_cfg, width))
        self.apply(_init_layer)
        self._freeze_stages()
        # Several processes would wait for gradients that never come.
        for stage in range(self.out_indices[-1] + 1, NUM_STAGES):
            for part in self._stage_parts(stage):
                part.requires_grad_(False)

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says, or, without one, as the authors' published classification code does."""
        if self.init_cfg is None and not self.is_init:
            self.apply(_init_layer)
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps.

        Args:
            x: images, ``(N, in_channels, H, W)``, normalised.

        Returns:
            The maps of ``out_indices``, each ``(N, C_i, ceil(H / s_i), ceil(W / s_i))`` with strides s of 4, 8, 16,
            32, after its stage's norm. That norm is part of the trunk: its output also goes to the next stage. Their
            memory format is that of the images.
        """
        return self.forward_stages(x, self.out_indices)

    def forward_stages(self, x: Tensor, stages: Sequence[int]) -> tuple[Tensor, ...]:
        """Compute the maps of other stages than :meth:`forward` does.

        Args:
            x: images, as :meth:`forward` takes them.
            stages: from 0 to 3, ascending; those after the last one are not run.
        """
        outs = []
        given = x
        x = to_fast_layout(x)
        for stage in range(stages[-1] + 1):
            embed, blocks, norm = self._stage_parts(stage)
            x = embed(x)
            for block in blocks:
                x = block(x)
            x = norm(x)
            if stage in stages:
                outs.append(to_layout_of(given, x))
        return tuple(outs)

    def keep_stages(self, out_indices: int | Sequence[int]) -> None:
        """Return the maps of these stages from now on, and remove the stages after the last of them."""
        stages = _check_out_indices(out_indices)
        for stage in range(stages[-1] + 1, NUM_STAGES):
            for name in ('patch_embed', 'blocks', 'norm'):
                # None where an earlier call has removed it.
                setattr(self, f'{name}{stage + 1}', None)
        self.out_indices = stages
        self.frozen_stages = min(self.frozen_stages, stages[-1])

    def train(self, mode: bool = True) -> MogaNet:
        """Switch mode; frozen stages, and with ``norm_eval`` every BN layer, stay in eval mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Note the gate's mode beside the weights: it belongs to them, and none of them shows it."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, '_metadata', None)
        if metadata is not None:
            metadata.setdefault(prefix[:-1], {})['gate_act_twice'] = self.gate_act_twice

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *args: Any
    ) -> None:
        """Refuse weights that would fill a part of the backbone, or were trained as another function.

        This runs before a tensor is copied, whoever loads: MMEngine passes ``strict=False`` and only logs.
        """
        check_filling(self, state_dict, prefix, local_metadata)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning rate decay, by the table of the authors' Cascade recipes.

        Args:
            param_name: name of the parameter in the whole model.
            prefix: what precedes the backbone's own names, such as ``'backbone.'``.

        Returns:
            The depth, 0 for the stem to 13 for the stage norms and whatever is not the backbone's, and the number
            of depths, 14.
        """
        last = 12
        name = param_name[len(prefix) :] if param_name.startswith(prefix) else ''
        match = re.match(r'(patch_embed|blocks)([1-4])\.(\d+)?', name)
        if match is None:
            return last + 1, last + 2
        kind, stage, index = match[1], int(match[2]), match[3]
        if kind == 'patch_embed':
            depth = (0, 3, 4, last)[stage - 1]
        elif stage == 3:
            depth = min(3 + int(index) // 2, last - 1)
        else:
            depth = {1: 2, 2: 3, 4: last}[stage]
        return depth, last + 2

    def _stage_parts(self, stage: int) -> tuple[nn.Module, nn.ModuleList, nn.Module]:
        """Patch embedding, blocks and norm of a stage (0 to 3), in the order they run."""
        embed, blocks, norm = (getattr(self, f'{name}{stage + 1}') for name in ('patch_embed', 'blocks', 'norm'))
        return embed, blocks, norm

    def _freeze_stages(self) -> None:
        for stage in range(self.frozen_stages + 1):
            for part in self._stage_parts(stage):
                part.eval()
                part.requires_grad_(False)


MODELS.register_module(name='MogaNet_feat', module=RenamedBackbone)


def _resolve_arch(arch: str | Mapping[str, Any]) -> Variant:
    """The variant of a name or of a dict."""
    if isinstance(arch, str):
        name = _ALIASES.get(arch.lower(), arch.lower())
        if name not in VARIANTS:
            raise ValueError(
                f'arch is {arch!r}; it must be one of {", ".join(VARIANTS)} (or {", ".join(_ALIASES)}), '
                'or a dict with embed_dims, depths and ffn_ratios'
            )
        return VARIANTS[name]
    if not isinstance(arch, Mapping):
        raise ValueError(f'arch is {arch!r}; it must be a name or a dict with embed_dims, depths and ffn_ratios')
    allowed = {field.name for field in fields(Variant)}
    unknown = set(arch) - allowed
    missing = {'embed_dims', 'depths', 'ffn_ratios'} - set(arch)
    if unknown or missing:
        raise ValueError(
            f'a custom arch needs embed_dims, depths and ffn_ratios and may have {", ".join(sorted(allowed))}; '
            f'missing: {sorted(missing)}, unknown: {sorted(unknown)}'
        )
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, Sequence) else v for k, v in arch.items()}
    variant = Variant(**values)
    for key in ('embed_dims', 'depths', 'ffn_ratios'):
        given = getattr(variant, key)
        numbers, said = ((int, float), 'numbers') if key == 'ffn_ratios' else (int, 'whole numbers')
        four = isinstance(given, tuple) and len(given) == NUM_STAGES
        if not four or not all(isinstance(number, numbers) and number > 0 for number in given):
            raise ValueError(f"arch['{key}'] is {given}; it must be {NUM_STAGES} positive {said}, one for each stage")
    return variant


def _check_out_indices(out_indices: int | Sequence[int]) -> tuple[int, ...]:
    """Stages to return, from 0 to 3, checked."""
    given = tuple(out_indices) if isinstance(out_indices, Sequence) else (out_indices,)
    whole = all(isinstance(index, int) for index in given)
    stages = tuple(index + NUM_STAGES if index < 0 else index for index in given) if whole else ()
    if not stages or list(stages) != sorted(set(stages)) or stages[0] < 0 or stages[-1] >= NUM_STAGES:
        raise ValueError(
            f'out_indices is {out_indices}; it must name at least one stage from 0 to {NUM_STAGES - 1} '
            f'(or -{NUM_STAGES} to -1), ascending, none of them twice'
        )
    return stages


def _check_rate(name: str, rate: float) -> None:
    if not 0.0 <= rate < 1.0:
        raise ValueError(f'{name} is {rate}; it must be at least 0 and below 1')


def _stage_dilation(variant: Variant, stage: int) -> tuple[int, ...]:
    if stage == NUM_STAGES - 1 and not variant.attn_final_dilation:
        return (*variant.attn_dw_dilation[:2], 1)
    return variant.attn_dw_dilation


def _init_layer(module: nn.Module) -> None:
    """Initialise one layer as the authors' published classification code does."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (_BatchNorm, nn.GroupNorm)) and module.affine:
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
