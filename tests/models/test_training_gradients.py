"""Layers with gradients of their own give those of the plain steps, and keep less for the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moganet import MogaNet
from moganet.analysis.forms import plain
from moganet.models.layers import ChannelAggregationFFN, MogaBlock, channel_aggregation, ffn_gradient
from moganet.models.layers.channel_aggregation import FFNInParts
from moganet.models.layers.gate_gradient import DecomposeFeatures, ProjectGated
from moganet.models.layers.recompute import scale_fits

SMALL = {'embed_dims': [8, 16, 16, 16], 'depths': [1, 1, 2, 1], 'ffn_ratios': [4, 4, 2, 2]}


def spread(module: nn.Module) -> nn.Module:
    """Give scales and biases values that matter: as they start, most of the network adds next to nothing."""
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.squeeze().ndim <= 1:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype))
    return module


def small(dtype: torch.dtype = torch.float64, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return spread(MogaNet(SMALL, **options)).to(dtype).train()


def block(dtype: torch.dtype = torch.float32, **options: Any) -> MogaBlock:
    torch.manual_seed(0)
    made = MogaBlock(8, 4, norm_cfg=dict(type='BN'), act_cfg=dict(type='GELU'), **options)
    spread(made)
    return made.to(dtype).train()


def image(dtype: torch.dtype = torch.float64, batch: int = 3) -> Tensor:
    return torch.randn(batch, 3, 40, 56, generator=torch.Generator().manual_seed(1)).to(dtype)


def gradients(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    torch.manual_seed(2)
    out = model(x)
    maps = [out] if isinstance(out, Tensor) else [*out]
    # After a batch norm the mean of squares is all but fixed; weights make a loss of which every layer has a share.
    draw = torch.Generator().manual_seed(3)
    loss = torch.zeros((), dtype=torch.float64)
    for each in maps:
        loss = loss + (each.double() * torch.randn(each.shape, generator=draw)).sum()
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return {**found, 'x': x.grad, 'out': maps[-1].detach()}  # type: ignore[dict-item]


def assert_near(mine: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    assert mine.keys() == theirs.keys()
    for name in theirs:
        # A bias before a norm has no gradient but what rounding leaves.
        size = max(float(theirs[name].norm()), 0.1)
        assert float((mine[name] - theirs[name]).norm()) / size < tolerance, name


@pytest.fixture(params=['in parts', 'whole'])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of the FFN, the one for a processor with parts of one sample, in whatever precision."""
    monkeypatch.setattr(channel_aggregation, 'takes_fast_path', lambda x: request.param == 'in parts')
    monkeypatch.setattr(channel_aggregation, 'in_rows', lambda x: True)
    monkeypatch.setattr(ffn_gradient, '_HIDDEN_BYTES', 1)
    return str(request.param)


@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(gate_act_twice=True, drop_path_rate=0.5),
        dict(gate_fp32=True, act_cfg=dict(type='GELU', approximate='tanh')),
        dict(act_cfg=dict(type='SiLU')),
        dict(drop_rate=0.3),
        dict(with_cp=True),
        dict(with_cp='ffn', drop_path_rate=0.5),
        dict(frozen_stages=1),
        dict(norm_cfg=dict(type='GN', num_groups=4)),
    ],
    ids=str,
)
def test_gradients_are_those_of_the_plain_steps(way: str, options: dict[str, Any]) -> None:
    model = small(**options)
    # 40 x 56 pixels end at maps of 2 x 2, and so do not all divide by the strides.
    assert_near(gradients(model, image()), gradients(plain(model), image()), 1e-10)


def test_float32_is_as_near_to_the_exact_gradients_as_the_plain_steps_are() -> None:
    model = small(torch.float32)
    exact = gradients(plain(model.double()), image())
    model.float()
    mine, theirs = gradients(model, image(torch.float32)), gradients(plain(model), image(torch.float32))
    errors = [_errors(found, exact) for found in (mine, theirs)]
    # Other sums in another order; a biased one would be farther off.
    assert errors[0] < 3 * errors[1] and errors[0] < 1e-5


@pytest.mark.parametrize('gate_fp32', [False, True])
def test_autocast_is_as_near_as_the_plain_steps(gate_fp32: bool) -> None:
    model = small(torch.float32, gate_fp32=gate_fp32)
    exact = gradients(plain(copy.deepcopy(model).double()), image())
    with torch.autocast('cpu', torch.bfloat16):
        mine, theirs = gradients(model, image(torch.float32)), gradients(plain(model), image(torch.float32))
    assert _errors(mine, exact) < 1.3 * _errors(theirs, exact)
    assert {tensor.dtype for name, tensor in mine.items() if name != 'out'} == {torch.float32}


def _errors(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """The mean over all parameters of the error's size by the gradient's."""
    sizes = {name: float(value.norm()) for name, value in exact.items()}
    counted = [name for name, size in sizes.items() if size > 0.1]
    return sum(float((found[name] - exact[name]).norm()) / sizes[name] for name in counted) / len(counted)


def test_half_precision_throughout_works() -> None:
    model = small(torch.bfloat16)
    assert all(value.isfinite().all() for value in gradients(model, image(torch.bfloat16)).values())


def test_gradients_can_be_differentiated_again(way: str) -> None:
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    layer = block(torch.float64)
    layer.eval()  # fixed statistics, so that one sample's second gradient has few terms
    found = []
    for each in (layer, _plain_block(layer)):
        given = x.clone().requires_grad_()
        weights = [given, *each.parameters()]
        first = torch.autograd.grad(each(given).pow(3).sum(), weights, create_graph=True)
        found.append(torch.autograd.grad(sum(part.pow(2).sum() for part in first), weights))
    for mine, theirs in zip(*found):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


def _plain_block(layer: MogaBlock) -> nn.Module:
    wrapped: Any = plain(nn.Sequential(layer))[0]
    return wrapped  # type: ignore[no-any-return]


def test_transformations_of_functions_take_the_plain_steps() -> None:
    layer, x = block().eval(), torch.randn(3, 8, 6, 6)
    weights = {name: parameter.detach() for name, parameter in layer.named_parameters()}

    def loss(given: dict[str, Tensor], sample: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(layer, given, (sample[None],))
        return out.square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    layer(x).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(each[name].sum(0), parameter.grad, rtol=1e-3, atol=1e-3)
    torch.func.jvp(layer, (x,), (torch.ones_like(x),))


@pytest.mark.parametrize('name', ['fc1', 'dwconv', 'act', 'decompose', 'sigma', 'fc2', 'drop'])
def test_layers_of_the_ffn_with_hooks_are_called(name: str) -> None:
    ffn, calls = ChannelAggregationFFN(8, 16, dict(type='GELU')), []
    getattr(ffn, name).register_forward_hook(lambda *given: calls.append(name))
    ffn(torch.randn(1, 8, 4, 4)).sum().backward()
    assert calls


@pytest.mark.parametrize('name', ['norm1', 'attn', 'attn.proj_2', 'attn.sigma', 'attn.value', 'mlp', 'drop_path'])
def test_layers_of_the_block_with_hooks_are_called(name: str) -> None:
    layer, calls = block(), []
    layer.get_submodule(name).register_forward_hook(lambda *given: calls.append(name))
    layer(torch.randn(2, 8, 4, 4)).sum().backward()
    assert calls


def test_layers_of_another_shape_are_called() -> None:
    ffn, x = ChannelAggregationFFN(8, 16, dict(type='GELU')), torch.randn(2, 8, 6, 6)
    ffn.fc1 = nn.Conv2d(8, 16, 1, bias=False)
    ffn(x).sum().backward()
    assert ffn.fc1.weight.grad is not None
    ffn = ChannelAggregationFFN(8, 16, dict(type='GELU'))
    ffn.dwconv = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
    assert not ffn.keeps_little(x)


def kept_bytes(run: Callable[[], Any], model: nn.Module) -> int:
    """The bytes that autograd keeps for the backward pass, parameters left out."""
    own = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    found: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in own:
            found.setdefault(key, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = run()
    del out
    return sum(tensor.untyped_storage().nbytes() for tensor in found.values())


def test_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = block()
    x = torch.randn(2, 8, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    unit = x.nbytes
    # The plain block keeps five maps of the FFN's width, which is four here, and sixteen narrow ones.
    assert kept_bytes(lambda: _plain_block(layer)(x), layer) > 34 * unit
    assert kept_bytes(lambda: layer(x), layer) < 11 * unit
    monkeypatch.setattr(channel_aggregation, 'takes_fast_path', lambda x: False)
    # As on a GPU: the depthwise convolution's input and the GELU's too.
    assert kept_bytes(lambda: layer(x), layer) < 19.5 * unit
    layer.with_cp = 'ffn'
    assert kept_bytes(lambda: layer(x), layer) < 12.5 * unit
    layer.with_cp = True
    assert kept_bytes(lambda: layer(x), layer) < 1.5 * unit


def test_a_checkpointed_block_on_a_processor_keeps_two_maps() -> None:
    layer = block(with_cp=True)
    x = torch.randn(2, 8, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    assert kept_bytes(lambda: layer(x), layer) < 2.5 * x.nbytes


def test_graphs_hold_the_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = block().eval(), torch.randn(1, 8, 8, 8)
    for function in (FFNInParts, DecomposeFeatures, ProjectGated):
        monkeypatch.setattr(function, 'apply', None)
    torch.jit.trace(layer, x, check_trace=False)
    exported = torch.export.export(layer, (x,))
    assert sum('conv' in str(node.target) for node in exported.graph.nodes if node.op == 'call_function') == 12
    symbolic = torch.fx.symbolic_trace(layer)
    assert {'mlp.fc1', 'mlp.act', 'attn.proj_1'} <= {node.target for node in symbolic.graph.nodes}
    with torch.no_grad():
        layer(x)


@pytest.mark.parametrize('given', ['all', 'FFN', 2])
def test_an_unknown_checkpointing_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"with_cp is .*; it must be False, True or 'ffn'"):
        MogaNet(SMALL, with_cp=given)


def test_a_checkpointed_ffn_is_not_computed_a_third_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    scaled = ChannelAggregationFFN.scaled
    monkeypatch.setattr(ChannelAggregationFFN, 'scaled', lambda *given: calls.append(1) or scaled(*given))
    x = torch.randn(2, 8, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    block(with_cp=True)(x).sum().backward()
    assert len(calls) == 1  # its backward pass computes what it needs itself


def test_layer_scales_go_into_weights_that_can_hold_them() -> None:
    x = torch.ones(1)
    assert scale_fits(x) and scale_fits(x.double())
    assert not scale_fits(x.half())  # 1e-5 times a weight is next to nothing there
    with torch.autocast('cpu', torch.bfloat16):
        assert not scale_fits(x)
