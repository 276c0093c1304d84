"""Multi-order depthwise convolution (Sec. 4.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .depthwise import DepthwiseConv2d
from .gpu import multi_order_context
from .recompute import call_pointwise


class MultiOrderDWConv(nn.Module):
    """Three depthwise convolutions of growing reach on a 1:3:4 split of the channels, mixed by a 1x1 convolution.

    ``DW_conv0`` (5x5) sees every channel; of its output the first part is passed on, the second goes through
    ``DW_conv1`` (5x5), the third through ``DW_conv2`` (7x7): low, middle and high order contexts.

    Args:
        channels: number of channels, divisible by the sum of ``channel_split``.
        dilations: dilation of the three depthwise convolutions.
        channel_split: relative width of the three orders.

    Raises:
        ValueError: a split that does not divide the channels, or not three positive dilations and parts.
    """

    def __init__(
        self, channels: int, dilations: Sequence[int] = (1, 2, 3), channel_split: Sequence[int] = (1, 3, 4)
    ) -> None:
        super().__init__()
        for name, given in (('attn_dw_dilation', dilations), ('attn_channel_split', channel_split)):
            three = isinstance(given, Sequence) and len(given) == 3
            if not three or not all(isinstance(number, int) and number >= 1 for number in given):
                raise ValueError(f'{name} is {given}; it must be three integers of at least 1')
        total = sum(channel_split)
        if channels % total:
            raise ValueError(
                f'embed_dims {channels} cannot be split {":".join(map(str, channel_split))}: '
                f'it must be divisible by {total}'
            )
        self.splits = [channels * part // total for part in channel_split]
        self.DW_conv0 = DepthwiseConv2d(channels, 5, dilations[0])
        self.DW_conv1 = DepthwiseConv2d(self.splits[1], 5, dilations[1])
        self.DW_conv2 = DepthwiseConv2d(self.splits[2], 7, dilations[2])
        self.PW_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        context = multi_order_context(x, (self.DW_conv0, self.DW_conv1, self.DW_conv2))
        if context is None:
            low, middle, high = torch.split(self.DW_conv0(x), self.splits, dim=1)
            context = torch.cat([low, self.DW_conv1(middle), self.DW_conv2(high)], dim=1)
        return call_pointwise(self.PW_conv, context)
