"""The Moga block: gated aggregation and channel aggregation, each pre-normed, scaled and residual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .build import build_norm
from .channel_aggregation import ChannelAggregationFFN
from .drop_path import DropPath
from .gated_aggregation import MultiOrderGatedAggregation
from .recompute import is_untouched, keeps_little, scale_fits


class MogaBlock(nn.Module):
    """``x + layer_scale_1 * attn(norm1(x))``, then ``x + layer_scale_2 * mlp(norm2(x))``.

    Args:
        channels: number of channels.
        ffn_ratio: hidden width of the FFN over ``channels``.
        norm_cfg, act_cfg: norm and FFN activation.
        drop_rate: dropout in the FFN.
        drop_path_rate: probability of dropping each residual branch.
        layer_scale_init_value: initial value of both layer scales (``sigma`` always starts at 1e-5).
        dilations, channel_split: see :class:`MultiOrderDWConv`.
        gate_fp32, gate_act_twice: see :class:`MultiOrderGatedAggregation`.
        with_cp: compute the block (True) or its FFN (``'ffn'``) again in the backward pass instead of keeping its maps.
    """

    def __init__(
        self,
        channels: int,
        ffn_ratio: float,
        *,
        norm_cfg: Mapping[str, Any],
        act_cfg: Mapping[str, Any],
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-5,
        dilations: Sequence[int] = (1, 2, 3),
        channel_split: Sequence[int] = (1, 3, 4),
        gate_fp32: bool = False,
        gate_act_twice: bool = False,
        with_cp: bool | Literal['ffn'] = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.norm1 = build_norm(norm_cfg, channels)
        self.attn = MultiOrderGatedAggregation(channels, dilations, channel_split, gate_fp32, gate_act_twice)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = build_norm(norm_cfg, channels)
        self.mlp = ChannelAggregationFFN(channels, int(channels * ffn_ratio), act_cfg, drop_rate)
        self.layer_scale_1 = nn.Parameter(torch.full((1, channels, 1, 1), float(layer_scale_init_value)))
        self.layer_scale_2 = nn.Parameter(torch.full((1, channels, 1, 1), float(layer_scale_init_value)))

    def forward(self, x: Tensor) -> Tensor:
        if not (self.with_cp and self.training and torch.is_grad_enabled()):
            return self._forward(x)
        kept_by_ffn = self.mlp.keeps_little(x) and self.mlp.keeps_nothing(x)
        out: Tensor
        if self.with_cp == 'ffn':
            x, y = self._until_ffn(x)
            if kept_by_ffn:
                return self._aggregate_channels(x, y)
            out = checkpoint(self._aggregate_channels, x, y, use_reentrant=False)
        elif kept_by_ffn:
            # It computes itself again; within what is computed again it would do so twice.
            x, y = checkpoint(self._until_ffn, x, use_reentrant=False, context_fn=self._recompute_contexts)
            return self._aggregate_channels(x, y)
        else:
            out = checkpoint(self._forward, x, use_reentrant=False, context_fn=self._recompute_contexts)
        return out

    def _forward(self, x: Tensor) -> Tensor:
        return self._aggregate_channels(*self._until_ffn(x))

    def _until_ffn(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map after the gated aggregation, and the same normed."""
        x = self._aggregate_space(x, self.norm1(x))
        return x, self.norm2(x)

    def _aggregate_space(self, x: Tensor, y: Tensor) -> Tensor:
        scale = self.layer_scale_1
        if not (self._takes_scale(y, scale, self.attn, MultiOrderGatedAggregation) and self.attn.keeps_little(y)):
            return x + self.drop_path(scale * self.attn(y))
        # The scale goes into the weights; of the shortcut within the aggregation one pass is left.
        out, factors = self.attn.projected(y, scale), self.drop_path.draw(x)
        if factors is None:
            return torch.addcmul(x, y, scale).add_(out)
        return torch.addcmul(x, y, scale * factors).addcmul_(out, factors)

    def _aggregate_channels(self, x: Tensor, y: Tensor) -> Tensor:
        scale = self.layer_scale_2
        if not (self._takes_scale(y, scale, self.mlp, ChannelAggregationFFN) and self.mlp.keeps_little(y)):
            return x + self.drop_path(scale * self.mlp(y))
        out, factors = self.mlp.scaled(y, scale), self.drop_path.draw(x)
        return x + out if factors is None else torch.addcmul(x, out, factors)

    def _takes_scale(self, y: Tensor, scale: Tensor, branch: nn.Module, kind: type[nn.Module]) -> bool:
        """Whether a branch may take its layer scale into its weights, which keeps a map less for the backward pass."""
        if not (keeps_little(y, scale) and scale_fits(y) and y.dtype == scale.dtype):
            return False
        return is_untouched(branch, kind) and is_untouched(self.drop_path, DropPath)

    def _recompute_contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Contexts of the forward pass and of its recomputation, in which BN's statistics are not updated again."""
        return nullcontext(), _running_stats_kept(self)


@contextmanager
def _running_stats_kept(module: nn.Module) -> Iterator[None]:
    """Let BN layers run as ever, but with momentum 0 and a count that is thrown away, so that their statistics stay.

    Switching ``track_running_stats`` off would be shorter, but then BN saves fewer tensors for its backward pass, which
    checkpointing refuses.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # SyncBN wants a count, which it adds to in place.
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count
