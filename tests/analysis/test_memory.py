"""moganet/analysis/memory.py: what is alive is counted once, and taken off when it dies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from moganet.analysis import memory, peak_bytes, training_memory, training_shape

from ..configs.leaves import find, read
from ..e2e.tools import REPO, TOOLS, call, script

TOOL = script(TOOLS / 'analysis_tools' / 'get_memory.py')
MIB = 2**20
NARROW = {'embed_dims': (8, 8, 16, 16), 'depths': (2, 1, 1, 1), 'ffn_ratios': (8, 4, 4, 4)}


@pytest.mark.parametrize('device', ['cpu', 'meta'])
def test_peak_in_closed_form(device: str) -> None:
    """Each tensor has 1 MiB: one is kept, one given, and at most three more are alive at a time."""
    kept, given = (torch.zeros(MIB // 4, device=device) for _ in range(2))

    def work() -> None:
        one = kept + given
        two = one * 2
        one.add_(two)  # in place
        view = two.view(-1, 4)[1:]  # no storage of its own
        del two
        three = one * 3
        del view  # the last that holds the storage of `two`
        three.mul(2)

    assert peak_bytes(work, [kept, kept[1:]], [given]) == (MIB, 5 * MIB)


def test_backward_in_closed_form() -> None:
    """Of n squarings each keeps its input, of 1 MiB; the backward pass has two more at a time at the deepest."""
    start = torch.ones(MIB // 4, requires_grad=True)

    def work(times: int) -> None:
        x = start
        for _ in range(times):
            x = x * x
        x.sum().backward()
        start.grad = None

    peaks = [peak_bytes(lambda n=n: work(n), [start], [])[1] for n in (4, 8, 16)]
    # A scalar and its gradient of 4 bytes each, at most.
    assert [round((peak - peaks[0]) / MIB, 3) for peak in peaks] == [0, 4, 12]


def test_batchnorm_and_convolution_keep_what_they_need() -> None:
    layer = nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    x = torch.zeros(1, 4, 256, 256)  # 1 MiB
    kept = [*layer.parameters(), *layer.buffers()]
    settled, peak = peak_bytes(lambda: layer(x), kept, [x])
    assert settled == (16 + 4 * 4) * 4 + 8
    # The picture, three maps, and BN's mean and deviation.
    assert peak - settled == 4 * MIB + 2 * 4 * 4


def _small(leaf: str, **backbone: object) -> Config:
    cfg = read(find(leaf))
    cfg.model.backbone.update(arch=NARROW, init_cfg=None, **backbone)
    return cfg


def _classifier(**backbone: object) -> Config:
    cfg = _small('moganet-tiny_8xb128_in1k.py', **backbone)
    cfg.model.head.in_channels = 16
    return cfg


def test_shapes_alone_tell_what_pictures_do(monkeypatch: pytest.MonkeyPatch) -> None:
    by_shapes = training_memory(_classifier(), 2, (32, 32))
    monkeypatch.setattr(memory, '_BY_SHAPES', ())
    by_pictures = training_memory(_classifier(), 2, (32, 32))
    assert by_shapes.by_shapes and not by_pictures.by_shapes
    assert by_shapes.settled == by_pictures.settled
    assert by_shapes.peak == pytest.approx(by_pictures.peak, rel=0.01)  # kernels' own temporary tensors differ


def test_the_peak_grows_with_the_batch_and_shrinks_by_checkpointing() -> None:
    peaks = [training_memory(_classifier(), batch, (64, 64)).peak for batch in (16, 32, 64)]
    assert peaks[2] - peaks[1] == pytest.approx(2 * (peaks[1] - peaks[0]), rel=0.01)
    # Of the first stage's two blocks, which hold most, one at a time keeps its maps, beside those of one step back.
    assert training_memory(_classifier(with_cp=True), 64, (64, 64)).peak < 0.8 * peaks[2]


def test_what_stays_between_steps() -> None:
    cfg = _classifier()
    plain = training_memory(cfg, 2, (32, 32))
    weights = sum(p.numel() for p in memory.build_model(cfg, 'meta').parameters()) * 4
    cfg.optim_wrapper.accumulative_counts = 2
    # The gradients stay, and an average is another set of weights.
    assert training_memory(cfg, 2, (32, 32)).settled - plain.settled == weights
    cfg.optim_wrapper.accumulative_counts = 1
    cfg.custom_hooks = [{'type': 'EMAHook'}]
    assert weights < training_memory(cfg, 2, (32, 32)).settled - plain.settled < 1.1 * weights
    # AdamW: two moments, and a step of 4 bytes for each tensor.
    assert 3 * weights < plain.settled < 3.2 * weights


def test_detector_by_pictures() -> None:
    cfg = _small('/mask-rcnn_moganet-t_fpn_1x_coco')
    cfg.model.neck.update(in_channels=[8, 8, 16, 16])
    found = training_memory(cfg, 1, (64, 64))
    # A trained first stage proposes objects: 128 regions, a quarter of 512, each of 256 maps of 14 x 14 through four
    # convolutions and their ReLUs, which keep one map each.
    assert not found.by_shapes and found.peak - found.settled > 128 * 256 * 14 * 14 * 4 * 4


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'CpuAmpOptimWrapper'])
def test_mixed_precision_is_counted_in_float32(kind: str) -> None:
    """MMEngine's would refuse to be built where there is no GPU; accumulation stays."""
    cfg = _classifier()
    cfg.optim_wrapper.accumulative_counts = 2
    plain = training_memory(cfg, 2, (32, 32))
    cfg.optim_wrapper.type = kind
    if kind == 'AmpOptimWrapper':
        cfg.optim_wrapper.update(loss_scale='dynamic', dtype='bfloat16')
    assert training_memory(cfg, 2, (32, 32)) == plain


def test_shapes() -> None:
    for part, shape in (('moganet-tiny_8xb128_in1k.py', (224, 224)), ('moganet-tiny_8xb128_in1k-256px', (256, 256)),
                        ('moganet-t_sem-fpn_8xb4', (512, 512)), ('moganet-t_8xb32-210e_coco-384x288', (384, 288)),
                        ('retinanet_moganet-t_fpn_1x_coco', (800, 1344))):
        assert training_shape(read(find(part))) == shape
    init_default_scope('mmpretrain')


@pytest.mark.parametrize(('arguments', 'told'), [
    (['--batch', '0'], '--batch 0: at least one picture'),
    (['--shape', '0', '64'], '--shape 0 64'),
    (['--batch', '1', '--shape', '1', '1', '--cfg-options', 'model.neck=None'], 'cannot go through a training step'),
    (['--cfg-options', 'model.backbone.arch=tinny'], "'tinny'"),
])
def test_bad_input(arguments: list[str], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    config = REPO / 'configs' / 'classification' / 'moganet-xtiny_8xb128_in1k.py'
    assert call(TOOL.main, config, *arguments) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith('error: ') and told in line


def test_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    config = str(REPO / 'configs' / 'pose' / 'td-hm_moganet-xt_8xb32-210e_coco-256x192.py')
    words = [config, '--batch', '2', '--shape', '64', '64']
    assert call(TOOL.main, *words) == 0
    told = capfd.readouterr().out
    assert 'batch          2 of 64 x 64, float32, by shapes alone\n' in told
    peak, settled = (int(number.replace(',', '')) for number in re.findall(r'  ([\d,]+) bytes', told))
    # Adam: the weights and two moments, of 5.65 million parameters of 4 bytes.
    assert 3 * 4 * 5.6e6 < settled < 3 * 4 * 5.7e6 < peak
    assert list(tmp_path.iterdir()) == []
