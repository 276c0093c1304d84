"""Runs Triton's kernels in its interpreter, and prints what is wrong with their results; ``test_triton.py`` reads it.

Triton looks at ``TRITON_INTERPRET`` once, while it is imported, and is then of no use to anybody else: this is a
process of its own. Each line is the name of a case and its errors by quantity, each the largest difference to float64
over the largest value; or its traceback.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

os.environ['TRITON_INTERPRET'] = '1'

import torch
from torch import Tensor

from moganet.models.layers import MogaBlock, MultiOrderGatedAggregation, gpu_choice, triton_kernels
from moganet.models.layers import gpu_functions as functions
from moganet.models.layers.folding import Affine
from moganet.models.layers.fused_block import FusedBlock
from moganet.models.layers.gpu import gate_product

DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}
NAMES = ('out', 'x', 'weight 0', 'bias 0', 'weight 1', 'bias 1', 'weight 2', 'bias 2')

# Samples, height, width; middle and high channels of all; kernels; dilations. Tiles are 8x8 pixels and 32 channels,
# sums of the weights' gradients begin with 64 pixels. The interpreter takes a hundredth of a second for a tap.
PAPER = ((1, 7, 5), (1, 3, 4), (5, 5, 7), (1, 2, 3))
WIDE = ((2, 9, 9), (2, 3, 36), (3, 1, 3), (2, 1, 4))
POINT = ((2, 1, 1), (1, 1, 1), (3, 3, 3), (1, 2, 1))

Case = Callable[[], dict[str, float]]
Geometry = tuple[Sequence[int], Sequence[int], Sequence[int], Sequence[int]]


def random(*shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape).mul(scale).to(dtype).requires_grad_()


def inputs(geometry: Geometry, dtype: torch.dtype) -> list[Tensor]:
    (samples, *size), splits, sides, _ = geometry
    found = [random(samples, sum(splits), *size, dtype=dtype)]
    for channels, side in zip((sum(splits), *splits[1:]), sides):
        found += [random(channels, 1, side, side, scale=1 / side, dtype=dtype), random(channels, dtype=dtype)]
    return found


def errors(names: Sequence[str], found: Sequence[Tensor], expected: Sequence[Tensor]) -> dict[str, float]:
    told = {}
    for name, one, other in zip(names, found, expected):
        if one.shape != other.shape:
            raise ValueError(f'{name} is of shape {tuple(one.shape)}, not {tuple(other.shape)}')
        told[name] = float((one.detach().double() - other).abs().max() / other.detach().abs().max().clamp_min(1e-30))
    return told


def in_double(values: Sequence[Tensor]) -> list[Tensor]:
    return [value.detach().double().requires_grad_(value.requires_grad) for value in values]


def depthwise(geometry: Geometry, dtype: str, weights: str | None = None) -> dict[str, float]:
    given = inputs(geometry, DTYPES[dtype])
    if weights:
        given[1:] = [value.detach().to(DTYPES[weights]).requires_grad_() for value in given[1:]]
    return against_plain(given, geometry)


def against_plain(given: Sequence[Tensor], geometry: Geometry) -> dict[str, float]:
    dilations, double = geometry[3], in_double(given)
    expected = functions.plain_depthwise(double[0], double[1:], dilations)
    out = functions.multi_order_depthwise(given[0], given[1:], dilations)
    assert out.dtype == given[0].dtype and out.is_contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(expected.shape).to(out.dtype)
    found = torch.autograd.grad(out, given, gradient)
    assert [value.dtype for value in found] == [value.dtype for value in given]
    told = errors(NAMES, (out, *found), (expected, *torch.autograd.grad(expected, double, gradient.double())))
    if out.dtype is torch.float16:
        # The low channels are sums that are rounded once, if that is of float32: the share that is not the nearest
        # float16. The interpreter makes bfloat16 by cutting digits off, so that there it cannot be told.
        low = out.shape[1] - len(given[3]) - len(given[5])
        told['rounding'] = float((out[:, :low] != expected[:, :low].to(out.dtype)).double().mean())
    return told


def strided() -> dict[str, float]:
    """A map with gaps in memory, and a weight that is a view of a wider one."""
    (samples, height, width), splits, *_ = geometry = ((2, 3, 9), (1, 2, 2), (3, 3, 3), (1, 1, 2))
    given = inputs(geometry, torch.float32)
    given[0] = torch.randn(samples, 2 * sum(splits), height, width + 1)[:, ::2, :, 1:].requires_grad_()
    given[3] = torch.randn(2, 1, 3, 6)[..., ::2].requires_grad_()
    return against_plain(given, geometry)


def many_sums() -> dict[str, float]:
    """More partial sums than are added up at once, of which the last are of nothing: 40, of 3 pixels each, for 99."""
    geometry = ((1, 9, 11), (1, 1, 2), (3, 1, 3), (1, 1, 2))
    with mock.patch.multiple(triton_kernels, _FEWEST_PIXELS=2, _PROGRAMS=80):
        return against_plain(inputs(geometry, torch.float32), geometry)


def frozen() -> dict[str, float]:
    """Only what wants a gradient gets one, and that one is right."""
    geometry = ((1, 3, 4), (1, 2, 2), (3, 3, 3), (1, 1, 2))
    told = {}
    for at, name in enumerate(NAMES[1:]):
        given = [value.requires_grad_(place == at) for place, value in enumerate(inputs(geometry, torch.float32))]
        double = in_double(given)
        functions.multi_order_depthwise(given[0], given[1:], geometry[3]).square().sum().backward()
        functions.plain_depthwise(double[0], double[1:], geometry[3]).square().sum().backward()
        told |= errors([name], [given[at].grad], [double[at].grad])
        assert [place for place, value in enumerate(given) if value.grad is not None] == [at]
    return told


def repeated() -> dict[str, float]:
    geometry = ((2, 7, 5), (1, 1, 2), (3, 1, 3), (1, 1, 2))
    given = inputs(geometry, torch.float32)

    def run() -> list[Tensor]:
        out = functions.multi_order_depthwise(given[0], given[1:], geometry[3])
        return [out, *torch.autograd.grad(out, given, out.detach())]

    return {name: float(not torch.equal(one, other)) for name, one, other in zip(NAMES, run(), run())}


def gate(dtype: str, twice: bool, layouts: Sequence[torch.memory_format]) -> dict[str, float]:
    given = [random(2, 5, 11, 13, scale=3, dtype=DTYPES[dtype]) for _ in range(2)]
    given = [x.detach().contiguous(memory_format=kind).requires_grad_() for x, kind in zip(given, layouts)]
    double = in_double(given)
    expected, out = functions.plain_gate(*double, twice), functions.gate_product(*given, twice)
    assert out.stride() == given[0].stride() and out.dtype == given[0].dtype
    gradient = torch.randn(expected.shape).to(out.dtype)
    found = torch.autograd.grad(out, given, gradient)
    return errors(
        ('out', 'gate', 'value'), (out, *found), (expected, *torch.autograd.grad(expected, double, gradient.double()))
    )


def second_order() -> dict[str, float]:
    """Gradients of a norm of the gradients, as a penalty on them takes."""

    def penalty(out: Tensor, given: Sequence[Tensor]) -> list[Tensor]:
        first = torch.autograd.grad(out.square().sum(), given, create_graph=True)
        return list(torch.autograd.grad(sum(value.square().sum() for value in first), given))

    geometry = ((1, 3, 4), (1, 1, 2), (3, 3, 3), (1, 2, 1))
    given = inputs(geometry, torch.float32)
    double = in_double(given)
    found = penalty(functions.multi_order_depthwise(given[0], given[1:], geometry[3]), given)
    told = errors(NAMES[1:], found, penalty(functions.plain_depthwise(double[0], double[1:], geometry[3]), double))
    given = [random(1, 2, 3, 4) for _ in range(2)]
    double = in_double(given)
    found = penalty(functions.gate_product(*given, True), given)
    return told | errors(('gate', 'value'), found, penalty(functions.plain_gate(*double, True), double))


@contextmanager
def taken(wanted: str) -> Iterator[list[str]]:
    """Let the kernels have maps of a processor; tell which were run."""
    runs: list[str] = []

    def spied(name: str) -> Callable[..., object]:
        real = getattr(triton_kernels, name)
        return lambda *given: (runs.append(name), real(*given))[1]

    names = ('convolve', 'convolve_back', 'weight_gradients', 'gate', 'gate_gradients')
    with (
        mock.patch.object(gpu_choice, '_DEVICES', ('cpu',)),
        mock.patch.dict(os.environ, {gpu_choice.VARIABLE: wanted}),
        mock.patch.multiple(triton_kernels, **{name: spied(name) for name in names}),
    ):
        yield runs


def layer(autocast: bool) -> dict[str, float]:
    """The whole gated aggregation, in training."""
    model = MultiOrderGatedAggregation(8, gate_act_twice=True).to(memory_format=torch.channels_last)
    x = random(1, 8, 5, 4).detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    given = [x, *model.parameters()]

    def run() -> list[Tensor]:
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            out = model(x)
        return [out, *torch.autograd.grad(out.float().square().sum(), given)]

    with taken('1') as runs:
        found = run()
    assert sorted(runs) == sorted(
        ['convolve', 'convolve', 'gate', 'gate', 'gate_gradients', 'convolve_back', 'convolve_back']
        + ['weight_gradients', 'weight_gradients']
    ), runs
    names = ['out', 'x', *(name for name, _ in model.named_parameters())]
    return errors(names, found, [value.double() for value in run()])


def fused() -> dict[str, float]:
    block = MogaBlock(8, 2, norm_cfg=dict(type='BN'), act_cfg=dict(type='GELU')).eval()
    block.layer_scale_1.data.fill_(1)
    model = FusedBlock(block, Affine(torch.ones(8).double(), torch.zeros(8).double()))
    x = torch.randn(1, 8, 5, 4).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), taken('1') as runs:
        found = model(x)
    assert runs == ['convolve', 'convolve', 'gate'], runs
    with torch.no_grad():
        found = found * model.meant.scale[:, None, None] + model.meant.shift[:, None, None]
        return errors(['out'], [found], [block(x).double()])


def tried() -> dict[str, float]:
    """What is taken after a trial, whose own steps leave no trace."""
    given = [random(1, 2, 3, 4) for _ in range(2)]
    with taken('auto') as runs, mock.patch.object(gpu_choice, '_milliseconds', mock.Mock(side_effect=[1.0, 2.0])):
        out = gate_product(*given, False)
    assert out is not None and runs == ['gate', 'gate_gradients', 'gate'] and given[0].grad is None, runs
    return errors(['out'], [out], [functions.plain_gate(*in_double(given), False)])


def cases() -> dict[str, Case]:
    """Return all cases by name; the last word says what errors are allowed."""
    last, first = torch.channels_last, torch.contiguous_format
    found: dict[str, Case] = {}
    for dtype in DTYPES:
        for name, geometry in (('paper', PAPER), ('point', POINT)):
            found[f'{name} {dtype}'] = lambda geometry=geometry, dtype=dtype: depthwise(geometry, dtype)
        for twice in (False, True):
            found[f'gate{" twice" * twice} {dtype}'] = lambda dtype=dtype, twice=twice: gate(dtype, twice, (last, last))
    found |= {
        'wide float32': lambda: depthwise(WIDE, 'float32'),
        'half map with single weights bfloat16': lambda: depthwise(POINT, 'bfloat16', 'float32'),
        'strided float32': strided,
        'many sums float32': many_sums,
        'frozen float32': frozen,
        'repeated exact': repeated,
        'gate channels first float32': lambda: gate('float32', True, (first, first)),
        'gate layouts apart float32': lambda: gate('float32', True, (last, first)),
        'second order float32': second_order,
        'layer float32': lambda: layer(False),
        'layer autocast bfloat16': lambda: layer(True),
        'fused float32': fused,
        'tried float32': tried,
    }
    return found


def main() -> None:
    wanted = sys.argv[1:] or cases()
    for name, case in cases().items():
        if name in wanted:
            torch.manual_seed(0)
            try:
                print(json.dumps({name: case()}), flush=True)
            except Exception:
                print(json.dumps({name: traceback.format_exc()}), flush=True)


if __name__ == '__main__':
    torch.set_num_threads(1)
    main()
