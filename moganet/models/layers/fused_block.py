"""The Moga block in evaluation, with all that is linear in its weights; see :mod:`moganet.models.fused`."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .block import MogaBlock
from .depthwise import convolve_padded, dilated_depthwise
from .folding import Affine, affine_of, apply_to, conv_like, frozen, per_input, per_output, weight_and_bias
from .gate_gradient import gated_product
from .gated_aggregation import project_gated_fp32
from .gpu import multi_order_context
from .multi_order_dwconv import MultiOrderDWConv
from .onednn import conv, conv_add, conv_gelu, has_post_operations

# Of a factor that blocks carry along: beyond these bounds float16 and bfloat16 would lose digits to it.
_SMALLEST, _LARGEST = 2.0**-6, 2.0**6
# Of the hidden map that is worked on at once on a processor, about what its second caches hold; half a megabyte was
# seen to be slower, and all at once too.
_HIDDEN_BYTES = 2**22
# Of it, too: two more are computed for each part.
_FEWEST_ROWS = 8


class FusedBlock(nn.Module):
    """What :class:`MogaBlock` does in evaluation.

    Args:
        block: the block.
        meant: what makes of its input the map that the block would get.
        norm: the stage's norm, in its last block: that one's output is the stage's.

    Attributes:
        meant: the same of its output.
    """

    def __init__(self, block: MogaBlock, meant: Affine, norm: Affine | None = None) -> None:
        super().__init__()
        self.aggregation = FusedAggregation(block, meant)
        self.ffn = FusedFFN(block, self.aggregation.meant, norm)
        self.meant = self.ffn.meant

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn(self.aggregation(x))


class FusedAggregation(nn.Module):
    """``x + layer_scale_1 * attn(norm1(x))``; arguments and attributes as those of :class:`FusedBlock`.

    Attributes:
        mean_as_map: have the mean's product as a convolution of a map of one pixel. Exported graphs are better off:
            OpenVINO takes several times as long for so small a product of matrices.
    """

    mean_as_map = False

    def __init__(self, block: MogaBlock, meant: Affine) -> None:
        super().__init__()
        attn, norm = block.attn, affine_of(block.norm1).after(meant)
        layer_scale, sigma = (values.detach().double().flatten() for values in (block.layer_scale_1, attn.sigma.scale))
        self.gate_fp32, self.gate_act_twice = attn.gate_fp32, attn.gate_act_twice

        weight, bias = weight_and_bias(attn.proj_1)
        normed = weight * per_input(norm.scale)
        self.proj_1 = conv_like(attn.proj_1, normed * per_output(1 + sigma), apply_to(weight, norm.shift) + bias)
        self.of_mean = frozen((-normed * per_output(sigma)).flatten(1), attn.proj_1.weight)
        self.gate = conv_like(attn.gate, *weight_and_bias(attn.gate))
        self.value = FusedMultiOrder(attn.value)

        weight, bias = weight_and_bias(attn.proj_2)
        kept = meant.scale + layer_scale * norm.scale
        carried = bool(((kept.abs() >= _SMALLEST) & (kept.abs() <= _LARGEST)).all())
        self.rescale = None if carried else frozen(kept[:, None, None], attn.proj_1.weight)
        scale = kept if carried else torch.ones_like(kept)
        self.meant = Affine(scale, meant.shift + layer_scale * (bias + norm.shift))
        self.proj_2 = conv_like(attn.proj_2, weight * per_output(layer_scale / scale), None)

    def forward(self, x: Tensor) -> Tensor:
        y = self._decompose(x)
        gate, value = conv(y, self.gate), self.value(y)
        kept = x if self.rescale is None else x * self.rescale
        if self.gate_fp32:
            return project_gated_fp32(gate, value, self.gate_act_twice, self.proj_2.weight, None) + kept
        return conv_add(gated_product(gate, value, self.gate_act_twice), self.proj_2, kept)

    def _decompose(self, x: Tensor) -> Tensor:
        if self.mean_as_map:
            of_mean = F.conv2d(x.mean((2, 3), keepdim=True), self.of_mean[:, :, None, None])
        else:
            of_mean = F.linear(x.mean((2, 3)), self.of_mean)[:, :, None, None]
        y = conv(x, self.proj_1)
        return F.silu(y.add_(of_mean), inplace=True) if has_post_operations(x) else F.silu(y + of_mean)


class FusedMultiOrder(nn.Module):
    """:class:`MultiOrderDWConv`, whose three convolutions write into one map where no gradient is wanted."""

    def __init__(self, value: MultiOrderDWConv) -> None:
        super().__init__()
        self.splits = value.splits
        self.DW_conv0, self.DW_conv1, self.DW_conv2, self.PW_conv = (
            conv_like(layer, *weight_and_bias(layer))
            for layer in (value.DW_conv0, value.DW_conv1, value.DW_conv2, value.PW_conv)
        )

    def forward(self, x: Tensor) -> Tensor:
        taken = multi_order_context(x, (self.DW_conv0, self.DW_conv1, self.DW_conv2))
        if taken is not None:
            return self.PW_conv(taken)
        context = self._dilated(x, self.DW_conv0)
        low, middle, high = torch.split(context, self.splits, dim=1)
        if not has_post_operations(x):
            context = torch.cat([low, self._dilated(middle, self.DW_conv1), self._dilated(high, self.DW_conv2)], dim=1)
        else:
            for part, layer in ((middle, self.DW_conv1), (high, self.DW_conv2)):
                part.copy_(self._dilated(part, layer))
        return conv(context, self.PW_conv)

    @staticmethod
    def _dilated(x: Tensor, layer: nn.Conv2d) -> Tensor:
        if layer.dilation[0] == 1:
            return conv(x, layer)
        if has_post_operations(x):
            return convolve_padded(x, layer.weight, layer.bias, layer.dilation[0])
        return dilated_depthwise(x, layer.weight, layer.bias, int(layer.padding[0]), layer.dilation[0], layer.groups)


class FusedFFN(nn.Module):
    """``x + layer_scale_2 * mlp(norm2(x))``, and the stage's norm; arguments as those of :class:`FusedBlock`."""

    def __init__(self, block: MogaBlock, meant: Affine, norm: Affine | None) -> None:
        super().__init__()
        mlp, before = block.mlp, affine_of(block.norm2).after(meant)
        layer_scale, sigma = (values.detach().double().flatten() for values in (block.layer_scale_2, mlp.sigma.scale))
        weight, bias = weight_and_bias(mlp.fc1)
        self.fc1 = conv_like(mlp.fc1, weight * per_input(before.scale), apply_to(weight, before.shift) + bias)
        self.dwconv = conv_like(mlp.dwconv, *weight_and_bias(mlp.dwconv))
        self.act = copy.deepcopy(mlp.act)
        self.decompose = conv_like(mlp.decompose, *weight_and_bias(mlp.decompose))

        weight, bias = weight_and_bias(mlp.fc2)
        self.meant = out = Affine(meant.scale, meant.shift + layer_scale * bias)
        scale = layer_scale / meant.scale
        self.rescale = self.bias = None
        if norm:
            whole = norm.after(out)
            self.rescale = frozen(whole.scale[:, None, None], mlp.fc2.weight)
            self.bias = frozen(whole.shift[:, None, None], mlp.fc2.weight)
            scale = layer_scale * norm.scale
            self.meant = Affine(torch.ones_like(scale), torch.zeros_like(scale))
        self.fc2 = conv_like(mlp.fc2, weight * per_output(scale) * per_input(1 + sigma), None)
        self.of_common = frozen(-(apply_to(weight, sigma) * scale)[:, None, None], mlp.fc2.weight)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[2]
        if not has_post_operations(x):
            return self._project(self._hidden(x), x)
        # Worked on at once a large hidden map would go through memory four times.
        rows = max(_FEWEST_ROWS, _HIDDEN_BYTES // (self.fc1.out_channels * x.shape[3] * x.element_size()))
        if len(x) * height <= rows:
            return self._project(self._hidden(x), x)
        if len(x) > 1:
            return torch.cat([self(part) for part in torch.split(x, max(1, rows // height))])
        return torch.cat([self._rows(x, top, min(top + rows, height)) for top in range(0, height, rows)], dim=2)

    def _rows(self, x: Tensor, top: int, bottom: int) -> Tensor:
        """Compute some rows of the output, from those of the input and one more on each side."""
        first = max(top - 1, 0)
        hidden = self._hidden(x[:, :, first : bottom + 1])
        return self._project(hidden[:, :, top - first : bottom - first], x[:, :, top:bottom])

    def _hidden(self, x: Tensor) -> Tensor:
        return conv_gelu(conv(x, self.fc1), self.dwconv, self.act)

    def _project(self, hidden: Tensor, x: Tensor) -> Tensor:
        kept = x if self.rescale is None or self.bias is None else torch.addcmul(self.bias, x, self.rescale)
        kept = torch.addcmul(kept, self.of_common, self.act(self._common(hidden)))
        return conv_add(hidden, self.fc2, kept, overwrite=True)

    def _common(self, hidden: Tensor) -> Tensor:
        if not has_post_operations(hidden):
            return self.decompose(hidden)
        # oneDNN computes sixteen channels where one is asked for.
        common = F.linear(hidden.permute(0, 2, 3, 1), self.decompose.weight.flatten(1), self.decompose.bias)
        return common.permute(0, 3, 1, 2)
