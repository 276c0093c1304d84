"""Predictions of segmentation in a file of a sensible size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import DumpResults
from mmengine.registry import METRICS


@METRICS.register_module()
class DumpSegResults(DumpResults):
    """Write the label maps of a test set, predicted and true, to a pickle.

    MMEngine's own writes all of a sample: mmseg's holds the scores of each class at each pixel as well, 200 MB for a
    picture of ADE20K. They are left out, and labels below 256 take a byte each. MMEngine's ``Evaluator`` reads the file
    for an offline evaluation.

    Args:
        out_file_path: the file, which ends in ``.pkl`` or ``.pickle``.
    """

    def process(self, data_batch: Any, predictions: Sequence[dict[str, Any]]) -> None:
        """Take one batch: what ``to_dict`` gives of mmseg's samples, label maps of shape (1, height, width)."""
        super().process(data_batch, [_without_scores(sample) for sample in predictions])


def _without_scores(sample: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in sample.items() if key not in ('seg_logits', 'i_seg_logits')}
    for key in ('pred_sem_seg', 'gt_sem_seg'):
        if key in kept:
            kept[key] = {**kept[key], 'data': _small(kept[key]['data'])}
    return kept


def _small(labels: torch.Tensor) -> torch.Tensor:
    fits = labels.numel() == 0 or (int(labels.min()) >= 0 and int(labels.max()) < 256)
    return labels.to(torch.uint8) if fits else labels
