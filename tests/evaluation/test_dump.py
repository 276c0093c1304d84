"""Predictions of segmentation in a file: small, and enough to evaluate again."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import BaseDataElement, PixelData

from moganet.evaluation.metrics import DumpSegResults

CLASSES = tuple(str(number) for number in range(5))


def _sample(seed: int, biggest: int = 5) -> BaseDataElement:
    draw = torch.Generator().manual_seed(seed)
    maps = {name: torch.randint(0, biggest, (1, 8, 9), generator=draw) for name in ('pred_sem_seg', 'gt_sem_seg')}
    maps['gt_sem_seg'][0, 0, 0] = 255
    logits = torch.randn(5, 8, 9, generator=draw)
    fields = {name: PixelData(data=value) for name, value in {**maps, 'seg_logits': logits}.items()}
    sample = BaseDataElement(metainfo={'img_path': f'{seed}.png'})
    for name, value in fields.items():
        sample.set_field(value, name)
    return sample


def _dump(path: Path, *samples: BaseDataElement) -> list[dict[str, object]]:
    metric = METRICS.build({'type': 'DumpSegResults', 'out_file_path': str(path)})
    assert isinstance(metric, DumpSegResults)
    evaluator = Evaluator(metric)
    evaluator.process(list(samples))
    assert evaluator.evaluate(len(samples)) == {}
    # Other metrics are given the same samples.
    assert all('seg_logits' in sample and sample.pred_sem_seg.data.dtype is torch.int64 for sample in samples)
    written = pickle.loads(path.read_bytes())
    assert len(written) == len(samples)
    return list(written)


def test_labels_are_kept_and_scores_are_not(tmp_path: Path) -> None:
    samples = [_sample(0), _sample(1)]
    for sample, kept in zip(samples, _dump(tmp_path / 'out.pkl', *samples)):
        assert kept['img_path'] == sample.img_path and 'seg_logits' not in kept
        for name in ('pred_sem_seg', 'gt_sem_seg'):
            labels = kept[name]['data']  # type: ignore[index]
            assert labels.dtype is torch.uint8 and torch.equal(labels.long(), sample.get(name).data)


def test_labels_that_do_not_fit_a_byte_are_kept_as_they_are(tmp_path: Path) -> None:
    sample = _sample(0, biggest=900)
    (kept,) = _dump(tmp_path / 'out.pkl', sample)
    assert torch.equal(kept['pred_sem_seg']['data'], sample.pred_sem_seg.data)  # type: ignore[index]


def test_the_file_can_be_evaluated_again(tmp_path: Path) -> None:
    pytest.importorskip('mmseg')
    from mmseg.evaluation.metrics import IoUMetric

    samples = [_sample(seed) for seed in range(3)]
    evaluator = Evaluator(IoUMetric())
    evaluator.dataset_meta = {'classes': CLASSES}
    evaluator.process(samples)
    direct = evaluator.evaluate(3)
    written = [BaseDataElement(**entry) for entry in _dump(tmp_path / 'out.pkl', *samples)]
    again = Evaluator(IoUMetric())
    again.dataset_meta = {'classes': CLASSES}
    assert again.offline_evaluate(written) == direct
