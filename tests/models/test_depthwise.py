"""The steps that a processor runs fastest give the sums of a plain depthwise convolution, in both directions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moganet import MogaNet
from moganet.models.layers import depthwise
from moganet.models.layers.depthwise import DepthwiseConv2d, dilated_depthwise

# Channels, height, width, kernel, dilation. The weight's gradient goes by phases where these are no smaller than the
# kernel: the first four, of which the third and fourth are the smallest such maps.
SHAPES = [
    (12, 32, 32, 5, 2),
    (16, 31, 45, 7, 3),
    (8, 22, 21, 7, 3),
    (4, 10, 11, 5, 2),
    (8, 20, 40, 7, 3),
    (4, 9, 40, 5, 2),
    (4, 7, 9, 7, 3),
    (3, 1, 1, 5, 2),
]


def plain(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] - 1) // 2
    return F.conv2d(x, weight, bias, padding=padding, dilation=dilation, groups=len(weight))


def ours(x: Tensor, weight: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    padding = dilation * (weight.shape[-1] - 1) // 2
    return dilated_depthwise(x, weight, bias, padding, dilation, len(weight))


def random_inputs(channels: int, height: int, width: int, kernel: int) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((2, channels, height, width), (channels, 1, kernel, kernel), (channels,))
    x, weight, bias = (torch.randn(shape, generator=draw).requires_grad_() for shape in shapes)
    return x, weight, bias


@pytest.mark.parametrize(('channels', 'height', 'width', 'kernel', 'dilation'), SHAPES)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_equals_the_plain_convolution(
    channels: int, height: int, width: int, kernel: int, dilation: int, layout: torch.memory_format
) -> None:
    inputs = random_inputs(channels, height, width, kernel)
    given = (inputs[0].contiguous(memory_format=layout), *inputs[1:])
    out = ours(*given, dilation)
    double = [value.detach().double().requires_grad_() for value in inputs]
    expected = plain(*double, dilation)
    gradient = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    # Sums of at most 2 x 31 x 45 products of values about 1, in float32.
    torch.testing.assert_close(out, expected.float(), rtol=1e-4, atol=1e-5)
    found = torch.autograd.grad(out, inputs, gradient)
    for name, mine, theirs in zip('xwb', found, torch.autograd.grad(expected, double, gradient.double())):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-4, atol=1e-4, msg=lambda text, n=name: f'{n}: {text}')


@pytest.mark.parametrize('side', [5, 7])
def test_gradients_of_every_order(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    monkeypatch.setattr(depthwise, 'takes_fast_path', lambda x: True)
    x, weight, bias = (value.detach().double().requires_grad_() for value in random_inputs(2, side, side + 1, 3))
    torch.autograd.gradcheck(lambda *given: ours(*given, 2), (x, weight, bias))
    torch.autograd.gradgradcheck(lambda *given: ours(*given, 2), (x, weight, bias))


def test_without_bias_and_with_frozen_parts() -> None:
    x, weight, bias = random_inputs(4, 12, 12, 5)
    torch.testing.assert_close(ours(x, weight, None, 2), plain(x, weight, None, 2), rtol=1e-4, atol=1e-5)
    frozen = ours(x.detach(), weight, bias.detach(), 2)
    frozen.sum().backward()
    assert weight.grad is not None
    assert x.grad is None and bias.grad is None
    assert not ours(x.detach(), weight.detach(), bias.detach(), 2).requires_grad


def test_samples_may_be_mapped_one_by_one() -> None:
    x, weight, bias = (value.detach() for value in random_inputs(4, 12, 12, 5))
    one_by_one = torch.func.vmap(lambda sample: ours(sample[None], weight, bias, 2)[0])(x)
    torch.testing.assert_close(one_by_one, plain(x, weight, bias, 2), rtol=1e-4, atol=1e-5)


def test_only_dilated_layers_take_other_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def spied(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, dilation: int, groups: int) -> Tensor:
        taken.append(dilation)
        return plain(x, weight, bias, dilation)

    monkeypatch.setattr(depthwise, 'dilated_depthwise', spied)
    for dilation in (1, 2, 3):
        layer = DepthwiseConv2d(4, 5, dilation)
        assert isinstance(layer, nn.Conv2d)
        assert layer(torch.randn(1, 4, 13, 13)).shape == (1, 4, 13, 13)
    assert taken == [2, 3]


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_dtypes_take_the_plain_steps(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    monkeypatch.delattr(depthwise, '_DilatedDepthwise')
    layer = DepthwiseConv2d(4, 5, 2).to(dtype)
    x = torch.randn(2, 4, 12, 12).to(dtype)
    assert torch.equal(layer(x), plain(x, layer.weight, layer.bias, 2))


def test_autocast_and_traced_graphs_take_the_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = DepthwiseConv2d(4, 5, 2), torch.randn(2, 4, 12, 12)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    monkeypatch.delattr(depthwise, '_DilatedDepthwise')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        layer(x)
    traced = torch.jit.trace(layer, x, check_trace=False)  # the check runs the layer untraced
    assert [node.kind() for node in traced.graph.nodes() if 'onv' in node.kind()] == ['aten::_convolution']
    exported = torch.export.export(layer, (x,))
    calls = [str(node.target) for node in exported.graph.nodes if node.op == 'call_function']
    assert calls in (['aten.conv2d.default'], ['aten.convolution.default'])  # the latter in torch 2.1


def test_the_backbone_runs_channels_last_on_a_processor_and_returns_what_it_was_given() -> None:
    """mmcv's operators refuse maps that are not contiguous."""
    model = MogaNet(dict(embed_dims=(8, 16, 24, 32), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2)))
    x = torch.randn(2, 3, 64, 64)
    inside: list[torch.Tensor] = []
    model.blocks2[0].register_forward_pre_hook(lambda _, args: inside.append(args[0]))
    assert all(out.is_contiguous() for out in model(x))
    channels_last = x.contiguous(memory_format=torch.channels_last)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in model(channels_last))
    assert all(out.is_contiguous() for out in model.double()(x.double()))
    layouts = [found.is_contiguous(memory_format=torch.channels_last) for found in inside]
    assert layouts == [True, True, False]
