"""The parts of the paper, one concept a file.

==========================  =====================================  ==========================================
term of the paper           class here                             name in a checkpoint
==========================  =====================================  ==========================================
multi-order DWConv          :class:`MultiOrderDWConv`              ``attn.value`` (``DW_conv0..2``, ``PW_conv``)
feature decomposition (FD)  :meth:`MultiOrderGatedAggregation      ``attn.proj_1``, ``attn.sigma``
                            .feature_decompose`
multi-order gated           :class:`MultiOrderGatedAggregation`    ``attn`` (``gate``, ``value``, ``proj_2``)
aggregation (Moga)
channel aggregation (CA)    :class:`ChannelAggregationFFN`         ``mlp`` (``decompose``, ``sigma``)
Moga block                  :class:`MogaBlock`                     ``blocks{stage}.{index}``
==========================  =====================================  ==========================================
"""

from .block import MogaBlock
from .channel_aggregation import ChannelAggregationFFN
from .gated_aggregation import MultiOrderGatedAggregation
from .multi_order_dwconv import MultiOrderDWConv
from .patch_embed import ConvPatchEmbed, StemPatchEmbed

__all__ = [
    'ChannelAggregationFFN',
    'ConvPatchEmbed',
    'MogaBlock',
    'MultiOrderDWConv',
    'MultiOrderGatedAggregation',
    'StemPatchEmbed',
]
