"""When a step is left to a kernel for GPUs: on a processor that is taken for one, with kernels that are not run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from moganet import MogaNet
from moganet.models.layers import gpu, gpu_choice
from moganet.models.layers.gated_aggregation import gated_product
from moganet.models.layers.gpu import gate_product, multi_order_context
from moganet.models.layers.multi_order_dwconv import MultiOrderDWConv

TAKEN = 'by a kernel'


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Take the processor for a GPU on which kernels are wanted without a trial; that one would run is told apart."""
    monkeypatch.setattr(gpu_choice, '_DEVICES', ('cpu',))
    monkeypatch.setattr(gpu_choice, '_choices', {})
    monkeypatch.setenv('MOGANET_TRITON', '1')
    monkeypatch.setattr(gpu_choice, '_has_triton', lambda: True)
    monkeypatch.setattr(gpu.functions, 'multi_order_depthwise', lambda *given: TAKEN)
    monkeypatch.setattr(gpu.functions, 'gate_product', lambda *given: TAKEN)
    yield monkeypatch


def last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def layers_of(model: MultiOrderDWConv) -> tuple[nn.Conv2d, ...]:
    return model.DW_conv0, model.DW_conv1, model.DW_conv2


def takes(x: Tensor, model: MultiOrderDWConv | None = None) -> bool:
    found = multi_order_context(x, layers_of(model or MultiOrderDWConv(8)))
    assert found is None or found == TAKEN
    return found is not None


X = last(torch.randn(2, 8, 5, 6))


def test_taken_where_it_fits(wanted: pytest.MonkeyPatch) -> None:
    assert takes(X) and takes(last(torch.randn(1, 8, 1, 1)))
    assert takes(X.bfloat16(), MultiOrderDWConv(8).bfloat16()) and takes(X.half(), MultiOrderDWConv(8).half())
    assert gate_product(X, X, False) == TAKEN and gate_product(X.contiguous(), X.contiguous(), True) == TAKEN
    with torch.autocast('cpu', torch.bfloat16):
        assert takes(X) and takes(X.bfloat16())


def test_precision_under_autocast(wanted: pytest.MonkeyPatch) -> None:
    """The map gets autocast's; the weights stay as they are, and are rounded for the plain form alone."""
    given: list[torch.dtype] = []

    def spied(x: Tensor, parameters: list[Tensor], dilations: list[int]) -> str:
        given.extend((x.dtype, *(value.dtype for value in parameters)))
        return TAKEN

    wanted.setattr(gpu.functions, 'multi_order_depthwise', spied)
    model = MultiOrderDWConv(8)
    with torch.autocast('cpu', torch.bfloat16):
        assert takes(X, model)
    assert given == [torch.bfloat16, *[torch.float32] * 6]
    parameters = [value for layer in layers_of(model) for value in (layer.weight, layer.bias)]
    assert gpu.functions.plain_depthwise(X.bfloat16(), parameters, (1, 2, 3)).dtype == torch.bfloat16


def test_processor_keeps_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_TRITON', '1')
    assert not takes(X) and gate_product(X, X, False) is None
    MogaNet(dict(embed_dims=(8, 8, 8, 8), depths=(1, 1, 1, 1), ffn_ratios=(2, 2, 2, 2)))(torch.randn(2, 3, 32, 32))
    assert 'moganet.models.layers.triton_kernels' not in sys.modules


@pytest.mark.parametrize(
    'x',
    [X.contiguous(), X[:, :, :, ::2], X.double(), X.bfloat16(), last(torch.randn(2, 16, 5, 5)), X[:0]],
    ids=['channels first', 'gaps', 'float64', 'not the precision of the weights', 'other channels', 'empty'],
)
def test_map_that_does_not_fit(wanted: pytest.MonkeyPatch, x: Tensor) -> None:
    assert not takes(x)


def test_map_of_too_many_elements(wanted: pytest.MonkeyPatch) -> None:
    wanted.setattr(gpu, '_MOST_ELEMENTS', X.numel())
    assert takes(X) and gate_product(X, X, False) == TAKEN
    wanted.setattr(gpu, '_MOST_ELEMENTS', X.numel() - 1)
    assert not takes(X) and gate_product(X, X, False) is None


def _hooked(model: MultiOrderDWConv) -> None:
    model.DW_conv1.register_forward_hook(lambda *given: None)


def _hooked_backward(model: MultiOrderDWConv) -> None:
    model.DW_conv1.register_full_backward_hook(lambda *given: None)


def _replaced(model: MultiOrderDWConv) -> None:
    model.DW_conv0 = type('Other', (nn.Conv2d,), {})(8, 8, 5, padding=2, groups=8)


def _without_bias(model: MultiOrderDWConv) -> None:
    model.DW_conv2.bias = None


def _strided(model: MultiOrderDWConv) -> None:
    model.DW_conv0.stride = (2, 2)


def _reflecting(model: MultiOrderDWConv) -> None:
    model.DW_conv0.padding_mode = 'reflect'


def _oblong(model: MultiOrderDWConv) -> None:
    model.DW_conv0.dilation = (1, 2)


def _mixed(model: MultiOrderDWConv) -> None:
    model.DW_conv1.bfloat16()


def _parametrized(model: MultiOrderDWConv) -> None:
    nn.utils.parametrizations.weight_norm(model.DW_conv0)


@pytest.mark.parametrize(
    'change',
    [
        _hooked, _hooked_backward, _replaced, _without_bias, _strided, _reflecting, _oblong, _mixed, _parametrized,
    ],
)  # fmt: skip
def test_layer_that_somebody_changed_is_called(
    wanted: pytest.MonkeyPatch, change: Callable[[MultiOrderDWConv], None]
) -> None:
    model = MultiOrderDWConv(8)
    assert takes(X, model)
    change(model)
    assert not takes(X, model)


def test_gate_of_maps_that_differ(wanted: pytest.MonkeyPatch) -> None:
    for other in (X.contiguous(), X.bfloat16(), X[:1], X[:, :, :, :1]):
        assert gate_product(X, other, False) is None
    assert gate_product(X.double(), X.double(), False) is None
    assert gate_product(X[:, ::2], X[:, ::2], False) is None


class Subclass(Tensor):
    """A tensor of somebody else's."""


def test_stays_away_where_operators_are_followed(wanted: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def ask(x: Tensor) -> Tensor:
        seen.append(gate_product(x, x, False) is not None)
        return x.sum()

    torch.func.vmap(ask)(last(torch.randn(3, 2, 8, 4, 4).flatten(0, 1)).unflatten(0, (3, 2)))
    torch.func.grad(ask)(X)
    torch.func.vmap(torch.func.grad(ask))(X[:, None])
    with forward_ad.dual_level():
        ask(X)
    with FlopCounterMode(display=False):
        ask(X)
    ask(X.as_subclass(Subclass))
    ask(torch.nn.Parameter(X.double()))
    assert seen == [False] * 7
    assert not gpu_choice.may_take(X.as_subclass(Subclass))
    ask(X)
    assert seen[-1]


def plain(x: Tensor, model: MultiOrderDWConv) -> Tensor:
    low, middle, high = model.DW_conv0(x).split(model.splits, dim=1)
    return model.PW_conv(torch.cat([low, model.DW_conv1(middle), model.DW_conv2(high)], dim=1))


class Both(nn.Module):
    """Both steps."""

    def __init__(self) -> None:
        super().__init__()
        self.value = MultiOrderDWConv(8)

    def forward(self, x: Tensor) -> Tensor:
        return gated_product(x, self.value(x), False)


def _compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.compile(model, backend='eager', fullgraph=True)


def _exported(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.export.export(model, (X,)).module()


def _symbolic(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.fx.symbolic_trace(model)


def _traced(model: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.jit.trace(model, X, check_trace=False)


@pytest.mark.parametrize('transform', [_compiled, _exported, _symbolic, _traced])
def test_graphs_hold_the_plain_form(
    wanted: pytest.MonkeyPatch, transform: Callable[[nn.Module], Callable[[Tensor], Tensor]]
) -> None:
    model = Both()
    with pytest.raises(TypeError):  # by what stands here for a kernel's result
        model(X)
    expected = F.silu(X) * F.silu(plain(X, model.value))
    # Traced convolutions are summed in another order than dilated ones on a processor.
    torch.testing.assert_close(transform(model)(X), expected, rtol=1e-4, atol=1e-5)


class Trial:
    """Two forms of one function, and a clock that says what it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch, ours: float, plain: float) -> None:
        self.times, self.timed = {'ours': ours, 'plain': plain}, 0
        self.form = lambda x: x * 2
        patch.setenv('MOGANET_TRITON', 'auto')
        patch.setattr(gpu_choice, '_milliseconds', self.clock)

    def ours(self, x: Tensor) -> Tensor:
        return self.form(x)

    def plain(self, x: Tensor) -> Tensor:
        return x * 2

    def clock(self, run: Callable[[], object]) -> float:
        run()
        self.timed += 1
        return self.times['ours' if self.timed % 2 else 'plain']

    def is_faster(self, *key: object, x: Tensor = X) -> bool:
        return gpu_choice.is_faster(key or ('one',), self.ours, self.plain, (x,))


@pytest.mark.parametrize(
    ('ours', 'plain', 'expected'), [(1.0, 2.0, True), (2.0, 1.0, False), (0.99, 1.0, False), (1.0, 1.0, False)]
)
def test_choice_follows_the_clock_and_is_made_once(
    wanted: pytest.MonkeyPatch, ours: float, plain: float, expected: bool
) -> None:
    trial = Trial(wanted, ours, plain)
    assert [trial.is_faster() for _ in range(3)] == [expected] * 3 and trial.timed == 2
    trial.is_faster('another')
    assert trial.timed == 4


def test_both_directions_are_chosen_apart(wanted: pytest.MonkeyPatch) -> None:
    trial, x = Trial(wanted, 1, 2), X.clone().requires_grad_()
    assert trial.is_faster(x=X) and trial.timed == 2
    assert trial.is_faster(x=x) and trial.timed == 4 and x.grad is None
    with torch.no_grad():
        assert trial.is_faster(x=x) and trial.timed == 4


def test_kernel_that_is_wrong_is_not_taken(wanted: pytest.MonkeyPatch) -> None:
    trial = Trial(wanted, 1, 2)
    for form in (lambda x: x * 3, lambda x: x * float('nan'), lambda x: x.detach() * 2 + x * 0):
        trial.form = form
        with pytest.warns(UserWarning, match='is not taken, it differs from the plain form; MOGANET_TRITON=0'):
            assert not trial.is_faster(form, x=X.clone().requires_grad_())
    assert trial.timed == 0
    # Of a map that is not finite nothing can be told.
    trial.form = trial.plain
    assert trial.is_faster(x=X * float('inf'))


def test_kernel_that_fails_is_not_taken(wanted: pytest.MonkeyPatch) -> None:
    trial = Trial(wanted, 1, 2)

    def fails(x: Tensor) -> Tensor:
        raise RuntimeError('no such instruction')

    trial.form = fails
    with pytest.warns(UserWarning, match='RuntimeError: no such instruction'):
        assert not trial.is_faster()
    assert not trial.is_faster()  # and is not said again


def test_trial_leaves_no_trace(wanted: pytest.MonkeyPatch) -> None:
    """Random numbers, and hooks of saved tensors: checkpointing counts them."""
    trial, packed = Trial(wanted, 1, 2), []
    trial.form = lambda x: x.square() / x * 2
    before = torch.get_rng_state()
    with torch.autograd.graph.saved_tensors_hooks(packed.append, lambda x: x):
        trial.is_faster(x=X.clone().requires_grad_())
    assert trial.timed == 2 and not packed and torch.equal(before, torch.get_rng_state())


def test_nothing_is_tried_while_a_graph_is_captured(wanted: pytest.MonkeyPatch) -> None:
    trial = Trial(wanted, 1, 2)
    wanted.setattr(gpu_choice, '_is_capturing', lambda device: True)
    assert not trial.is_faster() and trial.timed == 0
    wanted.setattr(gpu_choice, '_is_capturing', lambda device: False)
    assert trial.is_faster()
    wanted.setattr(gpu_choice, '_is_capturing', lambda device: True)
    assert trial.is_faster() and trial.timed == 2


def test_environment_decides(wanted: pytest.MonkeyPatch) -> None:
    trial = Trial(wanted, 2, 1)
    wanted.setenv('MOGANET_TRITON', '1')
    assert gpu_choice.may_take(X) and trial.is_faster() and trial.timed == 0
    wanted.setenv('MOGANET_TRITON', '0')
    assert not gpu_choice.may_take(X)
    for unset in ('auto', ''):
        wanted.setenv('MOGANET_TRITON', unset)
        assert gpu_choice.may_take(X) and not trial.is_faster()
    wanted.delenv('MOGANET_TRITON')
    assert gpu_choice.may_take(X)
    wanted.setenv('MOGANET_TRITON', 'yes')
    with pytest.raises(ValueError, match="MOGANET_TRITON is 'yes' .* it must be 0, 1 or auto"):
        gpu_choice.may_take(X)


def test_a_run_that_must_repeat_itself_trusts_no_clock(wanted: pytest.MonkeyPatch) -> None:
    wanted.setenv('MOGANET_TRITON', 'auto')
    assert gpu_choice.may_take(X)
    wanted.setattr(torch.backends.cudnn, 'deterministic', True)
    assert not gpu_choice.may_take(X)
    wanted.setattr(torch.backends.cudnn, 'deterministic', False)
    wanted.setattr(torch, 'are_deterministic_algorithms_enabled', lambda: True)
    assert not gpu_choice.may_take(X)
    wanted.setenv('MOGANET_TRITON', '1')
    assert gpu_choice.may_take(X)


def test_without_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_choice, '_DEVICES', ('cpu',))
    monkeypatch.setitem(sys.modules, 'triton', None)  # an import of it fails
    monkeypatch.delenv('MOGANET_TRITON', raising=False)
    gpu_choice._has_triton.cache_clear()
    try:
        assert not gpu_choice.may_take(X) and gate_product(X, X, False) is None and not takes(X)
        monkeypatch.setenv('MOGANET_TRITON', '1')
        with pytest.raises(ImportError, match='MOGANET_TRITON=1 needs triton, .*pip install'):
            gpu_choice.may_take(X)
    finally:
        gpu_choice._has_triton.cache_clear()
