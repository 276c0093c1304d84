"""Released files are held to the metafile's figures, with stand-ins for those that cannot be fetched here."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from moganet import get_model
from moganet.checkpoints.download import cached_path
from moganet.checkpoints.zoo import find, find_row, list_files
from moganet.engine import verify
from moganet.metafiles import metrics_of, read_metafiles

from ..checkpoints import writers
from ..checkpoints.server import serving
from .tools import REPO, TOOLS, call, fork, script

SCRIPT = TOOLS / 'misc' / 'verify_model.py'
VERIFY = script(SCRIPT)
TINY = 'moganet-xtiny_1xb32-5e_tiny-imagenet-64px'


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('MOGANET_CACHE', str(tmp_path / 'cache'))


def _release(name: str, build: Callable[[Any], dict[str, Any]], model: str | None = None) -> Path:
    """Put a stand-in for a released file where a download would; its values are of an untrained model."""
    path = cached_path(find(name).url)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(build(OrderedDict(get_model(model or find(name).model).state_dict())), path)
    return path


def test_a_released_file_is_loaded_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _release('moganet-xtiny_in1k', writers.timm_extracted)
    _release('moganet-xtiny_8xb128_in1k_3rdparty-openmixup', writers.openmixup)
    assert call(VERIFY.main, 'moganet-xtiny_in1k') == 0
    told = capfd.readouterr().out
    for line in (
        'name        moganet-xtiny_8xb128_in1k_3rdparty-timm, for moganet-xtiny_8xb128_in1k',
        'gate        activated once, by the metafile',
        'loaded      705 of 705 tensors',
        'parameters  2,956,066, as in the metafile',
        "metric      not measured: test_dataloader.dataset.data_root='data/imagenet': no such folder",
        'verified    moganet-xtiny_8xb128_in1k_3rdparty-timm, but for its metric',
    ):
        assert line in told
    # A pattern fits the names of files; one that cannot be had does not keep the others from being looked at.
    monkeypatch.setenv('http_proxy', 'http://127.0.0.1:9')
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')
    monkeypatch.setattr('moganet.checkpoints.transfer.BACK_OFF_S', ())
    assert call(VERIFY.main, 'moganet-xtiny_8xb128_in1k_3rdparty-*') == 2
    captured = capfd.readouterr()
    assert 'gate        activated twice' in captured.out and '2 verified, 0 differ, 1 could not be had' in captured.out
    assert captured.err.count('error: ') == 1 and 'cannot be downloaded' in captured.err


def test_a_file_of_another_model_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _release('moganet-tiny_in1k', writers.timm_extracted, model='moganet-xtiny_8xb128_in1k')
    assert call(VERIFY.main, 'moganet-tiny_in1k') == 1
    assert 'differs     moganet-tiny_8xb128_in1k_3rdparty-timm does not fill the model: ' in capfd.readouterr().out
    _release('moganet-xtiny_in1k', writers.timm_extracted)
    row = replace(find_row('moganet-xtiny_in1k'), parameters=1)
    monkeypatch.setattr(verify, 'find_row', lambda name: row)
    assert call(VERIFY.main, 'moganet-xtiny_in1k') == 1
    assert 'parameters  2,956,066, and the metafile has 1\n' in capfd.readouterr().out


@pytest.mark.parametrize(
    'name, code',
    [
        ('retinanet_moganet-xt_fpn_1x_coco', 'mmdet'),
        ('moganet-xt_sem-fpn_8xb4-80k_ade20k-512x512', 'mmseg'),
        ('td-hm_moganet-xt_8xb32-210e_coco-256x192', 'mmpose'),
    ],
)
def test_every_toolboxs_files_are_loaded(name: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file by the old toolbox's names, under a name of one's own."""
    monkeypatch.chdir(tmp_path)
    head = name.split('_')[1 if code == 'mmseg' else 0]
    torch.save(writers.mmcv1(code, writers.solid(writers.model('xtiny', head))), 'x.pth')
    told = fork(SCRIPT, name, '--checkpoint', 'x.pth').stdout
    assert f'parameters  {find_row(name).parameters:,}, as in the metafile' in told
    assert 'metric      not measured: test_dataloader.dataset.data_root=' in told
    assert 'verified    x.pth, but for its metric' in told


def test_the_metric_is_measured_again(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On the tiny data, from a server; the metafile's figure is of a trained model, and then the untrained one's."""
    model = get_model(TINY)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if name.startswith('head.'):
            torch.nn.init.normal_(parameter)
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, 'x.pth')
    with serving() as server:
        server.content = Path('x.pth').read_bytes()
        arguments = (TINY, '--checkpoint', server.url('a/x.pth'), '--cfg-options', 'test_dataloader.num_workers=0')
        assert call(VERIFY.main, *arguments) == 1
        told = capfd.readouterr().out
        found = re.search(r'Top 1 Accuracy  ([\d.]+), 99.2 in the metafile: another, not within 0.05 of rounding', told)
        assert found and 'differs     http://127.0.0.1' in told
        row = replace(find_row(TINY), metrics={'Top 1 Accuracy': round(float(found[1]), 1)})
        monkeypatch.setattr(verify, 'find_row', lambda name: row)
        assert call(VERIFY.main, *arguments) == 0
        told = capfd.readouterr().out
    assert 'in the metafile: the same, within 0.05 of rounding and 0.1' in told
    assert 'verified    http://127.0.0.1' in told and 'but for' not in told


@pytest.mark.parametrize(
    'arguments, told',
    [
        ((), 'Give names or patterns'),
        (('moganet-tiny_in1k', '--all'), 'or --all, and no name'),
        (('moganet-tinny_in1k',), 'the nearest: moganet-tiny_in1k'),
        (('nothing*',), "no released file's name fits 'nothing*'"),
        (('a', 'b', '--checkpoint', 'x.pth'), 'give the one name of the model that it is of'),
        (('moganet-tiny_in1k', '--checkpoint', 'x.pth'), 'no such checkpoint: x.pth'),
    ],
)
def test_bad_input_is_told_in_a_line(arguments: tuple[str, ...], told: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(VERIFY.main, *arguments) == 2
    line = capfd.readouterr().err.strip()
    assert told in line and '\n' not in line, line


def test_all_means_every_released_file() -> None:
    chosen = verify.cases([], True, None)
    assert [case.given for case in chosen] == list_files()
    # The figures are of one file a row.
    assert {case.row.name for case in chosen if case.judged} == {case.row.name for case in chosen}
    assert len([case for case in chosen if case.judged]) < len(chosen)
    assert verify.cases(['moganet-tiny_in1k', 'moganet-tiny_8xb128_in1k'], False, None) == [
        verify.Case(find_row('moganet-tiny_in1k'), 'moganet-tiny_8xb128_in1k_3rdparty-timm')
    ]


def test_every_metric_of_the_metafiles_is_known() -> None:
    found = {name for models in read_metafiles(REPO).values() for model in models for name in metrics_of(model)}
    assert found == set(verify.METRICS)


def test_metrics_are_compared_in_per_cent() -> None:
    figures = {'box AP': 42.6, 'AR': 77.7, 'mIoU': 43.1}
    measured = {'coco/bbox_mAP': 0.427, 'coco/AR': 0.7755, 'mIoU': 43.24}
    lines, same = verify.compared(figures, measured)
    assert same and lines[0][1].startswith('42.70, 42.6 in the metafile: the same')
    for other in ({'coco/bbox_mAP': 0.424}, {'coco/AR': 0.7790}, {'mIoU': float('nan')}):
        assert verify.compared(figures, measured | other)[1] is False
    lines, same = verify.compared({'mIoU': 43.1}, {'aAcc': 80})
    assert not same and lines == [('mIoU', '43.1 in the metafile; mIoU was not computed')]
