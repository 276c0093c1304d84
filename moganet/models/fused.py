"""MogaNet for inference: the same function in fewer passes over its maps, rewritten by exact algebra.

With fixed statistics a norm is an affine map of each channel, and almost everything between two activations of a Moga
block is linear, so that it becomes part of a convolution's weights:

- ``norm1`` goes into ``proj_1``, ``norm2`` into ``fc1``; no zeros are padded between them.
- Feature decomposition: the mean over a map commutes with ``proj_1``, so ``y + sigma (y - mean y)`` is ``proj_1`` with
  scaled weights and one number per sample and channel, from the mean of the block's input.
- Channel aggregation: ``fc2(h + sigma (h - d))`` is ``W (1 + sigma) h - (W sigma) d`` with one channel of ``d``.
- The layer scales go into ``proj_2`` and ``fc2``.
- The shortcut within the gated aggregation, ``norm1`` and the residual are one factor per channel,
  ``1 + layer_scale_1 * norm1``, and a shift. The blocks of a stage carry both along in place of applying them: their
  maps are ``(x - shift) / factor``, and every layer that reads them has that in its weights. So do ``proj_2``'s and
  ``fc2``'s biases.
- The stage's norm is a factor and a shift of its last block's output. It does not go into the convolution after it,
  which pads with zeros.

Weights are combined in float64 and rounded once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .backbones.moganet import NUM_STAGES, MogaNet
from .layers import (
    ChannelAggregationFFN,
    ConvPatchEmbed,
    MogaBlock,
    MultiOrderDWConv,
    MultiOrderGatedAggregation,
    StemPatchEmbed,
)
from .layers.depthwise import DepthwiseConv2d
from .layers.drop_path import DropPath
from .layers.folding import Affine, affine_of, with_norm
from .layers.fused_block import FusedBlock
from .layers.onednn import conv_gelu, from_post_operations_layout, to_post_operations_layout
from .layers.scale import ElementScale


def fuse(model: nn.Module) -> nn.Module:
    """Return a model that computes the same in evaluation, faster; the given one is not touched.

    Args:
        model: a :class:`MogaNet`, or any model that has some: those are replaced, everything else is copied.

    Raises:
        ValueError: there is none; it is in training mode; a norm has no fixed statistics (GN); a layer was replaced or
            has a hook, which the rewritten form would pass over.
    """
    backbones = [module for module in model.modules() if isinstance(module, MogaNet)]
    if not backbones:
        raise ValueError(f'{type(model).__name__} has no MogaNet in it; that is what can be fused')
    fused = {id(backbone): FusedMogaNet(backbone) for backbone in backbones}
    if id(model) in fused:
        return fused[id(model)]
    # deepcopy takes what the memo has in the place of a copy.
    copied: nn.Module = copy.deepcopy(model, dict[int, Any](fused))
    return copied


class FusedMogaNet(nn.Module):
    """A MogaNet for inference; :func:`fuse` makes it. Outputs and attributes are those of :class:`MogaNet`.

    Args:
        backbone: in evaluation mode.

    Raises:
        ValueError: see :func:`fuse`.
    """

    def __init__(self, backbone: MogaNet) -> None:
        super().__init__()
        _check_fusible(backbone)
        self.variant, self.out_indices = backbone.variant, backbone.out_indices
        self.gate_act_twice = backbone.gate_act_twice
        self.out_channels, self.out_strides = backbone.out_channels, backbone.out_strides
        for stage in range(NUM_STAGES):
            embed, blocks, norm = backbone._stage_parts(stage)
            if embed is None:  # by keep_stages
                break
            self.add_module(f'patch_embed{stage + 1}', _fused_embed(embed))
            self.add_module(f'blocks{stage + 1}', _fused_blocks(blocks, norm))
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps, see :meth:`MogaNet.forward`."""
        return self.forward_stages(x, self.out_indices)

    def forward_stages(self, x: Tensor, stages: Sequence[int]) -> tuple[Tensor, ...]:
        """Compute the maps of other stages, see :meth:`MogaNet.forward_stages`."""
        outs = []
        given = x
        x = to_post_operations_layout(x)
        for stage in range(stages[-1] + 1):
            x = getattr(self, f'blocks{stage + 1}')(getattr(self, f'patch_embed{stage + 1}')(x))
            if stage in stages:
                outs.append(from_post_operations_layout(given, x))
        return tuple(outs)

    def train(self, mode: bool = True) -> FusedMogaNet:
        """Stay in evaluation.

        Raises:
            ValueError: ``mode`` is true.
        """
        if mode:
            raise ValueError(
                'a fused MogaNet cannot be trained: its norms are part of the weights of other layers, with the '
                'statistics of when it was fused. Train the model that it was made of, and fuse that again'
            )
        super().train(False)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take weights of a model that was fused; refuse all others, which MMEngine would pass over."""
        if not {f'{prefix}{name}' for name in self.state_dict()} <= set(state_dict):
            raise ValueError(
                'a fused MogaNet takes no weights of another one: load them into the model that it was made of, and '
                'fuse that'
            )
        super()._load_from_state_dict(state_dict, prefix, *args)


class _FusedStem(nn.Module):
    """The stem with its norms in its convolutions."""

    def __init__(self, stem: StemPatchEmbed) -> None:
        super().__init__()
        first, norm, act, second, last_norm = stem.projection
        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)  # its constructor's
        self.first, self.act, self.second = with_norm(first, norm), act, with_norm(second, last_norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(conv_gelu(x, self.first, self.act))


def _fused_embed(embed: nn.Module) -> nn.Module:
    if isinstance(embed, StemPatchEmbed):
        return _FusedStem(embed)
    assert isinstance(embed, ConvPatchEmbed)  # the constructor's
    return with_norm(embed.projection, embed.norm)


def _fused_blocks(blocks: nn.ModuleList, norm: nn.Module) -> nn.Sequential:
    """Return the blocks of a stage, the last one with the stage's norm."""
    of_stage = affine_of(norm)
    meant = Affine(torch.ones_like(of_stage.scale), torch.zeros_like(of_stage.scale))
    fused = []
    for number, block in enumerate(blocks, 1):
        assert isinstance(block, MogaBlock)  # the constructor's
        fused.append(FusedBlock(block, meant, of_stage if number == len(blocks) else None))
        meant = fused[-1].meant
    return nn.Sequential(*fused)


_LAYERS = (
    nn.Conv2d, nn.BatchNorm2d, nn.SyncBatchNorm, nn.GELU, nn.SiLU, nn.ReLU, nn.Hardswish, nn.Dropout,
    nn.ModuleList, nn.Sequential, DepthwiseConv2d, DropPath, ElementScale, MogaBlock, MultiOrderDWConv,
    MultiOrderGatedAggregation, ChannelAggregationFFN, StemPatchEmbed, ConvPatchEmbed,
)  # fmt: skip


def _check_fusible(backbone: MogaNet) -> None:
    """Refuse what would not be the same function.

    Raises:
        ValueError: see :func:`fuse`.
    """
    for name, module in backbone.named_modules():
        if module.training:
            what = f'its layer {name} is in training mode' if name else 'it is in training mode'
            raise ValueError(f'this MogaNet cannot be fused: {what}; call model.eval() before')
        kind = type(module).__name__
        if isinstance(module, nn.GroupNorm):
            raise ValueError(
                f'this MogaNet cannot be fused: {name} is {kind}, whose statistics are those of each picture; BN and '
                'SyncBN can'
            )
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ValueError(f'this MogaNet cannot be fused: {name} keeps no running statistics')
        if module._forward_hooks or module._forward_pre_hooks:
            raise ValueError(
                f'this MogaNet cannot be fused: {name or "it"} has a hook, which would no longer be called; remove it, '
                'and put it on the fused one'
            )
        if module is not backbone and type(module) not in _LAYERS:
            raise ValueError(f'this MogaNet cannot be fused: {name} was replaced by {kind}')
