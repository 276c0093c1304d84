"""The Moga block: gated aggregation and channel aggregation, each pre-normed, scaled and residual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from .build import build_norm
from .channel_aggregation import ChannelAggregationFFN
from .drop_path import DropPath
from .gated_aggregation import MultiOrderGatedAggregation


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
        with_cp: recompute the block in the backward pass instead of keeping its activations.
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
        with_cp: bool = False,
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
        if self.with_cp and self.training and torch.is_grad_enabled():
            out: Tensor = checkpoint(self._forward, x, use_reentrant=False, context_fn=self._recompute_contexts)
            return out
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.layer_scale_1 * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale_2 * self.mlp(self.norm2(x)))

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
