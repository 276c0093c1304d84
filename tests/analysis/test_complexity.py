"""What the counter of mmcv 1.x counts, layer by layer, by hand; whole models are held against the authors' tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from moganet.analysis import count, default_shape
from moganet.analysis.complexity import _authors_rule, _count_as_authors, _Whole

from ..e2e.tools import REPO, TOOLS, call, script

FLOPS = script(TOOLS / 'analysis_tools' / 'get_flops.py')
TINY = REPO / 'configs/classification/moganet-tiny_8xb128_in1k.py'


# A map of 6 channels, 10 x 12; the third value is what mmcv 1.x counts.
LAYERS: list[tuple[nn.Module, tuple[int, ...], int]] = [
    (nn.Conv2d(6, 4, 3, padding=1), (1, 6, 10, 12), 10 * 12 * 4 * (9 * 6 + 1)),
    (nn.Conv2d(6, 4, 3, padding=1, stride=2, bias=False), (1, 6, 10, 12), 5 * 6 * 4 * 9 * 6),
    (nn.Conv2d(6, 6, 5, groups=6, padding=2), (1, 6, 10, 12), 10 * 12 * 6 * (25 + 1)),
    (nn.ConvTranspose2d(6, 4, 2, stride=2), (1, 6, 10, 12), 10 * 12 * 6 * 4 * 4 + 20 * 24 * 4),
    (nn.Linear(6, 5), (3, 6), 3 * 6 * 5),
    (nn.BatchNorm2d(6), (1, 6, 10, 12), 2 * 720),
    (nn.BatchNorm2d(6, affine=False), (1, 6, 10, 12), 720),
    (nn.GroupNorm(2, 6), (1, 6, 10, 12), 2 * 720),
    (nn.LayerNorm(12), (1, 6, 10, 12), 2 * 720),
    (nn.ReLU(), (1, 6, 10, 12), 720),
    (nn.MaxPool2d(2), (1, 6, 10, 12), 720),
    (nn.AdaptiveAvgPool2d(2), (1, 6, 10, 12), 720),
    (nn.Upsample(scale_factor=2), (1, 6, 10, 12), 4 * 720),
    (nn.Conv1d(6, 4, 3), (1, 6, 12), 10 * 4 * (3 * 6 + 1)),
    (nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2, bias=False), (1, 6, 10, 12), 10 * 12 * 6 * 4 * 2),
    (nn.BatchNorm1d(6), (1, 6, 12), 2 * 72),
    (nn.InstanceNorm2d(6, affine=True), (1, 6, 10, 12), 2 * 720),
    (nn.InstanceNorm2d(6), (1, 6, 10, 12), 720),
    *((layer, (1, 6, 10, 12), 720) for layer in (nn.PReLU(), nn.ELU(), nn.LeakyReLU(), nn.ReLU6())),
    (nn.AvgPool2d(2), (1, 6, 10, 12), 720),
    (nn.AdaptiveMaxPool2d(2), (1, 6, 10, 12), 720),
]


@pytest.mark.parametrize(('layer', 'shape', 'expected'), LAYERS, ids=[str(layer) for layer, _, _ in LAYERS])
def test_layers(layer: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    rule = _authors_rule(layer)
    x = torch.zeros(shape)
    assert rule is not None and rule(layer.eval(), x, layer(x)) == expected


@pytest.mark.parametrize('layer', [nn.GELU(), nn.SiLU(), nn.SyncBatchNorm(6), nn.Softmax(1), nn.Dropout()])
def test_layers_that_it_does_not_know(layer: nn.Module) -> None:
    assert _authors_rule(layer) is None


@MODELS.register_module(name='CountedPair')
class Pair(nn.Module):
    """Two convolutions, the second of which is run twice; it cannot be built without memory."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.scale = torch.ones(1).item()

    def forward(self, image: torch.Tensor, data_samples: Any, mode: str) -> torch.Tensor:
        assert mode == 'tensor' and image.device.type == 'meta'
        return self.second(self.second(self.first(image)))


def test_a_layer_counts_as_often_as_it_is_run() -> None:
    found = count(Config({'model': {'type': 'CountedPair'}}), (5, 7))
    assert (found.macs, found.parameters) == (35 * 4 * (3 + 1) + 2 * 35 * 4 * (4 + 1), 16 + 20)
    assert found.shape == (5, 7) and found.counter == 'authors'


def test_no_hook_stays() -> None:
    model = Pair().to('meta')
    assert _count_as_authors(_Whole(model), torch.zeros(1, 3, 5, 7, device='meta')) > 0
    assert not any(module._forward_hooks for module in model.modules())


def test_size_of_the_test_pipeline() -> None:
    def cfg(*steps: dict[str, Any]) -> Config:
        return Config({'default_scope': 'x', 'test_dataloader': {'dataset': {'dataset': {'pipeline': list(steps)}}}})

    assert default_shape(cfg({'type': 'Resize', 'scale': (64, 32)})) == (32, 64)
    crop = ({'type': 'ResizeEdge', 'scale': 248}, {'type': 'CenterCrop', 'crop_size': 224})
    assert default_shape(cfg(*crop)) == (224, 224)
    assert default_shape(cfg({'type': 'TopdownAffine', 'input_size': (192, 256)}, {'type': 'Pack'})) == (256, 192)
    with pytest.raises(ValueError, match='tells no size of a picture; give one: --shape'):
        default_shape(cfg({'type': 'Pack'}))


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    yield capsys


def test_the_tool_prints_the_tables_row(printed: pytest.CaptureFixture[str]) -> None:
    assert call(FLOPS.main, TINY) == 0
    lines = printed.readouterr().out.splitlines()[-4:]
    assert lines[1:3] == ['input          224 x 224', 'parameters     5,197,332 (5.20 M)']
    assert lines[3].startswith('multiply-adds  1,10') and lines[3].endswith(' (1.10 G), counted as authors')


def test_another_shape_and_another_counter(printed: pytest.CaptureFixture[str]) -> None:
    assert call(FLOPS.main, TINY, '--shape', '256', '256') == 0
    assert '(1.44 G), counted as authors' in printed.readouterr().out
    assert call(FLOPS.main, TINY, '--counter', 'mmengine', '--cfg-options', 'model.backbone.arch=xtiny',
                'model.head.in_channels=192') == 0
    out = printed.readouterr().out
    # Convolutions and linear layers alone are 0.782 G; what MMEngine adds is 1 to 2 % less than what mmcv adds.
    assert 'counted as mmengine' in out
    assert 0.782 < float(out.rsplit('(', 1)[1].split()[0]) < 0.80


def test_a_config_of_a_toolbox(printed: pytest.CaptureFixture[str]) -> None:
    import mmdet

    config = Path(mmdet.__file__).parent / '.mim/configs/retinanet/retinanet_r50_fpn_1x_coco.py'
    assert call(FLOPS.main, config) == 0
    out = printed.readouterr().out
    # MMDetection's documentation shows this model: 239.32 G at this size.
    assert 'input          1280 x 800' in out and '(37.97 M)' in out and '(239.32 G)' in out


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        ([TINY, '--shape', '0', '224'], '--shape 0 224: height and width of at least 1'),
        ([TINY, '--counter', 'fvcore'], '--counter'),
        (['none.py'], 'no such config: none.py'),
        ([TINY, '--cfg-options', 'model.backbone.arch=huge'], "arch is 'huge'"),
    ],
)
def test_bad_input(arguments: list[Any], told: str, printed: pytest.CaptureFixture[str]) -> None:
    assert call(FLOPS.main, *arguments) == 2
    (line,) = printed.readouterr().err.strip().splitlines()
    assert line.startswith('error: ') and told in line
