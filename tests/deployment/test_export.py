from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from moganet import MogaNet
from moganet.deployment import FORMATS, export_model, load_exported
from moganet.deployment import export as exporting
from moganet.deployment.export import DiffersError
from moganet.deployment.formats import find_format
from moganet.deployment.parts import network_of
from moganet.deployment.tracing import trace
from moganet.deployment.writers import onnx_of
from moganet.models.classifier import MogaNetClassifier
from moganet.models.fused import fuse

from .nets import SMALL, backbone, pictures, random_statistics


@pytest.fixture(scope='module')
def model() -> MogaNet:
    return backbone(gate_act_twice=True)


@pytest.mark.parametrize('name', FORMATS)
def test_every_format_takes_other_pictures(name: str, model: MogaNet, tmp_path: Path) -> None:
    path = tmp_path / f'model{FORMATS[name].suffix}'
    made = export_model(model, FORMATS[name], path, pictures(), metadata={'config': 'some', 'classes': '["a", "b"]'})
    assert made.kind == 'backbone' and made.size is None and made.notes == ()
    assert max(each.relative for each in made.differences) < 1e-5
    assert {each.output for each in made.differences} == {f'map_{stage}' for stage in range(4)}
    exported = load_exported(path, threads=1)
    assert exported.names == ('map_0', 'map_1', 'map_2', 'map_3')
    told = exported.metadata
    assert told['config'] == 'some' and json.loads(told['classes']) == ['a', 'b']
    assert told['variant'] == 'custom' and told['gate_act_twice'] == 'True' and told['fused'] == 'True'
    # Maps of one pixel, and a size that no stride divides.
    for x in (torch.randn(1, 3, 32, 33), torch.randn(3, 3, 70, 101)):
        for ours, theirs in zip(exported(x), model(x)):
            assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted({path.name, *_weights(name)})


def _weights(name: str) -> list[str]:
    return ['model.bin'] if name == 'openvino' else []


def test_one_operator_for_gelu_and_plain_convolutions(model: MogaNet) -> None:
    traced = trace(network_of(exporting._fused(model))[0], (64, 64))
    proto = onnx_of(traced, {'a': 'b'})
    kinds = [node.op_type for node in proto.graph.node]
    blocks = 4
    assert kinds.count('Gelu') == 2 * blocks + 1 and 'Erf' not in kinds and 'Pow' not in kinds
    assert not {'Gemm', 'MatMul', 'Transpose', 'Reshape', 'Pad', 'BatchNormalization'} & set(kinds)
    assert [entry.key for entry in proto.metadata_props] == ['moganet.a']
    axes = [axis.dim_param or axis.dim_value for axis in proto.graph.input[0].type.tensor_type.shape.dim]
    assert axes == ['batch', 3, 'height', 'width']
    assert b'/moganet/' not in proto.SerializeToString()  # where torch read each operator


def test_what_differs_is_not_kept(model: MogaNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(given: nn.Module) -> nn.Module:
        made = fuse(given)
        with torch.no_grad():
            next(made.parameters()).mul_(1.1)
        return made

    path = tmp_path / 'model.onnx'
    path.write_text('what was there')
    monkeypatch.setattr(exporting, 'fuse', wrong)
    with pytest.raises(DiffersError, match='differs from the model in torch, and was not kept: map_'):
        export_model(model, FORMATS['onnx'], path, pictures())
    assert [file.name for file in tmp_path.iterdir()] == ['model.onnx'] and path.read_text() == 'what was there'


def test_a_size_and_a_number_of_its_own(model: MogaNet, tmp_path: Path) -> None:
    path = tmp_path / 'model.onnx'
    made = export_model(model, FORMATS['onnx'], path, pictures(1), fused=False, shape=(48, 40), batch=2)
    assert made.size == (48, 40) and [each.shape for each in made.differences] == [(2, 3, 48, 40)] * 4
    exported = load_exported(path)
    assert exported.metadata['fused'] == 'False'
    with pytest.raises(ValueError, match=r'takes no pictures of shape \(1, 3, 48, 40\)'):
        exported(torch.zeros(1, 3, 48, 40))


def test_a_whole_classifier(tmp_path: Path) -> None:
    model = random_statistics(MogaNetClassifier(SMALL, num_classes=5, gate_act_twice=False))
    path = tmp_path / 'model.xml'
    made = export_model(model, FORMATS['openvino'], path, pictures())
    assert made.kind == 'model'
    x = torch.randn(2, 3, 64, 64)
    assert load_exported(path)(x)[0].shape == model(x).shape == (2, 5)


class TestRefused:
    def test_formats_and_files(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="format 'onx' is unknown.*did you mean 'onnx'"):
            find_format('onx')
        with pytest.raises(ValueError, match='no exported model by its name.*.pt2'):
            load_exported(tmp_path / 'model.pth')
        with pytest.raises(FileNotFoundError, match='no such exported model'):
            load_exported(tmp_path / 'model.onnx')
        for form in FORMATS.values():
            torn = tmp_path / f'torn{form.suffix}'
            torn.write_bytes(b'nothing')
            with pytest.raises(ValueError, match='torn.* cannot be read'):
                load_exported(torn)

    def test_arguments(self, tmp_path: Path) -> None:
        path = tmp_path / 'model.onnx'
        path.touch()
        with pytest.raises(ValueError, match='threads is 0'):
            load_exported(path, threads=0)
        with pytest.raises(ValueError, match="precision is 'bf16'"):
            load_exported(path, precision='bf16')

    @pytest.mark.parametrize('x', [torch.zeros(3, 64, 64), torch.zeros(1, 3, 64, 64, dtype=torch.float64)])
    def test_pictures(self, x: Tensor, model: MogaNet, tmp_path: Path) -> None:
        class Never(exporting.load_exported.__globals__['ExportedModel']):  # type: ignore[misc]
            def _run(self, x: Tensor) -> tuple[Tensor, ...]:
                raise AssertionError

        with pytest.raises(ValueError, match=r'float32 \(N, C, H, W\) is needed'):
            Never()(x)

    def test_a_package_that_is_not_there(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / 'model.xml'
        path.touch()
        monkeypatch.setitem(sys.modules, 'openvino', None)
        with pytest.raises(ImportError, match='needs openvino, which cannot be imported here.*pip install'):
            load_exported(path)

    def test_no_moganet(self) -> None:
        with pytest.raises(ValueError, match='Conv2d has no MogaNet in it'):
            network_of(nn.Conv2d(3, 3, 1))
        with pytest.raises(ValueError, match="part 'neck' is unknown"):
            network_of(backbone(), 'neck')

    def test_a_shape_that_the_head_cannot_take(self) -> None:
        model: Any = nn.Sequential(backbone(out_indices=3))
        model.append(_First()).append(nn.Flatten()).append(nn.Linear(16 * 4, 3))
        network, _ = network_of(model.eval())
        with pytest.raises(ValueError, match='takes no pictures of 96 x 64 pixels: RuntimeError: mat1 and mat2'):
            trace(network, (96, 64))
        traced = trace(network, (64, 64))
        assert traced.size == (64, 64) and 'exported for pictures of 64 x 64 alone' in traced.note


    def test_a_size_that_became_a_number(self) -> None:
        """Torch notes it in guards alone, and ONNX would be wrong without a word for all other sizes."""
        model = nn.Sequential(backbone(out_indices=3), _First(), _Enlarged()).eval()
        traced = trace(network_of(model)[0], (64, 64))
        assert traced.size == (64, 64) and 'Guard failed' in traced.note


class _Enlarged(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, [int(side * 2.0) for side in x.shape[2:]])


class _First(nn.Module):
    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        return maps[0]
