"""The benchmark of speed: what it compares is the same function, and what it tells adds up. No time is asserted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from moganet import MogaNet
from moganet.analysis import forms, throughput
from moganet.analysis.forms import Form, build_form, parse_form, plain
from moganet.analysis.throughput import measure
from moganet.deployment import load_exported
from moganet.models.fused import FusedMogaNet
from moganet.models.layers.depthwise import DepthwiseConv2d

from ..e2e.tools import TOOLS, call, script
from ..models.test_fused import DOUBLE, error, filled

TOOL = script(TOOLS / 'analysis_tools' / 'benchmark.py')
CPU = torch.device('cpu')


def test_the_plain_form_is_the_same_function_step_by_step() -> None:
    model = filled().double()
    written = plain(model)
    assert error(model, written, torch.randn(2, 3, 40, 56, dtype=torch.double)) < DOUBLE
    assert not any(isinstance(module, DepthwiseConv2d) for module in written.modules())
    assert any(isinstance(module, DepthwiseConv2d) for module in model.modules())
    seen = []
    written.float().blocks1[0].mlp.fc2.register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.no_grad():
        written(torch.randn(1, 3, 40, 40))
    assert len(seen) == 1 and seen[0].is_contiguous()  # its layers are called, in the layout of the picture


@pytest.mark.parametrize(
    ('text', 'form'),
    [
        ('tiny', Form('tiny', dtype='bf16')),
        ('xtiny+fused+channels_last+fp32', Form('xtiny', fused=True, layout='channels_last')),
        ('timm/convnext_tiny+train', Form('timm/convnext_tiny', train=True, dtype='bf16')),
        ('tiny+fused+openvino', Form('tiny', fused=True, backend='openvino', dtype='bf16')),
        ('tiny+onnx+fp32', Form('tiny', backend='onnx')),
        ('small+plain+compile+nchw', Form('small', plain=True, compile=True, dtype='bf16')),
        ('tiny+channels_last+triton', Form('tiny', layout='channels_last', dtype='bf16', kernels='triton')),
        ('tiny+fused+notriton', Form('tiny', fused=True, dtype='bf16', kernels='notriton')),
    ],
)
def test_forms(text: str, form: Form) -> None:
    assert parse_form(text, Form('', dtype='bf16')) == form
    assert parse_form(form.name, Form('')) == form


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('huge', "'huge' is no model; give one of xtiny, tiny"),
        ('tiny+fast', "'fast' is unknown; it must be one of plain, fused"),
        ('tiny+plain+fused', 'plain and fused exclude each other'),
        ('tiny+onnx+bf16', 'onnx has no bf16 here; fp32 is left, and with openvino bf16'),
        ('tiny+openvino+train', 'openvino and train exclude each other'),
        ('tiny+openvino+channels_last', 'takes its pictures as nchw'),
        ('tiny+train+fused', 'train and fused exclude each other'),
        ('timm/convnext_tiny+fused', 'are for MogaNet alone'),
        ('timm/convnext_tiny+notriton', 'are for MogaNet alone'),
        ('tiny+triton', 'triton goes with channels_last'),
        ('tiny+triton+channels_last+compile', 'neither with plain nor with compile'),
    ],
)
def test_forms_that_are_none(text: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(TOOL.main, text) == 2
    line = capsys.readouterr().err
    assert line.startswith('error: ') and told in line and line.count('\n') == 1


def test_what_cannot_be_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for words, told in (
        (('tiny', '--batch', 0), 'batch is 0; it must be at least 1'),
        (('tiny', '--device', 'abacus'), '--device abacus: '),
        (('timm/no_such',), "timm has no model 'no_such'"),
        (('xtiny+channels_last+triton', '--device', 'cpu'), 'these kernels are for GPUs, and this is cpu'),
    ):
        assert call(TOOL.main, *words) == 2
        assert told in capsys.readouterr().err
    monkeypatch.setattr(torch.ops.mkldnn, '_is_mkldnn_bf16_supported', lambda: False)
    assert call(TOOL.main, 'tiny+bf16') == 2
    assert 'bf16: this processor has no arithmetic of that precision' in capsys.readouterr().err


def test_what_is_built() -> None:
    model = build_form(Form('xtiny', fused=True, dense=True), CPU)
    assert isinstance(model, FusedMogaNet) and not model.training
    model = build_form(Form('xtiny', train=True, layout='channels_last'), CPU)
    assert model.training and model.get_submodule('backbone.patch_embed2.projection').weight.is_contiguous(
        memory_format=torch.channels_last
    )
    half = build_form(Form('xtiny', fused=True, dense=True, dtype='bf16'), CPU)
    assert {value.dtype for value in half.parameters()} == {torch.bfloat16}


def test_forms_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock gives each pass of the first form one second, and each of the second one two."""
    turns: list[str] = []

    def timed(run: Any, device: torch.device) -> float:
        run()
        return {'plain': 1.0, 'fused': 2.0}[turns[-1]]

    def forward(form: Form) -> nn.Module:
        model = MogaNet({'embed_dims': [8] * 4, 'depths': [1] * 4, 'ffn_ratios': [2] * 4}).eval()
        model.register_forward_hook(lambda *given: turns.append('fused' if form.fused else 'plain'))
        return model

    monkeypatch.setattr(throughput, '_timed', timed)
    monkeypatch.setattr(throughput, 'build_form', lambda form, device: forward(form))
    given = [Form('xtiny', dense=True, plain=True), Form('xtiny', dense=True, fused=True)]
    first, second = measure(given, batch=2, size=32, device=CPU, rounds=3, seconds=2.0)
    assert (first.seconds, second.seconds, first.rate, second.rate) == (1.0, 2.0, 2.0, 1.0)
    assert (first.samples, second.samples) == (6, 3)  # two passes a turn, and one
    timed_turns = turns[-3 * 5 - 1 : -1]  # each turn begins with a pass that does not count; the last counts operations
    assert timed_turns == ['plain'] * 3 + ['fused'] * 2 + ['plain'] * 3 + ['fused'] * 2 + ['plain'] * 3 + ['fused'] * 2


def test_kernels_are_taken_as_the_form_says(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def forward(form: Form) -> nn.Module:
        model = MogaNet({'embed_dims': [8] * 4, 'depths': [1] * 4, 'ffn_ratios': [2] * 4})
        model.register_forward_hook(lambda *given: seen.append(os.environ.get('MOGANET_TRITON')))
        return model

    monkeypatch.setenv('MOGANET_TRITON', 'auto')
    monkeypatch.setattr(throughput, 'build_form', lambda form, device: forward(form))
    told = {'notriton': '0', '': 'auto', 'triton': '1'}
    for kernels, train in (('notriton', False), ('notriton', True), ('', False), ('triton', True)):
        seen.clear()
        form = Form('xtiny', dense=True, train=train, kernels=kernels, layout='channels_last')
        measure([form], batch=2, size=32, device=CPU, rounds=1, seconds=0)
        assert set(seen[:-1]) == {told[kernels]}  # the last counts operations
        assert os.environ['MOGANET_TRITON'] == 'auto'
    seen.clear()
    measure([Form('xtiny', dense=True, plain=True)], batch=2, size=32, device=CPU, rounds=1, seconds=0)
    assert set(seen[:-1]) == {'0'}


def test_operations_and_memory() -> None:
    (infer,), (train,) = (
        measure([Form('xtiny', dense=True, train=train)], 1, 64, CPU, rounds=1, seconds=0) for train in (False, True)
    )
    weights = sum(value.nbytes for value in MogaNet('xtiny').state_dict().values())
    assert weights < infer.peak < train.peak
    # 0.782 G multiply-adds at 224 pixels, of which the classifier has 0.0002.
    assert infer.flops == pytest.approx(2 * 0.782e9 * (64 / 224) ** 2, rel=0.01) and train.flops == 3 * infer.flops


def test_the_tool_writes_a_table_data_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, '_GEMM_SIDE', 64)
    monkeypatch.setattr(throughput, '_COPIED_BYTES', 2**12)
    files = ('--json', tmp_path / 'speed.json', '--plot', tmp_path / 'speed.png')
    words = ('xtiny+plain', 'xtiny+fused', '--dense', '--size', 32, '--batch', 1, 2, '--rounds', 1, '--seconds', 0)
    assert call(TOOL.main, *words, *files) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith('| xtiny')]
    named = [(f'| xtiny+{form}', batch, '32') for batch in '12' for form in ('plain', 'fused')]
    assert [tuple(row.split(' | ')[:3]) for row in rows] == named
    data = json.loads((tmp_path / 'speed.json').read_text())
    assert [one['ratio'] for one in data['measured'][::2]] == [1, 1]
    assert data['measured'][1]['ratio'] == data['measured'][0]['seconds'] / data['measured'][1]['seconds']
    assert data['measured'][2]['images_per_second'] == 2 / data['measured'][2]['seconds']
    assert data['limits']['fp32']['flops'] > 0 < data['limits']['fp32']['bandwidth'] and 'torch' in data['machine']
    assert (tmp_path / 'speed.png').read_bytes()[1:4] == b'PNG'


def test_exported_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = filled()
    monkeypatch.setattr(forms, '_model', lambda form: model)
    opened = []

    def load(path: Path, *given: Any) -> Any:
        opened.append((path.suffix, *given))
        return load_exported(path, *given)

    monkeypatch.setattr(throughput, 'load_exported', load)
    form = Form('xtiny', fused=True, backend='openvino')
    work = throughput._work(form, 2, 32, CPU)
    for ours, theirs in zip(work.run(), model(work.x)):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert throughput._peak(work, CPU) == 0 and opened == [('.xml', 1, 'fp32')]
    with pytest.raises(ValueError, match='give --device cpu'):
        throughput._exported(form, model, torch.empty(1, 3, 32, 32, device='meta'))
